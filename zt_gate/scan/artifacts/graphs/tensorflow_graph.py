"""TensorFlow graphs: SavedModel, frozen graph and meta graph, read from the protobuf without TensorFlow.

A graph is a program. Its operators have to be on a list; those that read or write files are let through only in the
place where TensorFlow's own saver stands: reachable from nothing but the saver's definition, fed by a placeholder, and
with no path of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from zt_gate.domain import printable
from zt_gate.scan.artifacts.encodings.protobuf import (
    Handler,
    ProtobufMessage,
    Schema,
    Span,
    Walker,
    note_unknowns,
    top_level,
)
from zt_gate.scan.artifacts.format import Format, Input
from zt_gate.scan.artifacts.graphs.external_data import leads_out
from zt_gate.scan.artifacts.graphs.operators import load_operators
from zt_gate.scan.interface import Head

SCHEMA: Schema = {
    "SavedModel": {1: "int", 2: "MetaGraph*"},
    "MetaGraph": {1: "MetaInfo", 2: "Graph", 3: "Saver", 4: "skip*", 5: "skip*", 6: "Asset*", 7: "ObjectGraph"},
    "MetaInfo": {1: "skip", 2: "skip", 3: "skip", 4: "skip*", 5: "skip", 6: "skip", 7: "int", 8: "skip*"},
    "Saver": {1: "text", 2: "text", 3: "text", 4: "int", 5: "int", 6: "fixed32", 7: "int"},
    "Asset": {1: "skip", 2: "text"},
    "Graph": {1: "Node*", 2: "Library", 3: "int", 4: "Versions", 5: "skip"},
    "Versions": {1: "int", 2: "int", 3: "int*"},
    "Node": {1: "text", 2: "text", 3: "skip*", 4: "skip", 5: "Attr*", 6: "skip", 7: "skip"},
    "Attr": {1: "text", 2: "Value"},
    "Value": {
        1: "List", 2: "data", 3: "int", 4: "fixed32", 5: "int", 6: "int", 7: "skip", 8: "Tensor", 9: "text", 10: "Func",
    },
    "List": {2: "data*", 3: "int*", 4: "fixed32*", 5: "int*", 6: "int*", 7: "skip*", 8: "Tensor*", 9: "Func*"},
    "Func": {1: "text", 2: "Attr*"},
    "Tensor": {
        1: "int", 2: "skip", 3: "int", 4: "skip", 5: "fixed32*", 6: "fixed64*", 7: "int*", 8: "data*", 9: "fixed32*",
        10: "int*", 11: "int*", 12: "fixed64*", 13: "int*", 14: "skip*", 15: "skip*", 16: "int*", 17: "int*",
        18: "skip",
    },
    "Library": {1: "Function*", 2: "Gradient*", 3: "RegisteredGradient*"},
    "Function": {
        1: "Signature", 3: "Node*", 4: "skip*", 5: "Attr*", 6: "skip*", 7: "skip*", 8: "skip*",
    },
    "Signature": {
        1: "text", 2: "skip*", 3: "skip*", 4: "skip*", 5: "skip", 6: "skip", 8: "skip", 16: "int", 17: "int", 18: "int",
        19: "int", 20: "skip*", 21: "int",
    },
    "Gradient": {1: "text", 2: "text"},
    "RegisteredGradient": {1: "text", 2: "text"},
    "ObjectGraph": {1: "Object*", 2: "Concrete*"},
    "Concrete": {1: "text", 2: "skip"},
    "Object": {
        1: "skip*", 3: "skip*", 4: "UserObject", 5: "skip", 6: "skip", 7: "skip", 8: "skip", 9: "skip", 10: "skip",
        11: "skip*", 12: "skip", 13: "text", 14: "skip", 15: "skip*", 16: "text",
    },
    "UserObject": {1: "text", 2: "Versions", 3: "text"},
    "Fingerprint": {1: "int", 2: "int", 3: "int", 4: "int", 5: "int", 6: "Versions", 7: "text"},
    "KerasMetadata": {1: "KerasNode*"},
    "KerasNode": {2: "int", 3: "text", 4: "text", 5: "text", 6: "Versions"},
    "BundleHeader": {1: "int", 2: "int", 3: "Versions"},
    "BundleEntry": {1: "int", 2: "skip", 3: "int", 4: "int", 5: "int", 6: "fixed32", 7: "skip*"},
}  # fmt: skip


_SAVER = frozenset({"SaveV2", "RestoreV2", "MergeV2Checkpoints", "Save", "SaveSlices", "Restore", "RestoreSlice"})
_FILE_TABLES = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
_PATH = re.compile(rb"/|~|[A-Za-z]:[\\/]|[a-z][a-z0-9+.-]*://|.*\.\.[/\\]")
_STREAMS = frozenset({b"", b"stderr", b"stdout", b"log(info)", b"log(warning)", b"log(error)"})
_LAMBDA = re.compile(r'"class_name"\s*:\s*"(?:[\w.>]*>)?(?:Lambda|TFOpLambda\.__unsafe__)"|"__lambda__"')
_PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderWithDefault"})
_STRING_TYPE = 7
# PATH_MAX of Linux: no longer text can name a file.
_MAX_TEXT = 4096


@dataclass(frozen=True, slots=True)
class _Node:
    name: str
    op: str
    start: int
    calls: tuple[str, ...]
    """Functions, or operators by way of a function's name."""
    paths: bool
    """Whether it holds a text that is a path out of here."""


@dataclass(slots=True)
class _GraphScope:
    """The main graph (name empty) or one function."""

    name: str
    nodes: list[_Node]


@dataclass(slots=True)
class _MetaGraph:
    """What stands in one meta graph, or in a graph on its own."""

    places: list[_GraphScope] = field(default_factory=list)
    functions: set[str] = field(default_factory=set)
    exposed: set[str] = field(default_factory=set)
    saver: tuple[str, str, str] = ("", "", "")
    assets: list[str] = field(default_factory=list)


class _GraphReader:
    """Collects, while the walker goes through the messages, what the rules look at."""

    def __init__(self, piece: Input) -> None:
        self.piece = piece
        self.current = _MetaGraph()
        self.graphs = 0
        self.walker = Walker(piece.source, SCHEMA, self._handlers())

    def _handlers(self) -> dict[str, Handler]:
        return {
            "Tensor": self._tensor, "Value": self._value, "List": self._list, "Func": self._func, "Attr": self._attr,
            "Node": self._node, "Signature": lambda record: record.text(1), "Function": self._function,
            "Graph": self._graph, "Saver": self._saver, "Asset": self._asset, "Concrete": self._concrete,
            "UserObject": lambda record: self._keras(record.text(3)), "KerasNode": lambda r: self._keras(r.text(5)),
            "MetaGraph": self._meta_graph, "Gradient": self._gradient,
        }  # fmt: skip

    def _small(self, span: Span) -> bytes:
        return self.walker.read(span) if span.size <= _MAX_TEXT else b""

    # A tensor, list, value or function says two things: which functions it names and whether it holds a path.

    def _tensor(self, record: ProtobufMessage) -> tuple[tuple[str, ...], bool, bytes]:
        texts = record.all(8) if record.number(1) == _STRING_TYPE else []
        return (), any(_PATH.match(self._small(span)) for span in texts), b""

    def _list(self, record: ProtobufMessage) -> tuple[tuple[str, ...], bool, bytes]:
        return _merge([*record.all(8), *record.all(9)], any(_PATH.match(self._small(span)) for span in record.all(2)))

    def _value(self, record: ProtobufMessage) -> tuple[tuple[str, ...], bool, bytes]:
        text = b"".join(self._small(span) for span in record.all(2))
        calls, paths, _ = _merge([*record.all(1), *record.all(8), *record.all(10)], bool(_PATH.match(text)))
        return calls, paths, text

    def _func(self, record: ProtobufMessage) -> tuple[tuple[str, ...], bool, bytes]:
        calls, paths, _ = _merge([value for _, value in record.all(2)], paths=False)
        return (record.text(1), *calls), paths, b""

    def _attr(self, record: ProtobufMessage) -> tuple[str, tuple[tuple[str, ...], bool, bytes]]:
        return record.text(1), _merge(record.all(2), paths=False, text=b"".join(v[2] for v in record.all(2)))

    def _node(self, record: ProtobufMessage) -> _Node | None:
        attrs = record.all(5)
        calls, paths, _ = _merge([value for _, value in attrs], paths=False)
        # A field that stands twice counts as its last; here every one of them has to be harmless.
        for op in record.all(2) or [""]:
            # PrintV2 writes to a file where its output stream is `file://` and a path.
            if op == "PrintV2":
                streams = [value[2] for key, value in attrs if key == "output_stream"]
                op = "Print" if set(streams) <= _STREAMS else "PrintV2 to a file"  # noqa: PLW2901 - judged as that
            # What cannot matter is forgotten at once, since graphs have millions of nodes.
            plain = op in load_operators().allowed and op not in _FILE_TABLES and op not in _PLACEHOLDERS
            if not plain or calls or paths:
                return _Node(record.text(1), op, record.start, tuple(call for call in calls if call), paths)
        return None

    def _function(self, record: ProtobufMessage) -> None:
        name = next(iter(record.all(1)), "")
        self.current.functions.add(name)
        self.current.places.append(_GraphScope(name, record.all(3)))

    def _gradient(self, record: ProtobufMessage) -> None:
        self.current.places.append(_GraphScope("gradient", [_Node(record.text(1), "NoOp", record.start,
                                                             (record.text(2),), paths=False)]))  # fmt: skip

    def _graph(self, record: ProtobufMessage) -> None:
        self.current.places.append(_GraphScope("", record.all(1)))

    def _saver(self, record: ProtobufMessage) -> None:
        names = (record.text(1), record.text(2), record.text(3))
        self.current.saver = (names[0].split(":")[0], names[1].split(":")[0], names[2].split(":")[0])

    def _asset(self, record: ProtobufMessage) -> None:
        self.current.assets.append(record.text(2))

    def _concrete(self, record: ProtobufMessage) -> None:
        self.current.exposed.add(record.text(1))

    def _keras(self, metadata: str) -> None:
        if _LAMBDA.search(metadata):
            self.piece.exam.finding("ART-513", "Keras would unmarshal the code of a Lambda layer",
                                    member=self.piece.source.member, symbol="Lambda")  # fmt: skip

    def _meta_graph(self, record: ProtobufMessage) -> None:  # noqa: ARG002 - a handler
        judge(self.piece, self.current)
        self.current = _MetaGraph()
        self.graphs += 1


def _merge(
    parts: Iterable[tuple[tuple[str, ...], bool, bytes]], paths: bool, text: bytes = b""
) -> tuple[tuple[str, ...], bool, bytes]:
    calls: tuple[str, ...] = ()
    for inner, has_path, _ in parts:
        calls += inner
        paths = paths or has_path
    return calls, paths, text


# --- rules -------------------------------------------------------------------------------------------------------


def judge(piece: Input, graph: _MetaGraph) -> None:
    """Judge one meta graph after all of it was read."""
    for name in graph.assets:
        if leads_out(name):
            _find(piece, "ART-512", f"the asset {printable(name, 100)} leads out of the model", name)
    operators = load_operators()
    saver = _saver_functions(graph)
    for place in graph.places:
        for node in place.nodes:
            if place.name in saver or (not place.name and _in_saver_scope(graph, place, node)):
                if node.paths:
                    _find(piece, "ART-510", f"the saver's node {printable(node.name, 80)} brings a "
                          "path of its own", node.op, node.start)  # fmt: skip
                if node.op in _SAVER and not node.calls:
                    continue
            for op in (node.op, *node.calls):
                if op in graph.functions:
                    continue
                if op in operators.dangerous or op == "PrintV2 to a file":
                    _find(piece, "ART-510", f"the operator {printable(op, 80)} reaches files, the "
                          "network, Python or the process", op, node.start)  # fmt: skip
                elif op not in operators.allowed:
                    _find(piece, "ART-511", f"the operator {printable(op, 80)} is not known", op,
                          node.start)  # fmt: skip
                elif op in _FILE_TABLES and not graph.assets:
                    _find(piece, "ART-510", f"{op} reads a file, and the model ships none", op,
                          node.start)  # fmt: skip


def _find(piece: Input, rule: str, message: str, symbol: str, offset: int | None = None) -> None:
    piece.exam.finding(rule, message, member=piece.source.member, offset=offset, symbol=printable(symbol, 80))


def _fed_by_placeholder(graph: _MetaGraph) -> bool:
    filename = graph.saver[0]
    return any(node.name == filename and node.op in _PLACEHOLDERS for place in graph.places if not place.name
               for node in place.nodes) and bool(filename)  # fmt: skip


def _saver_functions(graph: _MetaGraph) -> set[str]:
    """Return the functions that nothing but the saver's own nodes in the main graph calls."""
    if not _fed_by_placeholder(graph):
        return set()
    wanted: set[str] = set()
    others: set[str] = set(graph.exposed)
    for place in graph.places:
        for node in place.nodes:
            is_saver = not place.name and node.name in graph.saver[1:]
            (wanted if is_saver else others).update(node.calls)
            # A node may also call a function by having its name as operator.
            others.add(node.op)
    return (wanted - others) & graph.functions


def _in_saver_scope(graph: _MetaGraph, place: _GraphScope, node: _Node) -> bool:
    """Whether a node of the main graph stands in the saver's name scope, as TensorFlow 1 laid it out."""
    scope, slash, _ = graph.saver[0].partition("/")
    # `tf.train.Saver` calls its scope save, save_1 and so on.
    named = bool(slash) and re.fullmatch(r"save(_[0-9]+)?", scope) is not None and node.name.startswith(scope + "/")
    return named and not place.name and _fed_by_placeholder(graph)


def _examine_kind(piece: Input, kind: str) -> None:
    reader = _GraphReader(piece)
    record = reader.walker.walk(kind)
    if kind == "SavedModel" and not reader.graphs:
        piece.exam.gap("a SavedModel without a graph", "export the model again")
    if kind in ("Graph", "MetaGraph"):
        if kind == "Graph":
            reader.current.places.append(_GraphScope("", record.all(1)))
        judge(piece, reader.current)
    note_unknowns(piece, reader.walker, "TensorFlow")
    piece.exam.cover_all()


_NAMED = {"fingerprint.pb": "Fingerprint", "keras_metadata.pb": "KerasMetadata", "saved_model.pb": "SavedModel"}


def _kind(head: Head) -> str:
    if head.name in _NAMED:
        return _NAMED[head.name]
    if head.suffix == ".meta":
        return "MetaGraph" if 2 in top_level(head.source, SCHEMA, "MetaGraph") else ""
    if head.suffix != ".pb" and not _starts_like(head):
        return ""
    for kind, needed in (("SavedModel", {1, 2}), ("Graph", {1})):
        if needed <= top_level(head.source, SCHEMA, kind).keys():
            return kind
    return ""


def _starts_like(head: Head) -> bool:
    """Whether a file of any name begins as a SavedModel does, or as a node whose operator can be read."""
    if head.start.startswith(b"\x08\x01\x12"):
        return True
    return (
        re.match(rb"\x0a[\x04-\xff][\x00-\xff]{0,2}\x0a[\x01-\x7f][\w./-]+\x12[\x01-\x40][A-Z]\w", head.start)
        is not None
    )


def _examine(piece: Input) -> None:
    _examine_kind(piece, _kind(piece.head))


TENSORFLOW = Format("tensorflow", lambda head: bool(_kind(head)), _examine)


_MAX_TEXT_BYTES = 256 << 20
_OPERATOR = re.compile(rb"""\bop\s*:\s*["']([^"'\n]{1,200})["']""")


def _examine_text(piece: Input) -> None:
    if piece.source.size > _MAX_TEXT_BYTES:
        raise ValueError(f"a text of more than {_MAX_TEXT_BYTES} bytes")
    data = piece.source.read_at(0, piece.source.size)
    names = {name.decode("utf-8", "backslashreplace") for name in _OPERATOR.findall(data)}
    for name in sorted(names & load_operators().dangerous):
        shown = printable(name, 80)
        piece.exam.finding("ART-510", f"the operator {shown} reaches files, the network, Python "
                           "or the process", member=piece.source.member, symbol=shown)  # fmt: skip
    piece.exam.gap("a graph as protobuf text is not examined by this version", "save the model in binary form")


TEXT_GRAPH = Format("unsupported", lambda head: head.suffix == ".pbtxt", _examine_text)
