"""Pictures of what an evaluation measured, as inline SVG: a curve with its band, bars, a heat map, an image."""

from __future__ import annotations

from collections.abc import Sequence

from zt_gate.domain import Bars, Curve, Heat, Picture, printable
from zt_gate.pages.charts import bars, format_value, picture, share_grid, svg_text
from zt_gate.pages.element import Markup, element, join

MAX_BARS = 24
"""Bars in one picture; of more, the longest are drawn."""
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 410, 270, 52, 24, 14, 44


def draw(what: Picture) -> Markup:
    """Return a picture as SVG."""
    if isinstance(what, Curve):
        return curve_with_band(what.title, what.axis, what.points, floor=what.floor)
    if isinstance(what, Bars):
        return ranked_bars(what.title, what.rows, limit=what.limit)
    if isinstance(what, Heat):
        return heat_map(what.title, what.axis, what.columns, what.rows)
    return pixel_grid(what.title, what.channels, what.rows)


def curve_with_band(
    title: str, axis: str, points: Sequence[tuple[float, float, float, float]], *, floor: float | None = None
) -> Markup:
    """Return a curve of shares over a number, such as robust accuracy over the strength of an attack.

    Args:
        title: what is shown.
        axis: what the horizontal axis measures.
        points: position, value, lower and upper end of the band, in any order.
        floor: a share that the curve should not fall below, drawn as a line.
    """
    ordered = sorted(points)
    first, last = (ordered[0][0], ordered[-1][0]) if ordered else (0.0, 1.0)
    span = (last - first) or 1
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def x(position: float) -> float:
        return _LEFT + (right - _LEFT) * ((position - first) / span if len(ordered) > 1 else 0.5)

    def y(share: float) -> float:
        return bottom - (bottom - _TOP) * min(max(share, 0), 1)

    parts = [share_grid(_LEFT, right, _TOP, bottom)]
    if ordered:
        edge = [(at, high) for at, _, _, high in ordered] + [(at, low) for at, _, low, _ in reversed(ordered)]
        parts.append(element("path", class_="band", d=_path([(x(at), y(share)) for at, share in edge]) + "Z"))
        parts.append(element("path", class_="line s0", d=_path([(x(at), y(value)) for at, value, _, _ in ordered])))
    parts += [element("circle", class_="dot s0", cx=f"{x(p[0]):.1f}", cy=f"{y(p[1]):.1f}", r=3.5) for p in ordered]
    if floor is not None:
        level = f"{y(floor):.1f}"
        parts.append(element("line", class_="limit", x1=_LEFT, x2=right, y1=level, y2=level))
    parts += [svg_text(f"{point[0]:.3g}", x(point[0]), bottom + 18, "axis", "middle") for point in _labelled(ordered)]
    parts.append(svg_text(printable(axis, 60), (_LEFT + right) / 2, _HEIGHT - 6, "axis", "middle"))
    description = "; ".join(f"{point[0]:g}: {_point_text(point)}" for point in ordered)
    return picture(title, f"{axis}; {description}", _WIDTH, _HEIGHT, parts)


def ranked_bars(title: str, rows: Sequence[tuple[str, float]], *, limit: float | None = None) -> Markup:
    """Return a bar for each name, such as an anomaly index for each class; of many, those that stand out most."""
    if len(rows) <= MAX_BARS:
        return bars(title, "index", rows, limit=limit)
    worst = sorted(rows, key=lambda row: -row[1])[:MAX_BARS]
    return bars(f"{title} (the {MAX_BARS} highest of {len(rows)})", "index", worst, limit=limit)


def heat_map(title: str, axis: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[float]]]) -> Markup:
    """Return a table of shares whose cells are the darker the greater they are, with the percentage in each.

    Args:
        title: what is shown.
        axis: what the columns are.
        columns: their names.
        rows: a name and a share for each column.
    """
    cell, high, left = max(46, min(58, 320 // len(columns))), 26, 124
    parts: list[Markup] = []
    for number, (name, shares) in enumerate(rows):
        y = 4 + number * high
        parts.append(svg_text(printable(name, 18), left - 8, y + 17, "name", "end"))
        for column, share in enumerate(shares):
            x = left + column * cell
            box = {"x": x, "y": y, "width": cell - 2, "height": high - 2}
            parts.append(element("rect", class_="heat", fill_opacity=f"{0.06 + 0.5 * share:.3f}", **box))
            parts.append(svg_text(f"{100 * share:.0f}", x + cell / 2 - 1, y + 17, "value", "middle"))
    below = 4 + len(rows) * high
    middles = [left + (column + 0.5) * cell for column in range(len(columns))]
    parts += [
        svg_text(printable(name, 10), x, below + 14, "axis", "middle") for name, x in zip(columns, middles, strict=True)
    ]
    parts.append(
        svg_text(printable(f"{axis}; % right", 60), left + len(columns) * cell / 2, below + 34, "axis", "middle")
    )
    description = "; ".join(
        f"{name}: {', '.join(format_value(share, 'share') for share in shares)}" for name, shares in rows
    )
    return picture(
        title, f"{axis} {', '.join(columns)}; {description}", left + len(columns) * cell + 8, below + 42, parts
    )


def pixel_grid(title: str, channels: int, rows: Sequence[str]) -> Markup:
    """Return an image as squares, such as a recovered trigger.

    Args:
        title: what is shown.
        channels: 1 for grey, 3 for red, green and blue.
        rows: two hex digits for each channel of each pixel.
    """
    width = len(rows[0]) // (2 * channels) if rows else 1
    squares = [_strip(row, channels, y) for y, row in enumerate(rows)]
    label = f"an image of {width} by {len(rows)} pixels"
    drawn = element("g", squares, shape_rendering="crispEdges")
    return picture(title, label, width, max(len(rows), 1), drawn, kind="pixels")


def _strip(row: str, channels: int, y: int) -> Markup:
    """Return one row of an image; neighbours of one colour are one rectangle."""
    runs: list[tuple[str, int, int]] = []
    size = 2 * channels
    for x in range(len(row) // size):
        colour = row[x * size : (x + 1) * size] * (3 // channels)
        if runs and runs[-1][0] == colour:
            runs[-1] = (colour, runs[-1][1], runs[-1][2] + 1)
        else:
            runs.append((colour, x, 1))
    return join(*(element("rect", x=x, y=y, width=wide, height=1, fill=f"#{colour}") for colour, x, wide in runs))


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _labelled(points: Sequence[tuple[float, float, float, float]]) -> list[tuple[float, float, float, float]]:
    """Return at most eight of the points, the outermost among them."""
    step = max(1, (len(points) + 6) // 7)
    return [*points[:-1:step], *points[-1:]]


def _point_text(point: tuple[float, float, float, float]) -> str:
    value, low, high = (format_value(share, "share") for share in point[1:])
    return f"{value} ({low} to {high})"
