"""What a CI system gets besides the exit code: values for later jobs, and annotations.

Every value has a shape of its own and is checked against it, so that no name of a file or model can forge another value
or another line (GitHub's file commands and workflow commands, GitLab's dotenv reports).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from zt_gate.domain import printable
from zt_gate.report.model import BLOCKED, UNDECIDED
from zt_gate.report.rows import Row, place, rows

MAX_ANNOTATIONS = 10
"""GitHub shows no more errors of one step."""
_SHAPES = {
    "stage": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}|"),
    "subject-digest": re.compile(r"sha256:[0-9a-f]{64}|"),
    "policy-digest": re.compile(r"sha256:[0-9a-f]{64}|"),
    "verdict-digest": re.compile(r"sha256:[0-9a-f]{64}|"),
    "blocking": re.compile(r"[0-9]{1,9}"),
    "exit-code": re.compile(r"[012]"),
    "decision": re.compile(r"allow|block|error"),
}
"""Every value in the order in which it is written; the decision comes last, so that nothing can come after it."""


def values(report: Mapping[str, Any] | None, code: int) -> dict[str, str]:
    """Return what later jobs may ask for.

    Args:
        report: what the gate said; None where it left nothing.
        code: what the gate's process ended with. Where the report says something else, neither is believed.
    """
    decision = report["decision"] if report is not None else "error"
    # Allowed by the gate and refused by the registry: refused.
    refused = code == BLOCKED and decision == "allow"
    agrees = report is not None and report["exit_code"] == code and (decision == "error") == (code == UNDECIDED)
    if report is None or not (agrees or refused):
        said = {"blocking": "0", "exit-code": str(UNDECIDED), "decision": "error"}
    else:
        subject, policy = report["subject"] or {}, report["policy"] or {}
        said = {
            "stage": report["stage"] or "",
            "subject-digest": subject.get("digest", ""),
            "policy-digest": policy.get("digest", ""),
            "verdict-digest": report["verdict"] or "",
            "blocking": str(len(report["reasons"])),
            "exit-code": str(code),
            "decision": "block" if refused else decision,
        }
    return {name: _shaped(name, said.get(name, "")) for name in _SHAPES}


def _shaped(name: str, value: str) -> str:
    """Return a value that has its shape; one that has not is left out, or is the safe one where it decides."""
    if _SHAPES[name].fullmatch(value):
        return value
    return {"decision": "error", "exit-code": str(UNDECIDED), "blocking": "0"}.get(name, "")


def file_command(said: Mapping[str, str], delimiter: str) -> str:
    """Return values as GitHub reads them from `$GITHUB_OUTPUT`.

    Args:
        said: the values, none of which has a line break.
        delimiter: drawn at random for this call, so that nobody can have written it into a value.
    """
    return "".join(f"{name}<<{delimiter}\n{value}\n{delimiter}\n" for name, value in said.items())


def dotenv(said: Mapping[str, str]) -> str:
    """Return values as GitLab reads them from a dotenv report, and Jenkins with `readProperties`."""
    return "".join(f"ZT_GATE_{name.upper().replace('-', '_')}={value}\n" for name, value in said.items())


def annotated(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield workflow commands for the worst of what blocks.

    Source: docs.github.com/actions/reference/workflow-commands-for-github-actions.
    """
    blocking = [row for row in rows(report) if row.blocks]
    for row in blocking[:MAX_ANNOTATIONS]:
        yield _annotation(row, place(report, row.path) if row.path else "")


def _annotation(row: Row, path: str) -> str:
    where = {"title": f"zt-gate {row.rule}"} | ({"file": path, "line": str(row.line or 1)} if path else {})
    properties = ",".join(f"{key}={_property(printable(value))}" for key, value in where.items())
    message = f"{row.message}. {row.fix}" if row.fix else row.message
    return f"::error {properties}::{_data(printable(message, 2000))}"


def _data(text: str) -> str:
    # The percent sign first, since the other escapes are made of it.
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    # Inside properties a colon or comma would end the value.
    return _data(text).replace(":", "%3A").replace(",", "%2C")
