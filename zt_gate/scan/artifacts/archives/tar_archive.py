"""Tar archives, walked header by header: what leads out of the folder is a finding, every member is examined.

A NeMo model is a tar with `model_config.yaml` and weights; PyTorch wrote tars before version 0.1.10. Both are members
like any others here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from zt_gate.domain import Severity, printable
from zt_gate.domain.text import fold_name, is_unsafe
from zt_gate.errors import TargetError
from zt_gate.scan.artifacts.format import Format, Input, Slice, member_name
from zt_gate.scan.interface import Head

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
    # The checksum's own eight bytes count as spaces.
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
        # GNU tar keeps times and sparse maps where ustar has its prefix.
        odd = "a header field that only some readers take for a part of the name"
    if any(block[500:512]):
        odd = "bytes in the padding of a header"
    return TarHeader(
        name=prefix + b"/" + name if prefix else name,
        # Before POSIX, the type of a regular file was a zero byte.
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
        # GNU's base-256, for sizes that eleven octal digits cannot say.
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


_MAX_EXTENDED = 1 << 20
_CHUNK = 1 << 20
# Type 7, a contiguous file, is a regular one to Python's tarfile.
_FILES, _FOLDER, _LINKS = (b"0", b"7"), b"5", (b"1", b"2")
_SPECIAL = {b"3": "a character device", b"4": "a block device", b"6": "a named pipe", b"S": "a sparse file"}
_HARMLESS = frozenset({"path", "size", "mtime", "atime", "ctime", "uid", "gid", "uname", "gname", "linkpath"})
_TORCH_LEGACY = frozenset({"pickle", "storages", "tensors"})


@dataclass(slots=True)
class _TarWalk:
    """Where the walk stands, and what the headers before the next member said about it."""

    piece: Input
    at: int = 0
    exact: set[str] = field(default_factory=set)
    folded: set[str] = field(default_factory=set)
    name: bytes | None = None
    size: int | None = None

    def find(self, rule: str, name: str, message: str, severity: Severity | None = None) -> None:
        """Note a finding about a member."""
        shown = printable(name, 160)
        source = self.piece.source
        self.piece.exam.finding(
            rule, message.replace("{}", shown), member=member_name(source, shown) if shown else source.member,
            symbol=shown or message, severity=severity,
        )  # fmt: skip


def _examine(piece: Input) -> None:
    walk = _TarWalk(piece)
    while True:
        block = piece.source.read_at(walk.at, BLOCK)
        if not any(block):
            break
        header = parse_header(block, walk.at)
        _entry(walk, header)
    if walk.name is not None or walk.size is not None:
        raise BadTarError("an extended tar header at the end belongs to no member")
    if not walk.exact:
        piece.exam.gap("the tar archive is empty", "remove it")
    if walk.exact >= _TORCH_LEGACY:
        piece.exam.gap("a PyTorch tar of before version 0.1.10 is not examined by this version",
                       "load it in a sandbox and save it as safetensors")  # fmt: skip
    _end(walk)
    piece.exam.cover_all()


def _entry(walk: _TarWalk, header: TarHeader) -> None:
    source = walk.piece.source
    extended = header.kind in (b"x", b"g", b"L", b"K")
    # The size in an extended header is meant for the member and not for further headers in front of it.
    size = header.size if extended or walk.size is None else walk.size
    start = walk.at + BLOCK
    end = start + size
    if end > source.size or (extended and size > _MAX_EXTENDED):
        raise BadTarError(f"the tar member at {walk.at} runs past the end of the archive")
    walk.at = end + -end % BLOCK
    if any(source.read_at(end, walk.at - end)):
        walk.find("ART-205", "", f"bytes hide in the padding behind the member at {start - BLOCK}")
    if extended:
        _extended(walk, header.kind, source.read_at(start, size), start)
        return
    raw = header.name if walk.name is None else walk.name
    if walk.size is not None and walk.size != header.size:
        walk.find("ART-631", _decoded(raw), "{} has two sizes in two headers")
    walk.name = walk.size = None
    _member(walk, header, raw, start, size)


def _extended(walk: _TarWalk, kind: bytes, data: bytes, at: int) -> None:
    """Take what a pax or GNU header says about the next member."""
    if kind == b"K":
        return  # the name of a link's target: links are refused whatever they point to
    if kind == b"L":
        if walk.name is not None:
            raise BadTarError(f"two long names for one tar member at {at}")
        walk.name = data.rstrip(b"\0")
        return
    records = pax_records(data, at)
    odd = sorted(key for key in records if key not in _HARMLESS)
    if odd and any(key not in ("comment", "hdrcharset") for key in odd):
        walk.find("ART-631", "", f"an extended header sets {printable(odd[0], 60)}, as few readers know")
    if kind == b"g":
        if records.keys() & {"path", "size", "linkpath"}:
            raise BadTarError(f"a global tar header at {at} renames all members")
        return
    if "path" in records:
        if walk.name is not None:
            raise BadTarError(f"two long names for one tar member at {at}")
        walk.name = records["path"]
    if "size" in records:
        if not records["size"].isdigit():
            raise BadTarError(f"the size in the extended tar header at {at} is no number")
        walk.size = int(records["size"])


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _member(walk: _TarWalk, header: TarHeader, raw: bytes, start: int, size: int) -> None:
    name = _decoded(raw)
    _check_name(walk, name, folder=header.kind == _FOLDER)
    if header.odd:
        walk.find("ART-631", name, "{}: " + header.odd)
    if header.kind in _LINKS:
        walk.find("ART-207", name, "{} is a link to " + printable(_decoded(header.link), 120))
    elif header.kind in _SPECIAL:
        walk.find("ART-630", name, "{} is " + _SPECIAL[header.kind])
    elif header.kind not in (*_FILES, _FOLDER):
        raise BadTarError(f"a tar member of type {header.kind!r}, which this version does not know")
    if size and header.kind not in _FILES:
        raise BadTarError(f"{printable(name, 120)} has content although it is no file")
    if header.kind in _FILES:
        source = walk.piece.source
        shown = printable(name.removeprefix("./"), 300)
        walk.piece.inside(Slice(source, member_name(source, shown), start, size))


def _check_name(walk: _TarWalk, name: str, *, folder: bool) -> None:
    """Refuse names that lead out of the folder, or that two readers resolve to different members."""
    # `./a`, `a` and `a/` are unpacked to one place.
    plain = name.removeprefix("./").rstrip("/")
    parts = plain.replace("\\", "/").split("/")
    leads_out = ".." in parts or "\\" in name or name.startswith("/") or ":" in parts[0]
    if leads_out or (not plain and not folder) or any(is_unsafe(char) for char in name):
        walk.find("ART-207", name, "{} has a name that leads elsewhere")
    if name.endswith("/") and not folder:
        walk.find("ART-631", name, "{} is a file with the name of a folder")
    if plain in walk.exact:
        walk.find("ART-202", plain, "the archive has a second member named {}")
    elif fold_name(plain) in walk.folded:
        walk.find("ART-203", plain, "{} differs from another member in letter case only")
    walk.exact.add(plain)
    walk.folded.add(fold_name(plain))


def _end(walk: _TarWalk) -> None:
    """Behind the two empty blocks only zeros may follow: some readers go on from there."""
    source, at = walk.piece.source, walk.at
    if source.size - at < 2 * BLOCK:
        walk.find("ART-631", "", "the archive has no end mark of two empty blocks", severity=Severity.MEDIUM)
    while at < source.size:
        chunk = source.read_at(at, _CHUNK)
        if any(chunk):
            walk.find("ART-208", "", f"content follows the end of the archive at {walk.at}")
            return
        at += len(chunk)


def _matches(head: Head) -> bool:
    # Tars from before ustar have no magic, only the checksum.
    return head.start[257:262] == b"ustar" or checksum_holds(head.start[:BLOCK])


TAR_ARCHIVE = Format("tar", _matches, _examine)
