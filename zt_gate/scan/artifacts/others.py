"""Formats that are told by their first bytes: refused ones, pictures, and those this version cannot examine yet."""

from __future__ import annotations

import re
import zlib

from zt_gate.domain import Severity
from zt_gate.scan.artifacts.format import Format, Piece
from zt_gate.scan.interface import Head

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
# The module `site` runs every line of a .pth file that begins with import.
_START_UP = re.compile(rb"(?:[\t\x20-\x7e]*\r?\n)*import[ \t]")
_NOT_YET = ((b"FEA1", 0, "Feather"),)
_NOT_YET_SUFFIXES = {".pb": "TensorFlow protobuf", ".skops": "skops", ".tar": "tar", ".h5": "HDF5", ".keras": "Keras",
                     ".cbm": "CatBoost"}  # fmt: skip
_SAFE = "convert it to safetensors, or remove the file"


def _executable(head: Head) -> str:
    for magic, what in _EXECUTABLES:
        if head.start.startswith(magic):
            return what
    if head.start.startswith(b"MZ"):
        at = int.from_bytes(head.start[60:64], "little")
        if head.source.read_at(at, 4) == b"PE\x00\x00" or head.suffix in (".exe", ".dll", ".pyd"):
            return "a Windows program"
    if head.suffix in (".pyc", ".pyo") and head.start[2:4] == b"\r\n":
        return "compiled Python"
    if head.suffix == ".pth" and _START_UP.match(head.start):
        return "a path file, whose import lines Python runs when it starts"
    return ""


def _examine_executable(piece: Piece) -> None:
    what = _executable(piece.head)
    piece.exam.finding("ART-308", Severity.CRITICAL, f"this is {what}", member=piece.source.member, symbol=what)
    piece.exam.cover_all()


def _examine_lfs(piece: Piece) -> None:
    piece.exam.finding(
        "ART-304",
        Severity.CRITICAL,
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


def _examine_not_yet(piece: Piece) -> None:
    name = _not_yet(piece.head) or _NOT_YET_SUFFIXES.get(piece.head.suffix, "this format")
    where = f"{piece.source.member}: " if piece.source.member else ""
    piece.exam.gap(f"{where}{name} is not examined yet by this version", _SAFE)


def _examine_png(piece: Piece) -> None:
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


def _end_at(piece: Piece, at: int) -> None:
    if at < piece.source.size:
        extra = piece.source.size - at
        piece.exam.finding("ART-309", Severity.HIGH, f"{extra} bytes follow the end of the picture",
                           member=piece.source.member, offset=at, symbol="trailing bytes")  # fmt: skip
    piece.exam.cover_all()


def _examine_jpeg(piece: Piece) -> None:
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
