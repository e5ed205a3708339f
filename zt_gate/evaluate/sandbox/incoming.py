"""A message that arrives in pieces: each part is checked before the next is waited for."""

from __future__ import annotations

from typing import Any

from zt_gate.evaluate.sandbox.wire import PREFIX, Layout, Message, WireError, decode, header_size, parse_header


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
        if len(self._buffer) > self._need:
            raise WireError("more arrived than was announced")

    def message(self) -> Message | None:
        """Return the message once it is whole."""
        if self._stage < 2 or len(self._buffer) < self._need:
            return None
        return decode(self._head, self._layouts, self._buffer)
