"""Files that another file declares to be raw numbers: ONNX external data and OpenVINO weights.

Such a file has no format of its own, so no analyser can recognise it. It is accounted for here, on the level of the
release, when declared ranges and zero padding between them make up every byte of it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from zt_gate.domain import Claim, Gap, Notes, printable
from zt_gate.intake import Frozen, FrozenFile
from zt_gate.scan.interface import Examination, Head

UNRECOGNISED = "no format recognises "
"""How the gap begins that a file without a known format leaves."""
_MAX_PADDING = 1 << 16
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, order=True)
class ExternalRange:
    """A range of another file, as a model declares it."""

    location: str
    """Path relative to the folder of the model."""
    offset: int
    length: int
    """-1 for everything up to the end."""


@dataclass(frozen=True, slots=True)
class Referrer:
    """A format whose files may keep their numbers in other files."""

    name: str
    matches: Callable[[Head], bool]
    references: Callable[[FrozenFile], list[ExternalRange]]
    """May raise anything, which becomes a gap of the referring file."""


def without_declared(gaps: Iterable[Gap], claims: Iterable[Claim]) -> list[Gap]:
    """Return the gaps that are left once the raw files that others declare, and are claimed so, count as recognised."""
    known = {claim.path for claim in claims}
    return [gap for gap in gaps if gap.path not in known or not gap.reason.startswith(UNRECOGNISED)]


def leads_out(location: str) -> bool:
    """Whether a relative path is none, or names something outside the folder on some system."""
    # A letter and a colon is a drive on Windows; longer, it is the scheme of an address.
    drive = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", location)
    parts = location.split("/")
    return not location or location.startswith(("/", "~")) or "\\" in location or ".." in parts or bool(drive)


def examine_external(frozen: Frozen, referrers: Iterable[Referrer], identify: Callable[[Head], object | None]) -> Notes:
    """Resolve the references of every file, and account for the raw files that they name.

    Args:
        frozen: the release.
        referrers: formats that keep numbers in other files.
        identify: returns None where no format recognises a file; only such files are accounted for here, so that
            naming a pickle as somebody's weights does not make it harmless.
    """
    referrers = tuple(referrers)
    result = Notes()
    ranges: dict[str, set[tuple[int, int]]] = {}
    names: dict[str, str] = {}
    for path, file in sorted(frozen.files.items()):
        head = Head.of(file)
        form = next((form for form in referrers if form.matches(head)), None)
        if form is None:
            continue
        exam = Examination(path, file.size)
        with exam.guarded(path):
            for reference in sorted(set(form.references(file))):
                target = _resolve(frozen, exam, reference)
                if target is not None:
                    end = target.size if reference.length < 0 else reference.offset + reference.length
                    ranges.setdefault(target.path, set()).add((reference.offset, end))
                    names[target.path] = form.name
        # That a file is broken is for its own examination to say, which knows better what it is.
        result.findings.extend(finding for finding in exam.findings if finding.rule != "ART-310")
        result.gaps.extend(exam.gaps)
    for path in sorted(ranges):
        if identify(Head.of(frozen.files[path])) is None:
            _account(frozen.files[path], sorted(ranges[path]), names[path], result)
    return result


def _resolve(frozen: Frozen, exam: Examination, reference: ExternalRange) -> FrozenFile | None:
    shown = printable(reference.location, 120)
    # onnx itself had to be fixed for this four times: CVE-2022-25882, CVE-2024-27318, CVE-2025-51480, CVE-2026-27489.
    if leads_out(reference.location):
        exam.finding("ART-501", f"external data leads out of the model's folder: {shown}",
                     symbol=shown)  # fmt: skip
        return None
    folder = posixpath.dirname(exam.path)
    file = frozen.files.get(posixpath.normpath(posixpath.join(folder, reference.location)))
    if file is None:
        exam.finding("ART-502", f"external data {shown} is not part of the release", symbol=shown)
        return None
    if reference.offset < 0 or reference.length < -1 or reference.offset + max(0, reference.length) > file.size:
        exam.finding("ART-502", f"external data from {reference.offset}, {reference.length} bytes, does "
                     f"not fit into {shown}, which has {file.size}", symbol=shown)  # fmt: skip
        return None
    return file


def _account(file: FrozenFile, ranges: list[tuple[int, int]], name: str, result: Notes) -> None:
    exam = Examination(file.path, file.size, formats=[f"{name}-external-data"])
    for start, end in ranges:
        exam.cover(start, end)
    for start, end in list(exam.holes()):
        if end - start >= _MAX_PADDING or file.read_at(start, end - start).strip(b"\0"):
            exam.finding("ART-502", f"bytes {start} to {end} belong to no tensor of the model that "
                         "names this file", offset=start, symbol="undeclared bytes")  # fmt: skip
        exam.cover(start, end)
    result.findings.extend(exam.findings)
    claim = exam.claim()
    if claim is not None:
        result.claims.append(claim)
