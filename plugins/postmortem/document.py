"""The whole draft as a form without fields: to read, with nothing to submit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bot.domain.lessons import Suggestion
from bot.domain.messages import (
    Bold,
    Divider,
    Form,
    Heading,
    Moment,
    Part,
    Span,
    facts,
    paragraph,
    quiet,
)
from bot.domain.postmortems import Consent, Postmortem
from plugins.postmortem.messages import cut, line, measured, written_by

_PER_PART = 8  # lines of one paragraph
_MOST_ENTRIES = 120  # a form holds 100 parts

_JUDGED = {True: "Helped", False: "Did not help", None: "Open"}


def whole(postmortem: Postmortem) -> Form:
    """Show the draft, section by section."""
    return Form(
        title="Post-mortem",
        interaction="postmortem.show",
        value=postmortem.incident,
        parts=tuple(_parts(postmortem)),
    )


def _parts(postmortem: Postmortem) -> Iterator[Part]:
    yield Heading(f"{postmortem.incident}: {postmortem.title}")
    yield quiet(
        f"{postmortem.severity} · {postmortem.service or 'no service named'} · "
        f"{postmortem.status} · drafted by {postmortem.drafted_by}, ",
        Moment(postmortem.drafted_at),
    )
    yield paragraph(postmortem.summary)
    yield quiet(*written_by(postmortem.writer, by_model=postmortem.by_model))
    yield from _section("Impact", [(postmortem.impact,)])
    yield from _milestones(postmortem)
    yield from _section("People", [(f"{role}: {name}",) for role, name in postmortem.roles])
    yield from _section("What the assistant suggested", map(_suggestion, postmortem.suggestions))
    yield from _section("What it did well", [(text,) for text in postmortem.assistant_good])
    yield from _section("Where it was of no help", [(t,) for t in postmortem.assistant_bad])
    yield from _section("Approvals", map(_consent, postmortem.consents))
    items = [(f"{item.text} ({cut(item.reason)})",) for item in postmortem.action_items]
    yield from _section("Action items", items)
    yield from _timeline(postmortem)


def _milestones(postmortem: Postmortem) -> Iterator[Part]:
    yield Divider()
    yield paragraph(Bold("Milestones"))
    yield facts(
        (kind.capitalize(), (Moment(at), f" by {by}")) for kind, at, by in postmortem.milestones
    )
    yield measured(postmortem.measures)


def _suggestion(suggestion: Suggestion) -> tuple[Span, ...]:
    verdict = _JUDGED[suggestion.good]
    return (f"{cut(suggestion.claim)}. ", Bold(f"{verdict}:"), f" {cut(suggestion.fate)}.")


def _consent(consent: Consent) -> tuple[Span, ...]:
    answers = "; ".join(consent.answers)
    told = f", {answers}" if answers else ""
    return (
        f"“{cut(consent.title)}” (plan {consent.digest[:12]}), asked for by {consent.requester}, "
        f"needed {consent.demanded}: {consent.verdict}{told}; {consent.outcome}.",
    )


def _timeline(postmortem: Postmortem) -> Iterator[Part]:
    entries = postmortem.timeline[-_MOST_ENTRIES:]
    left_out = len(postmortem.timeline) - len(entries)
    yield from _section("Timeline", [line(entry) for entry in entries])
    if left_out:
        yield quiet(f"{left_out} earlier entries are in the exported document.")


def _section(title: str, lines: Iterable[Sequence[Span]]) -> Iterator[Part]:
    """Draw lines under a title, a handful to each part; a section without lines is left out."""
    rows = list(lines)
    for start in range(0, len(rows), _PER_PART):
        spans: list[Span] = []
        for row in rows[start : start + _PER_PART]:
            spans += ["\n", *row] if spans else list(row)
        if start == 0:
            yield Divider()
            yield paragraph(Bold(title))
        yield paragraph(*spans)
