"""A report as a flat list: one row for each finding, and one for each reason to block that is no finding.

Code-scanning pages and test tabs know only rows. Without the reasons, a release that nobody signed would show an empty
page under a red gate. Text that came with the model is made printable here, once for all formats.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from zt_gate.domain import printable

_MAX_TEXT = 2000
SEVERITIES = ("critical", "high", "medium", "low", "info")
"""Worst first."""
_BUNDLE = re.compile(r"\d+ paths")
"""What intake calls several targets; their paths are relative to a folder that the report does not know."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that somebody may want to look at."""

    rule: str
    """Rule id, or `gate.CODE` for a reason that no rule gave."""
    title: str
    severity: str
    message: str
    fix: str
    check: str
    """Id of the check that says so; empty for the policy's own."""
    path: str
    """Manifest path; empty for the release as a whole."""
    fingerprint: str
    """32 hex digits; stable over changes of wording, line and severity."""
    blocks: bool
    member: str = ""
    offset: int | None = None
    line: int | None = None
    why: str = ""
    references: tuple[str, ...] = ()
    waived_by: str = ""
    number: int = 1
    """1 for the first row of a fingerprint, 2 for the next: `identity` is unique in a report."""

    @property
    def identity(self) -> str:
        """The fingerprint, told apart from others of the same rule, file, member and symbol."""
        return self.fingerprint if self.number == 1 else _hashed(self.fingerprint, str(self.number))

    @property
    def where(self) -> str:
        """The place inside the file, for people: `model.pt!data.pkl @12` or `train.py:7`."""
        text = self.path + (f"!{self.member}" if self.member else "")
        if self.line is not None:
            return f"{text}:{self.line}"
        return f"{text} @{self.offset}" if self.offset is not None else text


def rows(report: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a report: what blocks first, then the worst, then by check."""
    found = list(_each(report))
    found.sort(key=lambda row: (not row.blocks, SEVERITIES.index(row.severity)))
    seen: Counter[str] = Counter()
    result = []
    for row in found:
        seen[row.fingerprint] += 1
        result.append(replace(row, number=seen[row.fingerprint]))
    return result


def place(report: Mapping[str, Any], path: str) -> str:
    """Return a manifest path as seen from where the gate was started, as far as the name of the target tells."""
    subject = report["subject"]
    name = str(subject["name"]).rstrip("/") if subject else ""
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    # Code-scanning pages take paths relative to the repository, which an absolute name of a target does not give.
    if name in ("", ".") or name.startswith(("/", "..")) or _BUNDLE.fullmatch(name):
        return path or "."
    if not path or name.rpartition("/")[2] == path:
        return name
    return f"{name}/{path}"


def _each(report: Mapping[str, Any]) -> Iterator[Row]:
    blocking = {
        (reason["check"], reason["rule"], reason["path"], reason["message"])
        for reason in report["reasons"]
        if reason["code"] == "finding"
    }
    for check in report["checks"]:
        for finding in check["findings"]:
            yield _finding(finding, check["id"], blocking)
    for reason in report["reasons"]:
        if reason["code"] != "finding":
            yield _reason(reason)
    if report["error"]:
        error = report["error"]
        yield _reason({"code": "error", "check": "", "path": "", "message": error["message"], "fix": error["fix"]})


def _finding(finding: Mapping[str, Any], check: str, blocking: set[tuple[str, str, str, str]]) -> Row:
    row = Row(
        rule=finding["rule"],
        title=printable(finding["title"], 300),
        severity=finding["severity"],
        message=printable(finding["message"], _MAX_TEXT),
        fix=printable(finding["fix"], _MAX_TEXT),
        check=check,
        path=finding["path"],
        fingerprint=finding["fingerprint"],
        blocks=False,
        member=finding["member"],
        offset=finding["offset"],
        line=finding["line"],
        why=printable(finding["why"], _MAX_TEXT),
        references=tuple(finding["references"]),
        waived_by=printable(finding["waived_by"] or ""),
    )
    # The judge puts the place in front of a message that does not name it.
    said = (finding["message"], f"{row.where}: {finding['message']}")
    return replace(row, blocks=any((check, row.rule, row.path, text) in blocking for text in said))


def _reason(reason: Mapping[str, Any]) -> Row:
    rule = f"gate.{reason['code']}"
    return Row(
        rule=rule,
        title=_TITLES.get(reason["code"], "Something that the policy asks for is not there"),
        severity="critical" if reason["code"] == "error" else "high",
        message=printable(reason["message"], _MAX_TEXT),
        fix=printable(reason["fix"], _MAX_TEXT),
        check=reason["check"],
        path=reason["path"],
        fingerprint=_hashed(rule, reason["check"], reason["path"]),
        blocks=True,
    )


_TITLES = {
    "error": "The gate could not decide",
    "check-missing": "Nobody looked",
    "check-incomplete": "A check could not finish",
    "check-failed": "A check failed without saying why",
    "check-not-applicable": "A check that always applies says that it does not",
    "uncovered": "A file that no check examined",
    "empty": "The target holds no file",
    "policy-expired": "The policy has expired",
    "policy-unsigned": "The policy is not signed",
    "stage-unknown": "The policy does not define this stage",
}


def _hashed(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
