"""Protobuf messages walked by field number: no generated code, and nothing read that is not asked for.

A schema says which fields exist and which of them are messages. Whatever it does not know is noted, since a field that
this version cannot name may mean something to the program that loads the file. Raw bytes are passed over by seeking,
so that a model costs as much as its headers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from zt_gate.domain import printable
from zt_gate.errors import TargetError
from zt_gate.intake import ByteSource
from zt_gate.scan.artifacts.format import Input
from zt_gate.scan.interface import BrokenFileError

Schema = Mapping[str, Mapping[int, str]]
"""Fields by message and number.

A field is `int`, `fixed32`, `fixed64`, `text` (loaded), `data` (kept as a range), `skip` (passed over) or the name of a
message; `*` behind it means repeated.
"""

# The limit of protobuf's own readers by default.
_MAX_DEPTH = 100
_FREE_FIELDS, _BYTES_A_FIELD = 500_000, 4
"""Fields of all messages: so many in any file, and one more for so many bytes of it."""
_MAX_TEXT = 1 << 20
_MAX_NOTES = 20
_CHUNK = 1 << 16
_WIRES = {"int": 0, "fixed64": 1, "fixed32": 5}
_WIDTHS = {1: 8, 5: 4}
_LENGTH = 2


class BrokenProtobufError(BrokenFileError):
    """The bytes are no protobuf message, or nest deeper than protobuf's own readers go."""


class BadProtobufError(TargetError):
    """The bytes are no message of the expected kind."""


@dataclass(frozen=True, slots=True)
class Span:
    """A range of the source that was passed over."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes in the range."""
        return self.end - self.start


@dataclass(slots=True)
class ProtobufMessage:
    """One message whose end has been reached."""

    kind: str
    start: int
    end: int
    values: dict[int, list[Any]] = field(default_factory=dict)
    """By field number: ints, texts, spans, or what the handlers of inner messages returned (never None)."""

    def text(self, number: int) -> str:
        """Return the last value of a text field; empty when there is none."""
        return str(self.values.get(number, [""])[-1])

    def number(self, number: int, default: int = 0) -> int:
        """Return the last value of an integer field."""
        return int(self.values.get(number, [default])[-1])

    def all(self, number: int) -> list[Any]:
        """Return every value of a field."""
        return self.values.get(number, [])


Handler = Callable[[ProtobufMessage], Any]


@dataclass(frozen=True, slots=True)
class _Step:
    """What to do with one field, found by its tag: the number together with the wire type."""

    number: int
    name: str
    repeated: bool
    keep: bool
    """Whether the record of the message remembers the value."""


class Walker:
    """Walks one message and everything in it, and hands each inner message to its handler when it ends.

    Args:
        source: the bytes.
        schema: what is known about them.
        handlers: by message name; what a handler returns is kept in the record of the outer message. A message
            without a handler is walked and forgotten.
        strict: whether what the schema does not know ends the walk.
    """

    def __init__(
        self, source: ByteSource, schema: Schema, handlers: Mapping[str, Handler], *, strict: bool = False
    ) -> None:
        self._source = source
        self._strict = strict
        self._handlers = handlers
        self._plan = {kind: _steps(fields) for kind, fields in schema.items()}
        self._base = 0
        self._buffer = b""
        self._fast = 0
        self._fields = _FREE_FIELDS + source.size // _BYTES_A_FIELD
        self.notes: dict[str, int] = {}
        """What this version cannot vouch for, with the first offset at which it stands."""

    def walk(self, kind: str, start: int = 0, end: int | None = None, depth: int = 0) -> ProtobufMessage:
        """Walk the message of this kind in a range, the whole source by default.

        Raises:
            BadProtobufError: it is cut off, nested too deeply, or uses what protobuf does not define.
        """
        if depth > _MAX_DEPTH:
            raise BrokenProtobufError(f"messages nested more than {_MAX_DEPTH} deep at offset {start}")
        stop = self._source.size if end is None else end
        record, plan, at = ProtobufMessage(kind, start, stop), self._plan[kind], start
        forget = depth > 0 and kind not in self._handlers
        seen: set[int] = set()
        count = 0
        while at < stop:
            began = at
            count += 1
            if count > self._fields:
                raise BadProtobufError("more fields than a message of this size is read for")
            # One-byte tags are nearly all there are; this is the inner loop.
            index = at - self._base
            if 0 <= index < self._fast and (tag := self._buffer[index]) < 0x80:
                at += 1
            else:
                tag, at = self._varint(at, stop)
            step = plan.get(tag)
            value, after = self._payload(tag & 7, at, stop, began)
            if step is None:
                self._note(f"{kind} field {tag >> 3} (wire type {tag & 7})", began)
            else:
                if not step.repeated:
                    # Readers merge a second message of a single field into the first, which this walk does not.
                    if step.number in seen:
                        self._note(f"{kind} field {step.number} a second time", began)
                    seen.add(step.number)
                if step.name in self._plan:
                    self._inner(record, step, at if tag & 7 != _LENGTH else after - value, after, depth)
                elif step.keep and not forget:
                    kept = value if tag & 7 == 0 else self._value(step, after - value, after)
                    record.values.setdefault(step.number, []).append(kept)
            at = after
        self._fields -= count
        return record

    def _inner(self, record: ProtobufMessage, step: _Step, start: int, end: int, depth: int) -> None:
        handler = self._handlers.get(step.name)
        inner = self.walk(step.name, start, end, depth + 1)
        kept = handler(inner) if handler else None
        if kept is not None:
            record.values.setdefault(step.number, []).append(kept)
        elif not step.repeated:
            record.values.setdefault(step.number, [])

    def _value(self, step: _Step, start: int, end: int) -> Any:
        if step.name != "text":
            return Span(start, end)
        at = start - self._base
        if at >= 0 and end - start <= len(self._buffer) - at:
            return self._buffer[at : at + end - start].decode("utf-8")
        return self.read(Span(start, end)).decode("utf-8")

    def read(self, span: Span, limit: int = _MAX_TEXT) -> bytes:
        """Return the bytes of a range.

        Raises:
            BadProtobufError: there are more than the limit.
        """
        if span.size > limit:
            raise BadProtobufError(f"a text of {span.size} bytes at offset {span.start}")
        return self._source.read_at(span.start, span.size)

    def _payload(self, wire: int, at: int, stop: int, began: int) -> tuple[int, int]:
        """Return the number itself, or the length of what is not one, and the offset behind it."""
        if wire in (0, _LENGTH):
            index = at - self._base
            if at < stop and 0 <= index < self._fast and (value := self._buffer[index]) < 0x80:
                at += 1
            else:
                value, at = self._varint(at, stop)
            if wire == 0:
                return value, at
        elif wire in _WIDTHS:
            value = _WIDTHS[wire]
        else:
            # 3 and 4 are groups, which protobuf gave up long ago.
            raise BrokenProtobufError(f"wire type {wire} at offset {began} is not protobuf of today")
        if at + value > stop:
            raise BrokenProtobufError(f"the field at offset {began} runs past the end of its message")
        return value, at + value

    def _varint(self, at: int, stop: int) -> tuple[int, int]:
        index = at - self._base
        if not 0 <= index < self._fast:
            self._base, index = at, 0
            self._buffer = self._source.read_at(at, min(_CHUNK, self._source.size - at))
            # A varint has ten bytes at most, so one that begins before this mark lies whole in the buffer.
            self._fast = len(self._buffer) - 10
        buffer = self._buffer
        result = shift = 0
        limit = min(len(buffer), index + min(10, stop - at))
        while index < limit:
            byte = buffer[index]
            index += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                # protobuf drops what the tenth byte has beyond 64 bits.
                return result & 0xFFFFFFFFFFFFFFFF, self._base + index
            shift += 7
        raise BrokenProtobufError(f"a number at offset {at} is cut off or longer than 10 bytes")

    def _note(self, what: str, offset: int) -> None:
        if self._strict:
            raise BadProtobufError(what)
        if len(self.notes) < _MAX_NOTES:
            self.notes.setdefault(what, offset)


def _steps(fields: Mapping[int, str]) -> dict[int, _Step]:
    steps = {}
    for number, text in fields.items():
        name, repeated = _spec(text)
        step = _Step(number, name, repeated, keep=name != "skip")
        wire = _WIRES.get(name, _LENGTH)
        steps[number << 3 | wire] = step
        if repeated and wire != _LENGTH:
            steps[number << 3 | _LENGTH] = step  # packed
    return steps


def _spec(text: str) -> tuple[str, bool]:
    return text.removesuffix("*"), text.endswith("*")


def top_level(source: ByteSource, schema: Schema, kind: str) -> dict[int, int]:
    """Return how often each field stands at the top of a message, or nothing where the bytes are no such message."""
    shallow = {kind: {n: _flat(spec, schema) for n, spec in schema[kind].items()}}
    walker = Walker(source, shallow, {}, strict=True)
    try:
        record = walker.walk(kind)
    except (TargetError, ValueError):
        return {}
    return {number: len(values) for number, values in record.values.items()}


def _flat(spec: str, schema: Schema) -> str:
    name, repeated = _spec(spec)
    flat = "data" if name in schema or name in ("text", "skip") else name
    return flat + "*" * repeated


def note_unknowns(piece: Input, walker: Walker, what: str) -> None:
    """Turn what the walker could not vouch for into gaps."""
    for note, offset in walker.notes.items():
        where = f"{printable(piece.source.member, 120)}: " if piece.source.member else ""
        piece.exam.gap(f"{where}{what}: {note} at offset {offset} is not known to this version",
                       "update zt-gate, or export the model again with a current exporter")  # fmt: skip
