"""Findings by rule, with filters that need no script: radio buttons that the style sheet looks at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from zt_gate.pages import Markup, element, join, link
from zt_gate.report.html.commands import with_code
from zt_gate.report.html.style import MAX_FILTERED_CHECKS
from zt_gate.report.rows import SEVERITIES, Row

_MAX_ROWS = 5000
"""Places on the page; the rest is counted by severity."""
_FIRST = 12
"""Places of a rule that show without another click."""
_MAX_OPEN = 40
"""A rule with more places starts folded."""


@dataclass(frozen=True, slots=True)
class Group:
    """Everything that one check says by one rule at one severity."""

    number: int
    rows: tuple[Row, ...]

    @property
    def first(self) -> Row:
        """The row that stands for all: their rule, check, severity and explanation are the same."""
        return self.rows[0]


def grouped(found: Iterable[Row]) -> list[Group]:
    """Return rows by what they have in common, in the order of `rows`."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in found:
        key = (row.blocks, row.severity, row.rule, row.check, row.title, row.why, row.waived_by)
        groups.setdefault(key, []).append(row)
    return [Group(number, tuple(own)) for number, own in enumerate(groups.values(), 1)]


def anchor(row: Row, groups: list[Group]) -> str:
    """Return the address of a row's group on the page."""
    return f"#g{next((group.number for group in groups if group.first.rule == row.rule), 0)}"


def section(groups: list[Group], report: dict[str, Any]) -> Markup | None:
    """Return all findings; None for a run that could not decide."""
    if report["error"]:
        return None
    if not groups:
        empty = element("p", "No check found anything, and none had to leave anything out.", class_="soft")
        return element("section", element("h2", "Findings"), empty, id="findings")
    checks = list(dict.fromkeys(group.first.check or "policy" for group in groups))[:MAX_FILTERED_CHECKS]
    room, articles = _MAX_ROWS, []
    for group in groups:
        articles.append(_article(group, checks, max(room, 0)))
        room -= len(group.rows)
    return element(
        "section",
        element("h2", "Findings"),
        _filters(groups, checks),
        _left_out(groups) if room < 0 else None,
        element("div", articles, class_="groups"),
        id="findings",
    )


def _filters(groups: list[Group], checks: list[str]) -> Markup:
    by_severity: Counter[str] = Counter()
    by_check: Counter[str] = Counter()
    for group in groups:
        by_severity[group.first.severity] += len(group.rows)
        by_check[group.first.check or "policy"] += len(group.rows)
    total = sum(by_severity.values())
    severities = [("all", "All", total)]
    severities += [(name, name.title(), by_severity[name]) for name in SEVERITIES if by_severity[name]]
    named = [("c0", "All", total), *((f"c{n}", name, by_check[name]) for n, name in enumerate(checks, 1))]
    blocking = sum(len(group.rows) for group in groups if group.first.blocks)
    which = [("every", "All", total), ("only", "What blocks", blocking)]
    return element(
        "div",
        _choice("Severity", "severity", severities),
        _choice("Check", "check", named) if len(named) > 2 else None,
        _choice("Show", "which", which) if 0 < blocking < total else None,
        class_="filters",
        role="group",
        aria_label="Filter the findings",
    )


def _choice(legend: str, name: str, options: list[tuple[str, str, int]]) -> Markup:
    parts = []
    for number, (value, label, count) in enumerate(options):
        box = element("input", type="radio", name=name, id=f"f-{value}", checked=number == 0)
        text = element("label", label, " ", element("span", f"{count:,}", class_="n"), for_=f"f-{value}")
        parts.append(element("span", box, text, class_=f"chip {value}"))
    return element("fieldset", element("legend", legend), parts)


def _left_out(groups: list[Group]) -> Markup:
    rows = [row for group in groups for row in group.rows][_MAX_ROWS:]
    counts = Counter(row.severity for row in rows)
    left_out = ", ".join(f"{counts[name]:,} {name}" for name in SEVERITIES if counts[name])
    text = f"{len(rows):,} places are not on this page ({left_out}); report.json has all of them."
    return element("p", text, class_="strip warn")


def _article(group: Group, checks: list[str], room: int) -> Markup:
    row = group.first
    check = row.check or "policy"
    number = checks.index(check) + 1 if check in checks else 0
    count = f"{len(group.rows):,} place{'s' * (len(group.rows) != 1)}"
    state = "blocks" if row.blocks else f"waived by {row.waived_by}" if row.waived_by else "does not block"
    summary = element(
        "summary",
        element("span", row.severity, class_=f"sev {row.severity}"),
        element("span", row.title, class_="title"),
        element(
            "span",
            element("code", row.rule.removeprefix("gate.")),
            f" · {check} · {count} · ",
            _state(row, state),
            class_="soft small",
        ),
    )
    body = element("div", _explained(group), _places(group.rows, room), class_="body", id=f"g{group.number}")
    kind = f"g {row.severity} c{number} {'blocks' if row.blocks else 'lets'}"
    return element("details", summary, body, class_=kind, open=row.blocks and len(group.rows) <= _MAX_OPEN)


def _state(row: Row, state: str) -> Markup:
    return element("span", state, class_="state " + ("bad" if row.blocks else "fine"))


def _explained(group: Group) -> Markup:
    row = group.first
    fixes = list(dict.fromkeys(item.fix for item in group.rows if item.fix))
    pairs = [("Why it matters", join(row.why))] if row.why else []
    if len(fixes) == 1:
        pairs.append(("How to fix it", with_code(fixes[0])))
    elif fixes:
        listed = element("ul", (element("li", with_code(fix)) for fix in fixes[:5]), class_="plain")
        pairs.append(("How to fix it", listed))
    if row.references:
        listed = element("ul", (element("li", _reference(item)) for item in row.references), class_="refs")
        pairs.append(("References", listed))
    return element("dl", (join(element("dt", label), element("dd", value)) for label, value in pairs), class_="about")


def _reference(item: str) -> Markup:
    if item.startswith("CWE-") and item[4:].isdigit():
        return link(f"https://cwe.mitre.org/data/definitions/{item[4:]}.html", item)
    if item.startswith("CVE-"):
        return link(f"https://nvd.nist.gov/vuln/detail/{item}", item)
    return link(item, item.removeprefix("https://"))


def _places(rows: tuple[Row, ...], room: int) -> Markup | None:
    format_value = rows[:room]
    if not format_value:
        return element("p", f"{len(rows):,} places are not on this page; see report.json.", class_="soft")
    first = element("ul", (_place(row) for row in format_value[:_FIRST]), class_="places")
    rest = format_value[_FIRST:]
    if not rest:
        return first
    listed = element("ul", (_place(row) for row in rest), class_="places")
    return join(first, element("details", element("summary", f"{len(rest):,} more places"), listed, class_="rest"))


def _place(row: Row) -> Markup:
    where = element("code", row.where) if row.where else element("span", "the release as a whole", class_="soft")
    return element("li", where, " ", row.message)
