"""ONNX: the graph's operators and where its numbers lie, read from the protobuf without onnx or a runtime."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from zt_gate.domain import printable
from zt_gate.intake import ByteSource, FrozenFile
from zt_gate.scan.artifacts.encodings.protobuf import (
    BadProtobufError,
    Handler,
    ProtobufMessage,
    Schema,
    Walker,
    note_unknowns,
    top_level,
)
from zt_gate.scan.artifacts.format import Format, Input
from zt_gate.scan.artifacts.graphs.external_data import ExternalRange, Referrer
from zt_gate.scan.artifacts.texts.metadata import judge_metadata
from zt_gate.scan.interface import Head

_PAIR = {1: "text", 2: "text"}
SCHEMA: Schema = {
    "Model": {
        1: "int", 2: "text", 3: "text", 4: "text", 5: "int", 6: "skip", 7: "Graph", 8: "OperatorSet*", 14: "Entry*",
        20: "Training*", 25: "Function*", 26: "Devices*",
    },
    "Graph": {
        1: "Node*", 2: "text", 5: "Tensor*", 10: "skip", 11: "ValueInfo*", 12: "ValueInfo*", 13: "ValueInfo*",
        14: "Annotation*", 15: "SparseTensor*", 16: "Entry*",
    },
    "Node": {
        1: "skip*", 2: "skip*", 3: "skip", 4: "text", 5: "Attribute*", 6: "skip", 7: "text", 8: "text", 9: "Entry*",
        10: "NodeDevices*",
    },
    "Attribute": {
        1: "skip", 2: "fixed32", 3: "int", 4: "skip", 5: "Tensor", 6: "Graph", 7: "fixed32*", 8: "int*", 9: "skip*",
        10: "Tensor*", 11: "Graph*", 13: "skip", 14: "Type", 15: "Type*", 20: "int", 21: "skip", 22: "SparseTensor",
        23: "SparseTensor*",
    },
    "Tensor": {
        1: "int*", 2: "int", 3: "Segment", 4: "fixed32*", 5: "int*", 6: "skip*", 7: "int*", 8: "skip", 9: "skip",
        10: "fixed64*", 11: "int*", 12: "skip", 13: "ExternalEntry*", 14: "int", 16: "Entry*",
    },
    "Function": {
        1: "text", 2: "int", 3: "int", 4: "skip*", 5: "skip*", 6: "skip*", 7: "Node*", 8: "skip", 9: "OperatorSet*",
        10: "text", 11: "Attribute*", 12: "ValueInfo*", 13: "text", 14: "Entry*",
    },
    "ExternalEntry": {1: "text", 2: "text"},
    "Entry": _PAIR,
    "OperatorSet": {1: "text", 2: "int"},
    "Training": {1: "Graph", 2: "Graph", 3: "Entry*", 4: "Entry*"},
    "SparseTensor": {1: "Tensor", 2: "Tensor", 3: "int*"},
    "Segment": {1: "int", 2: "int"},
    "Annotation": {1: "skip", 2: "Entry*"},
    "ValueInfo": {1: "skip", 2: "Type", 3: "skip", 4: "Entry*"},
    "Type": {1: "TensorType", 4: "Element", 5: "MapType", 6: "skip", 7: "Opaque", 8: "TensorType", 9: "Element"},
    "TensorType": {1: "int", 2: "Shape"},
    "Element": {1: "Type"},
    "MapType": {1: "int", 2: "Type"},
    "Opaque": {1: "skip", 2: "skip"},
    "Shape": {1: "Dimension*"},
    "Dimension": {1: "int", 2: "skip", 3: "skip"},
    "Devices": {1: "skip", 2: "int", 3: "skip*"},
    "NodeDevices": {1: "skip", 2: "Sharding*", 3: "int"},
    "Sharding": {1: "skip", 2: "int*", 3: "DeviceGroup*", 4: "ShardedDimension*"},
    "DeviceGroup": {1: "int", 2: "int*"},
    "ShardedDimension": {1: "int", 2: "SimpleDimension*"},
    "SimpleDimension": {1: "int", 2: "skip", 3: "int"},
}  # fmt: skip
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "com.microsoft"})
# Operators of ONNX Runtime's own domain that call Python or hand a file or a blob to a compiled back end.
_ACTIVE = frozenset({"PythonOp", "PythonOpGrad", "PyOp", "ExternalOp", "EPContext", "ATen", "ATenOp"})
_MAX_SEEN = 10_000
_MAX_PAIRS = 200_000
_MAX_DIMENSIONS = 64


@dataclass(slots=True)
class _Graph:
    """What a model uses and defines."""

    nodes: dict[tuple[str, str], int] = field(default_factory=dict)
    """First offset by domain and operator; those of the standard are left out."""
    functions: set[tuple[str, str]] = field(default_factory=set)
    references: set[ExternalRange] = field(default_factory=set)
    bad_references: dict[str, int] = field(default_factory=dict)
    metadata: set[tuple[str, str]] = field(default_factory=set)

    def handlers(self) -> dict[str, Handler]:
        """Return what the walker calls."""
        return {
            "Node": self._node,
            "Function": self._function,
            "ExternalEntry": lambda record: (record.text(1), record.text(2)),
            "Tensor": self._tensor,
            "Entry": self._entry,
        }

    def _node(self, record: ProtobufMessage) -> None:
        for operator in record.all(4) or [""]:
            for domain in record.all(7) or [""]:
                if (domain not in _DOMAINS or operator in _ACTIVE) and len(self.nodes) < _MAX_SEEN:
                    self.nodes.setdefault((domain, operator), record.start)

    def _entry(self, record: ProtobufMessage) -> None:
        # Exporters note on each node where it came from; those short texts repeat.
        self.metadata.add((record.text(1), record.text(2)))
        if len(self.metadata) > _MAX_PAIRS:
            raise BadProtobufError("more metadata than any model has", "export the model without it")

    def _function(self, record: ProtobufMessage) -> None:
        self.functions.add((record.text(10), record.text(1)))

    def _tensor(self, record: ProtobufMessage) -> None:
        entries = record.all(13)
        if not entries and record.number(14) == 0:
            return
        values = dict(entries)
        needed = _bytes_of(record)
        numbers = [values.get("offset", "0"), values.get("length", str(needed))]
        # A key that stands twice, or one that no runtime defines, leaves open which bytes are meant.
        odd = len(values) != len(entries) or values.keys() - {"location", "offset", "length", "checksum"}
        # The runtime reads as many bytes as the shape needs, wherever the length ends.
        if odd or not all(_is_number(text) for text in numbers) or int(numbers[1]) != needed:
            shown = f"{sorted(entries)!s:.200} for a tensor of {needed} bytes"
            self.bad_references[printable(shown, 200)] = record.start
        else:
            self.references.add(ExternalRange(values.get("location", ""), int(numbers[0]), needed))


_BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16,
         17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2}  # fmt: skip
"""Bits of an item of each type of number. Text has none, and no file of numbers holds it."""


def _bytes_of(record: ProtobufMessage) -> int:
    """Return how many bytes a tensor has by its shape and type, or -1 where that is no number of bytes."""
    shape, bits = record.all(1), _BITS.get(record.number(2))
    items = math.prod(shape) if len(shape) <= _MAX_DIMENSIONS else -1
    return -1 if bits is None or min(shape, default=0) < 0 or not 0 <= items < 1 << 62 else -(-items * bits // 8)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _walk(source: ByteSource) -> tuple[_Graph, Walker]:
    graph = _Graph()
    walker = Walker(source, SCHEMA, graph.handlers())
    if 7 not in walker.walk("Model").values:
        raise BadProtobufError("an ONNX model without a graph", "export the model again")
    return graph, walker


def _examine(piece: Input) -> None:
    graph, walker = _walk(piece.source)
    for (domain, operator), offset in sorted(graph.nodes.items()):
        _judge_operator(piece, graph, domain, operator, offset)
    for text, offset in graph.bad_references.items():
        piece.exam.finding("ART-502", f"external data is described in a way no runtime defines: {text}",
                           member=piece.source.member, offset=offset, symbol="external data")  # fmt: skip
    judge_metadata(piece, sorted(graph.metadata))
    if graph.references and piece.source.member:
        piece.exam.gap(f"{printable(piece.source.member, 120)}: external data of a model inside an archive is not "
                       "examined", "unpack the archive")  # fmt: skip
    note_unknowns(piece, walker, "ONNX")
    piece.exam.cover_all()


def _judge_operator(piece: Input, graph: _Graph, domain: str, operator: str, offset: int) -> None:
    shown = printable(f"{domain}.{operator}" if domain else operator, 120)
    rule, what = "ART-503", "is not part of ONNX and needs a custom library"
    # A function of the model itself may have any name, and its body is examined.
    if operator in _ACTIVE and (domain, operator) not in graph.functions:
        rule, what = "ART-504", "calls Python or a compiled back end"
    elif (domain, operator) in graph.functions:
        return
    piece.exam.finding(rule, f"the operator {shown} {what}", member=piece.source.member, offset=offset,
                       symbol=shown)  # fmt: skip


def _matches(head: Head) -> bool:
    if head.suffix == ".onnx":
        return True
    # ir_version comes first from every known writer; the graph has to be there and every top field has to be known.
    version = head.start[:3]
    plausible = len(version) == 3 and version[0] == 0x08 and 1 <= version[1] <= 0x20 and version[2] in _SECOND_TAGS
    return plausible and {7, 8} <= top_level(head.source, SCHEMA, "Model").keys()


_SECOND_TAGS = frozenset({0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42})


def _references(file: FrozenFile) -> list[ExternalRange]:
    return list(_walk(file)[0].references)


ONNX = Format("onnx", _matches, _examine)
ONNX_REFERRER = Referrer("onnx", _matches, _references)
