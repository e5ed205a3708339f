"""Bars and lines as inline SVG: no script, no inline style, readable by a screen reader, colours from the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from zt_gate.domain import printable, sized
from zt_gate.pages.element import Child, Markup, element, join

MAX_LINES = 6
"""Colours and dashes that a reader can tell apart."""
_LINES = 860
"""Width of a line chart; a page scales it to its columns."""
_BAR_WIDTH, _RIGHT, _ROW, _LABEL = 300, 70, 26, 16
_NARROW, _WIDE = 34, 124
"""Room for the names of bars, by the longest of them."""


@dataclass(frozen=True, slots=True)
class ChartLine:
    """One line of a line chart."""

    name: str
    values: tuple[float | None, ...]
    """0 to 1, one for each position; None leaves a gap."""


def format_value(value: float | None, unit: str) -> str:
    """Return a figure as people read it: `12 %`, `3.5 h`, `1.2 MB`, `2.31`, `17`."""
    if value is None:
        return "n/a"
    if unit == "share":
        return f"{value * 100:.0f} %" if value in (0, 1) else f"{value * 100:.1f} %"
    if unit == "seconds":
        for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
            if value >= size:
                return f"{value / size:.1f} {name}"
        return f"{value:.0f} s"
    if unit == "bytes":
        return sized(value)
    return f"{value:.2f}" if unit == "index" else f"{value:.0f}"


def bars(title: str, unit: str, rows: Sequence[tuple[str, float | None]], *, limit: float | None = None) -> Markup:
    """Return a chart with one horizontal bar for each group.

    Args:
        title: what is shown.
        unit: `share`, `seconds`, `bytes`, `index` or `count`, as for `format_value`.
        rows: names and values, in order.
        limit: where to draw a line; bars beyond it have the class `over`.
    """
    height = _ROW * len(rows) + 8
    largest = max((value for _, value in rows if value is not None), default=0)
    top = 1 if unit == "share" else max(largest, (limit or 0) * 1.15, 0) or 1
    left = min(max(_NARROW, 18 + 7 * max((len(name) for name, _ in rows), default=0)), _WIDE)
    parts: list[Markup] = []
    for number, (name, value) in enumerate(rows):
        y = 4 + number * _ROW
        parts.append(svg_text(printable(name, 16), left - 10, y + 17, "name", "end"))
        parts.append(_box("track", left, y + 4, _BAR_WIDTH))
        if value is not None and value > 0:
            over = limit is not None and value > limit
            parts.append(_box("bar over" if over else "bar", left, y + 4, _BAR_WIDTH * min(value, top) / top))
        parts.append(svg_text(format_value(value, unit), left + _BAR_WIDTH + 8, y + 17, "value"))
    if limit is not None:
        x = f"{left + _BAR_WIDTH * min(max(limit / top, 0), 1):.1f}"
        parts.append(element("line", class_="limit", x1=x, x2=x, y1=2, y2=height - 2))
    description = "; ".join(f"{printable(name, 60)}: {format_value(value, unit)}" for name, value in rows)
    if limit is not None:
        description += f"; the line stands at {format_value(limit, unit)}"
    return picture(title, description, left + _BAR_WIDTH + _RIGHT, height, parts)


def lines(title: str, positions: Sequence[str], series: Sequence[ChartLine]) -> Markup:
    """Return a chart of shares over time; a line differs from the others in colour, dashes and its name beside it."""
    width, height, left, bottom = _LINES, 260, 52, 30
    wide, high = width - left - 130, height - bottom - 14

    def x(number: int) -> float:
        return left + (wide * number / (len(positions) - 1) if len(positions) > 1 else wide / 2)

    def y(value: float) -> float:
        return 14 + high * (1 - value)

    parts = [share_grid(left, left + wide, y(1), y(0))]
    every = max(1, math.ceil(len(positions) / 7))
    marked = range(0, len(positions), every)
    parts += [svg_text(printable(positions[at], 40), x(at), height - 8, "axis", "middle") for at in marked]
    drawn = series[:MAX_LINES]
    for number, line in enumerate(drawn):
        parts.append(_polyline(number, [(x(at), y(v)) if v is not None else None for at, v in enumerate(line.values)]))
    ends = [next((y(v) for v in reversed(line.values) if v is not None), y(0)) for line in drawn]
    for number, (line, at) in enumerate(zip(drawn, _spread(ends, y(0)), strict=True)):
        parts.append(svg_text(printable(line.name, 16), left + wide + 12, at + 4, f"name s{number}"))
    names = ", ".join(printable(line.name, 60) for line in series)
    description = f"{', '.join(positions)}; lines: {names}. The figures stand in the table."
    return picture(title, description, width, height, parts)


def picture(title: str, description: str, width: int, height: int, parts: Child, kind: str | None = None) -> Markup:
    """Return an SVG of a size, with words for people who do not see it."""
    label = printable(f"{title}. {description}", 2000)
    size = f"0 0 {width} {height}"
    return element("svg", element("title", title), parts, class_=kind, viewBox=size, role="img", aria_label=label)


def svg_text(text: str, x: float, y: float, kind: str, anchor: str | None = None) -> Markup:
    """Return text in a picture."""
    return element("text", text, class_=kind, x=_at(x), y=_at(y), text_anchor=anchor)


def share_grid(left: float, right: float, top: float, bottom: float) -> Markup:
    """Return horizontal lines at the quarters from 0 to 100 %, with their labels."""
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = bottom + (top - bottom) * share
        parts.append(element("line", class_="grid", x1=_at(left), x2=_at(right), y1=_at(y), y2=_at(y)))
        parts.append(svg_text(f"{share * 100:.0f} %", left - 8, y + 4, "axis", "end"))
    return join(*parts)


def _box(kind: str, x: float, y: float, width: float) -> Markup:
    return element("rect", class_=kind, x=_at(x), y=_at(y), width=_at(width), height=_ROW - 8, rx=3)


def _at(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _polyline(number: int, points: Sequence[tuple[float, float] | None]) -> Markup:
    """Draw one line; where a value is missing, the line is interrupted."""
    path, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        path.append(f"{pen}{point[0]:.1f} {point[1]:.1f}")
        pen = "L"
    if not path:
        return Markup("")
    dots = [element("circle", class_=f"dot s{number}", cx=_at(p[0]), cy=_at(p[1]), r=3) for p in points if p]
    return join(element("path", class_=f"line s{number}", d=" ".join(path)), dots)


def _spread(positions: Sequence[float], lowest: float) -> list[float]:
    """Return places for labels, near where they are wanted, clear of each other and none below `lowest`."""
    places = list(positions)
    limit = lowest
    for number in sorted(range(len(positions)), key=lambda item: -positions[item]):
        places[number] = min(positions[number], limit)
        limit = places[number] - _LABEL
    return places
