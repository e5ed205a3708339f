"""The report as SARIF 2.1.0 (OASIS), within what GitHub code scanning accepts.

Findings become results. A reason to block that is no finding, such as a file nobody examined, becomes a result too:
otherwise a code-scanning page would be green over a red gate.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
# GitHub orders by this number; it must be text (docs.github.com, "SARIF support for code scanning").
_SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.5", "info": "0.0"}
_NO_HELP = "see zt-gate explain"
_MAX_TAGS = 18
"""GitHub shows no more than 20 tags of a rule, and two are there already."""
_MAX_RESULTS = 5000
"""GitHub shows no more than 5,000 results of a run; the report says how many were left out."""


def render(report: dict[str, Any]) -> str:
    """Return the report as one SARIF run."""
    base = _base(report)
    rows = [_from_finding(finding, base) for check in report["checks"] for finding in check["findings"]]
    rows += [_from_reason(reason, base) for reason in report["reasons"] if reason["code"] != "finding"]
    if report["error"]:
        rows.append(_row("gate.error", "critical", report["error"]["message"], report["error"]["fix"], base))
    rules = {row["rule"]["id"]: row["rule"] for row in rows}
    order = {rule: index for index, rule in enumerate(sorted(rules))}
    results = [{**row["result"], "ruleIndex": order[row["rule"]["id"]]} for row in rows[:_MAX_RESULTS]]
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": report["tool"]["name"],
                "semanticVersion": report["tool"]["version"],
                "rules": [rules[rule] for rule in sorted(rules)],
            }
        },
        "automationDetails": {"id": f"zt-gate/{report['stage'] or 'error'}/"},
        "invocations": [
            {"executionSuccessful": report["decision"] != "error", "exitCode": report["exit_code"]},
        ],
        "columnKind": "utf16CodeUnits",
        "results": results,
        "properties": {
            "decision": report["decision"],
            "verdict": report["verdict"],
            "brokenGlass": report["broken_glass"],
            "omitted": len(rows) - len(results),
        },
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=True)


def _from_finding(finding: dict[str, Any], base: str) -> dict[str, Any]:
    row = _row(finding["rule"], finding["severity"], finding["message"], finding["fix"], base, finding["path"])
    row["rule"]["shortDescription"] = {"text": finding["title"]}
    row["rule"]["fullDescription"] = {"text": finding["why"] or finding["title"]}
    row["rule"]["help"] = {"text": "\n\n".join(part for part in (finding["why"], finding["fix"]) if part) or _NO_HELP}
    row["rule"]["properties"]["tags"] += [_tag(reference) for reference in finding["references"][:_MAX_TAGS]]
    pages = [reference for reference in finding["references"] if reference.startswith("https://")]
    if pages:
        row["rule"]["helpUri"] = pages[0]
    region = row["result"]["locations"][0]["physicalLocation"]
    region["region"] = {"startLine": finding["line"] or 1}
    row["result"]["partialFingerprints"] = {"ztGate/v1": finding["fingerprint"]}
    if finding["waived_by"]:
        row["result"]["suppressions"] = [{"kind": "external", "justification": f"waiver {finding['waived_by']}"}]
    return row


def _tag(reference: str) -> str:
    """A reference as GitHub shows it: weaknesses under `external/cwe`, which its filters know."""
    number = reference.removeprefix("CWE-")
    return f"external/cwe/cwe-{int(number):03d}" if reference.startswith("CWE-") and number.isdigit() else reference


def _from_reason(reason: dict[str, Any], base: str) -> dict[str, Any]:
    return _row(f"gate.{reason['code']}", "high", reason["message"], reason["fix"], base, reason["path"])


def _row(rule: str, severity: str, message: str, fix: str, base: str, path: str = "") -> dict[str, Any]:
    uri = quote("/".join(part for part in (base, path) if part) or ".")
    return {
        "rule": {
            "id": rule,
            "name": rule,
            "shortDescription": {"text": rule},
            "help": {"text": fix or _NO_HELP},
            "defaultConfiguration": {"level": _LEVELS[severity]},
            "properties": {"tags": ["security", "machine-learning"], "security-severity": _SCORES[severity]},
        },
        "result": {
            "ruleId": rule,
            "level": _LEVELS[severity],
            "message": {"text": f"{message}. {fix}" if fix else message},
            "locations": [
                {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": 1}}},
            ],
        },
    }


def _base(report: dict[str, Any]) -> str:
    """The folder that manifest paths are relative to, as far as the name of the target tells."""
    name = (report["subject"] or {}).get("name", "")
    if name.startswith(("/", "..")) or report["subject"] is None:
        return ""
    return str(name).strip("./") if report["subject"]["files"] != 1 else ""
