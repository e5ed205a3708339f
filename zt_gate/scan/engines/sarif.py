"""Results of other scanners, brought as SARIF 2.1.0 (OASIS): checkov, trivy, kube-linter, kubescape and the like.

A file that anybody may have written proves nothing by its silence, so the evidence is never complete: it is an opinion
that can only raise risk, and a policy that requires it blocks. What it finds counts in full. It is tied to these bytes
where it says the SHA-256 of a file (SARIF section 3.24.11): results that were made for other bytes are left out and
said so. Suppressions in it are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import Evidence, Finding, Gap, Notes, Severity, printable
from zt_gate.errors import UsageError
from zt_gate.intake import Frozen

MAX_BYTES = 64 << 20
RULE = "ENG-301"
_MAX_RESULTS = 50_000
_LEVELS = {"error": Severity.HIGH, "warning": Severity.MEDIUM, "note": Severity.LOW, "none": Severity.INFO}
_SCORES = ((9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM), (0.1, Severity.LOW))
_UNSIGNED = "is not signed, so that it counts as an opinion"


@dataclass(frozen=True, slots=True)
class SarifFile:
    """A SARIF file of the operator's."""

    name: str
    """Its file name, for people."""
    data: bytes


def read_sarif(path: Path) -> SarifFile:
    """Read a file that the operator named; no more of it than the limit, and a byte.

    Raises:
        UsageError: there is no such file, or it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return SarifFile(path.name, stream.read(MAX_BYTES + 1))
    except OSError as error:
        problem = f"cannot read the SARIF file {printable(path)}: {error.strerror}"
        raise UsageError(problem, "name the file that the scanner wrote") from error


@dataclass(slots=True)
class Results(Notes):
    """What reading the files left behind."""

    tools: set[tuple[str, str]] = field(default_factory=set)
    """Names and versions; the version is empty where a tool does not say it."""
    bound: set[str] = field(default_factory=set)
    """Paths whose bytes are those that a tool says it examined."""


class SarifCheck:
    """Turns brought SARIF files into evidence."""

    id: ClassVar[str] = "sarif"
    version: ClassVar[str] = "1"

    def __init__(self, brought: Sequence[SarifFile] = ()) -> None:
        self._brought = brought

    def run(self, frozen: Frozen) -> Evidence:
        """Read every SARIF file that was given."""
        digest = frozen.subject.digest
        if not self._brought:
            fix = "bring one with --import-sarif FILE"
            return Evidence.missing(self.id, digest, "no SARIF file found", fix)
        notes = Results()
        for item in self._brought:
            reason = f"{printable(item.name, 120)} {_UNSIGNED}"
            fix = "sign it with zt-gate attest sarif and demand `scanners`, or make `sarif` an opinion in the policy"
            notes.gaps.append(Gap(reason, "", fix))
            read_results(item, frozen, notes)
        metrics = {"files": str(len(self._brought)), "bound": str(len(notes.bound))}
        tools = ", ".join(f"{name} {version}".rstrip() for name, version in sorted(notes.tools))
        metrics |= {"engine": tools} if tools else {}
        return notes.evidence(self.id, self.version, digest, metrics=metrics, looked=notes.bound)


def read_results(item: SarifFile, frozen: Frozen, notes: Results) -> None:
    """Read one file about a target; whatever keeps it from being understood or finished becomes a gap."""
    hashes = {entry.path: entry.sha256 for entry in frozen.subject.manifest.content}
    try:
        _read(item.data, hashes, notes)
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        reason = f"{printable(item.name, 120)} is no SARIF 2.1.0: {printable(str(error), 160)}"
        notes.gaps.append(Gap(reason, "", "let the scanner write it again"))


def _read(data: bytes, hashes: dict[str, str], notes: Results) -> None:
    if len(data) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    log = parse_json(data)
    if not isinstance(log, dict) or log.get("version") != "2.1.0":
        raise ValueError("its version is not 2.1.0")
    for run in _list(log, "runs"):
        _run(run, hashes, notes)


def _run(run: dict[str, Any], hashes: dict[str, str], notes: Results) -> None:
    driver = run["tool"]["driver"]
    tool = printable(driver["name"], 60)
    version = driver.get("semanticVersion") or driver.get("version")
    notes.tools.add((tool, printable(str(version), 40) if version else ""))
    if not version:
        notes.gaps.append(Gap(f"{tool} does not say its version", "", "use a scanner that writes its version"))
    if any(item.get("executionSuccessful") is False for item in _list(run, "invocations")):
        notes.gaps.append(Gap(f"{tool} says that it did not finish", "", "fix the scanner's run and repeat it"))
    stale = _bind(tool, _list(run, "artifacts"), hashes, notes)
    results = _list(run, "results")
    if len(results) > _MAX_RESULTS:
        raise ValueError(f"more than {_MAX_RESULTS} results")
    rules = {rule["id"]: rule for rule in _list(driver, "rules")}
    elsewhere = 0
    for result in results:
        # `fail` is what the standard says where a result does not.
        if result.get("kind", "fail") not in ("fail", "open", "review"):
            continue
        for uri, line in _places(run, result):
            path = _path(uri, hashes) if uri else ""
            elsewhere += path is None
            if path is not None and path not in stale:
                notes.findings.append(_finding(tool, result, rules, path, line))
    if elsewhere:
        reason = f"{tool} has {elsewhere} results about files that this target does not hold"
        notes.gaps.append(Gap(reason, "", "run the scanner on the folder that you check"))


def _bind(tool: str, artifacts: list[Any], hashes: dict[str, str], notes: Results) -> set[str]:
    """Compare the hashes of a run with these bytes, and return the paths for which it saw others."""
    stale = set()
    for artifact in artifacts:
        path = _path(artifact.get("location", {}).get("uri", ""), hashes)
        said = artifact.get("hashes", {}).get("sha-256")
        if path is None or said is None:
            continue
        if str(said).lower() == hashes[path]:
            notes.bound.add(path)
        else:
            stale.add(path)
            notes.gaps.append(Gap(f"{tool} examined other bytes under this name", path, "run the scanner again"))
    return stale


def _places(run: dict[str, Any], result: dict[str, Any]) -> Iterator[tuple[str, int | None]]:
    """Yield file and line of each place of a result; one empty place where it names none."""
    locations = _list(result, "locations")
    if not locations:
        yield "", None
    for location in locations:
        physical = location.get("physicalLocation", {})
        artifact = physical.get("artifactLocation", {})
        uri, index = artifact.get("uri"), artifact.get("index")
        if uri is None and type(index) is int and 0 <= index < len(_list(run, "artifacts")):
            uri = run["artifacts"][index].get("location", {}).get("uri")
        line = physical.get("region", {}).get("startLine")
        yield str(uri or ""), line if type(line) is int and line > 0 else None


def _path(uri: str, hashes: dict[str, str]) -> str | None:
    """Return the longest manifest path that an address ends with, or None where the target holds no such file."""
    parts = [part for part in unquote(uri.removeprefix("file://")).split("/") if part not in ("", ".")]
    tails = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((tail for tail in tails if tail in hashes), None)


def _finding(tool: str, result: dict[str, Any], rules: dict[str, Any], path: str, line: int | None) -> Finding:
    rule = str(result.get("ruleId") or result.get("rule", {}).get("id") or "unnamed")
    text = result.get("message", {}).get("text") or rules.get(rule, {}).get("shortDescription", {}).get("text") or rule
    return Finding(
        rule=RULE,
        severity=_severity(result, rules.get(rule, {})),
        message=printable(f"{tool} {rule}: {text}"),
        path=path,
        line=line,
        symbol=printable(f"{tool} {rule}", 120),
    )


def _severity(result: dict[str, Any], rule: dict[str, Any]) -> Severity:
    """Return the worst that a result says of itself: its rule's score, and its level."""
    # `warning` is what the standard says where neither result nor rule does.
    level = result.get("level") or rule.get("defaultConfiguration", {}).get("level") or "warning"
    # A level that the standard does not have counts as an error.
    worst = _LEVELS.get(level, Severity.HIGH)
    for owner in (result, rule):
        score = str(owner.get("properties", {}).get("security-severity", ""))
        if re.fullmatch(r"[0-9]{1,2}(?:\.[0-9]+)?", score):
            worst = max(worst, next((name for least, name in _SCORES if float(score) >= least), Severity.INFO))
    return worst


def _list(owner: dict[str, Any], key: str) -> list[Any]:
    value = owner.get(key)
    if value is not None and not isinstance(value, list):
        raise ValueError(f"{key} is no list")
    return value or []
