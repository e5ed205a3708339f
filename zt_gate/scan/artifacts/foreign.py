"""Names what has no place in a model release, by content.

Foreign archives, active documents, programs in other languages, and model formats that carry code or that were given
up. Each is a finding that says what it is, and a gap, since what is in it was not examined.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from zt_gate.scan.artifacts.format import Format, Input
from zt_gate.scan.interface import Head

_MAX_TEXT = 16 << 20
_TEXT = re.compile(rb"[^\x00-\x08\x0b\x0e-\x1f\x7f]*\Z")
_SOURCES = frozenset(
    {".sh", ".bash", ".zsh", ".bat", ".cmd", ".ps1", ".vbs", ".c", ".cc", ".cpp", ".cxx", ".cu", ".cuh", ".h", ".hpp",
     ".rs", ".go", ".js", ".mjs", ".ts", ".rb", ".pl", ".lua", ".java", ".r", ".jl", ".pyx", ".php", ".swift", ".m"}
)  # fmt: skip
_ACTIVE_PAGE = re.compile(
    rb"<\s*script|javascript:|<\s*(?:iframe|object|embed|foreignobject|base|meta[^>]{1,200}refresh)|\son[a-z]{3,20}\s*=",
    re.IGNORECASE,
)
# A name in a PDF may spell any letter as #xx.
_ACTIVE_PDF = re.compile(
    rb"/(?:JavaScript|JS|OpenAction|AA|Launch|EmbeddedFile|EmbeddedFiles|RichMedia|XFA|SubmitForm|ImportData)\b"
)
_HEX = re.compile(rb"#([0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of thing that is told by its first bytes."""

    magic: bytes
    name: str
    rule: str
    message: str


_KINDS = (
    _Kind(b"7z\xbc\xaf\x27\x1c", "7z", "ART-213", "a 7z archive, which no model loader opens and few scanners do"),
    _Kind(b"Rar!\x1a\x07", "RAR", "ART-213", "a RAR archive, which no model loader opens and few scanners do"),
    _Kind(b"binf", "the binary XGBoost format", "ART-654",
          "a model in XGBoost's first binary format, whose reader believes every length and which XGBoost gave up"),
    # Their magic numbers are integers, so the letters stand in reverse in the file.
    *(_Kind(magic, "the format before GGUF", "ART-654",
            "a model in a format before GGUF, whose readers believe every length and which llama.cpp gave up")
      for magic in (b"lmgg", b"fmgg", b"tjgg", b"algg")),
)  # fmt: skip


def _kind(head: Head) -> _Kind | None:
    return next((kind for kind in _KINDS if head.start.startswith(kind.magic)), None)


def _find(piece: Input, rule: str, message: str, symbol: str) -> None:
    piece.exam.finding(rule, message, member=piece.source.member, symbol=symbol)


def _gap(piece: Input, what: str, fix: str) -> None:
    where = f"{piece.source.member}: " if piece.source.member else ""
    piece.exam.gap(f"{where}{what} is not examined by this version", fix)


def _examine_kind(piece: Input) -> None:
    kind = _kind(piece.head)
    if kind is not None:
        _find(piece, kind.rule, f"this is {kind.message}", kind.name)
        _gap(piece, kind.name, "unpack or convert it, or remove the file")


# --- Torch7 ------------------------------------------------------------------------------------------------------


def _is_torch7(head: Head) -> bool:
    number = int.from_bytes(head.start[:4], "little")
    return head.suffix in (".t7", ".th7") and (1 <= number <= 8 or head.start[:2] in (b"3\n", b"4\n"))


def _examine_torch7(piece: Input) -> None:
    _find(piece, "ART-655", "this is a Torch7 file, which may hold Lua functions that run when it is used", "Torch7")
    _gap(piece, "Torch7", "convert it to safetensors, or remove the file")


# --- documents ---------------------------------------------------------------------------------------------------


def _is_document(head: Head) -> bool:
    start = head.start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return head.start.startswith(b"%PDF-") or head.suffix in (".html", ".htm", ".svg", ".xhtml") or start.startswith(
        (b"<!doctype html", b"<html", b"<svg")
    )  # fmt: skip


def _examine_document(piece: Input) -> None:
    data = piece.source.read_at(0, min(piece.source.size, _MAX_TEXT))
    if data.startswith(b"%PDF-"):
        name, found = "PDF", _ACTIVE_PDF.search(_HEX.sub(lambda hit: bytes([int(hit[1], 16)]), data))
    else:
        name, found = "a page", _ACTIVE_PAGE.search(data.replace(b"\0", b""))
    if found:
        _find(
            piece, "ART-313", f"{name} that may act when it is opened ({found[0].decode('latin-1').strip()[:40]})", name
        )
    _gap(piece, name, "release the text as Markdown, or remove the file")


# --- programs in other languages ---------------------------------------------------------------------------------


def _is_program(head: Head) -> bool:
    return head.suffix in _SOURCES and _TEXT.match(head.start) is not None


def _examine_program(piece: Input) -> None:
    suffix = piece.head.suffix
    _find(piece, "ART-312", f"program text ({suffix}) came with the model, and no check reads this language", suffix)
    _gap(piece, f"program text ({suffix})", "ship code as a package that is reviewed and signed on its own")


def _format(matches: Callable[[Head], bool], examine: Callable[[Input], None]) -> Format:
    return Format("unsupported", matches, examine)


FOREIGN = _format(lambda head: _kind(head) is not None, _examine_kind)
TORCH7 = _format(_is_torch7, _examine_torch7)
DOCUMENT = _format(_is_document, _examine_document)
PROGRAM = _format(_is_program, _examine_program)


_LFS = b"version https://git-lfs.github.com/spec/v1"
_EXECUTABLES = (
    (b"\x7fELF", "an ELF program or library"),
    (b"\xcf\xfa\xed\xfe", "a Mach-O program"),
    (b"\xce\xfa\xed\xfe", "a Mach-O program"),
    (b"\xca\xfe\xba\xbe", "a Mach-O or Java program"),
    (b"MZqFpD", "a llamafile or another portable executable"),
    (b"\0asm", "a WebAssembly program"),
    (b"#!", "a script with an interpreter line"),
)
# The module `site` runs every line of a .pth file that begins with import, as far as the file is UTF-8. It may be a
# pickle at the same time: an opcode and a length are letters, too.
_START_UP = re.compile(rb"(?:\A(?:\xef\xbb\xbf)?|[\r\n])import[ \t]")
_MAX_START_UP = 1 << 20
_NOT_YET = ((b"FEA1", 0, "Feather"),)
_NOT_YET_SUFFIXES = {".pb": "TensorFlow protobuf", ".skops": "skops", ".tar": "tar", ".h5": "HDF5", ".keras": "Keras",
                     ".cbm": "CatBoost"}  # fmt: skip
_SAFE = "convert it to safetensors, or remove the file"


def _executable(head: Head) -> str:
    for magic, what in _EXECUTABLES:
        if head.start.startswith(magic):
            return what
    if head.start.startswith(b"MZ"):
        # Bytes 60 to 63 of a DOS header say where the Windows header begins; text may begin with MZ as well.
        at = int.from_bytes(head.start[60:64], "little")
        if head.source.read_at(at, 4) == b"PE\x00\x00" or head.suffix in (".exe", ".dll", ".pyd"):
            return "a Windows program"
    # Python's magic number ends in a line break, so that a copy in text mode breaks it.
    if head.suffix in (".pyc", ".pyo") and head.start[2:4] == b"\r\n":
        return "compiled Python"
    if head.suffix == ".pth" and _starts_up(head):
        return "a path file, whose import lines Python runs when it starts"
    return ""


def _starts_up(head: Head) -> bool:
    data = head.start if not _is_utf8(head.start[:-4]) else head.source.read_at(0, _MAX_START_UP)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        data = data[: error.start]
    return _START_UP.search(data) is not None


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return True


def _examine_executable(piece: Input) -> None:
    what = _executable(piece.head)
    piece.exam.finding("ART-308", f"this is {what}", member=piece.source.member, symbol=what)
    piece.exam.cover_all()


def _examine_lfs(piece: Input) -> None:
    piece.exam.finding(
        "ART-304",
        "this is a Git LFS pointer: the model's bytes are not here and were not examined",
        member=piece.source.member,
        symbol="git-lfs",
        fix="git lfs pull, then run the gate again",
    )
    piece.exam.cover_all()


def _not_yet(head: Head) -> str:
    for magic, at, name in _NOT_YET:
        if head.start[at : at + len(magic)] == magic:
            return name
    return ""


def _examine_not_yet(piece: Input) -> None:
    name = _not_yet(piece.head) or _NOT_YET_SUFFIXES.get(piece.head.suffix, "this format")
    where = f"{piece.source.member}: " if piece.source.member else ""
    piece.exam.gap(f"{where}{name} is not examined yet by this version", _SAFE)


def _examine_png(piece: Input) -> None:
    """Walk the chunks to IEND, which has to be the end of the file."""
    source, at = piece.source, 8
    while True:
        head = source.read_at(at, 8)
        length = int.from_bytes(head[:4], "big")
        if len(head) < 8 or at + 12 + length > source.size:
            raise ValueError(f"a PNG chunk at {at} is cut off")
        body = source.read_at(at + 4, 4 + length)
        if zlib.crc32(body).to_bytes(4, "big") != source.read_at(at + 8 + length, 4):
            raise ValueError(f"a PNG chunk at {at} has a wrong checksum")
        at += 12 + length
        if head[4:] == b"IEND":
            break
    _end_at(piece, at)


def _end_at(piece: Input, at: int) -> None:
    if at < piece.source.size:
        extra = piece.source.size - at
        piece.exam.finding("ART-309", f"{extra} bytes follow the end of the picture",
                           member=piece.source.member, offset=at, symbol="trailing bytes")  # fmt: skip
    piece.exam.cover_all()


def _examine_jpeg(piece: Input) -> None:
    source, at = piece.source, 2
    while True:
        marker = source.read_at(at, 4)
        if len(marker) < 4 or marker[0] != 0xFF:
            raise ValueError(f"no JPEG marker at {at}")
        if marker[1] == 0xDA:
            break
        at += 2 + int.from_bytes(marker[2:4], "big")
    data = source.read_at(at, source.size - at)
    end = data.find(b"\xff\xd9")
    while end >= 0 and data[end + 2 : end + 3] == b"\xff":
        end = data.find(b"\xff\xd9", end + 2)
    if end < 0:
        raise ValueError("the JPEG has no end marker")
    _end_at(piece, at + end + 2)


LFS_POINTER = Format("git-lfs", lambda head: head.start.startswith(_LFS), _examine_lfs)
EXECUTABLE = Format("executable", lambda head: bool(_executable(head)), _examine_executable)
NOT_YET = Format("unsupported", lambda head: bool(_not_yet(head)), _examine_not_yet)
NOT_YET_BY_NAME = Format("unsupported", lambda head: head.suffix in _NOT_YET_SUFFIXES, _examine_not_yet)
PNG = Format("png", lambda head: head.start.startswith(b"\x89PNG\r\n\x1a\n"), _examine_png)
JPEG = Format("jpeg", lambda head: head.start.startswith(b"\xff\xd8\xff"), _examine_jpeg)
