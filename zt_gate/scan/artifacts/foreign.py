"""Names what has no place in a model release, by content.

Foreign archives, active documents, programs in other languages, and model formats that carry code or that were given
up. Each is a finding that says what it is, and a gap, since what is in it was not examined.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from zt_gate.domain import Severity
from zt_gate.scan.artifacts.piece import Format, Piece
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
    *(_Kind(magic, "the format before GGUF", "ART-654",
            "a model in a format before GGUF, whose readers believe every length and which llama.cpp gave up")
      for magic in (b"lmgg", b"fmgg", b"tjgg", b"algg")),
)  # fmt: skip


def _kind(head: Head) -> _Kind | None:
    return next((kind for kind in _KINDS if head.start.startswith(kind.magic)), None)


def _find(piece: Piece, rule: str, message: str, symbol: str) -> None:
    piece.exam.finding(rule, Severity.HIGH, message, member=piece.source.member, symbol=symbol)


def _gap(piece: Piece, what: str, fix: str) -> None:
    where = f"{piece.source.member}: " if piece.source.member else ""
    piece.exam.gap(f"{where}{what} is not examined by this version", fix)


def _examine_kind(piece: Piece) -> None:
    kind = _kind(piece.head)
    if kind is not None:
        _find(piece, kind.rule, f"this is {kind.message}", kind.name)
        _gap(piece, kind.name, "unpack or convert it, or remove the file")


# --- Torch7 ------------------------------------------------------------------------------------------------------


def _is_torch7(head: Head) -> bool:
    number = int.from_bytes(head.start[:4], "little")
    return head.suffix in (".t7", ".th7") and (1 <= number <= 8 or head.start[:2] in (b"3\n", b"4\n"))


def _examine_torch7(piece: Piece) -> None:
    _find(piece, "ART-655", "this is a Torch7 file, which may hold Lua functions that run when it is used", "Torch7")
    _gap(piece, "Torch7", "convert it to safetensors, or remove the file")


# --- documents ---------------------------------------------------------------------------------------------------


def _is_document(head: Head) -> bool:
    start = head.start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return head.start.startswith(b"%PDF-") or head.suffix in (".html", ".htm", ".svg", ".xhtml") or start.startswith(
        (b"<!doctype html", b"<html", b"<svg")
    )  # fmt: skip


def _examine_document(piece: Piece) -> None:
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


def _examine_program(piece: Piece) -> None:
    suffix = piece.head.suffix
    _find(piece, "ART-312", f"program text ({suffix}) came with the model, and no check reads this language", suffix)
    _gap(piece, f"program text ({suffix})", "ship code as a package that is reviewed and signed on its own")


def _format(matches: Callable[[Head], bool], examine: Callable[[Piece], None]) -> Format:
    return Format("unsupported", matches, examine)


FOREIGN = _format(lambda head: _kind(head) is not None, _examine_kind)
TORCH7 = _format(_is_torch7, _examine_torch7)
DOCUMENT = _format(_is_document, _examine_document)
PROGRAM = _format(_is_program, _examine_program)
