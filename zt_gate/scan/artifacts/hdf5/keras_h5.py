"""HDF5 files, and the Keras model that may stand in their attributes.

The file is walked by `hdf5_reader` without h5py. Numbers are accounted for as data; whatever leads out of the file
is a finding, and whatever the reader does not understand is a gap.
"""

from __future__ import annotations

from zt_gate.codecs.strict_json import DuplicateKeyError, parse_json
from zt_gate.domain import printable
from zt_gate.intake import MemorySource
from zt_gate.scan.artifacts.format import Format, Input, member_name
from zt_gate.scan.artifacts.hdf5.keras_config import judge_config
from zt_gate.scan.artifacts.hdf5.reader import SIGNATURE, Hdf5Error, Hdf5File, Hdf5Object, Hdf5Oddity
from zt_gate.scan.artifacts.texts.metadata import judge_metadata
from zt_gate.scan.interface import Head

# Keras before 3.11.3 ignored safe_mode for HDF5 (CVE-2025-9905): these are judged exactly like those of `.keras`.
_CONFIGS = frozenset({"model_config", "training_config", "optimizer_config", "build_config", "compile_config"})
_PYTABLES = frozenset({"PYTABLES_FORMAT_VERSION", "FILTERS", "PSEUDOATOM"})
_RULES = {
    # External links and virtual datasets let a model read any file of its host: CVE-2026-1669.
    Hdf5Oddity.EXTERNAL_LINK: ("ART-601", "{} links into another file: {}"),
    Hdf5Oddity.EXTERNAL_DATA: ("ART-601", "{} keeps its numbers in another file"),
    Hdf5Oddity.VIRTUAL: ("ART-601", "{} is a virtual dataset over other files"),
    Hdf5Oddity.SOFT_LINK: ("ART-602", "{} is a link to another name: {}"),
    Hdf5Oddity.FILTER: ("ART-603", "{} needs the filter plugin {}"),
}


def _examine(piece: Input) -> None:
    source, exam = piece.source, piece.exam
    file = Hdf5File(source)
    pytables = False
    for item in file.walk():
        for oddity, detail in item.oddities:
            rule, message = _RULES[oddity]
            text = message.format(printable(item.path or "/", 120), printable(detail, 120))
            exam.finding(rule, text, member=source.member, symbol=printable(item.path, 120))
        pytables = pytables or bool(_PYTABLES & item.attributes.keys())
        _attributes(piece, item)
    if pytables:
        exam.gap("a PyTables file, whose reader unpickles attributes", "save the arrays with safetensors or numpy")
    if file.end < source.size:
        exam.finding(
            "ART-604", f"{source.size - file.end} bytes follow the end that the HDF5 file declares",
            member=source.member, offset=file.end, symbol="trailing bytes",
        )  # fmt: skip
    exam.cover_all()


def _attributes(piece: Input, item: Hdf5Object) -> None:
    """Judge configurations, and have text that looks like a pickle examined as one."""
    for name, value in item.attributes.items():
        shown = f"{printable(item.path or '/', 80)}@{printable(name, 80)}"
        if name in _CONFIGS:
            if not isinstance(value, bytes):
                raise Hdf5Error(f"the attribute {shown} is no text")
            _config(piece, shown, value)
        elif isinstance(value, bytes):
            judge_metadata(piece, [(name, value.decode("utf-8", "backslashreplace"))])
        # PyTables keeps pickles in attributes.
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, bytes) and text.startswith(b"\x80"):
                piece.inside(MemorySource(piece.source.path, member_name(piece.source, shown), text))


def _config(piece: Input, shown: str, value: bytes) -> None:
    try:
        judge_config(piece, parse_json(value.rstrip(b"\0"), constants=True), shown)
    except DuplicateKeyError as error:
        piece.exam.finding("ART-307", f"{shown}: {error}; two readers see two values",
                           member=piece.source.member, symbol="duplicate key")  # fmt: skip


def _matches(head: Head) -> bool:
    return head.start.startswith(SIGNATURE)


HDF5 = Format("hdf5", _matches, _examine)
