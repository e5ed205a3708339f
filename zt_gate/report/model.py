"""The report model: the JSON contract `zt-gate/report/v1`, from which every other format is drawn.

`rules/schema/report-v1.schema.json` is its JSON Schema. Nothing is decided here, and no format may change what the
process exits with.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from zt_gate import __version__
from zt_gate.domain import Decision, Evidence, Finding, Reason, Severity, Verdict
from zt_gate.errors import PolicyError, ZtGateError
from zt_gate.gate import Outcome
from zt_gate.policy.waivers import waiver_notes
from zt_gate.scan.engines import ENGINES

if TYPE_CHECKING:
    from zt_gate.policy.catalog import RulePage

OURS = "artifacts"
_SHOWN = 20
_ALARM = Severity.HIGH
"""What the packs block at. One scanner's remark beside another's silence is no disagreement."""
_COMPARED_ALREADY = "unpickler"
"""It reports where it differs from us, so that its silence is agreement with whatever we say."""
_NOTHING, _UNREAD = "nothing", "unread"


def agreement(evidence: Sequence[Evidence]) -> dict[str, Any] | None:
    """Compare what our check and the engines say about each file; None where no engine was asked.

    Returns:
        `asked` and `looked`: ids of the engines; `files`: how many files at least one of them read; `differ`: up to 20
        files with the word of each that read or tried it (`nothing`, `unread`, or its highest severity); `more`: how
        many were left out.
    """
    engines = [item for item in evidence if item.check in ENGINES and item.check != _COMPARED_ALREADY]
    if not engines:
        return None
    voices = [item for item in evidence if item.check == OURS] + engines
    files = sorted({path for item in engines for path in item.looked})
    rows = [(path, {item.check: word for item in voices if (word := _word(item, path))}) for path in files]
    differ = [{"path": path, "said": said} for path, said in rows if _differ(said)]
    return {
        "asked": [item.check for item in engines],
        "looked": [item.check for item in engines if item.looked],
        "files": len(files),
        "differ": differ[:_SHOWN],
        "more": len(differ[_SHOWN:]),
    }


def _word(item: Evidence, path: str) -> str:
    """Return the highest severity that a check reports in a file, or why there is none; empty if it never looked."""
    found = [finding.severity for finding in item.findings if finding.path == path]
    if found:
        return str(max(found))
    if any(gap.path == path for gap in item.gaps):
        return _UNREAD
    return _NOTHING if item.check == OURS or path in item.looked else ""


def _differ(said: dict[str, str]) -> bool:
    alarms = [word not in (_NOTHING, _UNREAD) and Severity.parse(word) >= _ALARM for word in said.values()]
    return any(alarms) and not all(alarms)


SCHEMA = "zt-gate/report/v1"
ALLOWED, BLOCKED, UNDECIDED = 0, 1, 2


def exit_code(verdict: Verdict) -> int:
    """Return what the process ends with: 0 allowed, 1 blocked."""
    return ALLOWED if verdict.decision is Decision.ALLOW else BLOCKED


def build(outcome: Outcome, *, report_only: bool = False) -> dict[str, Any]:
    """Return the report on an outcome as a JSON value.

    Args:
        outcome: what the gate answered.
        report_only: whether the process will end with 0 whatever was decided; the report says so.
    """
    verdict, manifest = outcome.verdict, outcome.subject.manifest
    waivers = {item.finding.fingerprint: item.waiver for item in verdict.waived}
    judged = {item.check: item for item in verdict.evidence}
    return {
        "schema": SCHEMA,
        "tool": {"name": "zt-gate", "version": __version__},
        "decision": str(verdict.decision),
        "exit_code": ALLOWED if report_only else exit_code(verdict),
        "report_only": report_only,
        "mode": verdict.mode,
        "verdict": str(verdict.digest),
        "stage": verdict.stage,
        "subject": {
            "name": outcome.subject.name,
            "digest": str(outcome.subject.digest),
            "files": len(manifest.content),
            "bytes": manifest.total_bytes,
        },
        "policy": {"name": outcome.policy.policy.metadata.name, "digest": str(outcome.policy.digest)},
        # What was judged replaces what was gathered, since the policy may have raised severities.
        "checks": [_check(judged.get(item.check, item), waivers) for item in outcome.evidence],
        "agreement": agreement([judged.get(item.check, item) for item in outcome.evidence]),
        "reasons": [_reason(reason) for reason in verdict.reasons],
        "broken_glass": verdict.broken_glass.to_json() if verdict.broken_glass is not None else None,
        "notes": waiver_notes(outcome.policy.policy.waivers, verdict.waived, outcome.subject.digest, outcome.judged),
        "judged": f"{outcome.judged:%Y-%m-%dT%H:%M:%SZ}",
        "timing": {name: round(seconds * 1000) for name, seconds in outcome.seconds.items()},
        "error": None,
    }


def build_error(error: ZtGateError, now: datetime) -> dict[str, Any]:
    """Return the report of a run that could not decide, as of a time in UTC."""
    place = f"{error.file}:{error.line}:{error.column}" if isinstance(error, PolicyError) and error.file else ""
    return {
        "schema": SCHEMA,
        "tool": {"name": "zt-gate", "version": __version__},
        "decision": "error",
        "exit_code": UNDECIDED,
        "report_only": False,
        "mode": None,
        "verdict": None,
        "stage": None,
        "subject": None,
        "policy": None,
        "checks": [],
        "agreement": None,
        "reasons": [],
        "broken_glass": None,
        "notes": [],
        "judged": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "timing": {},
        "error": {"kind": type(error).__name__, "message": error.message, "fix": error.advice, "place": place},
    }


def _check(item: Evidence, waivers: dict[str, str]) -> dict[str, Any]:
    formats: dict[str, int] = {}
    for claim in item.claims:
        formats[claim.by] = formats.get(claim.by, 0) + 1
    return {
        "id": item.check,
        "version": item.version,
        "status": str(item.status),
        "findings": [_finding(finding, waivers) for finding in item.findings],
        "gaps": [{"path": gap.path, "reason": gap.reason, "fix": gap.fix} for gap in item.gaps],
        "metrics": dict(sorted(item.metrics.items())),
        "pictures": [picture.to_json() for picture in item.pictures],
        "coverage": {
            "files": len({claim.path for claim in item.claims}),
            "bytes": sum({claim.path: claim.size for claim in item.claims}.values()),
            "formats": dict(sorted(formats.items())),
        },
    }


def _finding(finding: Finding, waivers: dict[str, str]) -> dict[str, Any]:
    page = _page(finding.rule)
    return {
        "rule": finding.rule,
        "title": page.title if page else finding.rule,
        "severity": str(finding.severity),
        "path": finding.path,
        "member": finding.member,
        "offset": finding.offset,
        "line": finding.line,
        "message": finding.message,
        "why": page.why if page else "",
        "fix": finding.fix or (page.fix if page else ""),
        "references": page.references.flat() if page else [],
        "fingerprint": finding.fingerprint,
        "waived_by": waivers.get(finding.fingerprint),
    }


def _reason(reason: Reason) -> dict[str, Any]:
    page = _page(reason.rule)
    return {**reason.to_json(), "fix": reason.fix or (page.fix if page else "")}


def _page(rule: str) -> RulePage | None:
    """Return the page of a rule. The catalogue is YAML, which a report without a finding need not load."""
    from zt_gate.policy.catalog import rule_page

    return rule_page(rule) if rule else None
