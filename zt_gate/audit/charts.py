"""Bars and lines as inline SVG: no script, no inline style, readable by a screen reader, colours from the page."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from zt_gate.domain import printable

MOST_LINES = 6
"""Colours and dashes that a reader can tell apart."""
_BARS, _LINES = 480, 860
"""Widths of the two kinds of chart; a page scales them to its columns."""
_LEFT, _RIGHT, _ROW, _LABEL = 110, 70, 26, 16


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a line chart."""

    name: str
    values: tuple[float | None, ...]
    """0 to 1, one for each position; None leaves a gap."""


def shown(value: float | None, unit: str) -> str:
    """Return a figure as people read it: `12 %`, `3.5 h`, `17`."""
    if value is None:
        return "n/a"
    if unit == "share":
        return f"{value * 100:.0f} %" if value in (0, 1) else f"{value * 100:.1f} %"
    if unit == "seconds":
        for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
            if value >= size:
                return f"{value / size:.1f} {name}"
        return f"{value:.0f} s"
    return f"{value:.0f}"


def text(value: str, limit: int = 120) -> str:
    """Return text from a log as it may stand in a page."""
    return html.escape(printable(value, limit))


def bars(title: str, unit: str, rows: Sequence[tuple[str, float | None]]) -> str:
    """Return a chart with one horizontal bar for each group."""
    height = _ROW * len(rows) + 8
    top = max((value for _, value in rows if value is not None), default=0) or 1
    if unit == "share":
        top = 1
    room = _BARS - _LEFT - _RIGHT
    spoken = "; ".join(f"{printable(name, 60)}: {shown(value, unit)}" for name, value in rows)
    parts = [_open(title, spoken, _BARS, height)]
    for number, (name, value) in enumerate(rows):
        y = 4 + number * _ROW
        parts.append(f'<text class="name" x="{_LEFT - 10}" y="{y + 17}" text-anchor="end">{text(name, 20)}</text>')
        length = room * (value or 0) / top
        parts.append(f'<rect class="track" x="{_LEFT}" y="{y + 4}" width="{room}" height="{_ROW - 8}" rx="3"/>')
        if length > 0:
            parts.append(f'<rect class="bar" x="{_LEFT}" y="{y + 4}" width="{length:.1f}" height="{_ROW - 8}" rx="3"/>')
        parts.append(f'<text class="value" x="{_LEFT + room + 8}" y="{y + 17}">{shown(value, unit)}</text>')
    return "".join([*parts, "</svg>"])


def lines(title: str, positions: Sequence[str], series: Sequence[Line]) -> str:
    """Return a chart of shares over time; a line differs from the others in colour, dashes and its name beside it."""
    width, height, left, bottom = _LINES, 260, 52, 30
    wide, high = width - left - 130, height - bottom - 14

    def x(number: int) -> float:
        return left + (wide * number / (len(positions) - 1) if len(positions) > 1 else wide / 2)

    def y(value: float) -> float:
        return 14 + high * (1 - value)

    names = ", ".join(printable(line.name, 60) for line in series)
    parts = [_open(title, f"{', '.join(positions)}; lines: {names}. The figures stand in the table.", width, height)]
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<line class="grid" x1="{left}" x2="{left + wide}" y1="{y(share):.1f}" y2="{y(share):.1f}"/>')
        label = f"{share * 100:.0f} %"
        parts.append(f'<text class="axis" x="{left - 8}" y="{y(share) + 4:.1f}" text-anchor="end">{label}</text>')
    every = max(1, math.ceil(len(positions) / 7))
    for number in range(0, len(positions), every):
        place = f'x="{x(number):.1f}" y="{height - 8}" text-anchor="middle"'
        parts.append(f'<text class="axis" {place}>{text(positions[number])}</text>')
    drawn = series[:MOST_LINES]
    for number, line in enumerate(drawn):
        parts.append(_drawn(number, [(x(at), y(v)) if v is not None else None for at, v in enumerate(line.values)]))
    ends = [next((y(v) for v in reversed(line.values) if v is not None), y(0)) for line in drawn]
    for number, (line, at) in enumerate(zip(drawn, _spread(ends, y(0)), strict=True)):
        parts.append(
            f'<text class="name s{number}" x="{left + wide + 12}" y="{at + 4:.1f}">{text(line.name, 16)}</text>'
        )
    return "".join([*parts, "</svg>"])


def _open(title: str, spoken: str, width: int, height: int) -> str:
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{text(f"{title}. {spoken}", 2000)}">'
    return f"{head}<title>{text(title)}</title>"


def _drawn(number: int, points: Sequence[tuple[float, float] | None]) -> str:
    """Draw one line; where a value is missing, the line is interrupted."""
    path, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        path.append(f"{pen}{point[0]:.1f} {point[1]:.1f}")
        pen = "L"
    dots = "".join(f'<circle class="dot s{number}" cx="{p[0]:.1f}" cy="{p[1]:.1f}" r="3"/>' for p in points if p)
    return f'<path class="line s{number}" d="{" ".join(path)}"/>{dots}' if path else ""


def _spread(wanted: Sequence[float], lowest: float) -> list[float]:
    """Return places for labels, near where they are wanted, clear of each other and none below `lowest`."""
    places = list(wanted)
    limit = lowest
    for number in sorted(range(len(wanted)), key=lambda item: -wanted[item]):
        places[number] = min(wanted[number], limit)
        limit = places[number] - _LABEL
    return places
