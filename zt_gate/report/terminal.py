"""The report for a person: the decision first, then why, then how to fix it.

On a terminal it is as brief as the screen is high. What is left out is counted, and `--format json` has all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from zt_gate.domain import printable, sized
from zt_gate.report.lines import Line, Part, line

_MAX_DIFFER = 8
_MARKS = {"pass": ("✓", "good"), "fail": ("✗", "bad"), "incomplete": ("?", "doubt"), "missing": ("?", "doubt")}
_OTHER_MARK = ("·", "dim")
_QUIET = ("pass", "not_applicable")


@dataclass(frozen=True, slots=True)
class Detail:
    """How much the screen shows."""

    reasons: int = 12
    fixes: int = 6
    together: bool = False
    """Whether checks with nothing to say share a line."""
    rows: int = 0
    """Rows for each reason and each fix; 0 for all."""
    verbose: bool = False


_ALL = Detail(1 << 30, 1 << 30, verbose=True)
_LEVELS = (
    Detail(),
    Detail(together=True),
    Detail(8, 5, together=True, rows=2),
    Detail(6, 4, together=True, rows=1),
    Detail(4, 3, together=True, rows=1),
    Detail(3, 2, together=True, rows=1),
)
"""From all that is worth a screen to the least that says why and what to do."""


def versions(report: dict[str, Any], *, verbose: bool = False) -> Iterator[list[Line]]:
    """Yield the report as lines, from its longest version to its shortest; whoever knows the screen takes one.

    Args:
        report: the report model.
        verbose: there is one version, with every reason and finding.
    """
    for detail in [_ALL] if verbose else _LEVELS:
        yield list(_report_lines(report, detail))


def _report_lines(report: dict[str, Any], detail: Detail) -> Iterator[Line]:
    yield from _headline(report)
    if report["broken_glass"]:
        yield from (line(), _emergency(report["broken_glass"]))
    if report["reasons"]:
        yield from (line(), *_reasons(report, detail), line(), *_fixes(report["reasons"], detail))
    yield from (line(), *_checks(report, detail), *_agreement(report.get("agreement"), verbose=detail.verbose))
    yield from (line(f"note: {note}", lead="  ") for note in report["notes"])
    if report["report_only"]:
        text = f"{_unenforced(report)}: this run ends with 0 whatever was decided. Nothing was enforced."
        yield from (line(), line((text, "doubt")))


def _unenforced(report: dict[str, Any]) -> str:
    """Return the option or mode because of which a block stops nothing."""
    return "REPORT ONLY" if report.get("mode", "enforce") == "enforce" else f"MODE {report['mode'].upper()}"


def _emergency(glass: dict[str, Any]) -> Line:
    """Say that an emergency override allowed this."""
    who = ", ".join(glass["persons"])
    text = f"BROKEN GLASS: {who} let this through for the incident {glass['incident']}, until {glass['until']}."
    return line((f"{text} The reasons to block it still hold:", "bad"))


def _headline(report: dict[str, Any]) -> Iterator[Line]:
    word, style = ("ALLOW", "good") if report["decision"] == "allow" else ("BLOCK", "bad")
    subject, policy = report["subject"], report["policy"]
    stage = f" → {printable(report['stage'], 60)}"
    yield line((printable(subject["name"], 160), "bold"), stage, lead=(f"{word}  ", style))
    count = subject["files"]
    size = f"{count} file{'s' * (count != 1)}, {sized(subject['bytes'])}"
    spent = f"{sum(report['timing'].values()) / 1000:.2f} s"
    yield line((subject["digest"], "dim"), lead="       ", most=1)
    yield line((f"policy {policy['name']} {policy['digest'][:19]} · {size}, {spent}", "dim"), lead="       ")


def _reasons(report: dict[str, Any], detail: Detail) -> Iterator[Line]:
    reasons = report["reasons"]
    yield line(("Why", "bold"))
    for reason in reasons[: detail.reasons]:
        text = f"[{reason['rule'] or reason['code']}] {reason['message']}"
        yield line(text, lead=("  ✗ ", "bad"), most=detail.rows)
    if len(reasons) > detail.reasons:
        yield line(f"and {len(reasons) - detail.reasons} more; --verbose or --format json shows all", lead="  … ")


def _fixes(reasons: list[dict[str, Any]], detail: Detail) -> Iterator[Line]:
    fixes = list(dict.fromkeys(" ".join(reason["fix"].split()) for reason in reasons if reason["fix"]))
    rules = list(dict.fromkeys(reason["rule"] for reason in reasons if reason["rule"]))
    yield line(("How to fix it", "bold"))
    for fix in fixes[: detail.fixes]:
        yield line(fix, lead=("  → ", "cyan"), most=detail.rows)
    if len(fixes) > detail.fixes:
        yield line(f"and {len(fixes) - detail.fixes} more", lead="  … ")
    if rules:
        yield line(f"more: zt-gate explain {rules[0]}", lead=("  → ", "cyan"))


def _checks(report: dict[str, Any], detail: Detail) -> Iterator[Line]:
    explained = {reason["check"] for reason in report["reasons"]}
    yield line(("Checks", "bold"))
    together: dict[str, list[str]] = {}
    for check in report["checks"]:
        if detail.together and check["status"] in _QUIET and not check["findings"]:
            together.setdefault(check["status"], []).append(check["id"])
            continue
        yield from _check(check, detail, explained=check["id"] in explained)
    for status, ids in together.items():
        yield Line((f"{', '.join(ids)}: {status.replace('_', ' ')}",), _marked(status))


def _marked(status: str) -> tuple[Part, ...]:
    mark, style = _MARKS.get(status, _OTHER_MARK)
    return "  ", (mark, style), " "


def _check(check: dict[str, Any], detail: Detail, *, explained: bool) -> Iterator[Line]:
    notes = [check["status"].replace("_", " ")]
    coverage = check["coverage"]
    if coverage["files"]:
        notes.append(f"{coverage['files']} file{'s' * (coverage['files'] != 1)}, every byte")
    if check["findings"]:
        notes.append(f"{len(check['findings'])} finding{'s' * (len(check['findings']) != 1)}")
    lead = (*_marked(check["status"]), f"{printable(check['id'], 30):<15} ")
    yield Line((", ".join(notes),), lead)
    if check["status"] == "missing" and not explained:
        for gap in check["gaps"]:
            yield line(f"{gap['reason']}; {gap['fix']}", lead="      ")
    for finding in check["findings"]:
        if detail.verbose or finding["waived_by"]:
            waived = f" (waived by {finding['waived_by']})" if finding["waived_by"] else ""
            yield line(f"{finding['severity']}: {finding['message']} [{finding['rule']}]{waived}", lead="      ")


def _agreement(agreement: dict[str, Any] | None, *, verbose: bool) -> Iterator[Line]:
    """Say where the engines differ from each other and from our own check."""
    if agreement is None or not agreement["files"]:
        return
    asked, files = len(agreement["asked"]), agreement["files"]
    head = (
        f"{len(agreement['looked'])} of {asked} engine{'s' * (asked != 1)} looked at {files} file{'s' * (files != 1)}"
    )
    if not agreement["differ"]:
        if asked > 1:  # a silent second opinion is a line among the checks already
            yield from (line(), line(f"agreement: {head}; none differs on what is dangerous", lead="  "))
        return
    shown = agreement["differ"] if verbose else agreement["differ"][:_MAX_DIFFER]
    yield from (line(), line(f"agreement: {head}; they differ on", lead="  "))
    for row in shown:
        said = ", ".join(f"{who}: {word}" for who, word in row["said"].items())
        yield line(f"{row['path']} ({said})", lead="      ")
    if more := len(agreement["differ"]) - len(shown) + agreement["more"]:
        yield line(f"and {more} more", lead="      ")
