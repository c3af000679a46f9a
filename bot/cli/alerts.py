"""`tocsin alerts`: deliveries that were kept because they could not be read."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bot.cli.installation import Config, build_app, read_settings, with_database, without_tokens

commands = typer.Typer(help="Deliveries that were kept because they could not be read.")


@commands.command("list")
def alerts_list(config: Config = None) -> None:
    """List kept deliveries, oldest first, with the reason."""
    from bot.domain.deliveries import DeliveryState  # noqa: PLC0415

    app = build_app(without_tokens(read_settings(config)))

    async def show() -> None:
        async with app.core.database.reading() as view:
            kept = await view.deliveries.find(DeliveryState.QUARANTINED)
        for delivery in kept:
            at = delivery.received_at.isoformat(timespec="seconds")
            print(f"{delivery.id}  {at}  {delivery.source}  {delivery.reason}")
        print(f"{len(kept)} kept")

    with_database(app, show)


@commands.command("replay")
def alerts_replay(
    ids: Annotated[list[str] | None, typer.Argument(help="delivery ids; none for all")] = None,
    config: Config = None,
) -> None:
    """Try kept deliveries again."""
    from bot.domain.deliveries import DeliveryState  # noqa: PLC0415
    from bot.domain.errors import AlreadyDone, Refused, Unreadable  # noqa: PLC0415

    app = build_app(without_tokens(read_settings(config)))
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

    with_database(app, replay)
    if failed:
        raise typer.Exit(1)
