"""A bounded reading position in an HDF5 structure: every number is checked to lie inside its container."""

from __future__ import annotations

from typing import Protocol

from zt_gate.errors import TargetError

_UNDEFINED = 0xFFFFFFFFFFFFFFFF
_MAX_NAME = 4096


class Hdf5Error(TargetError):
    """The HDF5 file holds something that this version does not understand."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "convert it to safetensors, or write it again with h5py's default settings")


class ByteReader(Protocol):
    """What a cursor reads from."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`."""


class Cursor:
    """Reads little-endian numbers one after the other.

    Args:
        source: the bytes.
        start: offset of the first one.
        size: bytes that belong to the structure; up to the end of the source when it is not given.

    Raises:
        Hdf5Error: the structure lies outside the source.
    """

    def __init__(self, source: ByteReader, start: int, size: int | None = None) -> None:
        self._source = source
        self._start = start
        self._at = start
        self._end = source.size if size is None else start + size
        if not 0 <= start <= self._end <= source.size:
            raise Hdf5Error(f"an HDF5 structure at {start} lies outside the file")

    @property
    def at(self) -> int:
        """Offset of the next byte."""
        return self._at

    @property
    def left(self) -> int:
        """Bytes up to the end of the structure."""
        return self._end - self._at

    def take(self, length: int) -> bytes:
        """Return the next bytes.

        Raises:
            Hdf5Error: there are fewer.
        """
        if not 0 <= length <= self.left:
            raise Hdf5Error(f"an HDF5 structure at {self._start} is cut off")
        self._at += length
        return self._source.read_at(self._at - length, length)

    def skip(self, length: int) -> None:
        """Pass over bytes.

        Raises:
            Hdf5Error: there are fewer.
        """
        if not 0 <= length <= self.left:
            raise Hdf5Error(f"an HDF5 structure at {self._start} is cut off")
        self._at += length

    def number(self, width: int) -> int:
        """Return the next unsigned number of `width` bytes."""
        return int.from_bytes(self.take(width), "little")

    def address(self) -> int | None:
        """Return the next address; None where it is marked as undefined."""
        value = self.number(8)
        return None if value == _UNDEFINED else value

    def must(self) -> int:
        """Return the next address.

        Raises:
            Hdf5Error: it is undefined.
        """
        value = self.address()
        if value is None:
            raise Hdf5Error(f"an HDF5 structure at {self._start} leads nowhere")
        return value

    def expect(self, magic: bytes) -> None:
        """Pass over a signature.

        Raises:
            Hdf5Error: something else stands there.
        """
        if self.take(len(magic)) != magic:
            raise Hdf5Error(f"no {magic.decode('latin-1')} at {self._start}")

    def text_at(self, offset: int) -> str:
        """Return the text that ends in a zero byte, `offset` bytes into the structure.

        Raises:
            Hdf5Error: it lies outside, does not end or is not UTF-8.
        """
        begin = self._start + offset
        if offset < 0 or begin >= self._end:
            raise Hdf5Error(f"an HDF5 name at {begin} lies outside its heap")
        raw = self._source.read_at(begin, min(_MAX_NAME, self._end - begin))
        text, zero, _ = raw.partition(b"\0")
        if not zero:
            raise Hdf5Error(f"an HDF5 name at {begin} does not end")
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError:
            raise Hdf5Error(f"an HDF5 name at {begin} is not UTF-8") from None
