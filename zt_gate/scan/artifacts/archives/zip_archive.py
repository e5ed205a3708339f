"""Zip archives: what two readers could see differently is a finding, and every member is examined by content.

PyTorch's own archives (`torch.save`) are zips as well: `data.pkl` is a pickle whose storages lie beside it as raw
members. Those are accounted for without being read where that very pickle asks for them, and nowhere else.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from zt_gate.domain import Severity, printable
from zt_gate.errors import TargetError
from zt_gate.intake import ByteSource, MemorySource
from zt_gate.scan.artifacts.archives.compressed import MAX_RATIO, inflate, note_bomb
from zt_gate.scan.artifacts.archives.member_names import check_names, find
from zt_gate.scan.artifacts.archives.zip_records import (
    BadZipError,
    CentralEntry,
    Directory,
    Local,
    descriptor_length,
    ends_once,
    find_end,
    read_directory,
    read_local,
)
from zt_gate.scan.artifacts.format import Format, Input, ScanBudget, Slice, member_name
from zt_gate.scan.artifacts.graphs.torch_export import (
    examine_export_member,
    is_export_member,
    is_payload_config,
    raw_payloads,
)
from zt_gate.scan.artifacts.graphs.torchscript import examine_script_member, is_script_member
from zt_gate.scan.artifacts.pickles.stream import ITEM_SIZES
from zt_gate.scan.artifacts.tensors.numpy_array import NUMBERS_START, numbers_begin
from zt_gate.scan.interface import Examination, Head

_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x2041  # encrypted, strongly encrypted, masked headers
_DESCRIPTOR = 0x0008
# Deflate's level (bits 1 and 2), a data descriptor (3) and names in UTF-8 (11): what honest writers set.
_KNOWN_FLAGS = 0x080E
# Info-ZIP's extra field with a second name, which some readers take in place of the first.
_UNICODE_PATH = 0x7075
_TORCH_SMALL = re.compile(
    rb"(version|byteorder|\.format_version|\.storage_alignment|\.data/(serialization_id|version))"
)
_PICKLE = re.compile(rb"(data|constants|traced_inputs|attributes)\.pkl")
"""Pickles of PyTorch, whose storages lie in the folder of the same name."""
_OTHER_LOADERS = frozenset({".npz", ".mar", ".war", ".keras", ".skops", ".nemo", ".whl", ".jar"})
"""Names of zips whose members are not read by PyTorch, whatever stands in them."""
_CHUNK = 4 << 20


@dataclass(frozen=True, slots=True)
class _Roots:
    """Folders of the archive in which PyTorch's own layouts stand; empty bytes for the archive's top."""

    torch: tuple[bytes, ...]
    script: tuple[bytes, ...]
    export: tuple[bytes, ...]
    read: bytes | None
    """The one folder that PyTorch's reader opens: that of the first member. It has a version and is never the top."""
    sizes: dict[bytes, int]
    """Bytes of each member."""

    @classmethod
    def of(cls, entries: Sequence[CentralEntry], suffix: str) -> _Roots:
        """Find them by the members that PyTorch looks for."""
        names = {entry.name for entry in entries}
        torch = _folders(names, b"data.pkl")
        first = b"".join(entries[0].name.partition(b"/")[:2])
        versioned = not {first + b"version", first + b".data/version"}.isdisjoint(names)
        read = first.endswith(b"/") and versioned and suffix not in _OTHER_LOADERS
        return cls(torch, tuple(root for root in torch if root + b"constants.pkl" in names),
                   _folders(names, b"archive_format") + _folders(names, b"serialized_exported_program.json"),
                   first if read else None, {entry.name: entry.size for entry in entries})  # fmt: skip

    def rank(self, name: bytes) -> bool:
        """Sort members that claim others as raw bytes before those."""
        return not (_PICKLE.fullmatch(name.rpartition(b"/")[2]) or name.endswith(b"_config.json"))


_Raw = dict[bytes, int | None]
"""Members that a reference claims as raw bytes, and their size where the reference tells it."""


def _folders(names: Iterable[bytes], last: bytes) -> tuple[bytes, ...]:
    found = (name[: -len(last)] for name in names if name.rpartition(b"/")[2] == last and name.count(b"/") <= 1)
    return tuple(sorted(found, reverse=True))


def _examine(piece: Input) -> None:
    if not ends_once(piece.source):
        find(piece, "ART-208", b"", "the archive does not end with its end record: in a comment or behind it, some "
             "readers find another end record and with it another archive", severity=Severity.CRITICAL)  # fmt: skip
    directory = read_directory(piece.source)
    if not directory.entries:
        piece.exam.gap("the zip archive is empty", "remove it")
        return
    check_names(piece, directory.entries)
    roots = _Roots.of(directory.entries, piece.head.suffix)
    raw: _Raw = {}
    entries = sorted(directory.entries, key=lambda entry: roots.rank(entry.name))
    spans = sorted(_member(piece, entry, roots, raw) for entry in entries)
    _check_layout(piece, directory, spans)


def _member(piece: Input, entry: CentralEntry, roots: _Roots, raw: _Raw) -> tuple[int, int, bytes]:
    """Compare the two headers of a member, have its content examined, and return the bytes it takes up."""
    local = read_local(piece.source, entry)
    end = local.data + entry.packed
    if end > piece.source.size:
        raise BadZipError(
            f"member {printable(entry.name, 120)} runs past the end of the file", "write the archive again"
        )
    if entry.flags & _DESCRIPTOR:
        length = descriptor_length(piece.source, entry, end)
        if length < 0:
            find(
                piece,
                "ART-201",
                entry.name,
                "{}: the data descriptor disagrees with the directory",
                severity=Severity.HIGH,
            )
        end += max(0, length)
    _compare(piece, entry, local)
    shown = printable(entry.name.decode("utf-8", "backslashreplace"), 160)
    with piece.exam.guarded(shown):
        if entry.flags & _ENCRYPTED:
            find(piece, "ART-206", entry.name, "{} is encrypted")
            piece.exam.gap(f"{shown} is encrypted", "write the archive without a password")
        else:
            _content(piece, entry, local, shown, roots, raw)
    return entry.offset, end, entry.name


def _compare(piece: Input, entry: CentralEntry, local: Local) -> None:
    differs = []
    # Loaders read by either header: CVE-2025-1944 (names), CVE-2025-1945 (flags), CVE-2025-10156 (checksums).
    if entry.name != local.name:
        differs.append(f"name {printable(local.name.decode('utf-8', 'backslashreplace'), 120)!r}")
    if entry.flags != local.flags:
        differs.append(f"flags {local.flags:#06x} instead of {entry.flags:#06x}")
    if entry.method != local.method:
        differs.append(f"method {local.method} instead of {entry.method}")
    deferred = bool(entry.flags & _DESCRIPTOR)
    for what in ("crc", "packed", "size"):
        here, there = getattr(local, what), getattr(entry, what)
        # A writer that streams leaves the local numbers at zero and repeats them in a descriptor behind the data.
        if here != there and not (deferred and here in (0, 0xFFFFFFFF)):
            differs.append(f"{what} {here} instead of {there}")
    if differs:
        text = "; ".join(differs).replace("{", "(").replace("}", ")")
        find(piece, "ART-201", entry.name, "{}: the local header says " + text)
    if entry.flags & ~(_KNOWN_FLAGS | _ENCRYPTED) or _UNICODE_PATH in entry.extra_ids + local.extra_ids:
        find(
            piece,
            "ART-201",
            entry.name,
            "{} uses flags or a second name that readers treat differently",
            severity=Severity.HIGH,
        )


def _content(piece: Input, entry: CentralEntry, local: Local, shown: str, roots: _Roots, raw: _Raw) -> None:
    root = next((root for root in roots.torch if entry.name.startswith(root)), None)
    inner = entry.name[len(root) :] if root is not None else b""
    if entry.name.endswith(b"/"):
        # zipfile hands out the content of such a member when it is asked for by name, slash or not.
        if entry.size or entry.packed:
            piece.exam.gap(f"{shown} is a folder with content", "write the archive again")
        return
    if entry.packed and entry.size > entry.packed * MAX_RATIO:
        find(piece, "ART-209", entry.name, "{} claims an impossible compression ratio")
        piece.exam.gap(f"{shown} is a decompression bomb")
        return
    # A traced program keeps the shapes of its inputs and leaves their storages empty.
    is_raw = entry.name in raw and (entry.size == 0 or raw[entry.name] in (None, entry.size))
    if is_raw and entry.method == _STORED and entry.packed == entry.size:
        piece.raw.add(entry.offset)
        return
    source = _unpack(piece, entry, local)
    if entry.method == _STORED and numbers_begin(source.read_at(0, NUMBERS_START), source.size) is not None:
        crc = entry.crc  # numbers cost their hash alone; a reader that compares checksums can only stop
    else:
        crc = _checksum(source)
    if crc != entry.crc or source.size != entry.size:
        find(piece, "ART-210", entry.name, "{}: checksum or size is not that of its content")
    # A single word, such as a version, has no format that an analyser could recognise.
    if root is not None and _TORCH_SMALL.fullmatch(inner) and _is_word(source):
        return
    if is_raw:
        return
    piece.storages = {}
    if not _examine_torch_layout(piece, source, entry.name, roots):
        examined = piece.inside(source, torch=root is not None and inner == b"data.pkl")
        piece.storages = examined.storages if examined is not None else {}
        note_bomb(piece, source, entry.packed)
    _claim(piece, source, entry.name, roots, raw)


def _checksum(source: ByteSource) -> int:
    crc = 0
    for at in range(0, source.size, _CHUNK):
        crc = zlib.crc32(source.read_at(at, _CHUNK), crc)
    return crc


def raw_members(source: ByteSource, recurse: Callable[[Input], None]) -> frozenset[int]:
    """Return the offsets of the members that a reference in the archive claims as raw numbers, as they were examined.

    An archive that cannot be examined to its end has none. Offsets are those of local headers: of a name, readers make
    different things.

    Args:
        source: the archive.
        recurse: examines members.
    """
    exam = Examination(source.path, source.size)
    piece = Input(source, exam, Head.of(source), recurse, budget=ScanBudget.of(source.size))
    with exam.guarded(""):
        names = [entry.name for entry in read_directory(source).entries]
        if any(_PICKLE.fullmatch(name.rpartition(b"/")[2]) or name.endswith(b"_config.json") for name in names):
            _examine(piece)
            return frozenset(piece.raw)
    return frozenset()


def _claim(piece: Input, source: ByteSource, name: bytes, roots: _Roots, raw: _Raw) -> None:
    """Note which members are raw bytes by what this one says."""
    root = roots.read
    if root is None or not name.startswith(root):
        return
    inner = name[len(root) :].decode("utf-8", "backslashreplace")
    if root in roots.torch and _PICKLE.fullmatch(name[len(root) :]):
        folder = name.removesuffix(b".pkl") + b"/"
        _compare_storages(piece, source, folder, roots)
        raw |= {
            folder + key.encode(): count * ITEM_SIZES[kind]
            for key, (kind, count) in piece.storages.items()
            if kind in ITEM_SIZES
        }
    elif root in roots.export and is_payload_config(inner):
        raw |= dict.fromkeys(root + claimed.encode() for claimed in raw_payloads(source, inner))


def _compare_storages(piece: Input, source: ByteSource, folder: bytes, roots: _Roots) -> None:
    """Hold what a pickle declares of its storages against the members that they are (CVE-2026-24747)."""
    for key, (kind, count) in piece.storages.items():
        size, declared = roots.sizes.get(folder + key.encode()), count * ITEM_SIZES.get(kind, 0)
        is_left_out = size == 0 and folder.endswith(b"traced_inputs/")
        if kind in ITEM_SIZES and size != declared and not is_left_out:
            there = "is not in the archive" if size is None else f"has {size}"
            piece.exam.finding("ART-116", f"the storage {printable(key, 40)} declares {declared} bytes and {there}",
                               member=source.member, symbol=printable(f"storage {key}", 80))  # fmt: skip


def _examine_torch_layout(piece: Input, source: ByteSource, name: bytes, roots: _Roots) -> bool:
    """Examine a member that only TorchScript's or the exporter's reader understands; tell whether it was one."""
    text = name.decode("utf-8", "backslashreplace")
    for folders, applies, examine in (
        (roots.script, is_script_member, examine_script_member),
        (roots.export, is_export_member, examine_export_member),
    ):
        root = next((len(folder) for folder in folders if name.startswith(folder)), -1)
        if root >= 0 and applies(text[root:]):
            examine(piece, source, text[root:])
            return True
    return False


def _is_word(source: ByteSource) -> bool:
    return source.size <= 128 and re.fullmatch(rb"[A-Za-z0-9._-]*\s?", source.read_at(0, 128)) is not None


def _unpack(piece: Input, entry: CentralEntry, local: Local) -> ByteSource:
    name = member_name(piece.source, printable(entry.name.decode("utf-8", "backslashreplace"), 300))
    if entry.method == _STORED:
        return Slice(piece.source, name, local.data, entry.packed)
    if entry.method != _DEFLATED:
        find(piece, "ART-211", entry.name, f"{{}} is compressed by method {entry.method}, which "
              "no model loader has")  # fmt: skip
        raise TargetError(f"compression method {entry.method} is not examined by this version", "use stored or deflate")
    # Negative for raw DEFLATE: members of a zip have neither zlib's header nor its checksum.
    data, used = inflate(piece, zlib.decompressobj(-15), local.data, entry.packed, entry.size)
    if used != entry.packed:
        find(piece, "ART-205", entry.name, "{}: bytes hide behind the compressed data")
    return MemorySource(piece.source.path, name, data)


def _check_layout(piece: Input, directory: Directory, spans: list[tuple[int, int, bytes]]) -> None:
    """Every byte belongs to exactly one member, to the directory, or to a finding."""
    size = piece.source.size
    for (_, end, _), (start, _, name) in pairwise(spans):
        if start < end:
            find(piece, "ART-204", name, "{} overlaps another member")
        elif start > end:
            find(piece, "ART-205", name, f"{start - end} bytes in front of {{}} belong to no member")
    first, last = spans[0][0], max(end for _, end, _ in spans)
    if first > 0 or directory.start != directory.declared_start:
        find(piece, "ART-208", b"", f"{first} bytes stand in front of the archive")
    if last > directory.start:
        find(piece, "ART-204", b"", "members overlap the zip directory")
    elif last < directory.start:
        find(piece, "ART-205", b"", f"{directory.start - last} bytes before the directory belong to none")
    if directory.end != size:
        find(piece, "ART-208", b"", f"{size - directory.end} bytes follow the archive", severity=Severity.CRITICAL)
    piece.exam.cover_all()


def _matches(head: Head) -> bool:
    return head.start.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def examine_appended(piece: Input) -> None:
    """Look for a zip archive behind other content, which a zip reader would find and open all the same."""
    if find_end(piece.source) < 0:
        return
    piece.exam.finding(
        "ART-208", "a zip archive is appended to other content", member=piece.source.member,
        symbol="appended archive",
    )  # fmt: skip
    with piece.exam.guarded("the appended zip archive"):
        _examine(piece)


ZIP_ARCHIVE = Format("zip", _matches, _examine)
