"""Core ML: which kinds of model and layer a specification holds, and the weight file of a model package."""

from __future__ import annotations

import re
import struct

from zt_gate.domain import printable
from zt_gate.scan.artifacts.encodings.protobuf import Handler, ProtobufMessage, Schema, Walker, note_unknowns, top_level
from zt_gate.scan.artifacts.format import Format, Input
from zt_gate.scan.artifacts.graphs.external_data import leads_out
from zt_gate.scan.interface import Head

# Model types by field number; those that are only tables of numbers are passed over.
_TABLES = (300, 301, 302, 304, 400, 401, 402, 404, 501, 557, 600, 601, 602, 603, 604, 606, 607, 609, 610, 900, 2000,
           2001, 2002, 2003, 2004, 2005, 2006)  # fmt: skip
_LAYERS = dict.fromkeys(range(100, 1700), "skip")
SCHEMA: Schema = {
    "Model": {
        1: "int", 2: "skip", 10: "int", **dict.fromkeys(_TABLES, "skip"),
        200: "Wrapped", 201: "Wrapped", 202: "Pipeline", 303: "Network", 403: "Network", 500: "Network", 502: "Program",
        555: "Custom", 556: "Linked", 3000: "Serialized",
    },
    "Wrapped": {1: "Pipeline"},
    "Pipeline": {1: "Model*", 2: "skip*"},
    "Network": {
        1: "Layer*", 2: "skip*", 5: "int", 6: "int", 10: "skip", 100: "skip", 101: "skip", 200: "skip", 201: "skip",
    },
    "Layer": {
        1: "text", 2: "skip*", 3: "skip*", 4: "skip*", 5: "skip*", 10: "int", **_LAYERS,
        500: "CustomLayer", 600: "Branch", 615: "Loop",
    },
    "CustomLayer": {10: "text", 20: "skip*", 30: "skip*", 40: "skip"},
    "Branch": {1: "Network", 2: "Network"},
    "Loop": {1: "int", 2: "skip", 3: "Network", 4: "Network"},
    "Custom": {10: "text", 20: "skip*", 30: "skip*", 40: "skip"},
    "Linked": {1: "LinkedFile"},
    "LinkedFile": {1: "skip", 2: "skip"},
    "Serialized": {1: "text", 2: "skip"},
    "Program": {1: "int", 2: "FunctionEntry*", 3: "skip", 4: "skip*"},
    "FunctionEntry": {1: "text", 2: "Function"},
    "Function": {1: "skip*", 2: "text", 3: "BlockEntry*", 4: "ValueEntry*"},
    "BlockEntry": {1: "text", 2: "Block"},
    "Block": {1: "skip*", 2: "skip*", 3: "Operation*", 4: "ValueEntry*"},
    "Operation": {1: "text", 2: "skip*", 3: "skip*", 4: "Block*", 5: "ValueEntry*"},
    "ValueEntry": {1: "text", 2: "Value"},
    "Value": {1: "skip", 2: "skip", 3: "skip", 5: "BlobFile"},
    "BlobFile": {1: "text", 2: "int"},
}  # fmt: skip
_OPERATION = re.compile(r"[a-z][a-z0-9_]*\Z|(ios|coreml)[0-9]*[._][a-z0-9_.]+\Z", re.IGNORECASE)
_BLOB_HEADER = 64
_BLOB_MAGIC = 0xDEADBEEF
_MAX_BLOBS = 1_000_000


def _handlers(piece: Input) -> dict[str, Handler]:
    def find(what: str) -> Handler:
        def handle(record: ProtobufMessage) -> None:
            name = printable(record.text(10) or record.text(1), 80) if record.kind != "Linked" else ""
            piece.exam.finding("ART-570", f"{what} {name}".rstrip(), member=piece.source.member,
                               offset=record.start, symbol=f"{record.kind} {name}".rstrip())  # fmt: skip

        return handle

    def operation(record: ProtobufMessage) -> None:
        kind = record.text(1)
        if not _OPERATION.match(kind) or "custom" in kind.lower():
            piece.exam.finding("ART-570", f"the operation {printable(kind, 80)} is a custom one",
                               member=piece.source.member, offset=record.start, symbol=printable(kind, 80))  # fmt: skip

    def blob(record: ProtobufMessage) -> None:
        # Core ML's own mark for the folder of the model package.
        name = record.text(1).removeprefix("@model_path/")
        if leads_out(name):
            shown = printable(record.text(1), 100)
            piece.exam.finding("ART-501", f"external data leads out of the model's folder: {shown}",
                               member=piece.source.member, symbol=shown)  # fmt: skip

    return {
        "CustomLayer": find("a custom layer, run by a class of the app:"),
        "Custom": find("a custom model, run by a class of the app:"),
        "Linked": find("a model that is linked from elsewhere"),
        "Serialized": find("a serialised model of another kind:"),
        "Operation": operation,
        "BlobFile": blob,
    }


def _examine(piece: Input) -> None:
    walker = Walker(piece.source, SCHEMA, _handlers(piece))
    walker.walk("Model")
    note_unknowns(piece, walker, "Core ML")
    piece.exam.cover_all()


def _examine_blob(piece: Input) -> None:
    """Walk the weight file: a header, and in front of each blob a record of where it lies."""
    source, at = piece.source, _BLOB_HEADER
    count = int.from_bytes(source.read_at(0, 4), "little")
    if count > _MAX_BLOBS:
        raise ValueError(f"a weight file of {count} blobs")
    for number in range(count):
        record = source.read_at(at, 64)
        if len(record) < 64:
            raise ValueError(f"blob {number} is cut off")
        magic, _, size, offset = struct.unpack_from("<LLQQ", record)
        if magic != _BLOB_MAGIC or offset < at + 64 or offset + size > source.size:
            raise ValueError(f"blob {number} at {at} does not fit")
        if offset - at - 64 >= 64 or source.read_at(at + 64, offset - at - 64).strip(b"\0"):
            raise ValueError(f"bytes in front of blob {number} belong to none")
        at = offset + size
        at += -at % 64
    if at < source.size:
        piece.exam.gap(f"{source.size - at} bytes follow the last blob", "export the model again")
        return
    piece.exam.cover_all()


def _matches(head: Head) -> bool:
    return head.suffix == ".mlmodel" and 1 in top_level(head.source, SCHEMA, "Model")


def _is_blob(head: Head) -> bool:
    version, magic = head.start[4:8], head.start[64:68]
    return version == b"\x02\0\0\0" and magic == _BLOB_MAGIC.to_bytes(4, "little") and not head.start[8:64].strip(b"\0")


COREML = Format("coreml", _matches, _examine)
COREML_WEIGHTS = Format("coreml-weights", _is_blob, _examine_blob)
