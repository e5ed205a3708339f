"""The bounded stream of YAML events that all YAML readers here use, and what they share.

libyaml yields events (https://yaml.org/spec/1.2.2/#31-processes) before anything is built, so that depth and size are
known in time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NoReturn

from zt_gate.domain.text import printable
from zt_gate.errors import ParseError


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a file may cost."""

    size: int
    """Bytes."""
    depth: int
    """Collections inside each other."""
    nodes: int
    """Documents, scalars, collections and aliases; where values are built, each alias counts as all that it repeats."""


_CORE = "tag:yaml.org,2002:"
TIMESTAMP = f"{_CORE}timestamp"
PLAIN = frozenset(_CORE + kind for kind in ("str", "int", "float", "bool", "null", "map", "seq")) | {"!"}
_DIRECTIVE = re.compile("(?:^|[\n\r\x85\u2028\u2029])\ufeff?%TAG")
_MAX_DIRECTIVES = 100
"""libyaml compares each %TAG with all before it: 440 kB of them take 20 seconds."""
NOT_YAML = "not YAML: "


class Kind(Enum):
    """What an event is, without its parser's classes, so that PyYAML is imported by the first YAML file only."""

    STREAM = auto()
    DOCUMENT = auto()
    SCALAR = auto()
    ALIAS = auto()
    MAPPING = auto()
    SEQUENCE = auto()
    END = auto()
    """Of a mapping or sequence."""


Events = Iterator[tuple[Kind, Any]]


def read_events(data: bytes, bounds: Bounds) -> Events:
    """Yield what the parser sees.

    Raises:
        ParseError: it is not UTF-8, not YAML, or larger than the bounds.
    """
    import yaml  # imported here: a target without YAML does not pay for it

    kinds = {
        yaml.DocumentStartEvent: Kind.DOCUMENT, yaml.ScalarEvent: Kind.SCALAR, yaml.AliasEvent: Kind.ALIAS,
        yaml.MappingStartEvent: Kind.MAPPING, yaml.SequenceStartEvent: Kind.SEQUENCE,
        yaml.MappingEndEvent: Kind.END, yaml.SequenceEndEvent: Kind.END,
    }  # fmt: skip
    depth = nodes = 0
    text = _decoded(data, bounds.size)
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            kind = kinds.get(type(event), Kind.STREAM)
            if kind is Kind.END:
                depth -= 1
            elif kind is not Kind.STREAM:
                nodes += 1
                depth += kind in (Kind.MAPPING, Kind.SEQUENCE)
                if depth > bounds.depth:
                    refuse(event.start_mark, f"nested deeper than {bounds.depth}", "flatten it")
                if nodes > bounds.nodes:
                    refuse(event.start_mark, f"more than {bounds.nodes} values", "split the file")
            yield kind, event
    except yaml.YAMLError as error:
        raise _syntax_error(error, text) from None


def _decoded(data: bytes, size: int) -> str:
    if len(data) > size:
        raise ParseError(f"more than {size} bytes of YAML", "split the file")
    try:
        # Given bytes, PyYAML would read UTF-16 after its byte order mark; here nothing but UTF-8 is YAML.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ParseError(f"not UTF-8 at byte {error.start}", "save the file as UTF-8") from None
    if text.count("%TAG") > _MAX_DIRECTIVES and len(_DIRECTIVE.findall(text)) > _MAX_DIRECTIVES:
        raise ParseError(f"more than {_MAX_DIRECTIVES} %TAG directives", "write tags out, or remove them")
    return text


def _syntax_error(error: Any, text: str) -> ParseError:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return ParseError(f"{NOT_YAML}{printable(error.problem)}", line=mark.line + 1, column=mark.column + 1)
    reason = f"{NOT_YAML}{printable(getattr(error, 'reason', None) or str(error), 160)}"
    # A character that no YAML may hold, by its place in bytes.
    before = text.encode()[: getattr(error, "position", 0)].decode("utf-8", "ignore")
    return ParseError(reason, line=before.count("\n") + 1, column=len(before) - before.rfind("\n"))


def refuse(mark: Any, problem: str, advice: str = "") -> NoReturn:
    """Raise the error that points at a mark of the parser."""
    raise ParseError(problem, advice, line=mark.line + 1, column=mark.column + 1)


class Oddity(Enum):
    """What strict readers refuse."""

    TAG = auto()
    DUPLICATE = auto()
    ALIAS = auto()


@dataclass(frozen=True, slots=True)
class Odd:
    """An oddity in a file."""

    kind: Oddity
    detail: str
    """The tag, key or anchor."""
    line: int


class Anchors:
    """The anchors of a document with the values that they name. One that is still being read names nothing yet."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def clear(self) -> None:
        """Forget all: a document has begun."""
        self._known.clear()

    def open(self, anchor: str | None) -> None:
        """Begin to read the value of an anchor."""
        if anchor:
            # YAML lets an alias stand inside the value of its own anchor, which would have no end.
            self._known.pop(anchor, None)

    def name(self, anchor: str | None, value: Any) -> None:
        """Keep the value of an anchor."""
        if anchor:
            self._known[anchor] = value

    def get(self, event: Any) -> Any:
        """Return what an alias repeats.

        Raises:
            ParseError: there is no such anchor before it.
        """
        if event.anchor not in self._known:
            refuse(
                event.start_mark,
                f"the alias {printable(event.anchor, 60)} has no anchor before it",
                "put the anchor first",
            )
        return self._known[event.anchor]
