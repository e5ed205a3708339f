"""Model files with a short story: LightGBM's text, SentencePiece's vocabulary, and formats that are never data."""

from __future__ import annotations

from zt_gate.codecs.strict_json import DuplicateKeyError, parse_json
from zt_gate.scan.artifacts.format import Format, Input
from zt_gate.scan.artifacts.tensors.trees import note_trees, problems_of_lightgbm
from zt_gate.scan.interface import Head

_MAX_TEXT = 1 << 30
_CATEGORIES = b"\npandas_categorical:"
_R_STARTS = (b"RDX2\n", b"RDX3\n", b"RDA2\n", b"RDA3\n", b"X\n\x00\x00\x00\x02", b"X\n\x00\x00\x00\x03")
_ENGINE_STARTS = (b"ptrt", b"ftrt", b"trtp")
_ENGINE_SUFFIXES = (".engine", ".plan", ".trt")
_PIECE_FIELDS = {1: 2, 2: 5, 3: 0}
_FIXED = {1: 8, 5: 4}
_MODEL_FIELDS = frozenset(range(1, 6))


# --- LightGBM ----------------------------------------------------------------------------------------------------


def _examine_lightgbm(piece: Input) -> None:
    if piece.source.size > _MAX_TEXT:
        raise ValueError(f"a LightGBM model of more than {_MAX_TEXT} bytes")
    data = piece.source.read_at(0, piece.source.size)
    text = data.decode("utf-8")
    if b"\0" in data or b"\x1b" in data:
        raise ValueError("control characters in what should be a LightGBM text")
    if b"\nend of trees\n" not in data:
        raise ValueError("the LightGBM text has no end of trees")
    if b"\nparameters:" in data and b"\nend of parameters" not in data:
        raise ValueError("the LightGBM text has no end of parameters")
    note_trees(piece, problems_of_lightgbm(text))
    # LightGBM's Python package appends the categories of pandas behind the model, and takes the last such line.
    at = data.rfind(_CATEGORIES)
    if at >= 0:
        try:
            parse_json(data[at + len(_CATEGORIES) :].strip(), constants=True)
        except DuplicateKeyError as error:
            piece.exam.finding("ART-307", f"{error}; two readers see two values",
                               member=piece.source.member, symbol="duplicate key")  # fmt: skip
    piece.exam.cover_all()


# --- SentencePiece -----------------------------------------------------------------------------------------------


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data):
            raise ValueError("a protobuf message that ends inside a number")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError(f"a protobuf number at {at} that is too long")


def _field(data: bytes, at: int) -> tuple[int, int, int, int]:
    """Return number, wire type, and the range of a field's content."""
    tag, at = _varint(data, at)
    kind = tag & 7
    if kind == 0:
        return tag >> 3, kind, at, _varint(data, at)[1]
    if kind == 2:
        length, at = _varint(data, at)
        end = at + length
    elif kind in _FIXED:
        end = at + _FIXED[kind]
    else:
        raise ValueError(f"a protobuf field of type {kind}, which means nothing")
    if end > len(data):
        raise ValueError("a protobuf field runs past the end")
    return tag >> 3, kind, at, end


def _examine_sentencepiece(piece: Input) -> None:
    if piece.source.size > _MAX_TEXT:
        raise ValueError(f"a SentencePiece model of more than {_MAX_TEXT} bytes")
    data = piece.source.read_at(0, piece.source.size)
    at = 0
    while at < len(data):
        number, kind, start, end = _field(data, at)
        if number not in _MODEL_FIELDS or kind != 2:
            raise ValueError(f"the field {number} at {at}, which no SentencePiece model has")
        while number == 1 and start < end:
            inner, wire, _, start = _field(data, start)
            if _PIECE_FIELDS.get(inner) != wire or start > end:
                raise ValueError(f"a vocabulary entry at {at} with the field {inner}, which none has")
        at = end
    piece.exam.cover_all()


# --- never data --------------------------------------------------------------------------------------------------


def _examine_r(piece: Input) -> None:
    piece.exam.finding(
        "ART-651", "R data, which may hold expressions that run when it is read",
        member=piece.source.member, symbol="R data",
    )  # fmt: skip
    piece.exam.gap("R data is not examined by this version", "export the model as PMML or ONNX")


def _examine_engine(piece: Input) -> None:
    piece.exam.finding(
        "ART-652", "a TensorRT engine is compiled code for one GPU, and may carry plugins",
        member=piece.source.member, symbol="TensorRT engine",
    )  # fmt: skip
    piece.exam.gap("a TensorRT engine cannot be examined", "release the ONNX model and build the engine from it")


LIGHTGBM = Format("lightgbm", lambda head: head.start.startswith((b"tree\nversion=v", b"tree\r\nversion=v")),
                  _examine_lightgbm)  # fmt: skip


def _is_sentencepiece(head: Head) -> bool:
    named = head.suffix in (".model", ".spm", ".vocab")
    return named and head.start[:1] == b"\n" and head.start[2:3] == b"\n" and b"\0" in head.start


def _is_engine(head: Head) -> bool:
    return head.start.startswith(_ENGINE_STARTS) or head.suffix in _ENGINE_SUFFIXES


SENTENCEPIECE = Format("sentencepiece", _is_sentencepiece, _examine_sentencepiece)
R_DATA = Format("r-data", lambda head: head.start.startswith(_R_STARTS), _examine_r)
TENSORRT = Format("tensorrt", _is_engine, _examine_engine)
