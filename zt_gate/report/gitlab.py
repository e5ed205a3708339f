"""The report as GitLab's security report (`artifacts:reports:sast`), schema 15.2.

Source: gitlab.com/gitlab-org/security-products/security-report-schemas, `sast-report-format.json`. Times carry no zone;
GitLab refuses a file in which they do.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from zt_gate.domain import printable
from zt_gate.report.json_format import dumped
from zt_gate.report.rows import Row, place, rows

VERSION = "15.2.1"
_MAX_NAME, _MAX_FIX, _MAX_TEXT, _MAX_ROWS = 255, 7000, 2000, 5000
_TIME = "%Y-%m-%dT%H:%M:%S"


def render(report: dict[str, Any]) -> str:
    """Return the report as the text of `gl-sast-report.json`."""
    found = rows(report)
    kept = found[:_MAX_ROWS]
    tool = {
        "id": "zt-gate",
        "name": "zt-gate",
        "version": report["tool"]["version"],
        "vendor": {"name": "zt-gate"},
    }
    start = datetime.fromisoformat(report["judged"]).astimezone(UTC)
    end = start + timedelta(milliseconds=sum(report["timing"].values()))
    value = {
        "version": VERSION,
        "scan": {
            "type": "sast",
            "status": "failure" if report["error"] else "success",
            # The schema's pattern has no room for a `Z`, so UTC goes without one.
            "start_time": start.strftime(_TIME),
            "end_time": end.strftime(_TIME),
            "analyzer": tool,
            "scanner": tool,
            "messages": _messages(report, len(found) - len(kept)),
        },
        "vulnerabilities": [_vulnerability(row, report) for row in kept],
    }
    return dumped(value)


def _messages(report: dict[str, Any], omitted: int) -> list[dict[str, str]]:
    said = [("info", f"decision: {report['decision']}; verdict {report['verdict'] or 'none'}")]
    if report["report_only"]:
        said.append(("warn", "nothing was enforced: the run ends with 0 whatever was decided"))
    if omitted:
        said.append(("warn", f"{omitted} findings were left out; report.json has all of them"))
    if report["error"]:
        said.append(("fatal", printable(report["error"]["message"], _MAX_TEXT)))
    return [{"level": level, "value": text} for level, text in said]


def _vulnerability(row: Row, report: dict[str, Any]) -> dict[str, Any]:
    waived = f" Waived by {row.waived_by}." if row.waived_by else ""
    where = printable(row.where, 500) or "the release as a whole"
    return {
        "id": row.identity,
        "name": printable(f"{row.title}: {row.message}", _MAX_NAME),
        "description": f"{row.message}. At {where}.{waived} {row.why}".strip(),
        "severity": row.severity.title(),
        **({"solution": row.fix[:_MAX_FIX]} if row.fix else {}),
        "identifiers": [
            {"type": "zt_gate_rule", "name": row.rule, "value": row.rule},
            *(_cwe(reference) for reference in row.references if reference.removeprefix("CWE-").isdigit()),
        ],
        "location": {"file": printable(place(report, row.path), 4096), "start_line": row.line or 1},
    }


def _cwe(reference: str) -> dict[str, str]:
    number = reference.removeprefix("CWE-")
    url = f"https://cwe.mitre.org/data/definitions/{number}.html"
    return {"type": "cwe", "name": reference, "value": number, "url": url}
