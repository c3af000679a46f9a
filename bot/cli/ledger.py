"""`tocsin ledger`: the tamper-evident record, its evidence, and its keys.

`verify` ends with 0 where all is fine, 1 where something was tampered with, 2
where something is missing that would have to be there, 3 for wrong usage.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand
from typing_extensions import override

from bot.cli.installation import (
    Config,
    Database,
    build_app,
    check_there,
    fail,
    read_settings,
    with_database,
    without_tokens,
)

if TYPE_CHECKING:
    from bot.app import App
    from bot.domain.notes import VerifierKey

USAGE = 3

commands = typer.Typer(help="The tamper-evident record of everything that was done.")


# Which typer raises for every wrong use, and does not export.
_WrongUse: type[Exception] = typer.BadParameter.__mro__[1]


class _Verifying(TyperCommand):
    """Ends with 3 where it is used wrongly: 2 says that something is missing."""

    @override
    def make_context(self, *args: Any, **extra: Any) -> Any:
        try:
            return super().make_context(*args, **extra)
        except _WrongUse as error:
            vars(error)["exit_code"] = USAGE
            raise


@commands.command("verify", cls=_Verifying)
def ledger_verify(
    bundle: Annotated[
        Path | None, typer.Argument(help="an exported bundle; without one, this installation")
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(help="a verifier key (name+id+key) that you trust, or a file of them"),
    ] = None,
    anchor: Annotated[
        Path | None, typer.Option(help="an anchor's file that you fetched yourself")
    ] = None,
    config: Config = None,
    database: Database = None,
) -> None:
    """Check the ledger: a bundle without anything else, or every entry of an installation."""
    if bundle is not None:
        _verify_bundle(bundle, key or [], anchor)
        return
    if database is not None:
        from bot.storage.stores import located  # noqa: PLC0415

        _verify_store(located(database), None)
        return
    app = build_app(without_tokens(read_settings(config)))
    _verify_store(app.settings.database, app)


def _verify_store(where: Path | str, app: App | None) -> None:
    """Verify a database; with its installation, also against its anchors."""
    from bot.domain.errors import Unreadable  # noqa: PLC0415
    from bot.storage.ledger import UNKEYED  # noqa: PLC0415
    from bot.storage.stores import verify_at  # noqa: PLC0415

    check_there(where, USAGE)
    try:
        verdict = verify_at(where, app.core.privacy if app else UNKEYED)
    except Unreadable as error:
        fail(f"NOT OK: {error}", 1)
    if verdict.fault is not None:
        fail(f"NOT OK: entry {verdict.fault.index}: {verdict.fault.reason}", 1)
    notes = [f"{verdict.erased} erased"] if verdict.erased else []
    if app is not None:
        notes += _compare(app)
    notes += [f"{verdict.hidden} bodies not read: their keys are not here"] * bool(verdict.hidden)
    print(f"OK: {verdict.entries} entries, root {verdict.root.hex()}", *notes, sep="; ")


def _compare(app: App) -> Sequence[str]:
    """Hold the ledger against its anchors; return what could not be done."""
    from bot.governance import can_sign  # noqa: PLC0415

    if not can_sign(app.settings):
        return ["not compared with any anchor: there is no signing key here"]
    contradictions: list[str] = []
    unread: list[str] = []

    async def compare() -> None:
        checkpoints = app.core.context.checkpoints
        contradictions.extend(await checkpoints.compare())
        for anchor in (await checkpoints.state()).anchors:
            unread.extend([f"{anchor.name} could not be read: {anchor.error}"] * bool(anchor.error))

    with_database(app, compare)
    if contradictions:
        fail("\n".join(f"NOT OK: {reason}" for reason in contradictions), 1)
    return unread


def _verify_bundle(path: Path, given: Sequence[str], anchor: Path | None) -> None:
    from bot.calendars import windows_of  # noqa: PLC0415
    from bot.ledger.anchors.paragraphs import notes_in  # noqa: PLC0415
    from bot.ledger.audits import verify_bundle  # noqa: PLC0415
    from bot.ledger.signing import verify_ed25519  # noqa: PLC0415

    if not path.exists():
        fail(f"{path}: there is no such bundle", USAGE)
    try:
        anchored = notes_in(anchor.read_bytes()) if anchor is not None else ()
    except OSError as error:
        fail(f"--anchor: {anchor}: {error.strerror}", USAGE)
    audit = verify_bundle(
        path, keys=_keys(given), verify=verify_ed25519, calendars_at=windows_of, anchored=anchored
    )
    for line in audit.lines:
        print(line)
    raise typer.Exit(audit.exit_code)


def _keys(given: Sequence[str]) -> Sequence[VerifierKey]:
    from bot.domain.notes import BadNote, VerifierKey  # noqa: PLC0415

    if not given:
        fail("--key: name the verifier key you trust; `tocsin ledger key` prints it", USAGE)
    texts: list[str] = []
    for item in given:
        path = Path(item)
        try:
            texts += path.read_text(encoding="utf-8").split("\n") if path.is_file() else [item]
        except (OSError, UnicodeDecodeError) as error:
            fail(f"--key: {item[:80]}: {error}", USAGE)
    if not any(text.strip() for text in texts):
        fail("--key: there is no key in it", USAGE)
    try:
        return [VerifierKey.parse(text) for text in texts if text.strip()]
    except BadNote as error:
        fail(f"--key: {error}", USAGE)


@commands.command("export")
def ledger_export(
    output: Annotated[Path, typer.Option("--output", "-o", help="the bundle, such as case.tar")],
    incident: Annotated[str, typer.Option(help="only what belongs to this incident")] = "",
    since: Annotated[str, typer.Option(help="from this moment on, such as 2026-11-01")] = "",
    *,
    redact: Annotated[
        bool, typer.Option("--redact", help="leave out bodies that tell of people")
    ] = False,
    config: Config = None,
) -> None:
    """Write evidence that anybody can verify, without this program's data or a network."""
    if incident and since:
        fail("--incident and --since: give one of them", 2)
    app = _with_key(config)

    async def export() -> None:
        from bot.domain.errors import Refused  # noqa: PLC0415
        from bot.ledger.bundles import Scope, export_bundle  # noqa: PLC0415

        scope = Scope(incident=incident.upper() or None, since=_moment(since))
        checkpoints = app.core.context.checkpoints
        try:
            await checkpoints.ensure_covered()
        except Refused as no:  # evidence of tampering is evidence: what was sealed is exported
            print(no.reason, file=sys.stderr)
        finally:
            await checkpoints.stop()
        print(await export_bundle(output, app.core.evidence, scope=scope, redact=redact))

    with_database(app, export)


def _with_key(config: Config) -> App:
    """Make the assistant, where it can sign: a key made now would be another log's."""
    from bot.governance import can_sign  # noqa: PLC0415

    app = build_app(without_tokens(read_settings(config)))
    if not can_sign(app.settings):
        fail(
            f"{app.settings.keys}: there is no signing key here; `tocsin serve` makes the first", 2
        )
    return app


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"--since: {text} is not a moment such as 2026-11-01 or 2026-11-01T12:00:00Z", 2)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@commands.command("show")
def ledger_show(
    config: Config = None,
    database: Database = None,
    incident: Annotated[str, typer.Option(help="only this incident's entries")] = "",
    last: Annotated[int, typer.Option(help="how many of the newest", min=1)] = 50,
) -> None:
    """Print the newest ledger entries, one JSON object a line."""
    from bot import governance  # noqa: PLC0415
    from bot.domain.errors import Unreadable  # noqa: PLC0415
    from bot.storage.ledger import UNKEYED  # noqa: PLC0415
    from bot.storage.stores import entries_at, located  # noqa: PLC0415

    settings = read_settings(config) if database is None else None
    where = located(database or "") if settings is None else settings.database
    check_there(where)
    privacy = governance.subject_keys(settings) if settings else UNKEYED
    try:
        entries = entries_at(where, privacy, incident=incident.upper(), last=last)
    except Unreadable as error:
        fail(str(error), 1)
    if incident and not entries:
        fail(f"{incident}: the ledger has no entry of it", 1)
    for entry in entries:
        print(json.dumps(entry, ensure_ascii=False))


@commands.command("key")
def ledger_key(config: Config = None) -> None:
    """Print the verifier keys of this log, the newest last: what auditors need to trust."""
    app = build_app(without_tokens(read_settings(config)))

    async def show() -> None:
        for vkey in await app.core.context.checkpoints.vkeys():
            print(vkey)

    with_database(app, show)


@commands.command("state")
def ledger_state(config: Config = None) -> None:
    """Say how far the ledger is sealed, and what the anchors hold."""
    app = build_app(without_tokens(read_settings(config)))

    async def show() -> None:
        state = await app.core.context.checkpoints.state()
        print(f"{state.size} entries, {state.sealed_size} under a signed checkpoint")
        for receipt in await _receipts(app):
            print(receipt)

    with_database(app, show)


async def _receipts(app: App) -> Sequence[str]:
    async with app.core.database.reading() as view:
        receipts = await view.checkpoints.receipts()
    newest = {receipt.anchor: receipt for receipt in receipts}
    return [
        f"{anchor}: holds {receipt.size} entries since {receipt.at:%Y-%m-%d %H:%M:%S} UTC"
        for anchor, receipt in newest.items()
    ]


@commands.command("rotate-key")
def ledger_rotate(
    new: Annotated[Path, typer.Argument(help="the new key's file; made where it is missing")],
    config: Config = None,
) -> None:
    """Sign from now on with another key; one checkpoint is signed by both."""
    app = _with_key(config)
    if app.settings.ledger.signer:
        fail("ledger.signer: that program holds the key; rotate it there", 2)

    async def rotate() -> None:
        from bot import governance  # noqa: PLC0415

        governance.make_folders(app.settings)
        signer = governance.key_in(new, app.settings)
        await app.core.context.checkpoints.rotate(signer)
        await asyncio.to_thread(governance.put_in_place, new, app.settings)
        await app.core.context.checkpoints.stop()
        print(f"{signer.verifier} signs from now on; restart the bot")

    with_database(app, rotate)


@commands.command("restore")
def ledger_restore(
    reason: Annotated[str, typer.Argument(help="why the log goes on from an older state")],
    config: Config = None,
) -> None:
    """Accept an older database: the log goes on under a new name that tells what was before."""
    app = build_app(without_tokens(read_settings(config)))

    async def restore() -> None:
        checkpoints = app.core.context.checkpoints
        await checkpoints.compare()
        made = await checkpoints.restore(reason, by="system")
        await checkpoints.stop()
        print(f"the log goes on as {made.origin} with {made.size} entries")

    with_database(app, restore)
