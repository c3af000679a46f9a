"""`tocsin demo`: the practice workspace, and breaking its service."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from bot.cli.installation import fail, run

DEMO_FOLDER = Path("var/demo")

commands = typer.Typer(
    help="Start the practice workspace and print its address; Ctrl-C ends it.",
    invoke_without_command=True,
)


@commands.callback()
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
    root = Path(__file__).resolve().parents[2]
    stage = Stage(directory=directory, knowledge=root / "knowledge", port=port, alerting=kind)
    run(lambda: _rehearse(stage))


async def _rehearse(stage: Any) -> None:
    from bot.rehearsal import Rehearsal  # noqa: PLC0415

    rehearsal = Rehearsal(stage)
    await rehearsal.start()
    print(f"\n  Practice workspace: {rehearsal.server.url}\n")
    print(f"  Pages for reviewers: {rehearsal.bot_url}/pages/")
    print(f"  Alerts come from {rehearsal.alerting.description}.")
    print("  Press “Break it” on the page, or run: tocsin demo break")
    print("  Ctrl-C ends it.\n", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await rehearsal.stop()


@commands.command("break")
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
            fail(str(error), 1)
        finally:
            await panel.close()

    run(press)


def _running_demo(directory: Path) -> tuple[str, str]:
    """Return the address and the admin token of a demo's checkout service."""
    path = directory / "demo.json"
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        return state["checkout"], state["admin_token"]
    except FileNotFoundError:
        fail(f"no demo runs in {directory} (start one with: tocsin demo)", 1)
    except (ValueError, KeyError, TypeError):
        fail(f"{path}: is not what a demo writes; start it again with: tocsin demo", 1)
