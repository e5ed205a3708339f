"""An offline copy of the OSV database: which versions of a package have known vulnerabilities.

Reads what osv.dev publishes for an ecosystem (`all.zip`), a folder of such records, or a single record; the format is
the OSV schema 1.x. Ranges of type ECOSYSTEM are evaluated as the schema's own pseudo-code does, with PEP 440 versions.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import Severity
from zt_gate.errors import UsageError
from zt_gate.scan.dependencies.model import normal_name

_LARGEST = 8 << 20
_MOST = 500_000
_SEVERITIES = {"LOW": Severity.LOW, "MODERATE": Severity.MEDIUM, "MEDIUM": Severity.MEDIUM, "HIGH": Severity.HIGH,
               "CRITICAL": Severity.CRITICAL}  # fmt: skip
_ADVICE = "fetch https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip again and name it with --osv"


@dataclass(frozen=True, slots=True)
class Affected:
    """What one record says about one package."""

    id: str
    aliases: tuple[str, ...]
    severity: Severity | None
    """None where the record states none in words."""
    versions: frozenset[str]
    events: tuple[tuple[tuple[str, str], ...], ...]
    """By range: pairs of `introduced`, `fixed`, `last_affected` or `limit`, and a version."""
    fixed: tuple[str, ...]
    """Versions that fix it, as stated."""

    def hits(self, version: str) -> bool:
        """Whether a version is affected.

        Raises:
            InvalidVersion: a version is none as PEP 440 defines it, so that nothing can be said.
        """
        wanted = Version(version)
        if any(_same(item, wanted) for item in self.versions):
            return True
        return any(_in_range(events, wanted) for events in self.events)


def _same(text: str, wanted: Version) -> bool:
    try:
        return Version(text) == wanted
    except InvalidVersion:
        return False  # a listed version that PEP 440 does not know cannot be the one that pip installs


def _in_range(events: tuple[tuple[str, str], ...], wanted: Version) -> bool:
    inside = False
    # The schema's `0` is before every version; the 0 of PEP 440 is behind its own pre-releases.
    ordered = sorted(events, key=lambda event: Version("0.dev0") if event[1] == "0" else Version(event[1]))
    for kind, text in ordered:
        at = Version("0.dev0") if text == "0" else Version(text)
        if kind == "introduced" and wanted >= at:
            inside = True
        elif (kind in ("fixed", "limit") and wanted >= at) or (kind == "last_affected" and wanted > at):
            inside = False
    return inside


@dataclass(frozen=True, slots=True)
class Database:
    """The records of one copy."""

    packages: dict[str, tuple[Affected, ...]]
    """By normalised name, PyPI only."""
    newest: str
    """The latest `modified` of all records: how old the copy is, wherever it has been since."""
    records: int


def load_database(path: Path) -> Database:
    """Read a copy.

    Raises:
        UsageError: it cannot be read, holds no record, or one that is not OSV.
    """
    packages: dict[str, list[Affected]] = {}
    newest, count = "", 0
    try:
        for name, data in _records(path):
            count += 1
            record = _record(name, data)
            # Cut to seconds, so that times can be compared as texts whatever fraction they have.
            newest = max(newest, str(record["modified"])[:19] + "Z")
            for package, affected in _affected(record):
                packages.setdefault(package, []).append(affected)
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"the OSV database cannot be read: {type(error).__name__}: {error}", _ADVICE) from error
    if not count:
        raise UsageError("the OSV database holds no record", _ADVICE)
    return Database({name: tuple(items) for name, items in packages.items()}, newest, count)


def _records(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.rglob("*.json")):
            yield file.name, file.read_bytes()
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = [item for item in archive.infolist() if item.filename.endswith(".json")]
            if len(members) > _MOST or any(item.file_size > _LARGEST for item in members):
                raise ValueError("more or larger records than any ecosystem has")
            for item in members:
                yield item.filename, archive.read(item)
    else:
        yield path.name, path.read_bytes()


def _record(name: str, data: bytes) -> dict[str, Any]:
    record = parse_json(data, limit=_LARGEST)
    if (
        not isinstance(record, dict)
        or not isinstance(record.get("id"), str)
        or not isinstance(record.get("modified"), str)
    ):
        raise TypeError(f"{name[:80]} is no OSV record")
    return record


def _affected(record: dict[str, Any]) -> Iterator[tuple[str, Affected]]:
    if record.get("withdrawn"):
        return
    for part in record.get("affected", ()):
        package = part.get("package") or {}
        if str(package.get("ecosystem", "")).partition(":")[0] != "PyPI":
            continue
        # Ranges of type GIT name commits and not versions.
        ranges = [item for item in part.get("ranges", ()) if item.get("type") in ("ECOSYSTEM", "SEMVER")]
        events = tuple(
            tuple((kind, str(text)) for event in item["events"] for kind, text in event.items()) for item in ranges
        )
        yield (
            normal_name(str(package["name"])),
            Affected(
                id=record["id"],
                aliases=tuple(str(alias) for alias in record.get("aliases") or ()),
                severity=_severity(record, part),
                versions=frozenset(map(str, part.get("versions") or ())),
                events=events,
                fixed=tuple(text for pairs in events for kind, text in pairs if kind == "fixed"),
            ),
        )


def _severity(record: dict[str, Any], part: dict[str, Any]) -> Severity | None:
    # A package that is malware as a whole, from OpenSSF's malicious-packages, where no severity is stated.
    if record["id"].startswith("MAL-"):
        return Severity.CRITICAL
    stated = [
        (place.get("database_specific") or {}).get("severity")
        or (place.get("ecosystem_specific") or {}).get("severity")
        for place in (part, record)
    ]
    known = [_SEVERITIES[text.upper()] for text in stated if isinstance(text, str) and text.upper() in _SEVERITIES]
    return max(known, default=None)
