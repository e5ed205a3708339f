"""Tar headers: ustar, pax and GNU, decoded strictly, one block of 512 bytes at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass

from zt_gate.errors import TargetError

BLOCK = 512
_USTAR, _GNU, _V7 = b"ustar\x0000", b"ustar  \x00", bytes(8)
_OCTAL = re.compile(rb"[ \0]*([0-7]*)[ \0]*\Z")
_PAX = re.compile(rb"([0-9]{1,9}) ")


class BadTarError(TargetError):
    """The archive cannot be read the one way that all readers agree on."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "write the archive again with tar or Python's tarfile")


@dataclass(frozen=True, slots=True)
class TarHeader:
    """One header as it stands in the archive."""

    name: bytes
    kind: bytes
    size: int
    link: bytes
    odd: str
    """What readers treat differently about it; empty when there is nothing."""


def checksum_holds(block: bytes) -> bool:
    """Whether a block carries the sum of its own bytes, which is what makes it a header."""
    if len(block) != BLOCK or not any(block):
        return False
    match = _OCTAL.match(block[148:156])
    if match is None or not match[1]:
        return False
    return int(match[1], 8) == sum(block[:148]) + 256 + sum(block[156:])


def parse_header(block: bytes, at: int) -> TarHeader:
    """Decode a header block.

    Raises:
        BadTarError: its checksum is wrong or a number in it is none.
    """
    if not checksum_holds(block):
        raise BadTarError(f"no tar header with a correct checksum at {at}")
    magic = block[257:265]
    if magic not in (_USTAR, _GNU, _V7):
        raise BadTarError(f"a tar header at {at} of a kind that this version does not know")
    name, prefix, odd = _text(block[0:100]), b"", ""
    if name is None or (link := _text(block[157:257])) is None:
        raise BadTarError(f"a name in the tar header at {at} has bytes behind its end")
    if magic == _USTAR:
        prefix = _text(block[345:500]) or b""
    elif any(block[345:500]):
        odd = "a header field that only some readers take for a part of the name"
    if any(block[500:512]):
        odd = "bytes in the padding of a header"
    return TarHeader(
        name=prefix + b"/" + name if prefix else name,
        kind=block[156:157].replace(b"\0", b"0"),
        size=_number(block[124:136], at),
        link=link,
        odd=odd,
    )


def _text(field: bytes) -> bytes | None:
    text, _, rest = field.partition(b"\0")
    return None if any(rest) else text


def _number(field: bytes, at: int) -> int:
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    match = _OCTAL.match(field)
    if not match:
        raise BadTarError(f"the size in the tar header at {at} is no number")
    return int(match[1] or b"0", 8)


def pax_records(data: bytes, at: int) -> dict[str, bytes]:
    """Decode extended header records.

    Raises:
        BadTarError: they are malformed, or a key stands twice.
    """
    records: dict[str, bytes] = {}
    position = 0
    while position < len(data):
        match = _PAX.match(data, position)
        if not match:
            raise BadTarError(f"an extended tar header at {at} is malformed")
        end = position + int(match[1])
        key, equals, value = data[match.end() : max(match.end(), end - 1)].partition(b"=")
        if end > len(data) or not equals or data[end - 1 : end] != b"\n":
            raise BadTarError(f"an extended tar header at {at} is malformed")
        text = key.decode("utf-8", "backslashreplace")
        if text in records:
            raise BadTarError(f"an extended tar header at {at} has a key twice")
        records[text] = value
        position = end
    return records
