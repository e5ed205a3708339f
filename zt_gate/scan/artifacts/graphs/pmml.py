"""PMML: models in XML. Definitions of entities, extensions and calls of named functions are where code comes in."""

from __future__ import annotations

import re

from zt_gate.domain import printable
from zt_gate.scan.artifacts.format import Format, Input
from zt_gate.scan.interface import Head

_MAX_XML = 256 << 20
_CHUNK = 1 << 20
_NAMESPACE = re.compile(r"http://www\.dmg\.org/PMML-\d_\d\Z")
_FUNCTION = re.compile(r"[A-Za-z0-9+*/<>= _-]{1,80}\Z")


class _PmmlListener:
    """Listens to the XML parser."""

    def __init__(self, piece: Input) -> None:
        self._piece = piece
        self._seen: set[str] = set()
        self.root = ""

    def find(self, message: str, symbol: str) -> None:
        symbol = printable(symbol, 120)
        if symbol not in self._seen:
            self._seen.add(symbol)
            self._piece.exam.finding("ART-650", message, member=self._piece.source.member, symbol=symbol)

    def doctype(self, *_: object) -> None:
        self.find("the document defines entities, which a reader may fetch or expand without end", "DOCTYPE")
        raise ValueError("an XML document with a DOCTYPE is not examined further")

    def instruction(self, target: str, _: str) -> None:
        self.find(f"the processing instruction {printable(target, 60)}", f"<?{target}")

    def element(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        self.root = self.root or local
        if not _NAMESPACE.match(namespace):
            self.find(f"the element {printable(local, 60)} is none of PMML's", local)
        elif local == "Extension":
            self.find("an Extension, which readers hand to code of their own", "Extension")
        function = attributes.get("function", "")
        if local == "Apply" and not _FUNCTION.match(function):
            shown = printable(function, 80)
            self.find(f"Apply names {shown}, which a Java reader may load as a class", function)


def _examine(piece: Input) -> None:
    from xml.parsers import expat  # imported here: a target without XML does not pay for it

    if piece.source.size > _MAX_XML:
        raise ValueError(f"an XML file of more than {_MAX_XML} bytes")
    judge = _PmmlListener(piece)
    # No XML name holds a blank, so the last one divides it from its namespace.
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = judge.doctype
    parser.ProcessingInstructionHandler = judge.instruction
    parser.StartElementHandler = judge.element
    for at in range(0, piece.source.size, _CHUNK):
        parser.Parse(piece.source.read_at(at, _CHUNK), False)
    parser.Parse(b"", True)
    if judge.root != "PMML":
        piece.exam.gap(f"an XML document of type {printable(judge.root, 60)} is not examined by this version")
    piece.exam.cover_all()


def _matches(head: Head) -> bool:
    return head.suffix == ".pmml" or (head.start.lstrip()[:5] == b"<?xml" and b"<PMML" in head.start)


PMML = Format("pmml", _matches, _examine)
