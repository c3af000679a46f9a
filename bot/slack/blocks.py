"""Messages as Slack's blocks: a pure function, and the keeper of Slack's limits.

Buttons are what a message must not lose: they are counted first, and text that
finds no room any more is cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.domain.messages import (
    Button,
    Buttons,
    Code,
    Confirm,
    Divider,
    Facts,
    Heading,
    Mention,
    Message,
    Paragraph,
    Part,
    Quiet,
    Span,
    Style,
    Tone,
    paragraph,
)
from bot.slack import limits
from bot.slack.escape import ELLIPSIS, clean, cut, literal
from bot.slack.spans import Json, mentions, mrkdwn, rich

_COLOURS = {
    Tone.FIRING: "#a30200",
    Tone.WAITING: "#daa038",
    Tone.MUTED: "#dddddd",
    Tone.GOOD: "#2eb886",
}
_WORTHWHILE = 20
"""With less room than this, in characters, a text is left out rather than cut."""


def render(message: Message, *, now: datetime) -> Json:
    """Draw a message as `text` with `blocks`, or with one coloured attachment.

    Slack shows the text of a message above its attachment and does not notify
    people who are mentioned in an attachment. So the text is empty there, but
    for the mentions; the summary is the attachment's fallback.
    """
    blocks = draw(parts_of(message), now=now, surface=limits.MESSAGE)
    summary = literal(cut(message.summary, limits.TEXT // 5)) or ELLIPSIS
    if message.tone is Tone.NONE:
        return {"text": summary, "blocks": blocks}
    card = {"color": _COLOURS[message.tone], "fallback": summary, "blocks": blocks}
    return {"text": " ".join(dict.fromkeys(_called(message.parts))), "attachments": [card]}


def parts_of(message: Message) -> tuple[Part, ...]:
    """Return a message's parts; one without any says its summary."""
    return message.parts or (paragraph(message.summary),)


def draw(parts: Iterable[Part], *, now: datetime, surface: limits.Surface) -> list[Json]:
    """Draw parts as blocks that fit on a surface; there is always at least one."""
    pen = _Pen(now=now, blocks=surface.blocks, text=surface.text)
    drawn = [(part, pen.rows(part) if isinstance(part, Buttons) else None) for part in parts]
    blocks = [block for part, rows in drawn for block in (pen.part(part) if rows is None else rows)]
    return blocks or [section(ELLIPSIS)]


def section(text: str) -> Json:
    """Make a section of mrkdwn that Slack takes as it is."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def plain_text(text: str, limit: int) -> Json:
    """Make a plain text object; Slack refuses empty ones."""
    return {"type": "plain_text", "text": cut(text, limit).strip() or ELLIPSIS, "emoji": False}


@dataclass
class _Pen:
    """Draws part after part and knows how much room is left."""

    now: datetime
    blocks: int
    text: int
    names: Counter[str] = field(default_factory=Counter)

    def part(self, part: Part) -> list[Json]:
        """Draw a part that is not a row of buttons."""
        if self.blocks <= 0 or self.text < _WORTHWHILE:
            return []
        blocks = list(self._drawn(part))[: self.blocks]
        self.blocks -= len(blocks)
        self.text -= sum(map(_characters, blocks))
        return blocks

    def rows(self, part: Buttons) -> list[Json]:
        """Draw buttons, in as many rows as it takes."""
        elements = [element for element in map(self._button, part.buttons) if self._pay(element)]
        rows = [
            {"type": "actions", "elements": elements[start : start + limits.BUTTONS]}
            for start in range(0, len(elements), limits.BUTTONS)
        ][: max(0, self.blocks)]
        self.blocks -= len(rows)
        return rows

    def _drawn(self, part: Part) -> Iterator[Json]:
        if isinstance(part, Divider):
            yield {"type": "divider"}
        elif isinstance(part, Heading):
            if clean(part.text).strip():
                limit = min(limits.HEADER, self.text)
                yield {"type": "header", "text": plain_text(part.text, limit)}
        elif isinstance(part, Paragraph):
            yield from self._paragraph(part.spans)
        elif isinstance(part, Code):
            yield from self._code(part.text)
        elif isinstance(part, Quiet):
            yield from self._quiet(part.spans)
        elif isinstance(part, Facts):
            yield from self._facts(part)

    def _paragraph(self, spans: Sequence[Span]) -> Iterator[Json]:
        elements = rich(spans, now=self.now, limit=min(limits.TEXT, self.text))
        if elements:
            yield _rich_text("rich_text_section", elements)

    def _code(self, text: str) -> Iterator[Json]:
        shown = cut(text.rstrip(), min(limits.TEXT, self.text))
        if shown:
            yield _rich_text("rich_text_preformatted", [{"type": "text", "text": shown}])

    def _quiet(self, spans: Sequence[Span]) -> Iterator[Json]:
        text = mrkdwn(spans, now=self.now, limit=min(limits.TEXT, self.text))
        if text.strip():
            element = {"type": "mrkdwn", "text": text, "verbatim": True}
            yield {"type": "context", "elements": [element]}

    def _facts(self, facts: Facts) -> Iterator[Json]:
        left, fields = self.text, []
        for label, spans in facts.pairs:
            if left < _WORTHWHILE * 2:
                break
            text = self._fact(label, spans, min(limits.FIELD, left))
            left -= len(text)
            fields.append({"type": "mrkdwn", "text": text, "verbatim": True})
        for start in range(0, len(fields), limits.FIELDS):
            yield {"type": "section", "fields": fields[start : start + limits.FIELDS]}

    def _fact(self, label: str, spans: Sequence[Span], limit: int) -> str:
        name = literal(" ".join(cut(label, limit // 10).split()))
        value = mrkdwn(spans, now=self.now, limit=limit - len(name) - 3)
        return f"*{name or ELLIPSIS}*\n{value.strip() or '-'}"

    def _button(self, button: Button) -> Json:
        self.names[button.interaction] += 1
        number = self.names[button.interaction]
        element: Json = {
            "type": "button",
            "action_id": button.interaction + (f"#{number}" if number > 1 else ""),
            "text": plain_text(button.label, limits.BUTTON),
        }
        if button.value:
            element["value"] = button.value[: limits.BUTTON_VALUE]
        if button.style is not Style.PLAIN:
            element["style"] = button.style.value
        if button.confirm:
            element["confirm"] = _confirm(button.confirm, button.style)
        return element

    def _pay(self, element: Json) -> bool:
        price = _characters(element)
        if price > self.text:
            return False
        self.text -= price
        return True


def _confirm(confirm: Confirm, style: Style) -> Json:
    dialog = {
        "title": plain_text(confirm.title, limits.CONFIRM_TITLE),
        "text": plain_text(confirm.text, limits.CONFIRM_TEXT),
        "confirm": plain_text(confirm.yes, limits.CONFIRM_BUTTON),
        "deny": plain_text(confirm.no, limits.CONFIRM_BUTTON),
    }
    return {**dialog, "style": "danger"} if style is Style.DANGER else dialog


def _rich_text(kind: str, elements: list[Json]) -> Json:
    return {"type": "rich_text", "elements": [{"type": kind, "elements": elements}]}


def _characters(node: object) -> int:
    if isinstance(node, dict):
        return sum(
            len(value) if key == "text" and isinstance(value, str) else _characters(value)
            for key, value in node.items()
        )
    return sum(map(_characters, node)) if isinstance(node, list) else 0


def _called(parts: Iterable[Part]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, Paragraph | Quiet):
            yield from mentions(part.spans)
        elif isinstance(part, Facts):
            for _, spans in part.pairs:
                yield from mentions(span for span in spans if isinstance(span, Mention))
