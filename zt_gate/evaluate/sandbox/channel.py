"""The worker's end of the line: it reads whole messages and writes whole messages, and waits as long as it takes."""

from __future__ import annotations

import os
import socket

from zt_gate.evaluate.sandbox.wire import PREFIX, Message, decode, encode, header_size, parse_header

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
