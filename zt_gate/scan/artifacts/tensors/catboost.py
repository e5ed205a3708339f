"""CatBoost's binary models: a size, a flatbuffer with the trees, and tables for categories. Numbers, never code.

Source: catboost/libs/model/model.cpp, flatbuffers/model.fbs, flatbuffers/ctr_data.fbs.
"""

from __future__ import annotations

from zt_gate.codecs.strict_json import DuplicateKeyError, parse_json
from zt_gate.domain import printable
from zt_gate.scan.artifacts.encodings.flatbuffers import BadFlatbufferError, Table
from zt_gate.scan.artifacts.format import Format, Input, Slice

_MAGIC = b"CBM1"
_VERSION = "FlabuffersModel_v1"
_TABLES = "static_provider_v1"
_CORE_FIELDS = 4
_MAX_TABLES = 1_000_000
_TREE_VECTORS = {1: 4, 2: 4, 3: 4, 8: 8, 9: 8, 10: 4, 11: 4}
"""Width of the numbers in the vectors of the tree table, by field."""


def _examine(piece: Input) -> None:
    source = piece.source
    start, size = _size(piece, 4)
    if start + size > source.size:
        raise BadFlatbufferError(f"the model declares {size} bytes and {source.size - start} follow")
    core = Table.root(Slice(source, source.member, start, size))
    if core.text(0) != _VERSION or core.count_fields() > _CORE_FIELDS:
        piece.exam.gap("this version of CatBoost's format is not known to this version", "save the model again")
        return
    trees = core.table(1)
    if trees is not None:
        for number, width in _TREE_VECTORS.items():
            trees.vector(number, width)
    for entry in core.tables(2):
        _describe(piece, entry)
    end = start + size
    for part in core.texts(3):
        if part != _TABLES:
            shown = printable(part, 60)
            piece.exam.gap(f"the model has a part {shown}, which is not examined by this version", "save it as ONNX")
            return
        end = _category_tables(piece, end)
    if end < source.size:
        piece.exam.finding("ART-680", f"{source.size - end} bytes follow the CatBoost model",
                           member=source.member, offset=end, symbol="trailing bytes")  # fmt: skip
    piece.exam.cover_all()


def _size(piece: Input, at: int) -> tuple[int, int]:
    """Read a length, which takes four bytes, or twelve where four are too few. Return where it ends, and the length."""
    raw = piece.source.read_at(at, 12)
    short = int.from_bytes(raw[:4], "little")
    if len(raw) < 4:
        raise BadFlatbufferError(f"the model is cut off at {at}")
    return (at + 4, short) if short != 0xFFFFFFFF else (at + 12, int.from_bytes(raw[4:], "little"))


def _describe(piece: Input, entry: Table) -> None:
    """Read one entry of the model's description; parameters are JSON, which two readers should read alike."""
    key, value = entry.text(0), entry.text(1, 1 << 26)
    if key.endswith("params") and value.startswith("{"):
        try:
            parse_json(value.encode(), constants=True)
        except DuplicateKeyError as error:
            piece.exam.finding("ART-307", f"{printable(key, 60)}: {error}; two readers see two values",
                               member=piece.source.member, symbol="duplicate key")  # fmt: skip


def _category_tables(piece: Input, at: int) -> int:
    """Step over the tables that turn categories into numbers, each a flatbuffer of its own."""
    at, count = _size(piece, at)
    if count > _MAX_TABLES:
        raise BadFlatbufferError(f"{count} tables of categories are more than any model has")
    for _ in range(count):
        start, size = _size(piece, at)
        at = start + size
        if at > piece.source.size:
            raise BadFlatbufferError(f"a table of categories at {start} runs past the end of the file")
        table = Table.root(Slice(piece.source, piece.source.member, start, size))
        table.vector(1)
        table.vector(2)
    return at


# The magic is also how a pickle may begin, so the name has to say that CatBoost is to read the file.
CATBOOST = Format("catboost", lambda head: head.start.startswith(_MAGIC) and head.suffix == ".cbm", _examine)
