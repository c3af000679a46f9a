"""What every command needs: the settings, the assistant, the database, and a way to fail.

Exit status: 0 fine, 1 the answer is no (tampered, refused, broken), 2 usage or
settings, unless a command says otherwise.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from bot.app import App
    from bot.settings import Settings

Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="config.toml (default: ./config.toml)")
]
Database = Annotated[
    str | None, typer.Option(help="the database itself: its file, or a URL of PostgreSQL")
]


def read_settings(config: Path | None) -> Settings:
    """Read the settings, or say what is wrong with them and end with 2."""
    from bot.settings import SettingsError, load  # noqa: PLC0415

    path = config or Path("config.toml")
    if config is None and not path.exists():
        path = Path(__file__).resolve().parents[2] / "config.toml"
    try:
        return load(path)
    except SettingsError as error:
        fail("\n".join(f"config: {problem}" for problem in error.problems), 2)


def without_tokens(settings: Settings) -> Settings:
    """Fill in tokens that are never used, for commands that do not speak to Slack."""
    from bot.settings import SlackSection  # noqa: PLC0415

    given = settings.slack.model_dump() | {"bot_token": "xoxb-none", "app_token": "xapp-none"}
    return settings.model_copy(update={"slack": SlackSection(**given)})


def build_app(settings: Settings) -> App:
    """Make the assistant, or say what is wrong and end with 2."""
    from bot.app import build  # noqa: PLC0415
    from bot.domain.errors import TocsinError  # noqa: PLC0415
    from bot.settings import SettingsError  # noqa: PLC0415

    try:
        return build(settings)
    except SettingsError as error:
        fail("\n".join(f"config: {problem}" for problem in error.problems), 2)
    except TocsinError as error:
        fail(str(error), 2)


def check_there(where: Path | str, status: int = 2) -> None:
    """A command that reads makes no database: most likely it was pointed to the wrong place."""
    from bot.storage.stores import is_there  # noqa: PLC0415

    if not is_there(where):
        fail(f"{where}: there is no database; --config says which installation is meant", status)


def with_database(app: App, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do some work with the installation's database open."""
    check_there(app.settings.database)

    async def opened() -> None:
        app.core.database.open()
        try:
            await work()
        finally:
            await app.core.database.close()

    run(lambda: naming_what_failed(app, opened))


async def naming_what_failed(app: App, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Say which file or which address it was where a database or Slack cannot be used."""
    from sqlite3 import Error  # noqa: PLC0415  # see above

    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    from bot.domain.errors import Unreadable  # noqa: PLC0415
    from bot.ports import ChatError  # noqa: PLC0415
    from bot.storage.stores import shown  # noqa: PLC0415

    try:
        await work()
    except DBAPIError as error:
        raise Unreadable(shown(app.settings.database), f"cannot be used: {error.orig}") from None
    except Error as error:
        raise Unreadable(shown(app.settings.database), f"cannot be used: {error}") from None
    except ChatError as error:
        raise Unreadable(f"Slack at {app.settings.slack.api_url}", str(error)) from None


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine; what people can mend is one sentence, not a traceback."""
    from bot.demo.processes import NotStarted  # noqa: PLC0415
    from bot.domain.errors import TocsinError  # noqa: PLC0415
    from bot.settings import SettingsError  # noqa: PLC0415

    try:
        asyncio.run(work())
    except KeyboardInterrupt:
        print()
    except SettingsError as error:
        fail("\n".join(f"config: {problem}" for problem in error.problems), 2)
    except OSError as error:
        named = error.filename is not None and error.strerror is not None
        fail(f"{error.filename}: {error.strerror}" if named else str(error), 1)
    except (TocsinError, NotStarted) as error:
        fail(str(error), 1)


def fail(text: str, status: int) -> NoReturn:
    """Say why, on standard error, and end."""
    print(text, file=sys.stderr)
    raise typer.Exit(status)
