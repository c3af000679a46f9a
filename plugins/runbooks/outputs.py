"""What steps print and how far they are, as parts of the run's message, and all of it as a form.

Pure. What is printed comes from outside: it is shown in code blocks, as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.domain.messages import Bold, Code, Form, Heading, Moment, Part, Quiet, paragraph, quiet
from bot.domain.runs import Run, RunState
from bot.ports import OutputSize, OutputTail
from plugins.runbooks.blocks import LONGEST_BLOCK
from plugins.runbooks.buttons import OUTPUT

LINES = 5  # of the step under way, on its message

_LONGEST_LINE = 160
_LONGEST_TAIL = 600
_CELLS = 10
_LONGEST_FORM = 50_000  # characters of a form, which holds some more
_MOST_BLOCKS = 80  # a form holds 100
_MOST_TOLD = 20


@dataclass(frozen=True, kw_only=True)
class Told:
    """What one attempt at a step printed, as far as it is kept."""

    size: OutputSize
    text: str


def bar(run: Run, tail: OutputTail) -> str:
    """Draw how many steps are behind: `▰▰▱▱ 2 of 4`, and how far the present one is."""
    total = len(run.plan.steps) if run.plan else 0
    if not total:
        return ""
    done = min(run.position, total)
    cells = min(total, _CELLS)
    full = done * cells // total
    runs = tail.progress is not None and run.state is RunState.RUNNING
    here = f", this one {tail.progress:.0%} done" if runs else ""
    return f"{'▰' * full}{'▱' * (cells - full)} {done} of {total}{here}"


def tail_parts(tail: OutputTail) -> tuple[Part, ...]:
    """Show the last lines of a step, the newest whole as far as there is room."""
    kept: list[str] = []
    room = _LONGEST_TAIL
    for line in reversed(tail.lines):
        cut = _cut(line.expandtabs(4), _LONGEST_LINE)
        room -= len(cut) + 1
        if room < 0:
            break
        kept.append(cut)
    text = "\n".join(reversed(kept))
    return (Code(text),) if text.strip() else ()


def countdown(run: Run, at: datetime) -> Quiet | None:
    """Say until when a verification has to be confirmed, and how long that is."""
    if run.verify_by is None:
        return None
    left = (run.verify_by - at).total_seconds()
    return quiet("It has to be confirmed by ", Moment(run.verify_by), f" ({_left(left)}).")


def _left(seconds: float) -> str:
    if seconds <= 0:
        return "this is the last look"
    if seconds < 60:
        return "less than a minute left"
    if seconds < 3600:
        return f"{int(seconds // 60)} min left"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min left"


def output_form(run: Run, told: Sequence[Told]) -> Form:
    """Show everything the steps of a run printed, in their order, the ends rather than the rest."""
    parts: list[Part] = [Heading(run.title)]
    if not told:
        parts.append(paragraph("Its steps printed nothing."))
    shares = _shares([len(each.text) for each in told])
    blocks = max(1, (_MOST_BLOCKS - 2 * len(told)) // max(1, len(told)))
    for each, share in zip(told, shares, strict=True):
        parts += _told(run, each, room=share, blocks=blocks)
    return Form(title="Output", interaction=OUTPUT, value=run.id, parts=tuple(parts))


def in_order(run: Run, sizes: Sequence[OutputSize]) -> Sequence[OutputSize]:
    """Sort what was printed by the plan's order; of very many steps the last are kept."""
    places = {step.id: place for place, step in enumerate(run.plan.steps if run.plan else ())}
    ordered = sorted(sizes, key=lambda size: (places.get(size.step, -1), size.attempt))
    return ordered[-_MOST_TOLD:]


def _told(run: Run, told: Told, *, room: int, blocks: int) -> Iterator[Part]:
    titles = {step.id: step.title for step in (run.plan.steps if run.plan else ())}
    attempt = f" · attempt {told.size.attempt}" if told.size.attempt > 1 else ""
    yield paragraph(Bold(f"{_cut(titles.get(told.size.step, told.size.step), 120)}{attempt}"))
    shown, hidden = _end_of(told.text.split("\n"), min(room, blocks * LONGEST_BLOCK))
    yield quiet(_counted(told.size, hidden))
    for block in _blocks(shown):
        yield Code(block)


def _counted(size: OutputSize, hidden: int) -> str:
    lines = "1 line" if size.printed == 1 else f"{size.printed:,} lines"
    cut = size.printed - size.kept
    return ", ".join(
        (
            lines,
            *((f"{cut:,} of them not kept",) if cut else ()),
            *((f"{hidden:,} before these not shown here",) if hidden else ()),
        )
    )


def _end_of(lines: Sequence[str], room: int) -> tuple[Sequence[str], int]:
    """Return the last lines that fit, at least one, and how many others there are."""
    start = len(lines)
    while start and (start == len(lines) or room >= len(lines[start - 1]) + 1):
        start -= 1
        room -= len(lines[start]) + 1
    return lines[start:], start


def _blocks(lines: Sequence[str]) -> Iterator[str]:
    """Join lines into blocks of a size that fits, never cutting one in the middle."""
    block: list[str] = []
    size = 0
    for line in lines:
        if block and size + len(line) + 1 > LONGEST_BLOCK:
            yield "\n".join(block)
            block, size = [], 0
        block.append(line)
        size += len(line) + 1
    if block and "".join(block).strip():
        yield "\n".join(block)


def _shares(sizes: Sequence[int]) -> Sequence[int]:
    """Share out the room of a form: what is short is whole, the rest gets equal parts."""
    shares, room = [0] * len(sizes), _LONGEST_FORM
    for count, place in enumerate(sorted(range(len(sizes)), key=sizes.__getitem__)):
        shares[place] = min(sizes[place] + 1, room // (len(sizes) - count))
        room -= shares[place]
    return shares


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"
