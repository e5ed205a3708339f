"""Predicates of the statements that `zt-gate attest` makes, and the checks that each passes before it is signed.

A statement that no requirement would accept is refused at once, while its author can still fix it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zt_gate.domain import Digest, Finding, Subject, printable
from zt_gate.errors import EvidenceError
from zt_gate.trust.requirements.bom import check_bom
from zt_gate.trust.requirements.scanners import check_results
from zt_gate.trust.requirements.tests import well_formed
from zt_gate.trust.statements.build import GITHUB_WORKFLOWS, SourceRef, parse_build
from zt_gate.trust.statements.statement import (
    BOM_TYPE,
    DATASET_TYPE,
    PROVENANCE_TYPE,
    RELEASE_TYPE,
    SARIF_TYPE,
    SCAN_TYPE,
    TEST_RESULT_TYPE,
    Statement,
)

REPORT_SCHEMA = "zt-gate/report/v1"
Predicate = dict[str, Any]


def provenance_predicate(
    builder: str, build_type: str, source: str, commit: str, materials: Mapping[str, Digest], finished: str
) -> Predicate:
    """Return SLSA provenance v1. The source comes first among the dependencies, where the requirement looks for it.

    Args:
        builder: id of the platform that built.
        build_type: URI of how it built.
        source: `git+https://host/name@refs/…`, or nothing.
        commit: hexadecimal commit of the source, or nothing.
        materials: data sets and base models by name.
        finished: RFC 3339 time.
    """
    dependencies: list[Predicate] = []
    parameters: Predicate = {}
    if source:
        uri = source if source.startswith("git+") else f"git+{source}"
        checkout = {"digest": {"gitCommit": commit}} if commit else {}
        dependencies.append({"uri": uri, **checkout})
        parameters["source"] = uri
        if build_type in GITHUB_WORKFLOWS:
            parsed = SourceRef.of_uri(uri)
            parameters = {"workflow": {"repository": parsed.repository, "ref": parsed.ref}}
    dependencies += [{"name": name, "digest": {"sha256": item.hex}} for name, item in sorted(materials.items())]
    return {
        "buildDefinition": {
            "buildType": build_type,
            "externalParameters": parameters,
            "resolvedDependencies": dependencies,
        },
        "runDetails": {"builder": {"id": builder}, "metadata": {"finishedOn": finished}},
    }


def result_predicate(
    passed: Sequence[str],
    failed: Sequence[str],
    skipped: Sequence[str],
    configuration: Mapping[str, Digest],
    finished: str,
) -> Predicate:
    """Return an in-toto test result v0.1, with `finishedOn` and `skippedTests` on top.

    Source: https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md
    """
    return {
        "result": "FAILED" if failed or not passed else "PASSED",
        "configuration": [
            {"name": name, "digest": {"sha256": item.hex}} for name, item in sorted(configuration.items())
        ],
        # A name that passed in one suite and failed in another has failed.
        "passedTests": sorted(set(passed) - set(failed)),
        "warnedTests": [],
        "failedTests": sorted(set(failed)),
        "skippedTests": sorted(set(skipped)),
        "finishedOn": finished,
    }


def dataset_predicate(data: Subject, source: str, created: str) -> Predicate:
    """Return the description of a data set; its digest is the statement's subject."""
    where = {"source": source} if source else {}
    return {
        "files": len(data.manifest.content),
        "bytes": data.manifest.total_bytes,
        "manifest": data.manifest.to_json(),
        "attestedOn": created,
        **where,
    }


def release_predicate(purl: str, release_id: str) -> Predicate:
    """Return an in-toto release v0.1: the name under which these bytes are published.

    Source: https://github.com/in-toto/attestation/blob/main/spec/predicates/release.md
    """
    return {"purl": purl, **({"releaseId": release_id} if release_id else {})}


def sarif_predicate(
    tools: Sequence[tuple[str, str]], sarif: Digest, findings: Sequence[Finding], finished: str
) -> Predicate:
    """Return what scanners found, and the SHA-256 of the SARIF file in which they said so.

    Args:
        tools: name and version of each.
        sarif: digest of the file.
        findings: its results, as `zt-gate` reads them.
        finished: RFC 3339 time.
    """
    results = [
        {"rule": item.symbol, "severity": str(item.severity), "message": item.message, "path": item.path}
        | ({"line": item.line} if item.line else {})
        for item in findings
    ]
    return {
        "tools": [{"name": name, "version": version} for name, version in tools],
        "sarif": {"sha256": sarif.hex},
        "finishedOn": finished,
        "results": results,
    }


def _check_provenance(predicate: Predicate, subject: Subject) -> None:
    del subject
    parse_build(Statement((), PROVENANCE_TYPE, predicate))


def _check_tests(predicate: Predicate, subject: Subject) -> None:
    del subject
    if not well_formed(predicate):
        raise ValueError("it needs `result`, and lists of test names")


def _check_scan(predicate: Predicate, subject: Subject) -> None:
    about = predicate.get("subject")
    digest = about.get("digest") if isinstance(about, dict) else None
    if predicate.get("schema") != REPORT_SCHEMA:
        raise ValueError(f"it is no {REPORT_SCHEMA}; make it with: zt-gate scan TARGET --format json")
    if digest != str(subject.digest):
        raise ValueError(f"the report is about {digest}, and these bytes are {subject.digest}")


def _check_release(predicate: Predicate, subject: Subject) -> None:
    del subject
    purl = predicate.get("purl")
    if not isinstance(purl, str) or not purl.startswith("pkg:") or "/" not in purl:
        raise ValueError("its purl is no package URL such as pkg:mlflow/name@3")


def _anything(predicate: Predicate, subject: Subject) -> None:
    del predicate, subject


@dataclass(frozen=True, slots=True)
class StatementKind:
    """One kind of statement."""

    predicate_type: str
    summary: str
    """A line for the help."""
    check: Callable[[Predicate, Subject], None] = _anything
    """Raises ValueError where the requirement would not accept the predicate."""


KINDS: Mapping[str, StatementKind] = {
    "provenance": StatementKind(PROVENANCE_TYPE, "SLSA provenance v1: who built it, from what", _check_provenance),
    "tests": StatementKind(TEST_RESULT_TYPE, "in-toto test result: what was tested, and how it went", _check_tests),
    "bom": StatementKind(BOM_TYPE, "CycloneDX ML-BOM of the release, generated or given with --predicate", check_bom),
    "dataset": StatementKind(DATASET_TYPE, "a data set and its digest, to be named as a material"),
    "scan": StatementKind(SCAN_TYPE, "zt-gate's own JSON report", _check_scan),
    "sarif": StatementKind(SARIF_TYPE, "results of another scanner, from its SARIF 2.1.0", check_results),
    "release": StatementKind(RELEASE_TYPE, "in-toto release: the package URL it is published under", _check_release),
    "custom": StatementKind("", "any other predicate, given with its type"),
}
"""Every kind that `zt-gate attest` knows."""


def check_predicate(kind: str, predicate: Predicate, subject: Subject) -> None:
    """Check a predicate before it is signed.

    Raises:
        EvidenceError: no requirement would accept it.
    """
    try:
        KINDS[kind].check(predicate, subject)
    except ValueError as error:
        raise EvidenceError(
            f"this is no {kind} statement: {printable(str(error), 200)}", "nothing was signed"
        ) from None
