"""The command line. Each command imports what it needs, so that none pays for another.

Exit status: 0 fine, 1 the answer is no (tampered, refused, broken), 2 usage or
settings.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Coroutine
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from bot.app import App
    from bot.settings import Settings

cli = typer.Typer(
    help="Tocsin: the bell that calls people to an emergency.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
alerts = typer.Typer(help="Deliveries that were kept because they could not be read.")
ledger = typer.Typer(help="The tamper-evident record of everything that was done.")
postmortem = typer.Typer(help="Post-mortems.")
knowledge = typer.Typer(help="Runbooks, services and past incidents.")
demo = typer.Typer(
    help="Start the practice workspace and print its address; Ctrl-C ends it.",
    invoke_without_command=True,
)
for name, group in (
    ("demo", demo),
    ("alerts", alerts),
    ("ledger", ledger),
    ("postmortem", postmortem),
    ("knowledge", knowledge),
):
    cli.add_typer(group, name=name, no_args_is_help=name != "demo")


class Format(StrEnum):
    """How a post-mortem is written."""

    MARKDOWN = "md"
    HTML = "html"


DEMO_FOLDER = Path("var/demo")
Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="config.toml (default: ./config.toml)")
]


def main() -> None:
    """Run the command line."""
    cli()


@demo.callback()
def demo_run(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="the page's port; 0 is any", min=0, max=65535)] = 8765,
    directory: Annotated[Path, typer.Option(help="where the demo keeps its files")] = DEMO_FOLDER,
    watcher: Annotated[
        bool, typer.Option("--watcher", help="use the built-in watcher, not Prometheus")
    ] = False,
) -> None:
    """Start the practice workspace and print its address; Ctrl-C ends it."""
    if context.invoked_subcommand is not None:
        return
    from bot.demo.alerting import AlertingKind  # noqa: PLC0415  # see above
    from bot.rehearsal import Stage  # noqa: PLC0415

    kind = AlertingKind.WATCHER if watcher else AlertingKind.AUTOMATIC
    root = Path(__file__).resolve().parents[1]
    stage = Stage(directory=directory, knowledge=root / "knowledge", port=port, alerting=kind)
    _run(lambda: _rehearse(stage))


async def _rehearse(stage: Any) -> None:
    from bot.rehearsal import Rehearsal  # noqa: PLC0415

    rehearsal = Rehearsal(stage)
    await rehearsal.start()
    print(f"\n  Practice workspace: {rehearsal.server.url}\n")
    print(f"  Alerts come from {rehearsal.alerting.description}.")
    print("  Press “Break it” on the page, or run: tocsin demo break")
    print("  Ctrl-C ends it.\n", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await rehearsal.stop()


@demo.command("break")
def demo_break(
    directory: Annotated[Path, typer.Option(help="where the demo keeps its files")] = DEMO_FOLDER,
) -> None:
    """Break the demo's checkout service, like the page's button."""
    from bot.demo.panel import CheckoutPanel, PanelFailed  # noqa: PLC0415

    checkout, token = _running_demo(directory)

    async def press() -> None:
        panel = CheckoutPanel(checkout, admin_token=token, alerting="")
        try:
            print(await panel.press("break"))
        except PanelFailed as error:
            _fail(str(error), 1)
        finally:
            await panel.close()

    _run(press)


def _running_demo(directory: Path) -> tuple[str, str]:
    """Return the address and the admin token of a demo's checkout service."""
    path = directory / "demo.json"
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        return state["checkout"], state["admin_token"]
    except FileNotFoundError:
        _fail(f"no demo runs in {directory} (start one with: tocsin demo)", 1)
    except (ValueError, KeyError, TypeError):
        _fail(f"{path}: is not what a demo writes; start it again with: tocsin demo", 1)


@cli.command()
def serve(config: Config = None) -> None:
    """Run the bot until SIGINT or SIGTERM."""
    app = _build(_settings(config))
    logging.basicConfig(
        level=app.settings.bot.log_level,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for chatty in (
        "alembic",
        "faiss",
        "apscheduler",
        "uvicorn",
        "httpx",
        "slack_bolt",
        "slack_sdk",
    ):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    _run(lambda: _naming_what_failed(app, app.run))


@cli.command()
def check(config: Config = None) -> None:
    """Check config.toml, plugins and knowledge as `serve` would, and start nothing."""
    app = _build(_without_tokens(_settings(config)))
    known = app.core.context.knowledge
    runnable = sum(1 for runbook in known.runbooks.values() if runbook.executable)
    print(f"plugins: {', '.join(plugin.name for plugin in app.plugins)}")
    print(f"actions: {', '.join(sorted(app.registry.actions)) or 'none'}")
    print(f"runbooks: {len(known.runbooks)}, of which {runnable} can be run")
    for note in app.read_only:
        print(f"  for reading only here: {note}")
    print("OK")


@cli.command("manifest")
def print_manifest(
    config: Config = None,
    url: Annotated[str, typer.Option(help="public address of the bot, for HTTP mode")] = "",
) -> None:
    """Print the Slack app manifest (YAML) with exactly the scopes and commands in use."""
    import yaml  # noqa: PLC0415

    from bot.slack.manifest import manifest  # noqa: PLC0415

    settings = _without_tokens(_settings(config))
    if settings.slack.mode == "http" and not url:
        _fail("--url: HTTP mode needs the address at which Slack reaches the bot", 2)
    if url and not url.startswith("https://"):
        _fail(f"--url: {url} does not begin with https://, and Slack sends nowhere else", 2)
    content = manifest(_build(settings).handlers, settings.slack.mode, url or None)
    print(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), end="")


@alerts.command("list")
def alerts_list(config: Config = None) -> None:
    """List kept deliveries, oldest first, with the reason."""
    from bot.domain.deliveries import DeliveryState  # noqa: PLC0415

    app = _build(_without_tokens(_settings(config)))

    async def show() -> None:
        async with app.core.database.reading() as view:
            kept = await view.deliveries.find(DeliveryState.QUARANTINED)
        for delivery in kept:
            at = delivery.received_at.isoformat(timespec="seconds")
            print(f"{delivery.id}  {at}  {delivery.source}  {delivery.reason}")
        print(f"{len(kept)} kept")

    _with_database(app, show)


@alerts.command("replay")
def alerts_replay(
    ids: Annotated[list[str] | None, typer.Argument(help="delivery ids; none for all")] = None,
    config: Config = None,
) -> None:
    """Try kept deliveries again."""
    from bot.domain.deliveries import DeliveryState  # noqa: PLC0415
    from bot.domain.errors import AlreadyDone, Refused, Unreadable  # noqa: PLC0415

    app = _build(_without_tokens(_settings(config)))
    failed: list[str] = []

    async def replay() -> None:
        async with app.core.database.reading() as view:
            chosen = (
                [await view.deliveries.get(id) for id in ids]
                if ids
                else await view.deliveries.find(DeliveryState.QUARANTINED)
            )
        for delivery in chosen:
            try:
                count = await app.receiver.replay(delivery)
                print(f"{delivery.id}: taken, {count} groups")
            except (Unreadable, Refused, AlreadyDone) as error:
                failed.append(delivery.id)
                print(f"{delivery.id}: {error}", file=sys.stderr)
        print(f"{len(chosen) - len(failed)} of {len(chosen)} replayed")

    _with_database(app, replay)
    if failed:
        raise typer.Exit(1)


@ledger.command("verify")
def ledger_verify(
    config: Config = None,
    database: Annotated[Path | None, typer.Option(help="the database file itself")] = None,
) -> None:
    """Check every entry and every node of the ledger."""
    from bot.domain.errors import Unreadable  # noqa: PLC0415
    from bot.storage.sqlite import verify_file  # noqa: PLC0415

    path = database or _settings(config).database
    _check_there(path)
    try:
        verdict = verify_file(path)
    except Unreadable as error:
        _fail(f"NOT OK: {error}", 1)
    if verdict.fault is not None:
        _fail(f"NOT OK: entry {verdict.fault.index}: {verdict.fault.reason}", 1)
    print(f"OK: {verdict.entries} entries, root {verdict.root.hex()}")


@ledger.command("show")
def ledger_show(
    config: Config = None,
    database: Annotated[Path | None, typer.Option(help="the database file itself")] = None,
    incident: Annotated[str, typer.Option(help="only this incident's entries")] = "",
    last: Annotated[int, typer.Option(help="how many of the newest", min=1)] = 50,
) -> None:
    """Print the newest ledger entries, one JSON object a line."""
    from bot.domain.errors import Unreadable  # noqa: PLC0415
    from bot.storage.sqlite import read_entries  # noqa: PLC0415

    path = database or _settings(config).database
    _check_there(path)
    try:
        entries = read_entries(path, incident=incident.upper(), last=last)
    except Unreadable as error:
        _fail(str(error), 1)
    if incident and not entries:
        _fail(f"{incident}: the ledger has no entry of it", 1)
    for entry in entries:
        print(json.dumps(entry, ensure_ascii=False))


@postmortem.command("export")
def postmortem_export(
    incident: Annotated[str, typer.Argument(help="an incident's id, such as INC-1")],
    format: Annotated[Format, typer.Option(help="md or html")] = Format.MARKDOWN,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="a file")] = None,
    config: Config = None,
) -> None:
    """Write a drafted post-mortem as Markdown or HTML."""
    from bot.domain.incidents import IncidentId  # noqa: PLC0415
    from bot.exports import render  # noqa: PLC0415

    app = _build(_without_tokens(_settings(config)))

    async def export() -> None:
        context, id = app.core.context, IncidentId(incident.upper())
        await context.incidents.get(id)
        drafted = await context.postmortems.get(id)
        if drafted is None:
            _fail(f"{id}: no post-mortem was drafted (type /incident postmortem)", 1)
        text = render(drafted, format.value)
        if output is None:
            print(text)
        else:
            output.write_text(text, encoding="utf-8")
            print(f"{output}: {len(text.splitlines())} lines")

    _with_database(app, export)


@knowledge.command("check")
def knowledge_check(
    directory: Annotated[Path, typer.Argument(help="the knowledge folder")] = Path("knowledge"),
) -> None:
    """Check runbooks, services and past incidents; every mistake with its file and line."""
    from bot.knowledge import KnowledgeError, load  # noqa: PLC0415

    try:
        known = load(directory)
    except KnowledgeError as error:
        _fail(str(error), 1)
    services = len(known.catalog.services)
    print(f"{len(known.runbooks)} runbooks, {services} services, {len(known.incidents)} incidents")
    print("OK")


def _settings(config: Path | None) -> Settings:
    from bot.settings import SettingsError, load  # noqa: PLC0415

    path = config or Path("config.toml")
    if config is None and not path.exists():
        path = Path(__file__).resolve().parents[1] / "config.toml"
    try:
        return load(path)
    except SettingsError as error:
        _fail("\n".join(f"config: {problem}" for problem in error.problems), 2)


def _without_tokens(settings: Settings) -> Settings:
    """Fill in tokens that are never used, for commands that do not speak to Slack."""
    from bot.settings import SlackSection  # noqa: PLC0415

    given = settings.slack.model_dump() | {"bot_token": "xoxb-none", "app_token": "xapp-none"}
    return settings.model_copy(update={"slack": SlackSection(**given)})


def _build(settings: Settings) -> App:
    from bot.app import build  # noqa: PLC0415
    from bot.domain.errors import TocsinError  # noqa: PLC0415
    from bot.settings import SettingsError  # noqa: PLC0415

    try:
        return build(settings)
    except SettingsError as error:
        _fail("\n".join(f"config: {problem}" for problem in error.problems), 2)
    except TocsinError as error:
        _fail(str(error), 2)


def _check_there(path: Path) -> None:
    """A command that reads makes no database: most likely it was pointed to the wrong place."""
    if not path.exists():
        _fail(f"{path}: there is no database; --config says which installation is meant", 2)


def _with_database(app: App, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    _check_there(app.settings.database)

    async def opened() -> None:
        app.core.database.open()
        try:
            await work()
        finally:
            await app.core.database.close()

    _run(lambda: _naming_what_failed(app, opened))


async def _naming_what_failed(app: App, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Say which file or which address it was where a database or Slack cannot be used."""
    from sqlite3 import Error  # noqa: PLC0415  # see above

    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    from bot.domain.errors import Unreadable  # noqa: PLC0415
    from bot.ports import ChatError  # noqa: PLC0415

    try:
        await work()
    except DBAPIError as error:
        raise Unreadable(str(app.settings.database), f"cannot be used: {error.orig}") from None
    except Error as error:
        raise Unreadable(str(app.settings.database), f"cannot be used: {error}") from None
    except ChatError as error:
        raise Unreadable(f"Slack at {app.settings.slack.api_url}", str(error)) from None


def _run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine; what people can mend is one sentence, not a traceback."""
    from bot.demo.processes import NotStarted  # noqa: PLC0415
    from bot.domain.errors import TocsinError  # noqa: PLC0415
    from bot.settings import SettingsError  # noqa: PLC0415

    try:
        asyncio.run(work())
    except KeyboardInterrupt:
        print()
    except SettingsError as error:
        _fail("\n".join(f"config: {problem}" for problem in error.problems), 2)
    except OSError as error:
        named = error.filename is not None and error.strerror is not None
        _fail(f"{error.filename}: {error.strerror}" if named else str(error), 1)
    except (TocsinError, NotStarted) as error:
        _fail(str(error), 1)


def _fail(text: str, status: int) -> NoReturn:
    print(text, file=sys.stderr)
    raise typer.Exit(status)
