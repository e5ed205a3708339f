"""YAML that means the same to every reader, read from parser events within bounds.

PyYAML builds what a file of 400 bytes multiplies to gigabytes, and lets the last of two equal keys win. Here one
bounded stream of events (https://yaml.org/spec/1.2.2/#31-processes) feeds three readers, and nothing is built before
its depth and size are known:

- `load`: what other tools read, such as CI files. Anchors and merge keys yes; every scalar stays text.
- `survey`: every key and oddity of a large file, one at a time, and nothing is built.
- `authored_yaml.parse`: what a person wrote for the gate. No anchors, tags or merge keys.
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


LOADED = Bounds(4 << 20, 64, 300_000)
SURVEYED = Bounds(16 << 20, 64, 500_000)
"""An event takes about 7 microseconds: half a million stay within a few seconds."""

_CORE = "tag:yaml.org,2002:"
TIMESTAMP = f"{_CORE}timestamp"
_PLAIN = frozenset(_CORE + kind for kind in ("str", "int", "float", "bool", "null", "map", "seq")) | {"!"}
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_DIRECTIVE = re.compile("(?:^|[\n\r\x85\u2028\u2029])\ufeff?%TAG")
_MAX_DIRECTIVES = 100
"""libyaml compares each %TAG with all before it: 440 kB of them take 20 seconds."""
_WEIGHT = 100
"""Characters of text that count as one node when an alias repeats them."""
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
                    _refuse(event.start_mark, f"nested deeper than {bounds.depth}", "flatten it")
                if nodes > bounds.nodes:
                    _refuse(event.start_mark, f"more than {bounds.nodes} values", "split the file")
            yield kind, event
    except yaml.YAMLError as error:
        raise _syntax_error(error, text) from None


def _decoded(data: bytes, size: int) -> str:
    if len(data) > size:
        raise ParseError(f"more than {size} bytes of YAML", "split the file")
    try:
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
    before = text[: getattr(error, "position", 0)]  # of a character that no YAML may hold
    return ParseError(reason, line=before.count("\n") + 1, column=len(before) - before.rfind("\n"))


def _refuse(mark: Any, problem: str, advice: str = "") -> NoReturn:
    raise ParseError(problem, advice, line=mark.line + 1, column=mark.column + 1)


# --- what other tools read ---------------------------------------------------------------------------------------


class Mapping(dict[str, Any]):
    """A mapping that knows the 1-based line of each of its keys."""

    __slots__ = ("line", "lines")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}

    def at(self, key: str) -> int:
        """Return the line of a key, or that of the mapping where the key is absent."""
        return self.lines.get(key, self.line)


class Reference(list[Any]):
    """A sequence with GitLab's tag `!reference`: the way to a value that stands elsewhere."""

    __slots__ = ()


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


def load(
    data: bytes,
    *,
    references: bool = False,
    tags: frozenset[str] = frozenset(),
    oddities: list[Odd] | None = None,
    bounds: Bounds = LOADED,
) -> list[Any]:
    """Parse every document of a stream. Every scalar stays text; what a rule makes of `no` or `0755` is its own matter.

    Args:
        data: the stream.
        references: whether `!reference` is understood; each becomes a `Reference`.
        tags: tags that are accepted beside those of the core schema; the value stays text.
        oddities: where to note tags, duplicate keys and aliases, which are refused (aliases: accepted) without it. The
            last of two equal keys counts then, as it does for PyYAML.
        bounds: what the file may cost, aliases expanded.

    Returns:
        For each document a `Mapping`, a list, text or None. What an alias repeats is shared and not copied.

    Raises:
        ParseError: it is not UTF-8, not YAML, ambiguous, or larger than the bounds.
    """
    builder = _Builder(references, _PLAIN | tags, oddities, bounds)
    for kind, event in read_events(data, bounds):
        builder.take(kind, event)
    return builder.documents


def load_one(
    data: bytes, *, tags: frozenset[str] = frozenset(), oddities: list[Odd] | None = None, bounds: Bounds = LOADED
) -> Any:
    """Parse a stream of one document, as `load` does.

    Returns:
        The document; None where the stream is empty.

    Raises:
        ParseError: as for `load`, or there are more documents.
    """
    documents = load(data, tags=tags, oddities=oddities, bounds=bounds)
    if len(documents) > 1:
        raise ParseError(f"{NOT_YAML}expected a single document, and there is more than one")
    return documents[0] if documents else None


class _Anchors:
    """The anchors of a document with the values that they name. One that is still being read names nothing yet."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def clear(self) -> None:
        self._known.clear()

    def open(self, anchor: str | None) -> None:
        if anchor:
            self._known.pop(anchor, None)

    def name(self, anchor: str | None, value: Any) -> None:
        if anchor:
            self._known[anchor] = value

    def get(self, event: Any) -> Any:
        if event.anchor not in self._known:
            _refuse(
                event.start_mark,
                f"the alias {printable(event.anchor, 60)} has no anchor before it",
                "put the anchor first",
            )
        return self._known[event.anchor]


class _Frame:
    """A collection that is being built."""

    __slots__ = ("anchor", "key", "key_mark", "merges", "nodes", "value")

    def __init__(self, value: Any, anchor: str | None) -> None:
        self.value = value
        self.anchor = anchor
        self.key: str | None = None
        self.key_mark: Any = None
        self.merges: list[list[Any]] = []
        """What each merge key names."""
        self.nodes = 1


class _Builder:
    """A machine over the events, with a stack of the collections that are open."""

    def __init__(self, references: bool, tags: frozenset[str], oddities: list[Odd] | None, bounds: Bounds) -> None:
        self.documents: list[Any] = []
        self._references = references
        self._tags = tags
        self._oddities = oddities
        self._bounds = bounds
        self._stack: list[_Frame] = []
        self._anchors = _Anchors()
        self._total = 0

    def take(self, kind: Kind, event: Any) -> None:
        """Take the next event."""
        if kind is Kind.SCALAR:
            self._tag(event, refers=False)
            plain = event.implicit[0] and event.value in _NULLS
            self._add(None if plain else event.value, 1 + len(event.value) // _WEIGHT, event, event.anchor)
        elif kind is Kind.ALIAS:
            value, nodes = self._anchors.get(event)
            self._note(Oddity.ALIAS, event.anchor, event)
            self._count(nodes - 1, event.start_mark)
            self._add(value, nodes, event, None)
        elif kind in (Kind.MAPPING, Kind.SEQUENCE):
            refers = self._references and kind is Kind.SEQUENCE and event.tag == "!reference"
            self._tag(event, refers)
            line = event.start_mark.line + 1
            self._anchors.open(event.anchor)
            value = Reference() if refers else Mapping(line) if kind is Kind.MAPPING else []
            self._stack.append(_Frame(value, event.anchor))
        elif kind is Kind.END:
            frame = self._stack.pop()
            if frame.merges:
                self._merge(frame, event.start_mark)
            self._add(frame.value, frame.nodes, event, frame.anchor)
        elif kind is Kind.DOCUMENT:
            self._anchors.clear()

    def _note(self, kind: Oddity, detail: str, event: Any) -> None:
        if self._oddities is not None:
            self._oddities.append(Odd(kind, str(detail), event.start_mark.line + 1))

    def _tag(self, event: Any, refers: bool) -> None:
        if not event.tag or event.tag in self._tags or refers:
            return
        if self._oddities is None:
            _refuse(
                event.start_mark,
                f"the tag {printable(event.tag, 60)} means different things to different readers",
                "remove the tag",
            )
        self._note(Oddity.TAG, event.tag, event)

    def _add(self, value: Any, nodes: int, event: Any, anchor: str | None) -> None:
        """Put a finished value where it belongs. `nodes` counts it with everything that it repeats."""
        self._count(1, event.start_mark)
        self._anchors.name(anchor, (value, nodes))
        if not self._stack:
            self.documents.append(value)
            return
        frame = self._stack[-1]
        frame.nodes += nodes
        if isinstance(frame.value, list):
            frame.value.append(value)
        elif frame.key is None:
            if not isinstance(value, str):
                _refuse(event.start_mark, "a key that is no text", "use text as the key")
            frame.key, frame.key_mark = value, event.start_mark
        else:
            self._put(frame, value)

    def _put(self, frame: _Frame, value: Any) -> None:
        key, frame.key = frame.key or "", None
        if key == "<<":
            frame.merges.append(value if isinstance(value, list) else [value])
            return
        if key in frame.value:
            if self._oddities is None:
                _refuse(frame.key_mark, f"the key {printable(key, 60)} appears twice", "remove one of the two")
            self._oddities.append(Odd(Oddity.DUPLICATE, key, frame.key_mark.line + 1))
        frame.value[key] = value
        frame.value.lines[key] = frame.key_mark.line + 1

    def _merge(self, frame: _Frame, mark: Any) -> None:
        """Apply merge keys (https://yaml.org/type/merge.html): what stands in the mapping itself wins, then the first.

        Of several merge keys in one mapping PyYAML and Ruby follow the last, others the first, and some refuse them.
        """
        came = dict.fromkeys(frame.value, -1)  # from which merge key
        for number, sources in enumerate(frame.merges):
            for source in sources:
                if not isinstance(source, Mapping):
                    _refuse(mark, "a merge key that names no mapping", "name a mapping")
                self._count(len(source), mark)
                for key, value in source.items():
                    if came.setdefault(key, number) not in (-1, number) and not _equal(frame.value[key], value):
                        problem = f"two merge keys bring {printable(key, 60)}, and readers differ in which counts"
                        _refuse(mark, problem, "write one merge key: <<: [*first, *second]")
                    if key not in frame.value:
                        frame.value[key] = value
                        frame.value.lines[key] = source.at(key)

    def _count(self, nodes: int, mark: Any) -> None:
        self._total += nodes
        if self._total > self._bounds.nodes:
            _refuse(mark, f"more than {self._bounds.nodes} values, or aliases that grow to as many", "split the file")


def _equal(one: Any, other: Any) -> bool:
    # Collections are compared by identity: aliases can make two of them take forever to compare.
    return one is other or (isinstance(one, str) and isinstance(other, str) and one == other)


def mapping(value: Any, *keys: str) -> Mapping:
    """Follow keys through mappings and return the last one; an empty mapping where the way ends."""
    line = value.line if isinstance(value, Mapping) else 0
    for key in keys:
        if not isinstance(value, Mapping):
            break
        line = value.at(key)
        value = value.get(key)
    return value if isinstance(value, Mapping) else Mapping(line)


def items(value: Any, *keys: str) -> list[Any]:
    """Follow keys through mappings and return the list there; an empty one where there is none."""
    inner = mapping(value, *keys[:-1]).get(keys[-1]) if keys else value
    return inner if isinstance(inner, list) else []


def text(value: Any, *keys: str) -> str:
    """Follow keys through mappings and return the scalar there; empty where there is none."""
    inner = mapping(value, *keys[:-1]).get(keys[-1]) if keys else value
    return inner if isinstance(inner, str) else ""


def is_true(value: Any) -> bool:
    """Whether a scalar means yes to one of the readers that it may meet."""
    return isinstance(value, str) and value.strip().lower() in ("true", "yes", "on", "y", "1")


def is_false(value: Any) -> bool:
    """Whether a scalar means no to one of the readers that it may meet."""
    return isinstance(value, str) and value.strip().lower() in ("false", "no", "off", "n", "0")


def walk(value: Any) -> Iterator[Mapping]:
    """Yield every mapping inside a value, outermost first; one that is repeated by an alias once."""
    stack, seen = [value], set[int]()
    while stack:
        item = stack.pop()
        if not isinstance(item, (Mapping, list)) or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, Mapping):
            yield item
            stack.extend(reversed(list(item.values())))
        else:
            stack.extend(reversed(item))


# --- every key, and nothing built --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping with its value."""

    key: str
    value: str
    """The first characters of a scalar, an ellipsis for a collection, empty for an empty one."""
    line: int


_SHOWN = 256
"""Characters of a value that an entry carries: an alias may repeat a megabyte a hundred thousand times."""


@dataclass(slots=True)
class _Open:
    """A collection that is being read."""

    anchor: str | None
    keys: set[str] | None
    """Those seen so far; None in a sequence."""
    filled: bool = False
    key: str | None = None
    """The key that waits for its value."""
    line: int = 0


def survey(data: bytes, *, tags: frozenset[str] = frozenset(), bounds: Bounds = SURVEYED) -> Iterator[Entry | Odd]:
    """Yield every entry of every mapping, and what is odd, in the order in which they end in the text.

    Aliases are resolved and not expanded: each entry is yielded once, where it is written.

    Args:
        data: a stream of documents.
        tags: tags that are not odd, beside those of the core schema.
        bounds: what the file may cost.

    Raises:
        ParseError: it is not UTF-8, not YAML, or larger than the bounds. What was yielded before stays true.
    """
    stack: list[_Open] = []
    anchors = _Anchors()
    for kind, event in read_events(data, bounds):
        tag = getattr(event, "tag", None)
        if tag and tag not in _PLAIN and tag not in tags:
            yield Odd(Oddity.TAG, str(tag), event.start_mark.line + 1)
        if kind is Kind.SCALAR:
            anchors.name(event.anchor, (event.value, True))
            yield from _deliver(stack, event.value, True, event)
        elif kind is Kind.ALIAS:
            yield Odd(Oddity.ALIAS, str(event.anchor), event.start_mark.line + 1)
            value, scalar = anchors.get(event)
            yield from _deliver(stack, value, scalar, event)
        elif kind in (Kind.MAPPING, Kind.SEQUENCE):
            anchors.open(event.anchor)
            stack.append(_Open(event.anchor, set() if kind is Kind.MAPPING else None))
        elif kind is Kind.END:
            ended = stack.pop()
            value = "…" if ended.filled else ""
            anchors.name(ended.anchor, (value, False))
            yield from _deliver(stack, value, False, event)
        elif kind is Kind.DOCUMENT:
            anchors.clear()


def _deliver(stack: list[_Open], value: str, scalar: bool, event: Any) -> Iterator[Entry | Odd]:
    """Hand a finished value to the collection around it."""
    if not stack:
        return
    place = stack[-1]
    place.filled = True
    if place.keys is None:
        return
    if place.key is not None:
        yield Entry(place.key, value[:_SHOWN], place.line)
        place.key = None
        return
    # A collection as a key has no name that a rule could know.
    place.key, place.line = value if scalar else "", event.start_mark.line + 1
    if scalar and value in place.keys:
        yield Odd(Oddity.DUPLICATE, value, place.line)
    elif scalar:
        place.keys.add(value)
