"""What was measured, as Markdown for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bot.search.training.evaluating import BASELINE, DEFAULT, FEWEST, Compared, Evaluation, Trust
from bot.search.training.measures import MEASURES, Bin, Figure

_HOW = """\
R@k: the share of questions with a right document among the first k. MRR@10: the mean of one over
the place of the first right one. nDCG@10: every right one counts. Brackets: bootstrap intervals of
95 %, questions of one group drawn together. BM25: CamelCase split, stemmed, k1 1.5, b 0.75.
Confidence is measured on a mixture in which a quarter are novel cases: questions without an
answer here, and the others once more with their answers hidden. With few questions the calibration
error is above zero even for a perfect confidence."""

Row = Sequence[str]

LEAD = "lead over BM25, MRR@10"
NONE = "-"


def report(evaluations: Sequence[Evaluation], plots: Mapping[str, str], *, by: str = "") -> str:
    """Write a report of several folders; `plots` names each folder's picture."""
    parts = ["# Search, measured\n", _HOW]
    for each in evaluations:
        parts += [f"## {_cell(each.name)}\n", "\n\n".join(_folder(each, plots, by))]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def summary(evaluation: Evaluation, *, by: str = "") -> str:
    """Write one folder for the terminal."""
    return f"\n{evaluation.name}\n\n" + "\n\n".join(_folder(evaluation, {}, by))


def table(head: Row, rows: Sequence[Row]) -> str:
    """Write a table of Markdown whose columns line up for people who read it as text."""
    cells = [[_cell(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def interval(figure: Figure) -> str:
    """Write a figure with its interval."""
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def difference(figure: Figure) -> str:
    """Write a paired difference with its interval."""
    return f"{figure.value:+.3f} [{figure.low:+.3f}, {figure.high:+.3f}]"


def reliability_table(bins: Sequence[Bin]) -> str:
    """Write the bins of a reliability diagram."""
    rows = [(f"{b.claimed:.3f}", f"{b.held:.3f}", str(b.count)) for b in bins]
    return table(("claimed", "held", "answers"), rows)


def trust_row(name: str, one: Trust) -> Row:
    """Write one line of the table of confidence."""
    return (
        name,
        _number(one.error),
        _number(one.auroc_dead),
        _number(one.auroc_right),
        _number(one.precision),
        _number(one.precision_novel),
        _number(one.shown),
        _number(one.alarms),
    )


TRUST_HEAD = (
    "variant",
    "calibration error",
    "AUROC answer or none",
    "AUROC right or wrong",
    "precision shown",
    "with ¼ novel",
    "answered",
    "novel shown",
)


def _folder(one: Evaluation, plots: Mapping[str, str], by: str) -> Iterator[str]:
    yield f"{one.documents} documents; ranker {one.ranker}; shown from {one.threshold:.2f} on."
    if one.seen:
        yield f"**{WARNING}**"
    yield table(("variant", "n", "search", *MEASURES, LEAD), _rows(one.variants))
    yield from _confidence(one, plots)
    if by:
        yield from _by(one, by)


WARNING = "This ranker was trained on this very folder: these figures flatter it."


def _rows(compared: Mapping[str, Compared]) -> list[Row]:
    return [
        (
            name,
            str(each.questions),
            "**default**" if way == DEFAULT else way,
            *(interval(measures[measure]) for measure in MEASURES),
            "" if way == BASELINE else difference(each.gains[way]["MRR@10"]),
        )
        for name, each in compared.items()
        for way, measures in each.ways.items()
    ]


def _confidence(one: Evaluation, plots: Mapping[str, str]) -> Iterator[str]:
    if not one.overall.claims:
        yield "This ranker is not calibrated: no confidence is claimed, and nothing shown unasked."
        return
    rows = [trust_row(name, each) for name, each in one.trust.items()]
    yield table(TRUST_HEAD, [*rows, trust_row("all", one.overall)])
    yield reliability_table(one.overall.bins)
    if one.name in plots:
        yield f"![Reliability: claimed against right]({plots[one.name]})"


def _by(one: Evaluation, by: str) -> Iterator[str]:
    if one.by:
        yield table((by, "n", "search", *MEASURES, LEAD), _rows(one.by))
    if one.too_small:
        counts = ", ".join(f"{_cell(name)} ({count})" for name, count in one.too_small.items())
        yield f"Too few questions, under {FEWEST}, to say anything of: {counts}."
    if not one.by and not one.too_small:
        yield f"Neither a question nor its documents say anything of {_cell(by)}."


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split()) or " "
