"""What the reading verbs show: the ledger, the calendar, the policy. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.domain.entries import ShownEntry
from bot.domain.errors import Refused
from bot.domain.freezes import CalendarFault, Window, WindowKind
from bot.domain.messages import (
    Bold,
    Button,
    Buttons,
    Code,
    Message,
    Moment,
    Mono,
    Part,
    Span,
    facts,
    note,
    paragraph,
    quiet,
)
from bot.ports import AdoptedPolicy
from plugins.governance.notices import digest_of

CHANGE_POLICY = "governance.change_policy"
MOST_WINDOWS = 10
LONGEST_DIFF = 2_500
_KINDS = {WindowKind.FREEZE: "Freeze", WindowKind.MAINTENANCE: "Maintenance"}
_HIDDEN = frozenset({"v", "seq", "ts", "type", "body_sha256"})


def entries(found: Sequence[ShownEntry], *, more: Sequence[Part]) -> Message:
    """List entries of the ledger, newest first, one line each."""
    if not found:
        return note("The ledger has no such entry among its newest.")
    lines = [quiet(*_line(entry)) for entry in found]
    summary = f"{len(found)} entries of the ledger, newest first"
    return Message(summary=summary, parts=(paragraph(Bold(summary)), *lines, *more))


def _line(entry: ShownEntry) -> tuple[Span, ...]:
    header = entry.header
    risk = f"R{header['risk']}" if "risk" in header else ""
    known = (header.get("incident"), header.get("action"), risk, header.get("outcome"))
    details = "".join(f" · {value}" for value in known if value)
    return (f"#{entry.seq}  ", *_time(header.get("ts")), f"  {header['type']}{details}")


def _time(ts: object) -> tuple[Span, ...]:
    try:
        return (Moment(datetime.fromisoformat(str(ts))),)
    except ValueError:
        return ("at an unknown time",)


def entry(found: ShownEntry, *, more: Sequence[Part]) -> Message:
    """Show one entry's header. Its body may tell of people; that is for auditors."""
    header = found.header
    summary = f"Entry #{found.seq}: {header['type']}"
    pairs: list[tuple[str, tuple[Span, ...]]] = [("When", _time(header.get("ts")))]
    pairs += [(k.replace("_", " "), (str(v),)) for k, v in header.items() if k not in _HIDDEN]
    pseudonyms = "People stand under pseudonyms here."
    return Message(
        summary=summary, parts=(paragraph(Bold(summary)), facts(pairs), quiet(pseudonyms), *more)
    )


def calendar(
    windows: Sequence[Window],
    faults: Sequence[CalendarFault],
    *,
    at: datetime,
    days: int,
    more: Sequence[Part],
) -> Message:
    """Show what is in force, what comes, and which calendars cannot be relied on."""
    active = [w for w in windows if w.during(at)]
    coming = [w for w in windows if w.starts_at > at]
    frozen = any(w.kind is WindowKind.FREEZE for w in active)
    summary = "A change freeze is in force." if frozen else "No change freeze is in force."
    parts: list[Part] = [paragraph(Bold(summary))]
    parts += [paragraph(Bold("Now: "), *_window(w, "until ", w.ends_at)) for w in active]
    for fault in faults:
        text = f"Counts as a freeze from R2 on: {fault.source} cannot be relied on"
        parts.append(paragraph(Bold(f"{text}. "), f"{fault.reason}."))
    parts += [quiet(*_window(w, "from ", w.starts_at)) for w in coming[:MOST_WINDOWS]]
    if len(coming) > MOST_WINDOWS:
        parts.append(quiet(f"And {len(coming) - MOST_WINDOWS} more."))
    if not coming:
        parts.append(quiet(f"Nothing is announced for the next {days} days."))
    return Message(summary=summary, parts=(*parts, *more))


def _window(window: Window, word: str, moment: datetime) -> tuple[Span, ...]:
    named = [*sorted(window.services), *(f"team {team}" for team in sorted(window.teams))]
    where = ", ".join(named) or "everything"
    return (f"{_KINDS[window.kind]} “{window.title}” of {where} ", word, Moment(moment))


def policy(
    adopted: AdoptedPolicy | None,
    proposal: str | None,
    difference: str,
    *,
    request: bool,
    more: Sequence[Part],
) -> Message:
    """Show which rules are in force, and what somebody proposes instead.

    `request` says whether the runbook that adopts a proposal is at hand.
    """
    parts: list[Part] = [paragraph(Bold("Policy in force: "), *_in_force(adopted))]
    if proposal is None:
        parts.append(quiet("The files in the knowledge folder say the same."))
        return Message(summary="The policy in force", parts=(*parts, *more))
    parts.append(paragraph(Bold("Proposed: "), digest_of(proposal), ", by the files as they are."))
    parts += _difference(difference)
    if request:
        parts.append(quiet("It is a change of risk R3: two people of different teams approve it."))
        button = Button(label="Request the change…", interaction=CHANGE_POLICY, value=proposal)
        parts.append(Buttons((button,)))
    else:
        parts.append(quiet("The runbook change-policy, which puts it into force, is not there."))
    return Message(summary="The policy in force, and a proposal", parts=(*parts, *more))


def _in_force(adopted: AdoptedPolicy | None) -> tuple[Span, ...]:
    if adopted is None:
        return ("the built-in rules",)
    names = ", ".join(sorted(adopted.documents)) or "the built-in rules"
    return (digest_of(adopted.digest), " since ", Moment(adopted.at), f" ({names})")


def _difference(text: str) -> Sequence[Part]:
    if len(text) <= LONGEST_DIFF:
        return (Code(text or "The files differ, their text does not."),)
    cut = text[:LONGEST_DIFF].rpartition("\n")[0] or text[:LONGEST_DIFF]
    left = text.count("\n") - cut.count("\n")
    return (Code(cut), paragraph(Bold(f"{left} more lines are not shown here.")))


def faulty(reason: str) -> Message:
    """Say that the proposal cannot be read; what was adopted stays in force."""
    return Message(
        summary="The proposed policy has a fault",
        parts=(
            paragraph(Bold("The proposed policy has a fault; what was adopted stays in force.")),
            Code(reason[:LONGEST_DIFF]),
        ),
    )


def no_alerts_channel() -> Refused:
    """Say why a change of policy cannot be requested."""
    return Refused("There is no alerts channel, and that is where its plan is approved.")


def requested(digest: str) -> Message:
    """Answer who requested a change of policy."""
    return Message(
        summary="The change is requested",
        parts=(
            paragraph(
                "The change to ",
                Mono(digest[:12]),
                " is requested: its plan is shown in the alerts channel.",
            ),
        ),
    )
