"""Draw reliability as SVG, without a plotting library."""

from __future__ import annotations

from collections.abc import Sequence

from bot.search.training.measures import Bin

_SIZE = 360  # pixels of the square itself
_MARGIN = 48


def reliability_plot(bins: Sequence[Bin], title: str) -> str:
    """Draw what was claimed against what held; on the diagonal both are the same.

    The area of a dot grows with the weight of its bin.
    """
    heaviest = max((each.weight for each in bins), default=1.0)
    dots = "\n".join(_dot(each, each.weight / heaviest) for each in bins)
    line = " ".join(f"{_x(each.claimed):.1f},{_y(each.held):.1f}" for each in bins)
    whole = _SIZE + 2 * _MARGIN
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole} {whole}" width="{whole}" \
height="{whole}" font-family="sans-serif" font-size="12" role="img">
<title>{_escaped(title)}</title>
<rect width="{whole}" height="{whole}" fill="#ffffff"/>
<text x="{_MARGIN}" y="24" font-size="14">{_escaped(title)}</text>
{_grid()}
<line x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}" stroke="#888888" stroke-dasharray="4 4"/>
<polyline points="{line}" fill="none" stroke="#1f5fa8" stroke-width="1.5"/>
{dots}
<text x="{_x(0.5)}" y="{whole - 10}" text-anchor="middle">confidence claimed</text>
<text x="14" y="{_y(0.5)}" text-anchor="middle" \
transform="rotate(-90 14 {_y(0.5)})">share that was right</text>
</svg>
"""


def _grid() -> str:
    lines = []
    for step in range(6):
        value = step / 5
        lines.append(
            f'<line x1="{_x(value)}" y1="{_y(0)}" x2="{_x(value)}" y2="{_y(1)}" stroke="#e4e4e4"/>'
            f'<line x1="{_x(0)}" y1="{_y(value)}" x2="{_x(1)}" y2="{_y(value)}" stroke="#e4e4e4"/>'
            f'<text x="{_x(value)}" y="{_y(0) + 16}" text-anchor="middle">{value:.1f}</text>'
            f'<text x="{_x(0) - 6}" y="{_y(value) + 4}" text-anchor="end">{value:.1f}</text>'
        )
    return "\n".join(lines)


def _dot(each: Bin, share: float) -> str:
    told = f"claimed {each.claimed:.2f}, held {each.held:.2f}, {each.count} answers"
    x, y, radius = _x(each.claimed), _y(each.held), 2 + 4 * share**0.5
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="#1f5fa8">'
        f"<title>{told}</title></circle>"
    )


def _x(value: float) -> float:
    return round(_MARGIN + value * _SIZE, 1)


def _y(value: float) -> float:
    return round(_MARGIN + (1 - value) * _SIZE, 1)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
