"""Yield every key and oddity of a YAML file one at a time, without building values, so that a file may be large."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from zt_gate.codecs.yaml_events import PLAIN, Anchors, Bounds, Kind, Odd, Oddity, read_events

SURVEYED = Bounds(16 << 20, 64, 500_000)
"""An event takes about 7 microseconds: half a million stay within a few seconds."""


@dataclass(frozen=True, slots=True)
class SurveyedEntry:
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


def survey(
    data: bytes, *, tags: frozenset[str] = frozenset(), bounds: Bounds = SURVEYED
) -> Iterator[SurveyedEntry | Odd]:
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
    anchors = Anchors()
    for kind, event in read_events(data, bounds):
        tag = getattr(event, "tag", None)
        if tag and tag not in PLAIN and tag not in tags:
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


def _deliver(stack: list[_Open], value: str, scalar: bool, event: Any) -> Iterator[SurveyedEntry | Odd]:
    """Hand a finished value to the collection around it."""
    if not stack:
        return
    place = stack[-1]
    place.filled = True
    if place.keys is None:
        return
    if place.key is not None:
        yield SurveyedEntry(place.key, value[:_SHOWN], place.line)
        place.key = None
        return
    # A collection as a key has no name that a rule could know.
    place.key, place.line = value if scalar else "", event.start_mark.line + 1
    if scalar and value in place.keys:
        yield Odd(Oddity.DUPLICATE, value, place.line)
    elif scalar:
        place.keys.add(value)
