"""GGUF: typed key-value pairs, chat templates among them, and tensor descriptions that have to fill the file."""

from __future__ import annotations

import math
import struct
from typing import Any

from zt_gate.domain import printable
from zt_gate.errors import TargetError
from zt_gate.intake import ByteSource
from zt_gate.scan.artifacts.format import Format, Input
from zt_gate.scan.artifacts.texts.jinja_template import examine_template
from zt_gate.scan.artifacts.texts.metadata import judge_metadata
from zt_gate.scan.interface import Head

_CHUNK = 1 << 20
_MAX_PAIRS = 100_000
_MAX_TENSORS = 1_000_000
_MAX_ITEMS = 20_000_000
_MAX_TEXT = 16 << 20
# ggml itself has four.
_MAX_DIMENSIONS = 8
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<L", 5: "<l", 6: "<f", 7: "<B", 10: "<Q", 11: "<q", 12: "<d"}
_WIDTHS = {kind: struct.calcsize(form) for kind, form in _SCALARS.items()}
# Elements per block and bytes per block of each tensor type; types that were removed from the format are left out.
_TYPES = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66),
    17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136),
    24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66),
    39: (32, 17), 40: (64, 36),
}  # fmt: skip


class BadGgufError(TargetError):
    """The header of the file does not add up."""


class _HeaderCursor:
    """A cursor over the header."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self.at = 0
        self._base = 0
        self._buffer = b""

    def take(self, length: int) -> bytes:
        """Return the next bytes.

        Raises:
            BadGgufError: the file ends before.
        """
        if self.at + length > self._source.size:
            raise BadGgufError(f"the GGUF header is cut off at {self.at}")
        start = self.at - self._base
        if start < 0 or start + length > len(self._buffer):
            self._base, start = self.at, 0
            self._buffer = self._source.read_at(self.at, max(length, min(_CHUNK, self._source.size - self.at)))
        self.at += length
        return self._buffer[start : start + length]

    def skip(self, length: int) -> None:
        """Pass over bytes without reading them."""
        if length > self._source.size - self.at:
            raise BadGgufError(f"the GGUF header is cut off at {self.at}")
        self.at += length

    def number(self, form: str) -> Any:
        """Return the next number of a struct format."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def text(self) -> str:
        """Return the next string."""
        length = self.number("<Q")
        if length > _MAX_TEXT:
            raise BadGgufError(f"a GGUF text of {length} bytes at {self.at}")
        return self.take(length).decode("utf-8", "backslashreplace")


def _value(reader: _HeaderCursor, kind: int, *, keep: bool) -> Any:
    """Read one value; arrays are passed over unless they are texts to keep."""
    if kind == _STRING:
        if keep:
            return reader.text()
        reader.skip(reader.number("<Q"))
        return None
    if kind in _SCALARS:
        return reader.number(_SCALARS[kind])
    if kind != _ARRAY:
        raise BadGgufError(f"the value type {kind} at {reader.at} is not known to this version")
    inner, count = reader.number("<L"), reader.number("<Q")
    if inner in _WIDTHS:
        reader.skip(_WIDTHS[inner] * count)
        return None
    if inner != _STRING or count > _MAX_ITEMS:
        raise BadGgufError(f"an array of {count} items of type {inner} at {reader.at}")
    return [_value(reader, inner, keep=keep) for _ in range(count)] if keep else _skip_texts(reader, count)


def _skip_texts(reader: _HeaderCursor, count: int) -> None:
    for _ in range(count):
        reader.skip(int.from_bytes(reader.take(8), "little"))


def _bad(piece: Input, what: str, symbol: str) -> None:
    piece.exam.finding("ART-530", f"the GGUF layout is wrong: {what}", member=piece.source.member,
                       symbol=printable(symbol, 80))  # fmt: skip


def _examine(piece: Input) -> None:
    reader = _HeaderCursor(piece.source)
    reader.skip(4)
    version = reader.number("<L")
    if version not in (2, 3):
        _bad(piece, f"version {version & 0xFFFFFFFF}, which no reader knows", "version")
        piece.exam.gap(f"GGUF version {version & 0xFFFFFFFF} is not examined by this version",
                       "convert the model to GGUF version 3")  # fmt: skip
        return
    tensors, pairs = reader.number("<Q"), reader.number("<Q")
    if tensors > _MAX_TENSORS or pairs > _MAX_PAIRS:
        _bad(piece, "it announces more than any model has", "counts")
        raise BadGgufError(f"{tensors} tensors and {pairs} keys are more than any model has")
    alignment = _pairs(piece, reader, pairs)
    # llama.cpp takes powers of two alone, too.
    if not 1 <= alignment <= 1 << 16 or alignment & (alignment - 1):
        raise BadGgufError(f"an alignment of {alignment}")
    spans = _tensors(piece, reader, tensors)
    start = reader.at + -reader.at % alignment
    _layout(piece, spans, reader.at, start, alignment)
    piece.exam.cover_all()


def _pairs(piece: Input, reader: _HeaderCursor, count: int) -> int:
    seen: set[str] = set()
    alignment = 32
    for _ in range(count):
        key = reader.text()
        if key in seen:
            _bad(piece, f"the key {printable(key, 80)} appears twice", key)
        seen.add(key)
        kind = reader.number("<L")
        # `tokenizer.chat_template.NAME` holds further templates beside the first.
        is_template = "chat_template" in key
        value = _value(reader, kind, keep=not key.startswith("tokenizer.ggml.") or kind in _SCALARS)
        if key == "general.alignment" and isinstance(value, int):
            alignment = value
        elif is_template:
            for text in value if isinstance(value, list) else [value]:
                # `tokenizer.chat_templates` lists the names of further templates, which are no templates themselves.
                if isinstance(text, str) and not (isinstance(value, list) and text.isidentifier()):
                    examine_template(piece, text, key)
        else:
            texts = value if isinstance(value, list) else [value]
            judge_metadata(piece, ((key, text) for text in texts if isinstance(text, str)))
    return alignment


def _tensors(piece: Input, reader: _HeaderCursor, count: int) -> list[tuple[int, int, str]]:
    spans, seen = [], set()
    for _ in range(count):
        name = reader.text()
        dimensions = reader.number("<L")
        if dimensions > _MAX_DIMENSIONS:
            raise BadGgufError(f"a tensor with {dimensions} dimensions at {reader.at}")
        elements = math.prod(reader.number("<Q") for _ in range(dimensions))
        kind, offset = reader.number("<L"), reader.number("<Q")
        if name in seen:
            _bad(piece, f"there is a second tensor {printable(name, 80)}", name)
        seen.add(name)
        if kind not in _TYPES:
            piece.exam.gap(f"tensor {printable(name, 80)} has type {kind}, which this version does not know",
                           "update zt-gate, or quantise to a released type")  # fmt: skip
            continue
        block, width = _TYPES[kind]
        if elements % block:
            _bad(piece, f"tensor {printable(name, 80)} is no whole number of blocks", name)
        spans.append((offset, offset + -(-elements // block) * width, name))
    return sorted(spans)


def _layout(piece: Input, spans: list[tuple[int, int, str]], header: int, start: int, alignment: int) -> None:
    """Tensors follow one another, with zeros up to the next multiple of the alignment, to the end of the file."""
    size = piece.source.size
    if spans and start > size:
        _bad(piece, "the header ends behind the end of the file", "end")
        return
    _zeros(piece, header, min(start, size) if spans else size, "header")
    position = 0
    for first, end, name in spans:
        shown = printable(name, 80)
        if first % alignment or first < position:
            _bad(piece, f"tensor {shown} overlaps the one before or is not aligned", name)
        elif first - position >= alignment:
            _bad(piece, f"tensor {shown} leaves a hole of {first - position} bytes", name)
        else:
            _zeros(piece, start + position, start + first, name)
        if start + end > size:
            _bad(piece, f"tensor {shown} runs past the end of the file", name)
            return
        position = max(position, end)
    if spans:
        _zeros(piece, start + position, size, "end", alignment)


def _zeros(piece: Input, start: int, end: int, name: str, limit: int = 1 << 16) -> None:
    if end - start >= limit or piece.source.read_at(start, end - start).strip(b"\0"):
        _bad(piece, f"bytes {start} to {end} belong to no tensor", name)


def split_count(source: ByteSource) -> int:
    """Return into how many parts a model is split by its own word; 0 where it says nothing or is no GGUF."""
    try:
        reader = _HeaderCursor(source)
        if reader.take(4) != b"GGUF" or reader.number("<L") not in (2, 3):
            return 0
        _, pairs = reader.number("<Q"), reader.number("<Q")
        for _ in range(min(pairs, _MAX_PAIRS)):
            key, kind = reader.text(), reader.number("<L")
            value = _value(reader, kind, keep=False)
            if key == "split.count":
                return value if isinstance(value, int) else 0
    except (BadGgufError, struct.error):
        return 0  # its own examination says so
    return 0


def _matches(head: Head) -> bool:
    return head.start.startswith(b"GGUF")


GGUF = Format("gguf", _matches, _examine)
