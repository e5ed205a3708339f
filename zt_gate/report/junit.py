"""The report as JUnit XML, for test tabs of GitLab and Jenkins: one suite for each check, one failure for each reason.

A check that has nothing to say is one passed test, so that a tab shows what was looked at, and not only what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from xml.sax.saxutils import quoteattr

from zt_gate.domain import printable
from zt_gate.report.rows import Row, place, rows

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot say at all, not even as a reference (section 2.2)."""
_MAX_CASES = 2000


def render(report: dict[str, Any]) -> str:
    """Return the report as the text of `junit.xml`."""
    found = rows(report)
    shown = found[:_MAX_CASES]
    suites = [_suite(check, [row for row in shown if row.check == check["id"]], report) for check in report["checks"]]
    known = {check["id"] for check in report["checks"]}
    rest = [row for row in shown if row.check not in known]
    if rest or not suites:
        suites.append(_suite({"id": "policy", "status": "pass"}, rest, report))
    cases = [case for _, cases in suites for case in cases]
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<testsuites {_attributes(name='zt-gate', **_counts(cases))}>",
    ]
    for name, own in suites:
        counts = _attributes(name=f"zt-gate.{name}", **_counts(own), errors="0", time="0")
        lines += [f"  <testsuite {counts}>", *(f"    {case}" for case in own), "  </testsuite>"]
    if len(found) > len(shown):
        lines.append(f"  <!-- {len(found) - len(shown)} rows were left out; report.json has all of them -->")
    return "\n".join([*lines, "</testsuites>"])


def _suite(check: dict[str, Any], own: list[Row], report: dict[str, Any]) -> tuple[str, list[str]]:
    """Return the name of a check, and its test cases as lines of XML."""
    name = check["id"]
    cases = [_case(name, row, report) for row in own]
    if not any(row.blocks for row in own):
        skipped = check["status"] in ("missing", "not_applicable", "incomplete")
        inner = f"<skipped {_attributes(message=check['status'].replace('_', ' '))}/>" if skipped else ""
        cases.insert(0, _element(name, f"{name}: nothing blocks", inner))
    return name, cases


def _case(name: str, row: Row, report: dict[str, Any]) -> str:
    where = printable(place(report, row.path), 300) + row.where.removeprefix(row.path)
    title = f"{row.rule} {where}" + (f" #{row.number}" if row.number > 1 else "")
    if row.blocks:
        text = f"{row.message}\n{row.fix}".strip()
        inner = f"<failure {_attributes(type=row.severity, message=row.message)}>{_text(text)}</failure>"
    elif row.waived_by:
        inner = f"<skipped {_attributes(message=f'waived by {row.waived_by}: {row.message}')}/>"
    else:
        inner = f"<system-out>{_text(f'{row.severity}: {row.message}')}</system-out>"
    return _element(name, title, inner)


def _element(name: str, title: str, inner: str) -> str:
    attributes = _attributes(classname=f"zt-gate.{name}", name=title, time="0")
    return f"<testcase {attributes}>{inner}</testcase>" if inner else f"<testcase {attributes}/>"


def _counts(cases: Iterable[str]) -> dict[str, str]:
    listed = list(cases)
    count = {kind: sum(f"<{kind} " in case for case in listed) for kind in ("failure", "skipped")}
    return {"tests": str(len(listed)), "failures": str(count["failure"]), "skipped": str(count["skipped"])}


def _attributes(**values: str) -> str:
    return " ".join(f"{name}={quoteattr(_legal(text))}" for name, text in values.items())


def _text(value: str) -> str:
    lines = "\n".join(_legal(line) for line in value.split("\n"))
    return lines.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _legal(text: str) -> str:
    """Return one line of text that XML can hold."""
    legal = _FORBIDDEN.sub(lambda match: f"\\u{ord(match[0]):04x}", printable(text, 4000))
    # GitHub obeys `##[…]` wherever it stands in a log line, should anybody print this file into one.
    return legal.replace("##", "# #")
