"""The report on a screen: the decision first, then why, then what would turn it.

At most a screenful: what is cut is counted, and `--format json` has all of it.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable
from typing import Any

from zt_gate.domain import inert, printable

Style = Callable[[str, str], str]
_MAX_REASONS = 12
_MAX_DIFFER = 8
_MARKS = {"pass": ("✓", "green"), "fail": ("✗", "red"), "incomplete": ("?", "yellow"), "missing": ("?", "yellow")}


def render(report: dict[str, Any], style: Style, *, verbose: bool = False) -> str:
    """Return the report as text.

    Args:
        report: the report model.
        style: colours a piece of text, or returns it as it is.
        verbose: show every reason and finding.
    """
    width = max(40, min(shutil.get_terminal_size((100, 24)).columns, 120))
    lines = [*_headline(report, style), ""]
    if report["broken_glass"]:
        lines += [*_emergency(report["broken_glass"], style, width), ""]
    if report["reasons"]:
        lines += [*_reasons(report["reasons"], style, width, verbose), ""]
        lines += [*_remedies(report["reasons"], style, width, verbose), ""]
    lines += [*_checks(report, style, width, verbose), *_agreement(report.get("agreement"), width, verbose)]
    lines += [line for note in report["notes"] for line in _wrap(f"note: {note}", "  ", width)]
    if report["report_only"]:
        lines += [
            "",
            style(f"{_unenforced(report)}: this run ends with 0 whatever was decided. Nothing was enforced.", "yellow"),
        ]
    return inert("\n".join(lines).rstrip())


def _unenforced(report: dict[str, Any]) -> str:
    """Name what keeps a block from stopping anything."""
    return "REPORT ONLY" if report.get("mode", "enforce") == "enforce" else f"MODE {report['mode'].upper()}"


def _emergency(glass: dict[str, Any], style: Style, width: int) -> list[str]:
    """Say that this is no ordinary allow."""
    who = ", ".join(glass["persons"])
    text = f"BROKEN GLASS: {who} let this through for the incident {glass['incident']}, until {glass['until']}."
    return [style(line, "red") for line in _wrap(f"{text} All that stands in the way still does:", "", width)]


def _headline(report: dict[str, Any], style: Style) -> list[str]:
    allowed = report["decision"] == "allow"
    word = style(" ALLOW " if allowed else " BLOCK ", "green" if allowed else "red").strip(" ")
    subject, policy = report["subject"], report["policy"]
    count = subject["files"]
    facts = (
        f"{count} file{'s' * (count != 1)}, {_size(subject['bytes'])}, {sum(report['timing'].values()) / 1000:.2f} s"
    )
    return [
        f"{word}  {style(subject['name'], 'bold')} → {report['stage']}",
        style(f"       {subject['digest']}", "dim"),
        style(f"       policy {policy['name']} {policy['digest'][:19]} · {facts}", "dim"),
    ]


def _reasons(reasons: list[dict[str, Any]], style: Style, width: int, verbose: bool) -> list[str]:
    shown = reasons if verbose else reasons[:_MAX_REASONS]
    lines = [style("Why", "bold")]
    for reason in shown:
        tag = reason["rule"] or reason["code"]
        lines += _wrap(f"{reason['message']}  [{tag}]", "  ✗ ", width)
    if len(shown) < len(reasons):
        lines.append(f"  … and {len(reasons) - len(shown)} more; --verbose or --format json shows all")
    return lines


def _remedies(reasons: list[dict[str, Any]], style: Style, width: int, verbose: bool) -> list[str]:
    fixes = list(dict.fromkeys(" ".join(reason["fix"].split()) for reason in reasons if reason["fix"]))
    rules = list(dict.fromkeys(reason["rule"] for reason in reasons if reason["rule"]))
    lines = [style("What would turn it", "bold")]
    for fix in fixes if verbose else fixes[:6]:
        lines += _wrap(fix, "  → ", width)
    if rules:
        lines += _wrap(f"more: zt-gate explain {rules[0]}", "  → ", width)
    return lines


def _checks(report: dict[str, Any], style: Style, width: int, verbose: bool) -> list[str]:
    told = {reason["check"] for reason in report["reasons"]}
    lines = [style("Checks", "bold")]
    for check in report["checks"]:
        mark, colour = _MARKS.get(check["status"], ("·", "dim"))
        notes = [check["status"].replace("_", " ")]
        coverage = check["coverage"]
        if coverage["files"]:
            notes.append(f"{coverage['files']} file{'s' * (coverage['files'] != 1)}, every byte")
        if check["findings"]:
            notes.append(f"{len(check['findings'])} finding{'s' * (len(check['findings']) != 1)}")
        lines.append(f"  {style(mark, colour)} {check['id']:<15} {', '.join(notes)}")
        if check["status"] == "missing" and check["id"] not in told:
            lines += [
                line for gap in check["gaps"] for line in _wrap(f"{gap['reason']}; {gap['fix']}", "      ", width)
            ]
        for finding in check["findings"]:
            if verbose or finding["waived_by"]:
                waived = f" (waived by {finding['waived_by']})" if finding["waived_by"] else ""
                lines += _wrap(
                    f"{finding['severity']}: {finding['message']} [{finding['rule']}]{waived}", "      ", width
                )
    return lines


def _agreement(told: dict[str, Any] | None, width: int, verbose: bool) -> list[str]:
    """Say where the engines differ from each other and from our own check."""
    if told is None or not told["files"]:
        return []
    asked, files = len(told["asked"]), told["files"]
    head = f"{len(told['looked'])} of {asked} engine{'s' * (asked != 1)} looked at {files} file{'s' * (files != 1)}"
    if not told["differ"]:
        if asked == 1:
            return []  # a silent second opinion is a line among the checks already
        return ["", *_wrap(f"agreement: {head}; none differs on what is dangerous", "  ", width)]
    shown = told["differ"] if verbose else told["differ"][:_MAX_DIFFER]
    more = len(told["differ"]) - len(shown) + told["more"]
    lines = ["", *_wrap(f"agreement: {head}; they differ on", "  ", width)]
    for row in shown:
        said = ", ".join(f"{who}: {word}" for who, word in row["said"].items())
        lines += _wrap(f"{row['path']} ({said})", "      ", width)
    return [*lines, *([f"      and {more} more"] if more else [])]


def _wrap(text: str, lead: str, width: int) -> list[str]:
    wrapper = textwrap.TextWrapper(width, initial_indent=lead, subsequent_indent=" " * len(lead))
    wrapper.break_long_words = False
    wrapper.break_on_hyphens = False
    # Checks print safely themselves; a screen still trusts nobody.
    return wrapper.wrap(printable(text, 2000))


def _size(count: int) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count = count / 1000  # type: ignore[assignment]  # from here on a float
    return f"{count:.1f} TB"
