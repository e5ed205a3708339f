"""Pictures of what an evaluation measured: a curve with its band, and an image as a grid of squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zt_gate.domain import printable
from zt_gate.pages.charts import picture, share_grid, shown, words
from zt_gate.pages.element import Markup, element, join

MAX_PIXELS = 64
"""Longest side of an image that is drawn; a larger one is thinned out."""
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 480, 260, 52, 16, 14, 44


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a curve, and how sure it is."""

    x: float
    value: float
    """0 to 1."""
    low: float
    high: float


def curve_with_band(title: str, axis: str, points: Sequence[Point], *, floor: float | None = None) -> Markup:
    """Return a curve of shares over a number, such as robust accuracy over the strength of an attack.

    Args:
        title: what is shown.
        axis: what the horizontal axis measures.
        points: in any order; the band goes from `low` to `high`.
        floor: a share that the curve should not fall below, drawn as a line.
    """
    ordered = sorted(points, key=lambda point: point.x)
    first, last = (ordered[0].x, ordered[-1].x) if ordered else (0.0, 1.0)
    span = (last - first) or 1
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def place(x: float, share: float) -> str:
        wide = (right - _LEFT) * ((x - first) / span if len(ordered) > 1 else 0.5)
        return f"{_LEFT + wide:.1f} {bottom - (bottom - _TOP) * min(max(share, 0), 1):.1f}"

    parts = [share_grid(_LEFT, right, _TOP, bottom)]
    if ordered:
        edge = [place(p.x, p.high) for p in ordered] + [place(p.x, p.low) for p in reversed(ordered)]
        parts.append(element("path", class_="band", d=f"M{'L'.join(edge)}Z"))
        parts.append(element("path", class_="line s0", d=f"M{'L'.join(place(p.x, p.value) for p in ordered)}"))
    for point in ordered:
        x, y = place(point.x, point.value).split()
        parts.append(element("circle", class_="dot s0", cx=x, cy=y, r=3.5))
    if floor is not None:
        y = place(first, floor).split()[1]
        parts.append(element("line", class_="limit", x1=_LEFT, x2=right, y1=y, y2=y))
    marks = [(f"{point.x:g}", float(place(point.x, 0).split()[0])) for point in _labelled(ordered)]
    parts += [words(text, x, bottom + 18, "axis", "middle") for text, x in marks]
    parts.append(words(printable(axis, 60), (_LEFT + right) / 2, _HEIGHT - 6, "axis", "middle"))
    spoken = "; ".join(f"{point.x:g}: {_told(point)}" for point in ordered)
    return picture(title, f"{axis}; {spoken}", _WIDTH, _HEIGHT, parts)


def _told(point: Point) -> str:
    value, low, high = (shown(share, "share") for share in (point.value, point.low, point.high))
    return f"{value} ({low} to {high})"


def _labelled(points: Sequence[Point]) -> Sequence[Point]:
    """Return at most eight of the points, the outermost among them."""
    step = max(1, (len(points) + 6) // 7)
    return [*points[:-1:step], *points[-1:]]


def pixel_grid(title: str, rows: Sequence[Sequence[tuple[int, int, int] | int]], *, spoken: str = "") -> Markup:
    """Return an image as squares, such as a recovered trigger.

    Args:
        title: what is shown.
        rows: rows of pixels, each 0 to 255, grey or (red, green, blue).
        spoken: what a person who does not see it should know.
    """
    step = max(1, -(-max(len(rows), len(rows[0]) if rows else 0) // MAX_PIXELS))
    thin = [list(row[::step]) for row in rows[::step]]
    width = len(thin[0]) if thin else 0
    squares = [_strip(row, y) for y, row in enumerate(thin)]
    label = spoken or f"an image of {len(rows[0]) if rows else 0} by {len(rows)} pixels"
    return picture(title, label, max(width, 1), max(len(thin), 1), element("g", squares, shape_rendering="crispEdges"))


def _strip(row: Sequence[tuple[int, int, int] | int], y: int) -> Markup:
    """Return one row of an image; neighbours of one colour are one rectangle."""
    runs: list[tuple[str, int, int]] = []
    for x, pixel in enumerate(row):
        colour = _colour(pixel)
        if runs and runs[-1][0] == colour:
            runs[-1] = (colour, runs[-1][1], runs[-1][2] + 1)
        else:
            runs.append((colour, x, 1))
    return join(*(element("rect", x=x, y=y, width=wide, height=1, fill=colour) for colour, x, wide in runs))


def _colour(pixel: tuple[int, int, int] | int) -> str:
    red, green, blue = (pixel, pixel, pixel) if isinstance(pixel, int) else pixel
    return "#" + "".join(f"{min(max(int(value), 0), 255):02x}" for value in (red, green, blue))
