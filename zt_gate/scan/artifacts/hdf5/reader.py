"""HDF5 structure, read by hand within limits: which objects there are, what they are called, where they lead.

The HDF5 library follows links into other files and loads filter plugins as shared libraries, so the gate does not
use it. This reader knows what h5py writes by default: superblocks 0 to 3, object headers 1 and 2, symbol tables and
compact links. Whatever else a file holds raises `Hdf5Error`, which leaves the file incomplete.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from zt_gate.intake import ByteSource
from zt_gate.scan.artifacts.hdf5.bytes import Cursor, Hdf5Error
from zt_gate.scan.artifacts.hdf5.header import HeaderMessage, read_messages
from zt_gate.scan.artifacts.hdf5.values import HeapReader, Value, read_attribute
from zt_gate.scan.interface import BrokenFileError

__all__ = ["SIGNATURE", "Hdf5Error", "Hdf5File", "Hdf5Object", "Hdf5Oddity"]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MAX_OBJECTS = 500_000
_MAX_DEPTH = 64
# For a number that it does not know, the HDF5 library loads a plugin, which is native code.
_SAFE_FILTERS = frozenset({1, 2, 3})  # deflate, shuffle, fletcher32
# Shapes, types, fill values, comments, times and counts. Continuations (0x10) were followed by `read_messages`.
_INERT = frozenset({0x00, 0x01, 0x03, 0x04, 0x05, 0x0A, 0x0D, 0x0E, 0x10, 0x12, 0x13, 0x16})


class Hdf5Oddity(Enum):
    """What leads out of the file, or into code."""

    EXTERNAL_LINK = auto()
    EXTERNAL_DATA = auto()
    VIRTUAL = auto()
    SOFT_LINK = auto()
    FILTER = auto()


@dataclass(slots=True)
class Hdf5Object:
    """A group or dataset."""

    path: str
    attributes: dict[str, Value] = field(default_factory=dict)
    """Text as bytes, a list of texts, or None for anything else."""
    oddities: list[tuple[Hdf5Oddity, str]] = field(default_factory=list)


class Hdf5File:
    """The structure of one file.

    Args:
        source: the bytes.

    Raises:
        Hdf5Error: the superblock is not one that this version understands.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        cursor = Cursor(source, 8)
        self._version = cursor.number(1)
        if self._version in (0, 1):
            self._root, self.end = self._old_superblock(cursor)
        elif self._version in (2, 3):
            self._root, self.end = self._new_superblock(cursor)
        else:
            raise Hdf5Error(f"HDF5 superblock version {self._version} is not known to this version")
        if self.end > source.size:
            raise BrokenFileError(f"the HDF5 file ends at {source.size} and declares {self.end} bytes")
        self._heap = HeapReader(source)

    def _old_superblock(self, cursor: Cursor) -> tuple[int, int]:
        cursor.skip(4)
        self._widths(cursor)
        cursor.skip(1 + 2 + 2 + 4 + (4 if self._version else 0))
        base, _, end, driver = (cursor.address() for _ in range(4))
        cursor.skip(8)
        root = cursor.address()
        if base != 0 or driver is not None or root is None or end is None:
            raise Hdf5Error("the HDF5 file has a base address or a driver that spreads it over other files")
        return root, end

    def _new_superblock(self, cursor: Cursor) -> tuple[int, int]:
        self._widths(cursor)
        cursor.skip(1)
        base, extension, end, root = (cursor.address() for _ in range(4))
        if base != 0 or extension is not None or root is None or end is None:
            raise Hdf5Error("the HDF5 file has a base address or an extension that this version does not read")
        return root, end

    def _widths(self, cursor: Cursor) -> None:
        if (cursor.number(1), cursor.number(1)) != (8, 8):
            raise Hdf5Error("the HDF5 file has offsets of another width than 8 bytes")

    def walk(self) -> Iterator[Hdf5Object]:
        """Yield every object once, from the root on.

        Raises:
            Hdf5Error: something is not understood; nothing after it was looked at.
        """
        stack, seen = [(self._root, "", 0)], {self._root}
        while stack:
            address, path, depth = stack.pop()
            if len(seen) > _MAX_OBJECTS or depth > _MAX_DEPTH:
                raise Hdf5Error("the HDF5 file has more objects than the limit")
            item, children = self._object(address, path)
            yield item
            for name, child in children:
                # Hard links can make a group its own descendant.
                if child not in seen:
                    seen.add(child)
                    stack.append((child, f"{path}/{name}", depth + 1))

    def _object(self, address: int, path: str) -> tuple[Hdf5Object, list[tuple[str, int]]]:
        item, children = Hdf5Object(path), list[tuple[str, int]]()
        for message in read_messages(self._source, address):
            self._message(item, children, message)
        names = [name for name, _ in children]
        if len(set(names)) != len(names):
            raise Hdf5Error(f"the group {path or '/'} has two members of one name")
        return item, children

    def _message(self, item: Hdf5Object, children: list[tuple[str, int]], message: HeaderMessage) -> None:
        kind, cursor = message.kind, Cursor(message, 0)
        if kind in _INERT:
            return
        # Its content then stands in another object or in a heap.
        if message.flags & 2:
            raise Hdf5Error(f"a shared HDF5 message of type {kind}")
        if kind == 0x11:
            children += self._symbol_table(item, cursor.must(), cursor.must())
        elif kind == 0x06:
            _link(item, children, cursor)
        elif kind == 0x0C:
            name, value = read_attribute(message, self._heap)
            if name in item.attributes:
                raise Hdf5Error(f"the attribute {name} stands twice")
            item.attributes[name] = value
        elif kind == 0x08:
            self._layout(item, cursor)
        elif kind == 0x0B:
            _filters(item, cursor)
        elif kind == 0x07:
            item.oddities.append((Hdf5Oddity.EXTERNAL_DATA, ""))
        elif kind in (0x02, 0x15):
            _dense(cursor, order_bytes=8 if kind == 0x02 else 2)
        else:
            raise Hdf5Error(f"an HDF5 message of type {kind:#x}, which this version does not read")

    def _layout(self, item: Hdf5Object, cursor: Cursor) -> None:
        version = cursor.number(1)
        if version in (1, 2):
            cursor.skip(1)
            kind = cursor.number(1)
        elif version in (3, 4, 5):
            kind = cursor.number(1)
        else:
            raise Hdf5Error(f"an HDF5 data layout of version {version}")
        if kind == 3:
            item.oddities.append((Hdf5Oddity.VIRTUAL, ""))
        elif kind == 1 and version >= 3:
            start, size = cursor.address(), cursor.number(8)
            if start is not None and start + size > self._source.size:
                raise Hdf5Error(f"the numbers of {item.path} lie outside the file")
        elif kind > 3:
            raise Hdf5Error(f"an HDF5 data layout of class {kind}")

    # --- groups with symbol tables -------------------------------------------------------------------------------

    def _symbol_table(self, item: Hdf5Object, tree: int, heap: int) -> list[tuple[str, int]]:
        cursor = Cursor(self._source, heap)
        cursor.expect(b"HEAP")
        cursor.skip(4)
        size = cursor.number(8)
        cursor.skip(8)
        names = Cursor(self._source, cursor.must(), size)
        found: list[tuple[str, int]] = []
        stack, seen = [tree], {tree}
        while stack:
            for child, leaf in self._tree_node(stack.pop()):
                if child in seen or len(seen) > _MAX_OBJECTS:
                    raise Hdf5Error("an HDF5 tree that leads back to itself")
                seen.add(child)
                if leaf:
                    found += self._symbols(item, child, names)
                else:
                    stack.append(child)
        return found

    def _tree_node(self, address: int) -> Iterator[tuple[int, bool]]:
        cursor = Cursor(self._source, address)
        cursor.expect(b"TREE")
        kind, level, used = cursor.number(1), cursor.number(1), cursor.number(2)
        if kind != 0:
            raise Hdf5Error("an HDF5 tree of another kind where a group was expected")
        cursor.skip(16)
        for _ in range(used):
            cursor.skip(8)
            yield cursor.must(), level == 0

    def _symbols(self, item: Hdf5Object, address: int, names: Cursor) -> Iterator[tuple[str, int]]:
        cursor = Cursor(self._source, address)
        cursor.expect(b"SNOD")
        cursor.skip(2)
        for _ in range(cursor.number(2)):
            name, header, cache = cursor.must(), cursor.address(), cursor.number(4)
            cursor.skip(4)
            scratch = cursor.take(16)
            text = names.text_at(name)
            # A symbolic link, whose target is an offset into the heap of names.
            if cache == 2:
                target = names.text_at(int.from_bytes(scratch[:4], "little"))
                item.oddities.append((Hdf5Oddity.SOFT_LINK, f"{text} -> {target}"))
            elif cache > 2 or header is None:
                raise Hdf5Error("an HDF5 group entry of a kind that this version does not read")
            else:
                yield text, header


def _link(item: Hdf5Object, children: list[tuple[str, int]], cursor: Cursor) -> None:
    version, flags = cursor.number(1), cursor.number(1)
    if version != 1:
        raise Hdf5Error(f"an HDF5 link of version {version}")
    kind = cursor.number(1) if flags & 8 else 0
    cursor.skip((8 if flags & 4 else 0) + (1 if flags & 16 else 0))
    name = cursor.take(cursor.number(1 << (flags & 3))).decode("utf-8")
    if kind == 0:
        children.append((name, cursor.must()))
        return
    value = cursor.take(cursor.number(2)).decode("utf-8", "backslashreplace").replace("\0", " ").strip()
    # 1 is a soft and 64 an external link; higher ones are defined by plugins.
    if kind not in (1, 64):
        raise Hdf5Error(f"an HDF5 link of kind {kind}, which needs code of its own")
    item.oddities.append((Hdf5Oddity.SOFT_LINK if kind == 1 else Hdf5Oddity.EXTERNAL_LINK, f"{name} -> {value}"))


def _dense(cursor: Cursor, order_bytes: int) -> None:
    """Refuse links and attributes that are kept in a fractal heap, which this version does not read."""
    if cursor.number(1) != 0:
        raise Hdf5Error("an HDF5 index of a version that is not known to this version")
    flags = cursor.number(1)
    cursor.skip(order_bytes if flags & 1 else 0)
    if cursor.address() is not None:
        raise Hdf5Error("links or attributes in a fractal heap, which this version does not read")


def _filters(item: Hdf5Object, cursor: Cursor) -> None:
    version, count = cursor.number(1), cursor.number(1)
    if version not in (1, 2):
        raise Hdf5Error(f"an HDF5 filter pipeline of version {version}")
    cursor.skip(6 if version == 1 else 0)
    for _ in range(count):
        code = cursor.number(2)
        # Version 2 leaves out the names of the filters that the library itself defines.
        length = cursor.number(2) if version == 1 or code >= 256 else 0
        cursor.skip(2)
        values = cursor.number(2)
        name = cursor.take(-(-length // 8) * 8 if version == 1 else length)
        cursor.skip(4 * values + (4 if version == 1 and values % 2 else 0))
        if code not in _SAFE_FILTERS:
            label = name.rstrip(b"\0").decode("utf-8", "backslashreplace")
            item.oddities.append((Hdf5Oddity.FILTER, f"{code} {label}".strip()))
