"""The page as a whole: the verdict, why, how to fix it, and the sections below."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zt_gate.pages import Markup, document, element, format_value, join, link
from zt_gate.report.fixes import Step, steps, summary
from zt_gate.report.html.commands import command_block, with_code
from zt_gate.report.html.evidence import agreement, cards, coverage, pictures, record
from zt_gate.report.html.findings import Group, anchor, grouped, section
from zt_gate.report.html.style import style
from zt_gate.report.rows import Row, rows

_MAX_REASONS = 12
_WORDS = {"allow": "Allowed", "block": "Blocked", "error": "Not decided"}
_KINDS = {
    "role": "Who acts",
    "attribute": "Who signed",
    "evidence": "Evidence",
    "bytes": "The files",
    "policy": "The policy",
}
_SIGNS = {
    "allow": "M7 12.5l3.4 3.5L17 8.6",
    "block": "M8 8l8 8M16 8l-8 8",
    "error": "M12 7v6.2M12 16.6v.2",
}


def render(report: dict[str, Any]) -> str:
    """Return the report as a page."""
    found = rows(report)
    groups = grouped(found)
    parts = [part for part in _parts(report, found, groups) if part[2]]
    subject = report["subject"] or {"name": "no target"}
    menu = element("ul", (element("li", link(f"#{name}", label)) for name, label, _ in parts))
    return document(
        f"{_WORDS[report['decision']]}: {subject['name']} · zt-gate",
        style(),
        link("#main", element("span", "To the content", class_="skip")),
        _banner(report, found),
        element("nav", menu, aria_label="On this page") if len(parts) > 1 else None,
        element("main", _strips(report, found), (body for _, _, body in parts), id="main"),
        _footer(report),
    )


def _parts(report: dict[str, Any], found: list[Row], groups: list[Group]) -> Iterator[tuple[str, str, Markup | None]]:
    blocking = [row for row in found if row.blocks]
    changes = steps(report) if not report["error"] else []
    yield "why", f"Why {len(blocking):,}", _why(report, blocking, groups)
    yield "turn", f"How to fix it {len(changes)}", _turn(report, changes)
    yield "evidence", f"Evidence {len(report['checks'])}", cards(report)
    yield "pictures", "Measured", pictures(report)
    yield "findings", f"Findings {len(found):,}", section(groups, report)
    yield "coverage", "Coverage", coverage(report)
    yield "agreement", "Scanners", agreement(report)
    yield "record", "Record", record(report)


def _banner(report: dict[str, Any], found: list[Row]) -> Markup:
    decision = report["decision"]
    sign = element(
        "svg",
        element("circle", cx=12, cy=12, r=11),
        element("path", d=_SIGNS[decision]),
        viewBox="0 0 24 24",
        aria_hidden="true",
        class_="sign",
    )
    subject = report["subject"]
    if subject is None:
        name: Markup = join("The gate could not decide")
    else:
        name = join(subject["name"], " ", element("span", "→ ", report["stage"], class_="to"))
    word = element("p", _WORDS[decision], class_="word")
    said = element("div", word, element("h1", name), element("p", _summary(report, found), class_="sum"), class_="said")
    facts = _facts(report) if subject else None
    return element("header", sign, said, facts, class_=f"verdict {decision}")


def _summary(report: dict[str, Any], found: list[Row]) -> str:
    if report["error"]:
        return "This is not a verdict. Anything but an explicit allow stops a pipeline."
    blocking = sum(row.blocks for row in found)
    if report["decision"] == "allow":
        if blocking:
            return f"Let through in an emergency, although {_count(blocking, 'reason')} to block it still hold."
        waived = sum(bool(row.waived_by) for row in found)
        let = f" A waiver lets {_count(waived, 'finding')} through." if waived else ""
        return f"Every demand of the policy is met by evidence about exactly these bytes.{let}"
    return summary(blocking, len(steps(report)))


def _facts(report: dict[str, Any]) -> Markup:
    subject, policy = report["subject"], report["policy"]
    size = f"{_count(subject['files'], 'file')}, {format_value(subject['bytes'], 'bytes')}"
    facts = [
        ("Release", join(size)),
        ("Policy", join(policy["name"])),
        ("Judged", element("time", report["judged"].replace("T", " ").replace("Z", " UTC"), datetime=report["judged"])),
        ("Took", join(f"{sum(report['timing'].values()) / 1000:.2f} s")),
    ]
    pairs = (element("div", element("dt", label), element("dd", value)) for label, value in facts)
    digest = element("div", element("dt", "Digest"), element("dd", element("code", subject["digest"])), class_="wide")
    return element("dl", pairs, digest, class_="facts")


def _strips(report: dict[str, Any], found: list[Row]) -> Markup:
    """Say what nobody may miss: that nothing was enforced, that the glass was broken, that waivers want attention."""
    strips: list[Markup] = []
    if report["report_only"]:
        strips.append(_strip("warn", "Nothing was enforced", "This run ends with 0 whatever was decided."))
    if report["broken_glass"]:
        glass = report["broken_glass"]
        who = ", ".join(glass["persons"])
        text = f"{who} let this through for the incident {glass['incident']}, until {glass['until']}."
        strips.append(_strip("alarm", "Broken glass", text))
    strips += [_strip("warn", "Waived", text) for text in _waived(found)]
    strips += [_strip("note", "Note", note) for note in report["notes"]]
    if report["error"]:
        error = report["error"]
        place = f"{error['place']}: " if error["place"] else ""
        strips.append(_strip("alarm", "What went wrong", with_code(f"{place}{error['message']}")))
        if error["fix"]:
            strips.append(_strip("note", "What to do", with_code(error["fix"])))
    return join(*strips)


def _waived(found: list[Row]) -> list[str]:
    waived: dict[tuple[str, str], list[Row]] = {}
    for row in found:
        if row.waived_by:
            waived.setdefault((row.waived_by, row.rule), []).append(row)
    return [
        f"{waiver} lets {rule} through: {own[0].message}" + (f", and {len(own) - 1} like it" if own[1:] else "")
        for (waiver, rule), own in waived.items()
    ]


def _strip(kind: str, head: str, text: str) -> Markup:
    return element("p", element("strong", head), " ", text, class_=f"strip {kind}")


def _why(report: dict[str, Any], blocking: list[Row], groups: list[Group]) -> Markup | None:
    if not blocking or report["error"]:
        return None
    first: dict[tuple[str, str], tuple[Row, int]] = {}
    for row in blocking:
        shown_row, count = first.get((row.check, row.rule), (row, 0))
        first[row.check, row.rule] = (shown_row, count + 1)
    items = list(first.values())
    lines = [_reason(row, count, groups) for row, count in items[:_MAX_REASONS]]
    left = sum(count for _, count in items[_MAX_REASONS:])
    if left:
        lines.append(element("li", link("#findings", f"and {left} more, below"), class_="more"))
    head = "Why it would be blocked" if report["decision"] == "allow" else "Why it is blocked"
    return element("section", element("h2", head), element("ul", lines, class_="reasons"), id="why")


def _reason(row: Row, count: int, groups: list[Group]) -> Markup:
    more = element("span", f" and {count - 1} like it", class_="soft") if count > 1 else None
    tags = element("span", link(anchor(row, groups), row.rule.removeprefix("gate.")), class_="tag")
    where = element("code", row.where) if row.where and row.path not in row.message else None
    said = element("p", where, " " if where else None, row.message, more)
    return element("li", said, element("p", tags, " ", row.check or "policy", class_="soft small"))


def _turn(report: dict[str, Any], changes: list[Step]) -> Markup | None:
    if not changes:
        return None
    items = [_step(step, report) for step in changes]
    intro = element("p", "Each fix removes every reason that it names.", class_="soft")
    return element(
        "section",
        element("h2", "How to fix it"),
        intro if len(items) > 1 else None,
        element("ol", items, class_="steps"),
        id="turn",
    )


def _step(step: Step, report: dict[str, Any]) -> Markup:
    names = ", ".join(step.names[:6]) + (f" and {len(step.names) - 6} more" if len(step.names) > 6 else "")
    places = [element("li", element("code", path)) for path in step.paths[:5]]
    if len(step.paths) > 5:
        places.append(element("li", f"and {len(step.paths) - 5} more", class_="soft"))
    return element(
        "li",
        element("p", element("span", _KINDS[step.kind], class_="kind"), " ", names, class_="soft small"),
        element("p", with_code(step.fix), class_="fix"),
        command_block(step, report),
        element("ul", places, class_="places") if places else None,
    )


def _footer(report: dict[str, Any]) -> Markup:
    version = report["tool"]["version"]
    return element(
        "footer",
        element(
            "p",
            f"zt-gate {version}. Drawn from ",
            element("code", "report.json"),
            f" ({report['schema']}), which holds all of it and is the contract. This page loads nothing, runs no ",
            "script, and decides nothing: a pipeline goes by the exit code, a deployment by the signed summary.",
        ),
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
