"""Whether an order took place, told by what the unit was like before and is like now."""

from __future__ import annotations

from bot.domain.actions import Arguments, Happened, Reconciliation
from plugins.systemd.systemctl import Unit


def look(verb: str, arguments: Arguments, unit: Unit) -> Reconciliation:
    """Compare a unit with what its plan pinned.

    Systemd itself restarts units that die, which looks much like an order of
    ours: its own counter tells the two apart, because an order sets it back to 0.
    """
    if "expected" not in arguments or "invocation" not in arguments:
        return _answer(Happened.UNKNOWN, "the call does not say what the unit was like before")
    if not unit.settled:
        return _answer(Happened.UNKNOWN, f"{unit.name} is on its way: {unit.shown}")
    same = unit.invocation == arguments["invocation"]
    if verb == "stop":
        return _stopped(arguments["expected"], unit, same=same)
    return _started(verb, arguments["expected"], unit, same=same)


def _started(verb: str, expected: str, unit: Unit, *, same: bool) -> Reconciliation:
    if verb == "start" and expected == "active" and unit.active == "active":
        return _answer(Happened.YES, f"{unit.name} was active already, and still is")
    if same and unit.active == expected:
        return _answer(Happened.NO, f"{unit.name} is as it was before: {unit.shown}")
    if unit.active == "active" and not same and unit.restarts == 0:
        return _answer(Happened.YES, f"{unit.name} was started since: {unit.shown}")
    why = f"{unit.name} is {unit.shown}"
    if unit.restarts:
        why += f", and systemd itself has restarted it (so far {unit.restarts})"
    return _answer(Happened.UNKNOWN, why)


def _stopped(expected: str, unit: Unit, *, same: bool) -> Reconciliation:
    if unit.active in ("inactive", "failed"):
        return _answer(Happened.YES, f"{unit.name} is {unit.shown}")
    if same and unit.active == expected:
        return _answer(Happened.NO, f"{unit.name} is as it was before: {unit.shown}")
    return _answer(Happened.UNKNOWN, f"{unit.name} is {unit.shown}")


def _answer(happened: Happened, detail: str) -> Reconciliation:
    return Reconciliation(happened=happened, detail=detail)
