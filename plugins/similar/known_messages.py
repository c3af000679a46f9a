"""Known errors as people read them: the list, one of them with its incidents, and a finding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bot.domain.documents import Found
from bot.domain.findings import Evidence, Finding
from bot.domain.incidents import Incident, measures
from bot.domain.known_errors import KnownError, Struck, shortened
from bot.domain.messages import (
    Bold,
    Button,
    Buttons,
    Confirm,
    Divider,
    Form,
    Heading,
    Message,
    Moment,
    Paragraph,
    Part,
    Span,
    duration,
    note,
    paragraph,
    quiet,
)
from bot.domain.relevance import why
from plugins.similar.known_forms import label

SHOW = "similar.known"
FIX = "similar.known_fixed"

LISTED = 10
INCIDENTS_SHOWN = 20

_REASONS = 2  # on a card; the first ones are the most telling
_TTR = "TTR"


@dataclass(frozen=True, kw_only=True)
class Strike:
    """One incident a known error brought about. `runs` are the runbooks that succeeded in it."""

    incident: Incident
    runs: tuple[str, ...] = ()


def found_known(known: KnownError, found: Found) -> Finding:
    """Claim that a known error is what happens; nobody has measured how sure that is."""
    best = found.hits[0]
    reasons = why(replace(best, reasons=best.reasons[:_REASONS]))
    return replace(
        known.note,
        evidence=(Evidence(kind="known error", ref=known.id, label=reasons),),
        model=found.model,
    )


def saved(known: KnownError, incident: str) -> Message:
    """Tell the person who named a cause what stands there now."""
    workaround = shortened(known.workaround)
    told = f"{incident} is linked to {label(known)}."
    return note(f"{told} Workaround: {workaround}" if workaround else told)


def reopened(known: KnownError, incident: str) -> Message:
    """Tell it where the cause was thought to be fixed, which is news."""
    return note(
        f"{incident} is linked to {label(known)}, which was thought to be fixed. It is open again."
    )


def known_list(struck: Sequence[Struck]) -> Message:
    """List open known errors, the one that struck last first."""
    still = [one for one in struck if one.known.open]
    if not still:
        return note("No known error is open. `/incident cause` names one, in an incident.")
    shown, left = still[:LISTED], len(still) - LISTED
    summary = f"{len(still)} known error{'s are' if len(still) > 1 else ' is'} open"
    more = (quiet(f"And {left} more; `/incident known KE-1` shows one."),) if left > 0 else ()
    buttons = [Button(label=s.known.id, interaction=SHOW, value=s.known.id) for s in shown]
    return Message(
        summary=summary,
        parts=(Heading(summary), *map(_line, shown), *more, Buttons(tuple(buttons))),
    )


def _line(struck: Struck) -> Paragraph:
    known = struck.known
    spans: list[Span] = [Bold(known.id), f" {known.title}\n", times(struck.times)]
    if struck.last is not None:
        spans += [", last ", Moment(struck.last)]
    spans.append(f" · {shortened(known.workaround) or 'no workaround is known yet'}")
    return Paragraph(tuple(spans))


def times(count: int) -> str:
    """Say how often something struck."""
    if count == 0:
        return "linked to no incident"
    return "struck once" if count == 1 else f"struck {count} times"


def known_page(known: KnownError, strikes: Sequence[Strike], *, by: str = "") -> Form:
    """Show all of a known error: cause, workaround, and what it brought about."""
    return Form(
        title="Known error",
        interaction=SHOW,
        value=known.id,
        parts=tuple(_parts(known, strikes, by)),
    )


def _parts(known: KnownError, strikes: Sequence[Strike], by: str) -> Iterator[Part]:
    yield Heading(f"{known.id}: {known.title}")
    services = ", ".join(known.services) or "no service named"
    proposed = f" by {by}, " if by else " "
    yield quiet(f"{known.state.value} · {services} · proposed{proposed}", Moment(known.at))
    yield paragraph(Bold("Cause"), f"\n{known.cause}")
    yield paragraph(Bold("Workaround"), f"\n{known.workaround or 'Nobody knows one yet.'}")
    yield Divider()
    yield paragraph(Bold(times(len(known.incidents)).capitalize()))
    for strike in strikes[:INCIDENTS_SHOWN]:
        yield _struck(strike)
    left = len(known.incidents) - min(len(strikes), INCIDENTS_SHOWN)
    if left > 0:
        yield quiet(f"And {left} more.")
    yield from _ending(known)


def _struck(strike: Strike) -> Paragraph:
    incident = strike.incident
    took = next((m.seconds for m in measures(incident.milestones) if m.name == _TTR), None)
    ended = incident.status.value if took is None else f"{incident.status} in {duration(took)}"
    helped = ", ".join(f"“{run}”" for run in strike.runs)
    outcome = f"{helped} succeeded" if helped else "no runbook is on record"
    return paragraph(
        Bold(incident.id), f" {incident.title}\n", Moment(incident.declared_at),
        f" · {ended} · {outcome}",
    )  # fmt: skip


def _ending(known: KnownError) -> Iterator[Part]:
    if not known.open:
        yield quiet("It is thought to be fixed; it opens again when an incident is linked to it.")
        return
    fix = Button(
        label="Fixed for good",
        interaction=FIX,
        value=known.id,
        confirm=Confirm(
            title=f"Is {known.id} fixed for good?",
            text="It leaves the list. It opens again when an incident is linked to it.",
            yes="It is fixed",
        ),
    )
    yield Buttons((fix,))
