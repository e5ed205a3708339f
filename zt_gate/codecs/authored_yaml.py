"""Strict YAML for files that a person writes for the gate, such as policies; errors carry line and column.

PyYAML's `safe_load` lets the last of two equal keys win, reads `off` as False, an unquoted date as a date and `0755`
as 493. Here keys are unique text, anchors, aliases, tags and merge keys are refused, and scalars follow the YAML 1.2
core schema (https://yaml.org/spec/1.2.2/#103-core-schema) without octal and hexadecimal forms.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from zt_gate.codecs.yaml_events import NOT_YAML, Bounds, Events, Kind, read_events
from zt_gate.domain.text import printable
from zt_gate.errors import ParseError, PolicyError

AUTHORED = Bounds(size=1 << 20, depth=32, nodes=100_000)

Path = tuple[str | int, ...]
"""Where a value stands in a document: keys and list positions from the root."""

_SCALARS = (
    ("bool", re.compile(r"true|false")),
    ("null", re.compile(r"null|~|")),
    ("int", re.compile(r"-?(?:0|[1-9][0-9]*)")),
    ("float", re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+]?[0-9]+)?")),
)


@dataclass(frozen=True)
class _Place:
    """A file that errors point into."""

    file: str
    lines: tuple[str, ...]

    def at(self, line: int, column: int, message: str, advice: str) -> PolicyError:
        shown = self.lines[line] if line < len(self.lines) else ""
        return PolicyError(message, advice, file=self.file, line=line + 1, column=column + 1, source_line=shown)

    def error(self, event: Any, message: str, advice: str) -> PolicyError:
        return self.at(event.start_mark.line, event.start_mark.column, message, advice)


@dataclass(frozen=True)
class Document:
    """A parsed YAML file that still knows where everything stood."""

    place: _Place
    data: Any
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """0-based line and column of each key or list item."""
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """0-based line and column of each value."""

    def error(self, path: Path, message: str, advice: str = "", *, at_key: bool = False) -> PolicyError:
        """Build an error that points at a place; the nearest enclosing one when `path` itself does not exist."""
        marks = self.keys if at_key else self.values
        while path and path not in marks:
            path = path[:-1]
        line, column = marks.get(path, (0, 0))
        return self.place.at(line, column, message, advice)


def parse(data: bytes, file: str) -> Document:
    """Parse one YAML document.

    Raises:
        PolicyError: the text is not UTF-8, too large, not YAML, or ambiguous.
    """
    if len(data) > AUTHORED.size:
        raise PolicyError(f"larger than {AUTHORED.size} bytes", "split the file", file=file)
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise PolicyError(f"not UTF-8 at byte {error.start}", "save the file as UTF-8", file=file) from None
    place = _Place(file, tuple(printable(line, 400) for line in lines))
    try:
        return _DocumentBuilder(place, read_events(data, AUTHORED)).read()
    except ParseError as error:
        shown = place.lines[error.line - 1] if 0 < error.line <= len(lines) else ""
        tabbed = error.problem.startswith(NOT_YAML) and shown.lstrip(" ").startswith("\\t")
        advice = "indent with spaces, not tabs" if tabbed else error.advice or "fix the YAML"
        problem = error.problem.removeprefix(NOT_YAML)
        raise place.at(max(error.line - 1, 0), max(error.column - 1, 0), problem, advice) from None


class _DocumentBuilder:
    """Builds a document from events; the depth of its recursion is bounded by theirs."""

    def __init__(self, place: _Place, events: Events) -> None:
        self._place = place
        self._events = events
        self._keys: dict[Path, tuple[int, int]] = {}
        self._values: dict[Path, tuple[int, int]] = {}

    def read(self) -> Document:
        """Read the one document of the stream."""
        data, found = None, False
        for kind, event in self._events:
            if kind is Kind.DOCUMENT and found:
                raise self._place.error(event, "but found another document", "fix the YAML")
            if kind not in (Kind.DOCUMENT, Kind.STREAM):
                data, found = self._value(kind, event, ()), True
        return Document(self._place, data, self._keys, self._values)

    def _value(self, kind: Kind, event: Any, path: Path) -> Any:
        self._plain(kind, event)
        self._values[path] = (event.start_mark.line, event.start_mark.column)
        self._keys.setdefault(path, self._values[path])
        if kind is Kind.MAPPING:
            return self._mapping(path)
        if kind is Kind.SEQUENCE:
            items: list[Any] = []
            for inner, item in self._until_end():
                items.append(self._value(inner, item, (*path, len(items))))
            return items
        return _scalar(event)

    def _plain(self, kind: Kind, event: Any) -> None:
        if event.anchor or kind is Kind.ALIAS:
            raise self._place.error(event, "anchors and aliases are not allowed", "write the value out")
        if event.tag:
            raise self._place.error(event, f"tag {printable(event.tag)} is not allowed", "remove the tag")

    def _until_end(self) -> Events:
        """Yield the first event of each child; whoever takes one takes the rest of that child too."""
        for kind, event in self._events:
            if kind is Kind.END:
                return
            yield kind, event

    def _mapping(self, path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for kind, event in self._until_end():
            self._plain(kind, event)
            key = _scalar(event) if kind is Kind.SCALAR else None
            if not isinstance(key, str) or _kind(event):
                shown = printable(event.value if kind is Kind.SCALAR else "", 60)
                raise self._place.error(event, f"key {shown!r} is not text", "put it in quotes")
            if key in mapping:
                message = f"key {printable(key, 60)!r} appears twice"
                raise self._place.error(event, message, "remove one of the two")
            self._keys[(*path, key)] = (event.start_mark.line, event.start_mark.column)
            mapping[key] = self._value(*next(self._events), (*path, key))
        return mapping


def _kind(event: Any) -> str:
    """Return what a scalar is in the core schema; empty for text."""
    # Quotes make text of anything.
    if not event.implicit[0]:
        return ""
    return next((kind for kind, pattern in _SCALARS if pattern.fullmatch(event.value)), "")


def _scalar(event: Any) -> Any:
    kind, value = _kind(event), event.value
    if kind == "bool":
        return value == "true"
    if kind == "null":
        return None
    if kind == "int":
        # int() of a huge literal is quadratic; no setting of a policy has 20 digits.
        return int(value) if len(value) < 20 else value
    if kind == "float" and isfinite(float(value)):
        return float(value)
    return value
