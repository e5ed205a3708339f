"""The report on a screen: the decision first, then why, then what would turn it.

On a terminal it is told as briefly as the screen is high, and everywhere in the columns that there are. What is cut is
counted, and `--format json` has all of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from zt_gate.domain import inert, printable, sized
from zt_gate.report.columns import columns, cut, wrap

Style = Callable[[str, str], str]
_NARROWEST, _WIDEST = 40, 120
_MAX_DIFFER = 8
_MARKS = {"pass": ("✓", "green"), "fail": ("✗", "red"), "incomplete": ("?", "yellow"), "missing": ("?", "yellow")}
_QUIET = ("pass", "not_applicable")


@dataclass(frozen=True, slots=True)
class Screen:
    """How much is told, and how wide."""

    style: Style
    width: int
    verbose: bool = False
    reasons: int = 12
    remedies: int = 6
    together: bool = False
    """Whether checks with nothing to say share a line."""
    lines: int = 99
    """Lines for each reason and each remedy."""

    def wrapped(self, text: str, lead: str) -> list[str]:
        """Return a reason or a remedy as lines; where it is cut short, it ends in an ellipsis."""
        lines = wrap(text, lead, self.width)
        if self.verbose or len(lines) <= self.lines:
            return lines
        kept = lines[: self.lines]
        return [*kept[:-1], cut(f"{kept[-1]} {lines[self.lines].strip()}", self.width)]


_LEVELS = ((12, 6, False, 99), (12, 6, True, 99), (8, 5, True, 2), (6, 4, True, 1), (4, 3, True, 1), (3, 2, True, 1))
"""From all that is worth a screen to the least that says why and what to do."""


def render(report: dict[str, Any], style: Style, *, verbose: bool = False, height: int | None = None) -> str:
    """Return the report as text.

    Args:
        report: the report model.
        style: colours a piece of text, or returns it as it is.
        verbose: show every reason and finding, whatever the height.
        height: lines of the screen that it should fit; None where nobody looks at one.
    """
    width = max(_NARROWEST, min(shutil.get_terminal_size((100, 24)).columns, _WIDEST))
    text = ""
    for level in _LEVELS:
        text = _told(report, Screen(style, width, verbose, *level))
        if verbose or height is None or text.count("\n") + 1 < height:
            break
    return inert(text)


def _told(report: dict[str, Any], screen: Screen) -> str:
    lines = [*_headline(report, screen), ""]
    if report["broken_glass"]:
        lines += [*_emergency(report["broken_glass"], screen), ""]
    if report["reasons"]:
        lines += [*_reasons(report["reasons"], screen), ""]
        lines += [*_remedies(report["reasons"], screen), ""]
    lines += [*_checks(report, screen), *_agreement(report.get("agreement"), screen.width, screen.verbose)]
    lines += [line for note in report["notes"] for line in wrap(f"note: {note}", "  ", screen.width)]
    if report["report_only"]:
        text = f"{_unenforced(report)}: this run ends with 0 whatever was decided. Nothing was enforced."
        lines += ["", *(screen.style(line, "yellow") for line in wrap(text, "", screen.width))]
    return "\n".join(lines).rstrip()


def _unenforced(report: dict[str, Any]) -> str:
    """Name what keeps a block from stopping anything."""
    return "REPORT ONLY" if report.get("mode", "enforce") == "enforce" else f"MODE {report['mode'].upper()}"


def _emergency(glass: dict[str, Any], screen: Screen) -> list[str]:
    """Say that this is no ordinary allow."""
    who = ", ".join(glass["persons"])
    text = f"BROKEN GLASS: {who} let this through for the incident {glass['incident']}, until {glass['until']}."
    lines = wrap(f"{text} All that stands in the way still does:", "", screen.width)
    return [screen.style(line, "red") for line in lines]


def _headline(report: dict[str, Any], screen: Screen) -> list[str]:
    allowed = report["decision"] == "allow"
    word = screen.style(" ALLOW " if allowed else " BLOCK ", "green" if allowed else "red").strip(" ")
    subject, policy = report["subject"], report["policy"]
    stage = f" → {printable(report['stage'], 60)}"
    name = cut(printable(subject["name"]), screen.width - 7 - columns(stage))
    count = subject["files"]
    size = f"{count} file{'s' * (count != 1)}, {sized(subject['bytes'])}"
    spent = f"{sum(report['timing'].values()) / 1000:.2f} s"
    facts = f"policy {policy['name']} {policy['digest'][:19]} · {size}, {spent}"
    lines = [cut(f"       {subject['digest']}", screen.width), *wrap(facts, "       ", screen.width)]
    return [f"{word}  {screen.style(name, 'bold')}{stage}", *(screen.style(line, "dim") for line in lines)]


def _reasons(reasons: list[dict[str, Any]], screen: Screen) -> list[str]:
    shown = reasons if screen.verbose else reasons[: screen.reasons]
    lines = [screen.style("Why", "bold")]
    for reason in shown:
        lines += screen.wrapped(f"[{reason['rule'] or reason['code']}] {reason['message']}", "  ✗ ")
    if len(shown) < len(reasons):
        more = f"and {len(reasons) - len(shown)} more; --verbose or --format json shows all"
        lines += wrap(more, "  … ", screen.width)
    return lines


def _remedies(reasons: list[dict[str, Any]], screen: Screen) -> list[str]:
    fixes = list(dict.fromkeys(" ".join(reason["fix"].split()) for reason in reasons if reason["fix"]))
    rules = list(dict.fromkeys(reason["rule"] for reason in reasons if reason["rule"]))
    shown = fixes if screen.verbose else fixes[: screen.remedies]
    lines = [screen.style("What would turn it", "bold")]
    for fix in shown:
        lines += screen.wrapped(fix, "  → ")
    if len(shown) < len(fixes):
        lines += wrap(f"and {len(fixes) - len(shown)} more", "  … ", screen.width)
    if rules:
        lines += wrap(f"more: zt-gate explain {rules[0]}", "  → ", screen.width)
    return lines


def _checks(report: dict[str, Any], screen: Screen) -> list[str]:
    told = {reason["check"] for reason in report["reasons"]}
    lines = [screen.style("Checks", "bold")]
    together: dict[str, list[str]] = {}
    for check in report["checks"]:
        if screen.together and check["status"] in _QUIET and not check["findings"]:
            together.setdefault(check["status"], []).append(check["id"])
            continue
        lines += _check(check, screen, told=check["id"] in told)
    for status, ids in together.items():
        mark, colour = _MARKS.get(status, ("·", "dim"))
        first, *rest = wrap(f"{', '.join(ids)}: {status.replace('_', ' ')}", f"  {mark} ", screen.width)
        lines += [first.replace(mark, screen.style(mark, colour), 1), *rest]
    return lines


def _check(check: dict[str, Any], screen: Screen, *, told: bool) -> Iterator[str]:
    mark, colour = _MARKS.get(check["status"], ("·", "dim"))
    notes = [check["status"].replace("_", " ")]
    coverage = check["coverage"]
    if coverage["files"]:
        notes.append(f"{coverage['files']} file{'s' * (coverage['files'] != 1)}, every byte")
    if check["findings"]:
        notes.append(f"{len(check['findings'])} finding{'s' * (len(check['findings']) != 1)}")
    first, *rest = wrap(", ".join(notes), f"  {mark} {cut(printable(check['id']), 30):<15} ", screen.width)
    yield first.replace(mark, screen.style(mark, colour), 1)
    yield from rest
    if check["status"] == "missing" and not told:
        for gap in check["gaps"]:
            yield from wrap(f"{gap['reason']}; {gap['fix']}", "      ", screen.width)
    for finding in check["findings"]:
        if screen.verbose or finding["waived_by"]:
            waived = f" (waived by {finding['waived_by']})" if finding["waived_by"] else ""
            text = f"{finding['severity']}: {finding['message']} [{finding['rule']}]{waived}"
            yield from wrap(text, "      ", screen.width)


def _agreement(told: dict[str, Any] | None, width: int, verbose: bool) -> list[str]:
    """Say where the engines differ from each other and from our own check."""
    if told is None or not told["files"]:
        return []
    asked, files = len(told["asked"]), told["files"]
    head = f"{len(told['looked'])} of {asked} engine{'s' * (asked != 1)} looked at {files} file{'s' * (files != 1)}"
    if not told["differ"]:
        if asked == 1:
            return []  # a silent second opinion is a line among the checks already
        return ["", *wrap(f"agreement: {head}; none differs on what is dangerous", "  ", width)]
    shown = told["differ"] if verbose else told["differ"][:_MAX_DIFFER]
    more = len(told["differ"]) - len(shown) + told["more"]
    lines = ["", *wrap(f"agreement: {head}; they differ on", "  ", width)]
    for row in shown:
        said = ", ".join(f"{who}: {word}" for who, word in row["said"].items())
        lines += wrap(f"{row['path']} ({said})", "      ", width)
    return [*lines, *([f"      and {more} more"] if more else [])]
