"""The view of past incidents: what each was, why it is like this one, and what people say of it.

One view is redrawn for everything: more hits, a search by words, a judgement.
Nothing is posted. What a button is about is packed into its value as
`<subject>|<shown>|<document>|<words>`: an alert group, how many hits stand in the
view, the hit, and the words that were typed, if any.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot.domain.alerts import AlertGroup
from bot.domain.documents import Because, Found, Hit, Outcome
from bot.domain.errors import Refused
from bot.domain.messages import (
    Bold,
    Button,
    Buttons,
    ChannelName,
    Divider,
    Form,
    Link,
    Part,
    Span,
    TextField,
    paragraph,
    quiet,
)
from bot.domain.relevance import reasons
from bot.ports import Judgement, SearchLabel
from plugins.similar.messages import measured
from plugins.similar.stories import Story, age, shortened

SHOW = "similar.show"
OTHERS = "similar.others"
SEARCH = "similar.search"
USEFUL = "similar.useful"
USELESS = "similar.useless"
BECAUSE = "similar.because"

WORDS = "words"
SHOWN_FIRST = 3
LONGEST_WORDS = 200

_SEPARATOR = "|"
_TITLE = "Similar incidents"
_LONGEST_TOLD = 300  # characters of a cause or a resolution
_TOLD = (Because.OUTCOME,)  # said behind what was done


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a view shows: for which group, which words, how many hits, and which one is meant."""

    subject: str
    words: str = ""
    shown: int = SHOWN_FIRST
    document: str = ""

    def about(self, document: str) -> str:
        """Pack it into a value, with the hit that a button is about."""
        return _SEPARATOR.join((self.subject, str(self.shown), document, self.words))

    @property
    def value(self) -> str:
        """Pack it into a value."""
        return self.about(self.document)


def asked_in(value: str) -> Asked:
    """Unpack a value.

    Raises:
        Refused: it is not one of ours.
    """
    subject, *rest = value.split(_SEPARATOR, 3)
    if len(rest) != 3 or not rest[0].isdigit():
        raise Refused("This is from an older version; please open it again.")
    shown, document, words = rest
    return Asked(subject=subject, shown=int(shown), document=document, words=words)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A hit with its story, a link to it where there is one, and what the reader said of it."""

    hit: Hit
    story: Story
    url: str = ""
    label: SearchLabel | None = None


def show_button(group: AlertGroup) -> Button:
    """Offer the past incidents that are most like an alert group, and a search among all."""
    return Button(label="Similar incidents…", interaction=SHOW, value=group.id)


def similar_view(
    asked: Asked, shown: Sequence[Shown], *, found: Found, searched: int, now: datetime
) -> Form:
    """Show hits with their reasons, buttons to judge them, and a box to search with."""
    parts: list[Part] = [quiet(_headline(asked, shown, found=found, searched=searched))]
    for each in shown[: asked.shown]:
        parts += [Divider(), *_hit(each, asked, now=now)]
    left = len(shown) - asked.shown
    if left > 0:
        label = "Show others"
        more = replace(asked, shown=len(shown))
        parts += [
            Divider(),
            Buttons((Button(label=label, interaction=OTHERS, value=more.value),)),
        ]
    return Form(
        title=_TITLE,
        interaction=SEARCH,
        value=asked.value,
        parts=tuple(parts),
        fields=(
            TextField(
                name=WORDS,
                label="Search past incidents",
                initial=asked.words,
                longest=LONGEST_WORDS,
                hint="In your own words, or an error message.",
            ),
        ),
        submit="Search",
    )


def _headline(asked: Asked, shown: Sequence[Shown], *, found: Found, searched: int) -> str:
    among = f"{searched} past incidents were searched"
    if asked.words:
        among += f" for “{asked.words}”"
    if not shown:
        return f"{among}; none of them has anything of it."
    probability = measured(found)
    if probability is None:
        return f"{among}. These are the nearest; how sure that is has not been measured."
    if found.sure:
        return f"{among}. The first is the same with a probability of {probability:.0%}."
    return (
        f"{among}. No similar incident found: the nearest is the same with a probability of "
        f"{probability:.0%} only."
    )


def _hit(shown: Shown, asked: Asked, *, now: datetime) -> Iterator[Part]:
    story, hit = shown.story, shown.hit
    yield paragraph(Link(story.title, shown.url) if shown.url else Bold(story.title))
    yield quiet(*_facts(story, now=now))
    if story.cause:
        yield paragraph(Bold("Cause: "), shortened(story.cause, _LONGEST_TOLD))
    yield paragraph(Bold("Done: "), _done(story))
    if why := "; ".join(reasons(hit, told=_TOLD)):
        yield paragraph(Bold("Why: "), why)
    if hit.passage:
        where = f"{hit.section}: " if hit.section else ""
        yield quiet(f"{where}“{hit.passage}”")
    if shown.label is not None:
        yield quiet(_said(shown.label))
    value = asked.about(hit.document.id)
    yield Buttons(
        (
            Button(label="Useful", interaction=USEFUL, value=value),
            Button(label="Not this one", interaction=USELESS, value=value),
        )
    )


def _facts(story: Story, *, now: datetime) -> tuple[Span, ...]:
    facts = (
        ", ".join(story.services),
        age(now - story.at),
        story.lasted,
        "example" if story.example else "",
    )
    told = "".join(f" · {fact}" for fact in facts if fact)
    if story.channel is None:
        return (story.id, told)
    return (f"{story.id} in ", ChannelName(story.channel), told)


def _done(story: Story) -> str:
    """Say what was done then, whether it worked, and which runbook is for it."""
    if not story.resolution:
        return "how it was resolved is not recorded."
    told = shortened(story.resolution, _LONGEST_TOLD)
    sentences = [told if told.endswith((".", "…")) else f"{told}."]
    if story.outcome is Outcome.WORKED:
        sentences.append("It worked.")
    if story.run and story.run not in told:
        sentences.append(f"Runbook: “{story.run}”.")
    return " ".join(sentences)


def _said(label: SearchLabel) -> str:
    if label.judgement is Judgement.USEFUL:
        return "You called it useful. You can change your mind: your last word counts."
    return f"You said: not this one ({label.reason}). Your last word counts."
