"""YAML as other tools read it, such as CI files and Kubernetes manifests: anchors and merge keys yes, ambiguity no.

PyYAML builds what a file of 400 bytes multiplies to gigabytes, and lets the last of two equal keys win. Here aliases
are counted with all that they repeat before anything is built. Every scalar stays text: what a loader of YAML 1.1 or
1.2 would make of `no` or `0755` is left to the rule that asks. Beside this reader, `authored_yaml` reads what a person
wrote for the gate, and `yaml_survey` lists the keys of large files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zt_gate.codecs.yaml_events import NOT_YAML, PLAIN, Anchors, Bounds, Kind, Odd, Oddity, read_events, refuse
from zt_gate.domain.text import printable
from zt_gate.errors import ParseError

LOADED = Bounds(4 << 20, 64, 300_000)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_WEIGHT = 100
"""Characters of text that count as one node when an alias repeats them."""


class YamlMapping(dict[str, Any]):
    """A mapping that knows the 1-based line of each of its keys."""

    __slots__ = ("line", "lines")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}

    def at(self, key: str) -> int:
        """Return the line of a key, or that of the mapping where the key is absent."""
        return self.lines.get(key, self.line)


class YamlReference(list[Any]):
    """A sequence with GitLab's tag `!reference`: the way to a value that stands elsewhere."""

    __slots__ = ()


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
        references: whether `!reference` is understood; each becomes a `YamlReference`.
        tags: tags that are accepted beside those of the core schema; the value stays text.
        oddities: where to note tags, duplicate keys and aliases, which are refused (aliases: accepted) without it. The
            last of two equal keys counts then, as it does for PyYAML.
        bounds: what the file may cost, aliases expanded.

    Returns:
        For each document a `YamlMapping`, a list, text or None. What an alias repeats is shared and not copied.

    Raises:
        ParseError: it is not UTF-8, not YAML, ambiguous, or larger than the bounds.
    """
    builder = _Builder(references, PLAIN | tags, oddities, bounds)
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
        self._anchors = Anchors()
        self._total = 0

    def take(self, kind: Kind, event: Any) -> None:
        """Take the next event."""
        if kind is Kind.SCALAR:
            self._tag(event, refers=False)
            # Not implicit means quoted: "null" in quotes is a text.
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
            value = YamlReference() if refers else YamlMapping(line) if kind is Kind.MAPPING else []
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
            refuse(
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
                refuse(event.start_mark, "a key that is no text", "use text as the key")
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
                refuse(frame.key_mark, f"the key {printable(key, 60)} appears twice", "remove one of the two")
            self._oddities.append(Odd(Oddity.DUPLICATE, key, frame.key_mark.line + 1))
        frame.value[key] = value
        frame.value.lines[key] = frame.key_mark.line + 1

    def _merge(self, frame: _Frame, mark: Any) -> None:
        """Apply merge keys (https://yaml.org/type/merge.html): what stands in the mapping itself wins, then the first.

        Of several merge keys in one mapping PyYAML and Ruby follow the last, others the first, and some refuse them.
        """
        merge_key_of = dict.fromkeys(frame.value, -1)  # from which merge key
        for number, sources in enumerate(frame.merges):
            for source in sources:
                if not isinstance(source, YamlMapping):
                    refuse(mark, "a merge key that names no mapping", "name a mapping")
                self._count(len(source), mark)
                for key, value in source.items():
                    if merge_key_of.setdefault(key, number) not in (-1, number) and not _equal(frame.value[key], value):
                        problem = f"two merge keys bring {printable(key, 60)}, and readers differ in which counts"
                        refuse(mark, problem, "write one merge key: <<: [*first, *second]")
                    if key not in frame.value:
                        frame.value[key] = value
                        frame.value.lines[key] = source.at(key)

    def _count(self, nodes: int, mark: Any) -> None:
        self._total += nodes
        if self._total > self._bounds.nodes:
            refuse(mark, f"more than {self._bounds.nodes} values, or aliases that grow to as many", "split the file")


def _equal(one: Any, other: Any) -> bool:
    # Collections are compared by identity: aliases can make two of them take forever to compare.
    return one is other or (isinstance(one, str) and isinstance(other, str) and one == other)


def mapping(value: Any, *keys: str) -> YamlMapping:
    """Follow keys through mappings and return the last one; an empty mapping where the way ends."""
    line = value.line if isinstance(value, YamlMapping) else 0
    for key in keys:
        if not isinstance(value, YamlMapping):
            break
        line = value.at(key)
        value = value.get(key)
    return value if isinstance(value, YamlMapping) else YamlMapping(line)


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


def walk(value: Any) -> Iterator[YamlMapping]:
    """Yield every mapping inside a value, outermost first; one that is repeated by an alias once."""
    stack, seen = [value], set[int]()
    while stack:
        item = stack.pop()
        if not isinstance(item, (YamlMapping, list)) or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, YamlMapping):
            yield item
            stack.extend(reversed(list(item.values())))
        else:
            stack.extend(reversed(item))
