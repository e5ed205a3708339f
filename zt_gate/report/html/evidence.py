"""What was looked at: a card for each check, what it covers, what was measured, and where scanners differ."""

from __future__ import annotations

from typing import Any

from zt_gate.domain import parse_picture
from zt_gate.pages import Markup, bars, draw, element, format_value, join

_SIGNS = {
    "pass": "M5 12.5l4.2 4.3L19 7",
    "fail": "M6 6l12 12M18 6L6 18",
    "incomplete": "M12 5v9M12 18.5v.2",
    "missing": "M12 5v9M12 18.5v.2",
    "not_applicable": "M6 12h12",
}
_WORDS = {
    "pass": "passed",
    "fail": "failed",
    "incomplete": "could not finish",
    "missing": "nobody looked",
    "not_applicable": "not applicable",
}
_HARMLESS = {
    "fail": "found something that does not block here",
    "incomplete": "could not finish; not required here",
    "missing": "nobody looked; not required here",
}
"""What a status means that no reason to block refers to."""
_MAX_GAPS = 5
_MAX_FORMATS = 12


def cards(report: dict[str, Any]) -> Markup | None:
    """Return a card for each check."""
    if not report["checks"]:
        return None
    blamed = {reason["check"] for reason in report["reasons"]}
    made = (_card(check, blames=check["id"] in blamed) for check in report["checks"])
    return element("section", element("h2", "Evidence"), element("div", made, class_="cards"), id="evidence")


def _card(check: dict[str, Any], *, blames: bool) -> Markup:
    status = check["status"]
    harmless = None if blames else _HARMLESS.get(status)
    icon = element("svg", element("path", d=_SIGNS[status]), viewBox="0 0 24 24", aria_hidden="true")
    head = element("h3", icon, check["id"])
    facts = [join(harmless or _WORDS[status])]
    covered = check["coverage"]
    if covered["files"]:
        facts.append(join(f"{_count(covered['files'], 'file')}, every byte: {format_value(covered['bytes'], 'bytes')}"))
    if check["findings"]:
        facts.append(join(_count(len(check["findings"]), "finding")))
    lines = [element("li", fact) for fact in facts]
    lines += [element("li", _gap(gap), class_="gap") for gap in check["gaps"][:_MAX_GAPS]]
    if len(check["gaps"]) > _MAX_GAPS:
        lines.append(element("li", f"and {len(check['gaps']) - _MAX_GAPS:,} more that it could not do"))
    return element(
        "article", head, element("ul", lines), _metrics(check), class_=f"card {'mild' if harmless else status}"
    )


def _gap(gap: dict[str, str]) -> Markup:
    where = join(element("code", gap["path"]), " ") if gap["path"] else None
    return join(where, gap["reason"])


def _metrics(check: dict[str, Any]) -> Markup | None:
    facts = {"version": check["version"]} if check["version"] else {}
    facts |= {name.replace("_", " "): value for name, value in check["metrics"].items()}
    if not facts:
        return None
    pairs = (element("div", element("dt", name), element("dd", value)) for name, value in facts.items())
    return element("details", element("summary", "Details"), element("dl", pairs))


def pictures(report: dict[str, Any]) -> Markup | None:
    """Return what was measured, drawn; None where nothing was."""
    figures = [
        element("figure", element("figcaption", picture["title"], _by(check["id"])), draw(parse_picture(picture)))
        for check in report["checks"]
        for picture in check.get("pictures", ())
    ]
    if not figures:
        return None
    content = element("div", figures, class_="figures")
    return element("section", element("h2", "What was measured"), content, id="pictures", class_="measured")


def _by(check: str) -> Markup:
    return element("span", f" by {check}", class_="soft small")


def coverage(report: dict[str, Any]) -> Markup | None:
    """Return how much of the release the checks account for, byte by byte."""
    subject = report["subject"]
    if subject is None or not subject["bytes"]:
        return None
    claimed = [check for check in report["checks"] if check["coverage"]["files"]]
    formats: dict[str, int] = {}
    for check in claimed:
        for name, count in check["coverage"]["formats"].items():
            formats[name] = formats.get(name, 0) + count
    uncovered = [reason["path"] for reason in report["reasons"] if reason["code"] == "uncovered"]
    total = _count(subject["files"], "file")
    if uncovered:
        said = f"{len(uncovered):,} of {total} were examined by no check, which blocks."
    else:
        said = f"{total}: whatever no check accounts for to the last byte would stand among the reasons."
    shares = [(check["id"], check["coverage"]["bytes"] / subject["bytes"]) for check in claimed]
    most = sorted(formats.items(), key=lambda item: (-item[1], item[0]))[:_MAX_FORMATS]
    return element(
        "section",
        element("h2", "Coverage"),
        element("p", said, class_="soft"),
        element(
            "div",
            element("figure", element("figcaption", "Share of the bytes"), bars("Share of the bytes", "share", shares)),
            element("figure", element("figcaption", "Files by what read them"), bars("Files", "count", most)),
            class_="figures",
        )
        if claimed
        else None,
        id="coverage",
    )


def agreement(report: dict[str, Any]) -> Markup | None:
    """Return where several scanners disagree about a file; None where none was asked."""
    agreement = report.get("agreement")
    if agreement is None or not agreement["files"]:
        return None
    answered, asked = len(agreement["looked"]), len(agreement["asked"])
    head = f"{answered} of {asked} second opinions looked at {_count(agreement['files'], 'file')}"
    if not agreement["differ"]:
        said = element("p", f"{head}; none differs on what is dangerous.", class_="soft")
        return element("section", element("h2", "Other scanners"), said, id="agreement")
    voices = list(dict.fromkeys(name for row in agreement["differ"] for name in row["said"]))
    top = element("tr", element("th", "File", scope="col"), (element("th", name, scope="col") for name in voices))
    body = (element("tr", _file(row), (_said(row["said"].get(name)) for name in voices)) for row in agreement["differ"])
    more = element("p", f"and {agreement['more']:,} more files", class_="soft") if agreement["more"] else None
    table = element("table", element("thead", top), element("tbody", body))
    return element(
        "section",
        element("h2", "Other scanners"),
        element("p", f"{head}. Scanners disagree: one has a false negative or a false positive.", class_="soft"),
        element("div", table, class_="scroll", tabindex=0, role="region", aria_label="Where scanners differ"),
        more,
        id="agreement",
    )


def _file(row: dict[str, Any]) -> Markup:
    return element("th", element("code", row["path"]), scope="row")


def _said(word: str | None) -> Markup:
    if word is None:
        return element("td", "did not look", class_="soft")
    return element("td", element("span", word, class_=f"sev {word}") if word not in ("nothing", "unread") else word)


def record(report: dict[str, Any]) -> Markup | None:
    """Return what somebody needs to look the run up again: digests, the policy, and how long it took."""
    if report["subject"] is None:
        return None
    steps = ", ".join(f"{name} {value:,} ms" for name, value in report["timing"].items())
    facts = [
        ("Subject", element("code", report["subject"]["digest"])),
        ("Policy", join(report["policy"]["name"], " ", element("code", report["policy"]["digest"]))),
        ("Verdict", element("code", report["verdict"])),
        ("Stage", join(f"{report['stage']}, mode {report['mode']}")),
        ("Exit code", join(report["exit_code"])),
        ("Time", join(steps)),
    ]
    pairs = (element("div", element("dt", name), element("dd", value)) for name, value in facts)
    return element("section", element("h2", "Record"), element("dl", pairs, class_="record"), id="record")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
