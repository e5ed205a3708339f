"""The `vulnerabilities` check: known vulnerabilities of the exact versions that the dependency files name.

It needs a copy of the OSV database that somebody fetched and named. Without one nobody looked; with one that is too old
the check is incomplete. Nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from zt_gate.domain import Evidence, Finding, Gap, Notes, Severity, printable
from zt_gate.intake import Frozen
from zt_gate.isolation.limits import WorkerLimits
from zt_gate.policy.fields import parse_instant
from zt_gate.scan.dependencies.check import is_examined, read_file, reader_of
from zt_gate.scan.dependencies.model import Dependency, DependencyError
from zt_gate.scan.examination import ExaminationJob, ask_all

if TYPE_CHECKING:
    from zt_gate.scan.dependencies.osv import Affected

MAX_AGE_DAYS = 30
"""How old a copy may be where the policy does not say."""
_FETCH = "fetch https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip, and name it with --osv FILE"


@dataclass(frozen=True, slots=True)
class OsvCopy:
    """A copy of the database, and how old it may be."""

    path: Path
    """`all.zip` of an ecosystem, a folder of records, or one record."""
    now: datetime
    max_age_days: int = MAX_AGE_DAYS


class VulnerabilityCheck:
    """Looks the pinned dependencies of a target up in an OSV database.

    Args:
        copy: the database; None where none was named.
        limits: what reading the target's files and the database may use.
    """

    id: ClassVar[str] = "vulnerabilities"
    version: ClassVar[str] = "1"

    def __init__(self, copy: OsvCopy | None, limits: WorkerLimits | None = None) -> None:
        self._copy = copy
        self._limits = limits or WorkerLimits()

    def run(self, frozen: Frozen) -> Evidence:
        """Look up every dependency; see `zt_gate.scan.interface.Check`."""
        digest = frozen.subject.digest
        if self._copy is None:
            return Evidence.missing(self.id, digest, "no copy of the OSV database was named", _FETCH)
        copy = self._copy
        sizes = {"": 0} | {path: file.size for path, file in frozen.files.items()}  # "" is the database
        [notes] = ask_all([ExaminationJob("the dependencies", sizes, lambda: _look_up(frozen, copy))], self._limits)
        return Evidence.of(self.id, self.version, digest, findings=notes.findings, gaps=notes.gaps)


def _look_up(frozen: Frozen, copy: OsvCopy) -> Notes:
    from zt_gate.scan.dependencies.osv import load_database

    database = load_database(copy.path)
    notes = Notes(gaps=list(_age(database.newest, copy)))
    paths = frozenset(frozen.files)
    for path, file in sorted(frozen.files.items()):
        if reader_of(path) is None:
            continue
        try:
            stated = read_file(file)
        except (ValueError, RecursionError) as error:
            what = str(error) if isinstance(error, DependencyError) else type(error).__name__
            notes.gaps.append(Gap(f"the dependencies could not be read: {printable(what)}", path))
            continue
        if stated.unread or not all(is_examined(path, name, paths) for name, _ in stated.includes):
            notes.gaps.append(Gap("some of the dependencies were not understood, or are named elsewhere", path))
        for item in stated.dependencies:
            found, unknown = _one(item, path, database.packages.get(item.name, ()))
            notes.findings += found
            notes.gaps += unknown
    return notes


def _age(newest: str, copy: OsvCopy) -> Iterable[Gap]:
    try:
        made = parse_instant(newest)
    except ValueError:
        yield Gap("the OSV database does not say how old it is", fix=_FETCH)
        return
    # A day of grace for clocks and time zones; more would let a date in the future hide an old copy for good.
    if made > copy.now + timedelta(days=1):
        yield Gap("the OSV database comes from the future", fix="check the clock, then fetch it again")
    elif copy.now - made > timedelta(days=copy.max_age_days):
        age = (copy.now - made).days
        yield Gap(f"the OSV database is {age} days old, and {copy.max_age_days} are accepted", fix=_FETCH)


def _one(item: Dependency, path: str, known: Sequence[Affected]) -> tuple[list[Finding], list[Gap]]:
    """Return what is known about one dependency, and what cannot be decided."""
    from packaging.version import InvalidVersion

    name = printable(item.name, 80)
    if known and not item.version:
        fix = "pin one version, or bring a lock file"
        return [], [Gap(f"{name} has known vulnerabilities, and which version is installed is open", path, fix)]
    try:
        hits = [record for record in known if record.hits(item.version)]
    except InvalidVersion:
        return [], [Gap(f"a version of {name} cannot be compared (PEP 440)", path, "pin a released version")]
    return [_finding(item, path, group) for group in _groups(hits)], []


def _groups(hits: list[Affected]) -> list[list[Affected]]:
    """Put records together that are aliases of one another: PYSEC and GHSA both describe one CVE."""
    groups: list[list[Affected]] = []
    for hit in sorted(hits, key=lambda item: item.id):
        names = {hit.id, *hit.aliases}
        home = next((g for g in groups if any(names & {other.id, *other.aliases} for other in g)), None)
        if home is None:
            groups.append([hit])
        else:
            home.append(hit)
    return groups


def _finding(item: Dependency, path: str, group: list[Affected]) -> Finding:
    ids = sorted({name for record in group for name in (record.id, *record.aliases)})
    stated = [record.severity for record in group if record.severity is not None]
    malicious = any(name.startswith("MAL-") for name in ids)
    fixed = sorted({text for record in group for text in record.fixed})
    shown = printable(", ".join(ids[:6]), 200)
    what = "is known to be malicious" if malicious else "has a known vulnerability"
    return Finding(
        rule="DPD-203" if malicious else "DPD-201",
        # Without a word on how bad it is, nobody has said that it may pass.
        severity=max(stated, default=Severity.HIGH),
        message=f"{printable(item.name, 80)} {printable(item.version, 40)} {what}: {shown}",
        path=path,
        line=item.line,
        symbol=printable(f"{item.name} {ids[0]}", 120),
        fix=f"use {printable(', '.join(fixed[:4]), 120)} or later" if fixed and not malicious else "",
    )
