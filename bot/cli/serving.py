"""`tocsin serve`, `check` and `manifest`."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from typing_extensions import override

from bot.cli.installation import (
    Config,
    build_app,
    fail,
    naming_what_failed,
    read_settings,
    run,
    without_tokens,
)

if TYPE_CHECKING:
    from bot.domain.redaction import Redactor


class _Redacted(logging.Formatter):
    """Takes secrets out of log lines: an error may quote what a target answered."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._redactor = redactor

    @override
    def format(self, record: logging.LogRecord) -> str:
        return self._redactor(super().format(record))


def serve(config: Config = None) -> None:
    """Run the bot until SIGINT or SIGTERM."""
    app = build_app(read_settings(config))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacted(app.core.redactor))
    logging.basicConfig(level=app.settings.bot.log_level, handlers=[handler])
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
    run(lambda: naming_what_failed(app, app.run))


def check(config: Config = None) -> None:
    """Check config.toml, plugins and knowledge as `serve` would, and start nothing."""
    app = build_app(without_tokens(read_settings(config)))
    known = app.core.context.knowledge
    runnable = sum(1 for runbook in known.runbooks.values() if runbook.executable)
    print(f"plugins: {', '.join(plugin.name for plugin in app.plugins)}")
    print(f"actions: {', '.join(sorted(app.registry.actions)) or 'none'}")
    print(f"runbooks: {len(known.runbooks)}, of which {runnable} can be run")
    for note in app.read_only:
        print(f"  for reading only here: {note}")
    print("OK")


def print_manifest(
    config: Config = None,
    url: Annotated[str, typer.Option(help="public address of the bot, for HTTP mode")] = "",
) -> None:
    """Print the Slack app manifest (YAML) with exactly the scopes and commands in use."""
    import yaml  # noqa: PLC0415

    from bot.slack.manifest import manifest  # noqa: PLC0415

    settings = without_tokens(read_settings(config))
    if settings.slack.mode == "http" and not url:
        fail("--url: HTTP mode needs the address at which Slack reaches the bot", 2)
    if url and not url.startswith("https://"):
        fail(f"--url: {url} does not begin with https://, and Slack sends nowhere else", 2)
    content = manifest(build_app(settings).handlers, settings.slack.mode, url or None)
    print(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), end="")
