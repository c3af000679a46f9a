"""`tocsin privacy`: erase what the ledger says of somebody, or keep it from being erased."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.installation import (
    Config,
    build_app,
    read_settings,
    with_database,
    without_tokens,
)

if TYPE_CHECKING:
    from bot.services.privacy import PrivacyService

commands = typer.Typer(help="Erasure of personal data, and legal holds.")

Subject = Annotated[str, typer.Argument(help="a person (person:U123), an incident, or all")]
Why = Annotated[str, typer.Option(help="why, for the record")]


@commands.command("erase")
def erase(
    subject: Annotated[str, typer.Argument(help="a person, such as person:U123")],
    reason: Why,
    config: Config = None,
) -> None:
    """Destroy a person's key and every body that tells of them; proofs still hold."""

    async def work(privacy: PrivacyService) -> None:
        count = await privacy.erase(subject, reason, by="system")
        print(f"{subject}: the bodies of {count} entries are erased, and the key is destroyed")

    _do(config, work)


@commands.command("hold")
def hold(subject: Subject, reason: Why, config: Config = None) -> None:
    """Put a legal hold: what it covers is not erased."""

    async def work(privacy: PrivacyService) -> None:
        await privacy.hold(subject, reason, by="system")
        print(f"{subject}: nothing of it is erased until the hold is lifted")

    _do(config, work)


@commands.command("release")
def release(subject: Subject, reason: Why, config: Config = None) -> None:
    """Lift a legal hold."""

    async def work(privacy: PrivacyService) -> None:
        await privacy.release_hold(subject, reason, by="system")
        print(f"{subject}: the hold is lifted")

    _do(config, work)


def _do(config: Config, work: Callable[[PrivacyService], Awaitable[None]]) -> None:
    app = build_app(without_tokens(read_settings(config)))

    async def done() -> None:
        await work(app.core.privacy_service)
        await app.core.database.purge()

    with_database(app, done)
