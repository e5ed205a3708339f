"""OpenVINO IR: a network in XML, whose constants lie in a file beside it, and whose layers may come from a library."""

from __future__ import annotations

import posixpath
import re

from zt_gate.domain import printable
from zt_gate.intake import ByteSource, FrozenFile
from zt_gate.scan.artifacts.format import Format, Input
from zt_gate.scan.artifacts.graphs.external_data import ExternalRange, Referrer
from zt_gate.scan.interface import Head

_MAX_XML = 1 << 30
_CHUNK = 1 << 20
_OPSET = re.compile(r"opset([1-9]|1[0-9])\Z")
_VERSIONS = frozenset({"10", "11"})


class _OpenVinoListener:
    """Listens to the XML parser."""

    def __init__(self, source: ByteSource) -> None:
        self.problems: dict[tuple[str, str], str] = {}
        self.references: set[ExternalRange] = set()
        self.root = ""
        self.version = ""
        self._weights = re.sub(r"\.xml\Z", ".bin", posixpath.basename(source.path))
        self._layer = ""

    def doctype(self, *_: object) -> None:
        """Stop: a network has no entities."""
        key = ("ART-560", "DOCTYPE")
        self.problems[key] = "the document defines entities, which a reader may fetch or expand without end"
        raise _StopError

    def element(self, name: str, attributes: dict[str, str]) -> None:
        """Judge one element as it opens."""
        if not self.root:
            self.root, self.version = name, attributes.get("version", "")
        for attribute, value in attributes.items():
            if "library" in attribute.lower() or attribute.lower() in ("extension", "plugin"):
                self._add(f"{printable(name, 60)} names a library to load: {printable(value, 80)}",
                          attribute)  # fmt: skip
        if name == "layer":
            self._layer = printable(attributes.get("type", ""), 80)
            opset = attributes.get("version", "")
            if not _OPSET.match(opset):
                self._add(f"the layer type {self._layer} is of {printable(opset, 40) or 'no opset'} and needs a "
                          "library of its own", self._layer)  # fmt: skip
        elif name == "data" and self._layer == "Const" and "offset" in attributes:
            self.references.add(
                ExternalRange(self._weights, int(attributes["offset"]), int(attributes.get("size", "0")))
            )

    def _add(self, message: str, symbol: str) -> None:
        if len(self.problems) < 200:
            self.problems[("ART-561", printable(symbol, 80))] = message


class _StopError(Exception):
    """Nothing more is read."""


def _read(source: ByteSource) -> _OpenVinoListener:
    """Parse the document.

    Raises:
        ValueError: it is too large, or a number in it is none.
    """
    from xml.parsers import expat  # imported here: a target without XML does not pay for it

    if source.size > _MAX_XML:
        raise ValueError(f"an XML file of more than {_MAX_XML} bytes")
    judge = _OpenVinoListener(source)
    parser = expat.ParserCreate()
    # Stopped before any entity is declared: external ones read files, nested ones grow without end.
    parser.StartDoctypeDeclHandler = judge.doctype
    parser.StartElementHandler = judge.element
    try:
        for at in range(0, source.size, _CHUNK):
            parser.Parse(source.read_at(at, _CHUNK), False)
        parser.Parse(b"", True)
    except _StopError:
        return judge
    except expat.ExpatError as error:
        raise ValueError(f"not XML: {error}") from error
    return judge


def _examine(piece: Input) -> None:
    judge = _read(piece.source)
    for (rule, symbol), message in judge.problems.items():
        piece.exam.finding(rule, message, member=piece.source.member, symbol=symbol)
    if judge.root != "net" or judge.version not in _VERSIONS:
        piece.exam.gap(f"an OpenVINO network of version {printable(judge.version, 20) or 'none'} is not examined by "
                       "this version", "convert the model again")  # fmt: skip
    if judge.references and piece.source.member:
        piece.exam.gap("the weights of a network inside an archive are not examined", "unpack the archive")
    piece.exam.cover_all()


def _matches(head: Head) -> bool:
    start = head.start.removeprefix(b"\xef\xbb\xbf").lstrip()
    return start.startswith(b"<net ") or (start.startswith((b"<?xml", b"<!DOCTYPE")) and re.search(rb"<net\s", start)
                                          is not None)  # fmt: skip


def _references(file: FrozenFile) -> list[ExternalRange]:
    return sorted(_read(file).references)


OPENVINO = Format("openvino", _matches, _examine)
OPENVINO_REFERRER = Referrer("openvino", _matches, _references)
