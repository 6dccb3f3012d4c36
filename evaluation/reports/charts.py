"""Small charts as inline SVG, without scripts or downloads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

SIDE, LEFT, BOTTOM = 260, 46, 40


@dataclass(frozen=True)
class Dot:
    """A measured share: its position, interval and count."""

    x: float
    y: float
    low: float
    high: float
    count: int


def dot_chart(title: str, dots: Sequence[Dot], *, x: str, y: str, diagonal: bool = False) -> str:
    """Draw shares in the unit square, with intervals as bars and counts as tooltips."""
    marks = []
    for dot in dots:
        across = LEFT + SIDE * min(1.0, max(0.0, dot.x))
        at, low, high = (20 + SIDE * (1 - min(1.0, max(0.0, value))) for value in (dot.y, dot.low, dot.high))
        text = f"{dot.y:.3f} of {dot.count} ({dot.low:.3f} to {dot.high:.3f})"
        marks.append(
            f'<g><title>{escape(text)}</title><line class="bar" x1="{across:.1f}" y1="{low:.1f}" x2="{across:.1f}" '
            f'y2="{high:.1f}"/><circle cx="{across:.1f}" cy="{at:.1f}" r="3"/>'
            f'<text class="tick" x="{across:.1f}" y="{20 + SIDE - 4}" text-anchor="middle">{dot.count}</text></g>'
        )
    return frame(title, "".join(marks), x=x, y=y, diagonal=diagonal)


def line_chart(
    title: str,
    points: Sequence[tuple[float, float]],
    *,
    x: str,
    y: str,
    x_range: tuple[float, float] = (0.0, 1.0),
    y_range: tuple[float, float] = (0.0, 1.0),
    diagonal: bool = False,
    dots: bool = False,
) -> str:
    """Draw one series of (x, y) points with axis titles; `diagonal` adds the line of perfect results (or chance)."""

    def at(point: tuple[float, float]) -> tuple[float, float]:
        across = (point[0] - x_range[0]) / (x_range[1] - x_range[0])
        up = (point[1] - y_range[0]) / (y_range[1] - y_range[0])
        return LEFT + SIDE * min(1.0, max(0.0, across)), 20 + SIDE * (1 - min(1.0, max(0.0, up)))

    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in map(at, points))
    marks = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in map(at, points)) if dots else ""
    drawn = f'<polyline points="{path}"/>{marks}'
    return frame(title, drawn, x=x, y=y, x_range=x_range, y_range=y_range, diagonal=diagonal)


def frame(
    title: str,
    drawn: str,
    *,
    x: str,
    y: str,
    x_range: tuple[float, float] = (0.0, 1.0),
    y_range: tuple[float, float] = (0.0, 1.0),
    diagonal: bool = False,
) -> str:
    """Return a figure with title and axes around the drawing."""
    ticks = "".join(tick(share, x_range, y_range) for share in (0, 0.25, 0.5, 0.75, 1))
    (x0, y0), (x1, y1) = (LEFT, 20 + SIDE), (LEFT + SIDE, 20)
    perfect = f'<line class="aid" x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}"/>' if diagonal else ""
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {LEFT + SIDE + 14} {20 + SIDE + BOTTOM}" '
        f'role="img" aria-label="{escape(title)}"><rect x="{LEFT}" y="20" width="{SIDE}" height="{SIDE}"/>{ticks}'
        f"{perfect}{drawn}"
        f'<text x="{LEFT + SIDE / 2}" y="{20 + SIDE + 34}" text-anchor="middle">{escape(x)}</text>'
        f'<text transform="translate(12 {20 + SIDE / 2}) rotate(-90)" text-anchor="middle">{escape(y)}</text>'
        "</svg></figure>"
    )


def tick(share: float, x_range: tuple[float, float], y_range: tuple[float, float]) -> str:
    """Draw the tick labels at a share of both axes."""
    across, up = LEFT + SIDE * share, 20 + SIDE * (1 - share)
    x, y = (low + share * (high - low) for low, high in (x_range, y_range))
    return (
        f'<text class="tick" x="{across:.0f}" y="{20 + SIDE + 15}" text-anchor="middle">{x:.3g}</text>'
        f'<text class="tick" x="{LEFT - 5}" y="{up + 4:.0f}" text-anchor="end">{y:.3g}</text>'
    )


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Format an HTML table; numbers with three digits."""

    def cell(value: object) -> str:
        text = f"{value:.3f}" if isinstance(value, float) else str(value)
        return f"<td>{escape(text)}</td>"

    heads = "".join(f"<th>{escape(one)}</th>" for one in head)
    body = "".join(f"<tr>{''.join(cell(value) for value in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
