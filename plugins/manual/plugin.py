"""The plugin: `human.do@1` and `wait.until@1`. It has no settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from typing_extensions import override

from bot.domain.actions import (
    JSON,
    Action,
    ActionCall,
    ActionFailed,
    ActionResult,
    DryRun,
    Effect,
    Risk,
)
from bot.plugin import Plugin, PluginSettings

LONGEST = 500  # characters a person reads before they act


def _one_text(name: str) -> Mapping[str, JSON]:
    return {
        "type": "object",
        "properties": {name: {"type": "string", "minLength": 1, "maxLength": LONGEST}},
        "required": [name],
        "additionalProperties": False,
    }


class Manual(Plugin[PluginSettings]):
    """Offers steps that a person does, and steps that only wait."""

    name: ClassVar[str] = "manual"

    @override
    def actions(self) -> Sequence[Action]:
        return (
            Action(
                name="human.do",
                version=1,
                summary="Have a person do something by hand, and say so.",
                effect=Effect.MUTATE,
                risk=Risk.R1,
                idempotent=False,
                arguments=_one_text("instruction"),
                handler=do_by_hand,
                dry_run=preview,
                manual=True,
            ),
            Action(
                name="wait.until",
                version=1,
                summary="Wait until the step's verification holds.",
                effect=Effect.READ,
                risk=Risk.R0,
                idempotent=True,
                arguments=_one_text("reason"),
                handler=wait,
                waiting=True,
            ),
        )


async def do_by_hand(call: ActionCall) -> ActionResult:
    """Have a person do what `instruction` says, and say so.

    The run waits, without a task or a lease, until a full member of the
    workspace presses "Done" or says why it could not be done. Their name stands
    in the ledger as the one who brought the effect about. The step's `timeout`
    is how long they have: more than a minute, or any time where the page names
    none. What they did is verified like any other step, and taken back by the
    step's own `undo`, which may again be `human.do@1`.

    Raises:
        ActionFailed: always; the assistant cannot do it.
    """
    raise ActionFailed("only a person can do this")


async def preview(call: ActionCall) -> DryRun:
    """Show what the person is going to be asked for."""
    return DryRun(diff=f"A person does this by hand: {call.arguments['instruction']}")


async def wait(call: ActionCall) -> ActionResult:
    """Wait until the step's `verify` holds, and do nothing meanwhile.

    `reason` says what for. Nothing is called: the run goes straight to its
    verification, which looks `every` so often and for `within` at most. A step
    without `verify` is refused, since nothing would say when to go on.

    Raises:
        ActionFailed: always; there is nothing to call.
    """
    raise ActionFailed("there is nothing to do but to wait")
