"""How parent and worker talk: a length-prefixed JSON header, then the raw bytes of the tensors that it lists.

Never a pickle. The parent reads with limits of its own, and believes neither a length nor a shape: it checks the header
against them before it reads on.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zt_gate.codecs.strict_json import parse_json

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

MAX_HEADER = 8 << 20
MAX_TENSORS = 64
MAX_BYTES = 2 << 30
MAX_DIMENSIONS = 6
# No object type: its bytes would be pointers.
_DTYPES = {"float32": 4, "float64": 8, "int64": 8, "int32": 4, "uint8": 1}
_LENGTH = struct.Struct("<I")
PREFIX = _LENGTH.size


class WireError(Exception):
    """What arrived is not what these two agreed on."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one side tells the other."""

    head: dict[str, Any]
    tensors: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layout:
    """One tensor that a header announces."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        total = _DTYPES[self.dtype]
        for length in self.shape:
            total *= length
        return total


def encode(message: Message) -> list[bytes | memoryview]:
    """Return a message as the pieces to write, in order.

    Raises:
        WireError: a tensor of a type that is not sent, or too many.
    """
    import numpy as np

    layouts, bodies = [], []
    for name, tensor in message.tensors.items():
        # A scalar becomes a row of one: numpy returns at least one dimension here.
        dense = np.ascontiguousarray(tensor)
        if dense.dtype.name not in _DTYPES:
            raise WireError(f"tensors of type {dense.dtype.name} are not sent")
        layouts.append({"name": name, "dtype": dense.dtype.name, "shape": list(dense.shape)})
        bodies.append(memoryview(dense.reshape(-1).view(np.uint8)))  # type: ignore[arg-type]  # an array is a buffer
    # Python would write NaN, which is no JSON and which the strict reader at the other end refuses.
    head = json.dumps({"head": message.head, "tensors": layouts}, allow_nan=False).encode()
    if len(head) > MAX_HEADER or len(layouts) > MAX_TENSORS:
        raise WireError("the message is larger than the other side accepts")
    return [_LENGTH.pack(len(head)), head, *bodies]


def header_size(prefix: bytes, limit: int = MAX_HEADER) -> int:
    """Return the length of the header that follows.

    Raises:
        WireError: it is longer than the limit.
    """
    (size,) = _LENGTH.unpack(prefix)
    if size > limit:
        raise WireError(f"a header of {size} bytes was announced, more than {limit}")
    return int(size)


def parse_header(data: bytes, limit: int = MAX_BYTES) -> tuple[dict[str, Any], list[Layout]]:
    """Read a header, strictly.

    Args:
        data: its bytes.
        limit: most bytes of all tensors together.

    Raises:
        WireError: malformed, or beyond the limits.
    """
    try:
        value = parse_json(data)
    except ValueError as error:
        raise WireError(f"the header is not strict JSON: {error}") from None
    if not isinstance(value, dict) or value.keys() != {"head", "tensors"} or not isinstance(value["head"], dict):
        raise WireError("the header has another form")
    listed = value["tensors"]
    if not isinstance(listed, list) or len(listed) > MAX_TENSORS:
        raise WireError("the header lists no tensors, or too many")
    layouts = [_layout(item) for item in listed]
    # A second tensor of one name would silently replace the first.
    if len({item.name for item in layouts}) != len(layouts) or sum(item.size for item in layouts) > limit:
        raise WireError(f"the tensors have the same name twice, or more than {limit} bytes")
    return value["head"], layouts


def decode(head: dict[str, Any], layouts: list[Layout], body: bytes | bytearray) -> Message:
    """Build the message from its header and the bytes that followed it."""
    import numpy as np

    tensors, at = {}, 0
    for item in layouts:
        flat = np.frombuffer(memoryview(body)[at : at + item.size], dtype=item.dtype)
        tensors[item.name] = flat.reshape(item.shape)
        at += item.size
    return Message(head, tensors)


def _layout(item: Any) -> Layout:
    if not isinstance(item, dict) or item.keys() != {"name", "dtype", "shape"}:
        raise WireError("a tensor is described in another form")
    name, dtype, shape = item["name"], item["dtype"], item["shape"]
    if not isinstance(name, str) or dtype not in _DTYPES or not isinstance(shape, list):
        raise WireError("a tensor has no name, no shape, or a type that is not sent")
    # `type(n) is int`, because isinstance takes True for a length of 1.
    if len(shape) > MAX_DIMENSIONS or not all(type(n) is int and 0 <= n <= MAX_BYTES for n in shape):
        raise WireError("a tensor has an impossible shape")
    return Layout(name, dtype, tuple(shape))


class Incoming:
    """Takes bytes as they come, never more than the part at hand needs."""

    def __init__(self, limit: int) -> None:
        """Expect one message.

        Args:
            limit: most bytes of its tensors together.
        """
        self._limit = limit
        self._buffer = bytearray()
        self._need = PREFIX
        self._stage = 0
        self._head: dict[str, Any] = {}
        self._layouts: list[Layout] = []

    @property
    def wanted(self) -> int:
        """How many bytes of the part at hand are missing; at least one until the message is whole."""
        return max(1, self._need - len(self._buffer))

    def feed(self, data: bytes) -> None:
        """Take bytes, at most `wanted` of them.

        Raises:
            WireError: what has arrived is no message, or too large.
        """
        self._buffer += data
        while self._stage < 2 and len(self._buffer) >= self._need:
            part, self._buffer = bytes(self._buffer), bytearray()
            if self._stage == 0:
                self._need = header_size(part)
            else:
                self._head, self._layouts = parse_header(part, self._limit)
                self._need = sum(item.size for item in self._layouts)
            self._stage += 1
        # Bytes behind a message could only be an answer to a question that was not asked yet.
        if len(self._buffer) > self._need:
            raise WireError("more arrived than was announced")

    def message(self) -> Message | None:
        """Return the message once it is whole."""
        if self._stage < 2 or len(self._buffer) < self._need:
            return None
        return decode(self._head, self._layouts, self._buffer)


_CHUNK = 1 << 20


class Channel:
    """Messages over a stream socket, one side at a time."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream

    def receive(self) -> Message | None:
        """Return the next message, or None where the other side has left.

        Raises:
            WireError: it is no message.
        """
        prefix = self._read(PREFIX)
        if prefix is None:
            return None
        header = self._read(header_size(bytes(prefix)))
        if header is None:
            return None
        head, layouts = parse_header(bytes(header))
        body = self._read(sum(item.size for item in layouts))
        return None if body is None else decode(head, layouts, body)

    def send(self, message: Message) -> None:
        """Write a message.

        Raises:
            WireError: it is larger than the other side accepts.
            OSError: the other side has left.
        """
        for piece in encode(message):
            rest = memoryview(piece)
            # Not sendall: the filter denies sendto.
            while rest:
                rest = rest[os.write(self._stream.fileno(), rest[:_CHUNK]) :]

    def _read(self, size: int) -> bytearray | None:
        data = bytearray(size)
        view, at = memoryview(data), 0
        while at < size:
            count = self._stream.recv_into(view[at : at + _CHUNK])
            if count == 0:
                return None
            at += count
        return data
