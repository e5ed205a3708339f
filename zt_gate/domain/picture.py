"""Pictures: what a measurement looks like, for people. Small typed values that a report draws and nothing ever judges.

They come from statements of runners that the gate does not trust, so that everything in them is bounded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_POINTS = 200
MAX_BARS = 1000
MAX_SIDE = 64
"""Longest side of an image, in pixels."""
_MAX_TITLE = 200
_HEX = re.compile(r"[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Curve:
    """A share over a number with its band, such as robust accuracy over the strength of an attack."""

    title: str
    axis: str
    """What the horizontal axis measures, such as `eps (Linf)`."""
    points: tuple[tuple[float, float, float, float], ...]
    """Position, value, lower and upper end of the band; the last three are shares from 0 to 1."""
    floor: float | None = None
    """The share that the policy asks for, drawn as a line."""

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in statements and reports."""
        points = [list(point) for point in self.points]
        return {"kind": "curve", "title": self.title, "axis": self.axis, "points": points, "floor": self.floor}


@dataclass(frozen=True, slots=True)
class Bars:
    """A number for each of several names, such as an anomaly index for each class."""

    title: str
    rows: tuple[tuple[str, float], ...]
    limit: float | None = None
    """What lies above it stands out."""

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in statements and reports."""
        return {"kind": "bars", "title": self.title, "rows": [list(row) for row in self.rows], "limit": self.limit}


@dataclass(frozen=True, slots=True)
class Pixels:
    """A small image, such as a recovered trigger."""

    title: str
    channels: int
    """1 for grey, 3 for red, green and blue."""
    rows: tuple[str, ...]
    """A row of pixels each: two lower-case hex digits for each channel."""

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in statements and reports."""
        return {"kind": "pixels", "title": self.title, "channels": self.channels, "rows": list(self.rows)}


@dataclass(frozen=True, slots=True)
class Heat:
    """A table of shares, such as accuracy under each corruption in each severity."""

    title: str
    axis: str
    """What the columns are, such as `severity`."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]
    """A name and one share from 0 to 1 for each column."""

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in statements and reports."""
        rows = [[name, list(shares)] for name, shares in self.rows]
        return {"kind": "heat", "title": self.title, "axis": self.axis, "columns": list(self.columns), "rows": rows}


Picture = Curve | Bars | Pixels | Heat


def parse_picture(value: Any) -> Picture:
    """Read a picture from a statement.

    Raises:
        ValueError: it is none, or larger than a report shows.
    """
    if not isinstance(value, Mapping):
        raise ValueError("a picture is an object")  # noqa: TRY004 - one kind of error for whatever a statement holds
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in _PARSERS:
        raise ValueError(f"a picture is one of {', '.join(_PARSERS)}")
    title = value.get("title")
    if not isinstance(title, str) or not 0 < len(title) <= _MAX_TITLE:
        raise ValueError(f"a picture has a title of at most {_MAX_TITLE} characters")
    return _PARSERS[kind](title, value)


def _curve(title: str, value: Mapping[str, Any]) -> Curve:
    axis, points = value.get("axis"), value.get("points")
    if not isinstance(axis, str) or len(axis) > _MAX_TITLE:
        raise ValueError("a curve has an axis")
    if not isinstance(points, list) or not 0 < len(points) <= MAX_POINTS:
        raise ValueError(f"a curve has 1 to {MAX_POINTS} points")
    return Curve(title, axis, tuple(_point(point) for point in points), _optional(value.get("floor")))


def _point(value: Any) -> tuple[float, float, float, float]:
    if not isinstance(value, list) or len(value) != 4:
        raise ValueError("a point is [position, value, low, high]")
    position, middle, low, high = (_number(item) for item in value)
    if not 0 <= low <= middle <= high <= 1:
        raise ValueError("the shares of a point are 0 to 1, and its value lies inside its band")
    return position, middle, low, high


def _bars(title: str, value: Mapping[str, Any]) -> Bars:
    rows = value.get("rows")
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_BARS:
        raise ValueError(f"bars have 1 to {MAX_BARS} rows")
    for row in rows:
        if not isinstance(row, list) or len(row) != 2 or not isinstance(row[0], str) or len(row[0]) > _MAX_TITLE:
            raise ValueError("a bar is [name, number]")
    return Bars(title, tuple((row[0], _number(row[1])) for row in rows), _optional(value.get("limit")))


def _pixels(title: str, value: Mapping[str, Any]) -> Pixels:
    channels, rows = value.get("channels"), value.get("rows")
    if channels not in (1, 3) or isinstance(channels, bool):
        raise ValueError("pixels have 1 or 3 channels")
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_SIDE or not isinstance(rows[0], str):
        raise ValueError(f"pixels have 1 to {MAX_SIDE} rows")
    width = len(rows[0])
    if not 0 < width <= MAX_SIDE * channels * 2 or width % (channels * 2):
        raise ValueError(f"a row has 1 to {MAX_SIDE} pixels")
    if not all(isinstance(row, str) and len(row) == width and _HEX.fullmatch(row) for row in rows):
        raise ValueError("rows of pixels are equally long and of lower-case hex digits")
    return Pixels(title, channels, tuple(rows))


def _heat(title: str, value: Mapping[str, Any]) -> Heat:
    axis, columns, rows = value.get("axis"), value.get("columns"), value.get("rows")
    if not isinstance(axis, str) or len(axis) > _MAX_TITLE:
        raise ValueError("a heat map has an axis")
    if not isinstance(columns, list) or not 0 < len(columns) <= MAX_SIDE or not all(map(_is_name, columns)):
        raise ValueError(f"a heat map has 1 to {MAX_SIDE} columns with names")
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_SIDE:
        raise ValueError(f"a heat map has 1 to {MAX_SIDE} rows")
    return Heat(title, axis, tuple(columns), tuple(_shares(row, len(columns)) for row in rows))


def _shares(row: Any, columns: int) -> tuple[str, tuple[float, ...]]:
    if not isinstance(row, list) or len(row) != 2 or not _is_name(row[0]) or not isinstance(row[1], list):
        raise ValueError("a row of a heat map is [name, shares]")
    shares = tuple(_number(item) for item in row[1])
    if len(shares) != columns or not all(0 <= share <= 1 for share in shares):
        raise ValueError("a row of a heat map has a share from 0 to 1 for each column")
    return row[0], shares


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_TITLE


_PARSERS: Mapping[str, Callable[[str, Mapping[str, Any]], Picture]]
_PARSERS = {"curve": _curve, "bars": _bars, "pixels": _pixels, "heat": _heat}


def _optional(value: Any) -> float | None:
    return None if value is None else _number(value)


def _number(value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ValueError("a figure is a number")  # noqa: TRY004 - as above
    try:
        number = float(value)
    except OverflowError:
        raise ValueError("a figure is too large") from None
    if not math.isfinite(number):
        raise ValueError("a figure is finite")
    return number
