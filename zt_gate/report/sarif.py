"""The report as SARIF 2.1.0 (OASIS), within what GitHub code scanning accepts.

Findings become results. A reason to block that is no finding, such as a file nobody examined, becomes a result too:
otherwise a code-scanning page would be green over a red gate. Limits: docs.github.com, "SARIF support".
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from zt_gate.domain import printable
from zt_gate.report.json_format import dumped
from zt_gate.report.rows import Row, place, rows

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
# GitHub orders by this number; it must be text.
_SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.5", "info": "0.0"}
_NO_HELP = "see zt-gate explain"
_TAGS = ("security", "machine-learning")
_MAX_TAGS = 10
"""GitHub takes 20 tags of a rule and shows 10."""
_MAX_RESULTS = 5000
"""GitHub shows no more than 5,000 results of a run; the report says how many were left out."""
_MAX_TEXT = 1000


def render(report: dict[str, Any]) -> str:
    """Return the report as one SARIF run."""
    found = rows(report)
    kept = found[:_MAX_RESULTS]
    examples = {row.rule: row for row in reversed(kept)}
    order = {rule: index for index, rule in enumerate(sorted(examples))}
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": report["tool"]["name"],
                "semanticVersion": report["tool"]["version"],
                "rules": [_rule(examples[rule]) for rule in order],
            }
        },
        # GitHub closes the alerts of a category that its newest upload lacks, so each stage and target has its own.
        "automationDetails": {"id": f"zt-gate/{_category(report)}/"},
        "invocations": [_invocation(report, len(found) - len(kept))],
        "originalUriBaseIds": {"%SRCROOT%": {"description": {"text": "the folder that the gate was started in"}}},
        "columnKind": "utf16CodeUnits",
        "results": [_result(row, order[row.rule], report) for row in kept],
        "properties": {
            "decision": report["decision"],
            "verdict": report["verdict"],
            "brokenGlass": _printed(report["broken_glass"]),
            "omitted": len(found) - len(kept),
        },
    }
    return dumped({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _category(report: dict[str, Any]) -> str:
    """Return the category: results of one stage and target replace those of its last run, and no others."""
    name = place(report, "").strip("/")
    return "/".join(quote(part, safe="") for part in (report["stage"] or "error", *([name] if name != "." else [])))


def _invocation(report: dict[str, Any], omitted: int) -> dict[str, Any]:
    notes = []
    if omitted:
        notes.append(f"{omitted} results were left out; report.json has all of them")
    if report["report_only"]:
        notes.append("nothing was enforced: the run ends with 0 whatever was decided")
    if report["error"]:
        notes.append(f"nothing was decided: {report['error']['message']}")
    notifications = [{"level": "error", "message": {"text": _words(note)}} for note in notes]
    return {
        "executionSuccessful": report["decision"] != "error",
        "exitCode": report["exit_code"],
        **({"endTimeUtc": report["judged"]} if report["judged"] else {}),
        **({"toolExecutionNotifications": notifications} if notifications else {}),
    }


def _rule(row: Row) -> dict[str, Any]:
    links = [reference for reference in row.references if reference.startswith("https://")]
    tags = [_tag(reference) for reference in row.references[: _MAX_TAGS - len(_TAGS)]]
    help_text = "\n\n".join(part for part in (row.why, row.fix) if part) or _NO_HELP
    return {
        "id": row.rule,
        "shortDescription": {"text": _words(row.title)},
        "fullDescription": {"text": _words(row.why or row.title)},
        "help": {"text": _words(help_text)},
        **({"helpUri": links[0]} if links else {}),
        "defaultConfiguration": {"level": _LEVELS[row.severity]},
        "properties": {"tags": [*_TAGS, *tags], "precision": "high", "security-severity": _SCORES[row.severity]},
    }


def _tag(reference: str) -> str:
    """A reference as GitHub shows it: weaknesses under `external/cwe`, which its filters know."""
    number = reference.removeprefix("CWE-")
    return f"external/cwe/cwe-{int(number):03d}" if reference.startswith("CWE-") and number.isdigit() else reference


def _result(row: Row, index: int, report: dict[str, Any]) -> dict[str, Any]:
    # GitHub takes no result without a line; a binary file is reported at its first.
    region: dict[str, Any] = {"startLine": row.line or 1}
    if row.offset is not None and not row.member:
        region["byteOffset"] = row.offset
    # A name that is not UTF-8 stands in the path with surrogates, which cannot be encoded as they are.
    uri = quote(place(report, row.path).encode("utf-8", "backslashreplace"))
    location: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": {"uri": uri, "uriBaseId": "%SRCROOT%"}, "region": region}
    }
    if row.member:
        location["logicalLocations"] = [{"fullyQualifiedName": printable(row.where, _MAX_TEXT), "kind": "member"}]
    result: dict[str, Any] = {
        "ruleId": row.rule,
        "ruleIndex": index,
        "level": _LEVELS[row.severity],
        "message": {"text": _words(f"{row.message}. {row.fix}" if row.fix else row.message)},
        "locations": [location],
        # The second is GitHub's own, made from source lines where it is absent; a model has none.
        "partialFingerprints": {
            "ztGate/v1": row.identity,
            "primaryLocationLineHash": f"{row.fingerprint[:16]}:{row.number}",
        },
        "properties": {"check": row.check, "blocks": row.blocks},
    }
    if row.waived_by:
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": f"waiver {row.waived_by}"}
        ]
    return result


def _printed(glass: dict[str, Any] | None) -> dict[str, Any] | None:
    if glass is None:
        return None
    return {
        **glass,
        "incident": printable(glass["incident"]),
        "persons": [printable(name) for name in glass["persons"]],
    }


def _words(text: str) -> str:
    """Return text as a SARIF message shows it: brackets before a parenthesis would be a link (3.11.6)."""
    text = "\n\n".join(printable(part, _MAX_TEXT) for part in text.split("\n\n"))
    if "](" not in text:
        return text
    return text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
