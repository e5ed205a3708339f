"""YAML and JSON documents as Kubernetes tools read them: anchors and merge keys yes, ambiguity no.

Built from parser events with a stack, so that depth, size and the growth of aliases are bounded before anything is
built (https://yaml.org/spec/1.2.2/). Every scalar stays text: what a loader of YAML 1.1 or 1.2 would make of `no` or
`0755` is left to the rule that asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zt_gate.domain import printable

MAX_BYTES = 4 << 20
_MAX_DEPTH = 64
_MAX_NODES = 300_000
_PLAIN = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq")) | {
    "!"
}
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


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


def load(data: bytes, *, references: bool = False) -> list[Any]:
    """Parse every document of a stream.

    Args:
        data: the stream.
        references: whether `!reference` is understood; each becomes a `Reference`.

    Returns:
        For each document a `Mapping`, a list, text or None.

    Raises:
        ValueError: it is not UTF-8, not YAML, ambiguous, or larger than the limits.
    """
    import yaml  # imported here: a target without manifests does not pay for it

    if len(data) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes of YAML")
    try:
        decoded = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from None
    builder = _Builder("!reference" if references else "")
    try:
        for event in yaml.parse(decoded, Loader=yaml.CSafeLoader):
            builder.take(event, yaml)
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {printable(' '.join(str(error).split()), 160)}") from None
    return builder.documents


class _Frame:
    """A collection that is being built."""

    __slots__ = ("anchor", "key", "key_line", "merges", "nodes", "value")

    def __init__(self, value: Any, anchor: str | None) -> None:
        self.value = value
        self.anchor = anchor
        self.key: str | None = None
        self.key_line = 0
        self.merges: list[Any] = []
        self.nodes = 1


class _Builder:
    """A machine over the events of a YAML parser."""

    def __init__(self, reference: str) -> None:
        self.documents: list[Any] = []
        self._reference = reference
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._total = 0

    def take(self, event: Any, yaml: Any) -> None:
        """Take the next event.

        Raises:
            ValueError: as for `load`.
        """
        line = event.start_mark.line + 1
        tag = getattr(event, "tag", None)
        refers = bool(tag) and tag == self._reference and isinstance(event, yaml.SequenceStartEvent)
        if tag and tag not in _PLAIN and not refers:
            raise ValueError(f"line {line}: the tag {printable(tag, 60)} means different things to different readers")
        if isinstance(event, yaml.DocumentStartEvent):
            self._anchors.clear()
        elif isinstance(event, yaml.ScalarEvent):
            plain = event.implicit[0] and event.value in _NULLS
            self._add(None if plain else event.value, 1, event.anchor, line)
        elif isinstance(event, yaml.AliasEvent):
            value, nodes = self._anchors.get(event.anchor, (None, 0))
            if not nodes:
                raise ValueError(f"line {line}: the alias {printable(event.anchor, 60)} has no anchor before it")
            self._add(value, nodes, None, line)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            if len(self._stack) >= _MAX_DEPTH:
                raise ValueError(f"line {line}: nested deeper than {_MAX_DEPTH}")
            value = Reference() if refers else Mapping(line) if isinstance(event, yaml.MappingStartEvent) else []
            self._stack.append(_Frame(value, event.anchor))
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            frame = self._stack.pop()
            _merge(frame)
            self._add(frame.value, frame.nodes, frame.anchor, line)

    def _add(self, value: Any, nodes: int, anchor: str | None, line: int) -> None:
        """Put a finished value where it belongs. `nodes` counts it with everything that it repeats."""
        self._total += 1
        if anchor:
            self._anchors[anchor] = (value, nodes)
        if not self._stack:
            self.documents.append(value)
            return
        frame = self._stack[-1]
        frame.nodes += nodes
        if frame.nodes > _MAX_NODES or self._total > _MAX_NODES:
            raise ValueError(f"line {line}: more than {_MAX_NODES} values, or aliases that grow to as many")
        if isinstance(frame.value, list):
            frame.value.append(value)
        elif frame.key is None:
            if not isinstance(value, str):
                raise ValueError(f"line {line}: a key that is no text")  # noqa: TRY004 - as in _merge
            frame.key, frame.key_line = value, line
        else:
            _put(frame, value)


def _put(frame: _Frame, value: Any) -> None:
    key, frame.key = frame.key or "", None
    if key == "<<":
        frame.merges += value if isinstance(value, list) else [value]
        return
    if key in frame.value:
        raise ValueError(f"line {frame.key_line}: the key {printable(key, 60)} appears twice")
    frame.value[key] = value
    frame.value.lines[key] = frame.key_line


def _merge(frame: _Frame) -> None:
    """Apply merge keys (https://yaml.org/type/merge.html): what stands in the mapping itself wins, then the first."""
    for source in frame.merges:
        if not isinstance(source, Mapping):
            raise ValueError("a merge key that names no mapping")  # noqa: TRY004 - one kind of error for bad input
        for key, value in source.items():
            if key not in frame.value:
                frame.value[key] = value
                frame.value.lines[key] = source.at(key)


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
