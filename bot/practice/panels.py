"""Side panels: what whoever runs the server shows and offers beside the workspace."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bot.practice.records import Json

Tone = Literal["good", "bad", "quiet"]


@dataclass(frozen=True, slots=True)
class PanelFact:
    """One line of a panel."""

    label: str
    value: str
    tone: Tone = "quiet"


@dataclass(frozen=True, slots=True)
class PanelButton:
    """One button of a panel; `style` is `default`, `primary` or `danger`."""

    id: str
    label: str
    style: Literal["default", "primary", "danger"] = "default"


@dataclass(frozen=True, slots=True)
class PanelStatus:
    """What a panel shows at the moment."""

    facts: Sequence[PanelFact] = ()
    note: str = ""
    buttons: Sequence[PanelButton] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel: asked for its status whenever the page looks, told of every press.

    `press` answers with a sentence for the person; it raises `Refusal` when nothing was done.
    """

    id: str
    title: str
    status: Callable[[], Awaitable[PanelStatus]]
    press: Callable[[str], Awaitable[str]]


def panel_json(panel: Panel, status: PanelStatus) -> Json:
    """Give a panel in the shape the page reads."""
    return {
        "title": panel.title,
        "note": status.note,
        "facts": [{"label": f.label, "value": f.value, "tone": f.tone} for f in status.facts],
        "buttons": [{"id": b.id, "label": b.label, "style": b.style} for b in status.buttons],
    }
