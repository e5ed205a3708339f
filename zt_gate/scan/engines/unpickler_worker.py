"""Drives CPython's own unpickler over pickles, with inert stand-ins for every global, and compares it with our reading.

A scanner that reads a pickle otherwise than the loader does is blind, however good its lists are. So the C unpickler,
`Modules/_pickle.c`, walks the same bytes here as our symbolic machine, and the names that it asks for, in their order,
and the place where it ends have to be the same. It reads each pickle twice, since its buffering shows: from a file that
can look ahead (`open(path, "rb")`) and from one that cannot (`io.BytesIO`).

Nothing is imported: `find_class` writes the name down and returns a class of ours that takes everything and does
nothing. The audit hook of `child` refuses the real look-up on top of that.
"""

from __future__ import annotations

import copyreg
import io
import platform
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from _pickle import Unpickler
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from zt_gate.intake import MemorySource
from zt_gate.isolation.serve import serve
from zt_gate.scan.artifacts.pickles.machine import Machine
from zt_gate.scan.artifacts.pickles.values import Global
from zt_gate.scan.artifacts.pickles.window import MalformedError
from zt_gate.scan.engines.formats import ZIP_MAGIC

MAX_BYTES = 256 << 20
"""Bytes of a file or member that are read: both readings hold it in memory, with what it makes."""
_MAX_PICKLES = 1000
_SHOWN = 20

Name = tuple[str, str]
COMPUTED: Name = ("", "")
"""What our reading reports in place of a name that is no literal; a finding of `artifacts` already."""


@dataclass(slots=True)
class PickleReading:
    """What a reader asked for in one pickle."""

    names: list[Name] = field(default_factory=list)
    end: int | None = None
    """Offset behind STOP; None where the reader stopped with an error."""


class _Names:
    """A listener that writes down names and lets everything else pass, as a loader without joblib would."""

    def __init__(self) -> None:
        self.names: list[Name] = []

    def imported(self, found: Global, offset: int) -> bool:  # noqa: ARG002 - what every listener is told
        self.names.append((found.module, found.qualname))
        return False

    def unresolved(self, what: str, offset: int) -> None:  # noqa: ARG002 - as above
        if what == "a name that is no literal":
            self.names.append(COMPUTED)

    def array(self, receiver: object, offset: int) -> int:  # noqa: ARG002 - as above
        return offset

    def _nothing(self, *what: object) -> None:
        """Let it pass."""

    handed_on = called = built = changed = added = persistent = extension = _nothing


def our_reading(data: bytes, start: int) -> PickleReading:
    """Return what the symbolic machine sees in the pickle at an offset."""
    heard = _Names()
    try:
        end = Machine(MemorySource("", "", data), heard, start).run()
    except MalformedError:
        return PickleReading(heard.names)
    return PickleReading(heard.names, end)


class _Absorbs(type):
    """Lets a stand-in class be treated like an instance."""

    def __setitem__(cls, key: object, value: object) -> None:
        """Take an item, and forget it."""


class _Inert(metaclass=_Absorbs):
    """Stands in for whatever a pickle asks for: takes everything and does nothing."""

    def __new__(cls, *_arguments: object, **_keywords: object) -> _Inert:  # noqa: PYI034 - never a subclass's own
        return object.__new__(cls)

    def __call__(self, *_arguments: object, **_keywords: object) -> _Inert:
        return _Inert()

    def __setitem__(self, key: object, value: object) -> None:
        """Take an item, and forget it."""

    @staticmethod
    def _nothing(*what: object) -> None:
        """Take anything."""

    __setstate__ = append = extend = add = _nothing


class _StandIn(Unpickler):
    """CPython's unpickler, which gets stand-ins only."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, buffers=[])
        self.names: list[Name] = []
        self._made: dict[Name, type[_Inert]] = {}

    def find_class(self, module: str, name: str, /) -> Any:
        """Write a name down; never look it up."""
        self.names.append((module, name))
        return self._made.setdefault((module, name), type("Inert", (_Inert,), {}))

    def persistent_load(self, pid: object, /) -> Any:  # noqa: ARG002 - what it is does not matter here
        """Return a stand-in for an object that the loader would supply."""
        return _Inert()


def their_reading(data: bytes, start: int, *, ahead: bool) -> PickleReading:
    """Return what the C unpickler asks for in the pickle at an offset.

    Args:
        data: the bytes.
        start: offset of the first opcode.
        ahead: whether the file can look ahead, as `open(path, "rb")` can.
    """
    plain = io.BytesIO(data)
    file: BinaryIO = io.BufferedReader(plain) if ahead else plain  # type: ignore[assignment,arg-type,unused-ignore]
    file.seek(start)
    reader = _StandIn(file)
    try:
        reader.load()
    except Exception:  # noqa: BLE001 - whatever stops it, what it asked for until then is compared
        return PickleReading(reader.names)
    return PickleReading(reader.names, file.tell())


def disagreement(ours: PickleReading, theirs: PickleReading) -> tuple[str, str] | None:
    """Return a symbol and what differs between two readings of a pickle; None where they agree.

    Where one of them stops early only a name that CPython asked for, and we did not see, counts.
    """
    for index, name in enumerate(theirs.names):
        if index >= len(ours.names) or not _same(ours.names[index], name):
            symbol = ".".join(name)
            return symbol, f"CPython's unpickler asks for {symbol}, which our reading did not see there"
    if ours.end is None or theirs.end is None:
        return None
    if len(ours.names) > len(theirs.names):
        symbol = ".".join(ours.names[len(theirs.names)])
        return symbol, f"our reading sees {symbol}, which CPython's unpickler never asks for"
    if ours.end != theirs.end:
        return "end of pickle", f"CPython's unpickler goes on at offset {theirs.end}, our reading at {ours.end}"
    return None


def _same(ours: Name, asked: Name) -> bool:
    """Whether a name is the one asked for: CPython maps those of Python 2 behind the look-up, our reading before it."""
    if ours in (COMPUTED, asked):
        return True
    module, name = asked
    return ours == NAME_MAPPING.get(asked, (IMPORT_MAPPING.get(module, module), name))


def compare(data: bytes) -> tuple[int, list[tuple[str, str]]]:
    """Compare the readings of every pickle in a row.

    Returns:
        How many pickles were compared to their end, and a symbol and a text for each that is read differently.
    """
    start, compared, found = 0, 0, []
    while start < len(data) and compared < _MAX_PICKLES:
        ours = our_reading(data, start)
        both = [their_reading(data, start, ahead=ahead) for ahead in (True, False)]
        told = {differs for theirs in both if (differs := disagreement(ours, theirs))}
        found += [(symbol, f"{what} (pickle at offset {start})") for symbol, what in sorted(told)]
        if told or ours.end is None or any(theirs.end is None for theirs in both):
            break
        start, compared = ours.end, compared + 1
    return compared, found


def handle(request: dict[str, Any]) -> dict[str, Any]:
    """Compare the readings of the files that the request names, below its root."""
    copyreg._inverted_registry.clear()  # type: ignore[attr-defined]  # noqa: SLF001 - no number means an object here
    copyreg._extension_cache.clear()  # type: ignore[attr-defined]  # noqa: SLF001 - as above
    return {
        "version": f"{platform.python_implementation()} {platform.python_version()}",
        "files": [_examine(request["root"], path) for path in request["paths"]],
    }


def _examine(root: str, path: str) -> dict[str, Any]:
    examined, issues, errors = 0, [], []
    try:
        for member, data in _streams(Path(root, path)):
            compared, found = compare(data)
            examined += compared + bool(found)
            issues += [[member, symbol, "high", what] for symbol, what in found[:_SHOWN]]
    except Exception as error:  # noqa: BLE001 - whatever stops it leaves the file unread, and that is reported
        errors.append(f"{type(error).__name__}: {error}")
    return {"path": path, "examined": examined, "errors": errors, "issues": issues}


def _streams(file: Path) -> Iterator[tuple[str, bytes]]:
    """Yield what may be a pickle: a file itself, or the members of an archive that are called so."""
    with file.open("rb") as stream:
        head = stream.read(len(ZIP_MAGIC))
    if head != ZIP_MAGIC:
        _bounded(file.stat().st_size)
        yield "", file.read_bytes()
        return
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if info.filename.endswith((".pkl", ".pickle")):
                _bounded(info.file_size)
                yield info.filename, archive.read(info)


def _bounded(size: int) -> None:
    if size > MAX_BYTES:
        raise ValueError(f"{size} bytes are more than the {MAX_BYTES} that are read")


if __name__ == "__main__":
    serve(handle)
