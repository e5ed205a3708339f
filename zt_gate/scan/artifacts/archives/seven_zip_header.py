"""The headers of a 7z archive: where its packed streams lie, how they become folders, and which entries folders hold.

Source: 7zFormat.txt of the LZMA SDK. Whatever the text leaves open, and every kind of property that a plain archive
does not need, is refused.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass, field

from zt_gate.errors import TargetError
from zt_gate.scan.artifacts.format import MAX_MEMBERS
from zt_gate.scan.interface import BrokenFileError

(_END, _HEADER, _ARCHIVE, _ADDITIONAL, _MAIN, _FILES, _PACK, _UNPACK, _SUB, _SIZE, _CRC, _FOLDER, _UNPACK_SIZE,
 _NUM_UNPACK, _EMPTY_STREAM, _EMPTY_FILE, _ANTI, _NAMES, _CREATED, _ACCESSED, _MODIFIED, _ATTRIBUTES,
) = range(22)  # fmt: skip
_ENCODED, _DUMMY = 0x17, 0x19
_MAX_CODERS = 4
_UNIX, _REPARSE_POINT = 0x8000, 0x400


@dataclass(frozen=True, slots=True)
class Coder:
    """One step of unpacking."""

    method: bytes
    properties: bytes


@dataclass(slots=True)
class Folder:
    """Coders in a row over one packed stream."""

    coders: list[Coder]
    """In the order in which they unpack."""
    order: list[int]
    """Where each of them stands in the header."""
    sizes: list[int] = field(default_factory=list)
    """What each of them makes, in bytes, in the order in which they unpack."""
    crc: int | None = None
    start: int = 0
    """Offset of the packed stream in the file."""
    packed: int = 0
    parts: list[tuple[int, int | None]] = field(default_factory=list)
    """Size and checksum of every stream in it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the archive."""

    name: bytes
    """In UTF-8; half a surrogate pair stays as it is."""
    unix_mode: int
    empty: bool
    """Whether no folder holds anything of it."""
    folder: bool


class Reader:
    """Reads the numbers and bit fields of a header.

    Raises:
        BrokenFileError: the header ends too early, or a count is out of reason.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    @property
    def left(self) -> int:
        """Bytes that were not read yet."""
        return len(self._data) - self.at

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        if count > self.left:
            raise BrokenFileError("the 7z header is cut off", "copy the file again")
        self.at += count
        return self._data[self.at - count : self.at]

    def byte(self) -> int:
        """Return the next byte."""
        return self.take(1)[0]

    def number(self) -> int:
        """Return a number of one to nine bytes: leading ones of the first byte count those that follow."""
        first = self.byte()
        extra = 8 - (first ^ 0xFF).bit_length()
        high = first & (0x7F >> extra) if extra < 8 else 0
        return int.from_bytes(self.take(extra), "little") | high << 8 * extra

    def count(self) -> int:
        """Return a number of things that may be in an archive."""
        number = self.number()
        if number > MAX_MEMBERS:
            raise TargetError(f"{number} things in a 7z archive are more than are examined", "unpack the release")
        return number

    def bits(self, count: int) -> list[bool]:
        """Return a bit field, highest bit first."""
        data = self.take((count + 7) // 8)
        return [bool(data[index // 8] & 0x80 >> index % 8) for index in range(count)]

    def defined(self, count: int) -> list[bool]:
        """Return which of some things a property is given for."""
        return [True] * count if self.byte() else self.bits(count)

    def checksums(self, count: int) -> list[int | None]:
        """Return CRC-32 values, None where there is none."""
        return [int.from_bytes(self.take(4), "little") if given else None for given in self.defined(count)]

    def expect(self, kind: int, what: str) -> None:
        """Read one byte that has to be there."""
        if self.byte() != kind:
            raise BrokenFileError(f"the 7z header has no {what} where it has to stand", "copy the file again")

    def inside(self) -> None:
        """Read the byte that says that what follows stands here, and not in another stream."""
        if self.byte():
            raise TargetError("a 7z header that keeps a part of itself elsewhere is not examined by this version")


def is_encoded(reader: Reader) -> bool:
    """Read the first byte of a header, and tell whether the header itself is packed."""
    kind = reader.byte()
    if kind not in (_HEADER, _ENCODED):
        raise BrokenFileError("the 7z header is of no known kind", "copy the file again")
    return kind == _ENCODED


def read_header(reader: Reader) -> tuple[list[Folder], list[Entry]]:
    """Read a plain header behind its first byte."""
    folders: list[Folder] = []
    entries: list[Entry] = []
    kind = reader.byte()
    if kind == _MAIN:
        folders = read_streams(reader)
        kind = reader.byte()
    if kind == _FILES:
        entries = _read_entries(reader)
        kind = reader.byte()
    if kind != _END or reader.left:
        raise TargetError("a 7z header with other parts than streams and files is not examined by this version")
    return folders, entries


def read_streams(reader: Reader) -> list[Folder]:
    """Read where the packed streams are, and what they become."""
    packs, folders = [], []
    kind = reader.byte()
    if kind == _PACK:
        packs = _read_packs(reader)
        kind = reader.byte()
    if kind == _UNPACK:
        folders = _read_folders(reader)
        kind = reader.byte()
    if len(packs) != len(folders):
        raise BrokenFileError(f"{len(folders)} 7z folders for {len(packs)} packed streams", "copy the file again")
    for folder, (start, size) in zip(folders, packs, strict=True):
        folder.start, folder.packed = start, size
        folder.parts = [(folder.sizes[-1], folder.crc)]
    if kind == _SUB:
        _read_parts(reader, folders)
        kind = reader.byte()
    if kind != _END:
        raise BrokenFileError("the list of 7z streams does not end", "copy the file again")
    return folders


def _read_packs(reader: Reader) -> list[tuple[int, int]]:
    start, count = 32 + reader.number(), reader.count()
    reader.expect(_SIZE, "sizes")
    packs = []
    for _ in range(count):
        size = reader.number()
        packs.append((start, size))
        start += size
    kind = reader.byte()
    if kind == _CRC:
        reader.checksums(count)
        kind = reader.byte()
    if kind != _END:
        raise BrokenFileError("the list of packed 7z streams does not end", "copy the file again")
    return packs


def _read_folders(reader: Reader) -> list[Folder]:
    reader.expect(_FOLDER, "folders")
    count = reader.count()
    reader.inside()
    folders = [_read_folder(reader) for _ in range(count)]
    reader.expect(_UNPACK_SIZE, "unpacked sizes")
    for folder in folders:
        sizes = [reader.number() for _ in folder.coders]
        folder.sizes = [sizes[place] for place in folder.order]
    kind = reader.byte()
    if kind == _CRC:
        for folder, crc in zip(folders, reader.checksums(count), strict=True):
            folder.crc = crc
        kind = reader.byte()
    if kind != _END:
        raise BrokenFileError("the list of 7z folders does not end", "copy the file again")
    return folders


def _read_folder(reader: Reader) -> Folder:
    count = reader.number()
    if not 1 <= count <= _MAX_CODERS:
        raise TargetError(f"a 7z folder of {count} coders is not examined by this version", "write the archive again")
    coders = [_read_coder(reader) for _ in range(count)]
    feeds = {}
    for _ in range(count - 1):
        into, out_of = reader.number(), reader.number()
        feeds[out_of] = into
    # The one that no other feeds unpacks first.
    place = next((place for place in range(count) if place not in feeds.values()), count)
    order = [place]
    while place in feeds and len(order) <= count:
        place = feeds[place]
        order.append(place)
    if sorted(order) != list(range(count)):
        raise BrokenFileError("the coders of a 7z folder do not stand in a row", "copy the file again")
    return Folder([coders[place] for place in order], order)


def _read_coder(reader: Reader) -> Coder:
    flags = reader.byte()
    method = reader.take(flags & 0x0F)
    if flags & 0xC0:
        raise BrokenFileError("a 7z coder with reserved bits set", "copy the file again")
    if flags & 0x10 and (reader.number(), reader.number()) != (1, 1):
        raise TargetError(f"7z method {method.hex()} of several streams is not examined by this version",
                          "write the archive as zip or tar")  # fmt: skip
    return Coder(method, reader.take(reader.number()) if flags & 0x20 else b"")


def _read_parts(reader: Reader, folders: Sequence[Folder]) -> None:
    """Read how many entries each folder holds, how long they are, and their checksums."""
    kind = reader.byte()
    counts = [1] * len(folders)
    if kind == _NUM_UNPACK:
        counts = [reader.count() for _ in folders]
        kind = reader.byte()
    if sum(counts) > MAX_MEMBERS:
        raise TargetError(f"more than {MAX_MEMBERS} entries in a 7z archive", "unpack the release")
    given = kind == _SIZE
    for folder, count in zip(folders, counts, strict=True):
        sizes = [reader.number() for _ in range(count - 1)] if given else []
        rest = folder.sizes[-1] - sum(sizes)
        if rest < 0 or (count > 1 and not given):
            raise BrokenFileError("the entries of a 7z folder are larger than the folder", "copy the file again")
        sums = folder.crc if count == 1 else None
        folder.parts = [(size, sums) for size in (*sizes, rest)] if count else []
    kind = reader.byte() if given else kind
    if kind == _CRC:
        unknown = [(folder, at) for folder in folders for at, (_, crc) in enumerate(folder.parts) if crc is None]
        for (folder, at), crc in zip(unknown, reader.checksums(len(unknown)), strict=True):
            folder.parts[at] = (folder.parts[at][0], crc)
        kind = reader.byte()
    if kind != _END:
        raise BrokenFileError("the list of 7z entries does not end", "copy the file again")


def _read_entries(reader: Reader) -> list[Entry]:
    count = reader.count()
    names: list[bytes] = []
    empty = [False] * count
    files: list[bool] = []
    attributes = [0] * count
    while (kind := reader.byte()) != _END:
        part = Reader(reader.take(reader.number()))
        if kind == _EMPTY_STREAM:
            empty = part.bits(count)
        elif kind == _EMPTY_FILE:
            files = part.bits(sum(empty))
        elif kind == _NAMES:
            names = _read_names(part, count)
        elif kind == _ATTRIBUTES:
            attributes = _read_attributes(part, count)
        elif kind in (_CREATED, _ACCESSED, _MODIFIED):
            given = sum(part.defined(count))
            part.inside()
            part.take(8 * given)
        elif kind != _DUMMY or any(part.take(part.left)):
            raise TargetError(f"property {kind:#x} of a 7z archive is not examined by this version")
        if part.left:
            raise BrokenFileError(f"property {kind:#x} of a 7z archive is longer than it has to be", "copy it again")
    if len(names) != count:
        raise BrokenFileError("a 7z archive without names", "copy the file again")
    files += [False] * (sum(empty) - len(files))
    remaining = iter(files)
    return [Entry(name, _mode(attribute), without, without and not next(remaining))
            for name, attribute, without in zip(names, attributes, empty, strict=True)]  # fmt: skip


def _read_names(part: Reader, count: int) -> list[bytes]:
    part.inside()
    text = part.take(part.left).decode("utf-16-le", "surrogatepass")
    names = text.split("\0")
    if names.pop() or len(names) != count:
        raise BrokenFileError("a 7z archive with another number of names than of entries", "copy the file again")
    return [name.encode("utf-8", "surrogatepass") for name in names]


def _read_attributes(part: Reader, count: int) -> list[int]:
    given = part.defined(count)
    part.inside()
    return [int.from_bytes(part.take(4), "little") if has else 0 for has in given]


def _mode(attribute: int) -> int:
    if attribute & _REPARSE_POINT:
        return stat.S_IFLNK
    return attribute >> 16 if attribute & _UNIX else 0
