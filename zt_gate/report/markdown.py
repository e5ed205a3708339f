"""The report as Markdown, for a job summary or a comment on a pull request: at most 1 MiB, most important first.

Whatever came with the model is written as character references, which no dialect of Markdown reads as markup; `@` and
`#` are followed by an empty comment, since hosts look for mentions after rendering.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from zt_gate.domain import printable
from zt_gate.report.fixes import steps
from zt_gate.report.rows import SEVERITIES, Row, rows

MAX_BYTES = 1 << 20
"""What GitHub takes as the summary of one step."""
_MAX_ROWS = 200
_MAX_CELL = 400
_WORDS = {
    "allow": "✅ **ALLOW**",
    "block": "⛔ **BLOCK**",
    "error": "⚠️ **NOT DECIDED**",
}
_PUNCTUATION = re.compile(r"[!-\-/:-@\[-`{-~]|\.(?=\S)")


def render(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    lines = [*_head(report), ""]
    found = rows(report)
    blocking = [row for row in found if row.blocks]
    if blocking:
        lines += [f"### Why ({len(blocking)})", "", *_table(blocking), "", *_fixes(report), ""]
    rest = [row for row in found if not row.blocks]
    if rest:
        lines += [f"### Also found ({len(rest)})", "", *_table(rest), ""]
    if report["checks"]:
        lines += ["### Checks", "", *_checks(report), ""]
    lines += [f"- note: {escape(note)}" for note in report["notes"]]
    text = "\n".join(lines).rstrip() + "\n"
    if len(text.encode()) <= MAX_BYTES:
        return text
    # GitHub refuses a longer summary as a whole, and its limit counts bytes.
    return text.encode()[: MAX_BYTES - 200].decode("utf-8", "ignore").rpartition("\n")[0] + "\n\n… cut at 1 MiB.\n"


def escape(text: str, limit: int = _MAX_CELL) -> str:
    """Return one line of text that Markdown shows as it is, in a table as well."""
    return _PUNCTUATION.sub(lambda match: _reference(match[0]), printable(text, limit))


def _reference(char: str) -> str:
    # Everyday punctuation stays legible where it can mean nothing inside a line.
    if char in "-,;'()/?%+=":
        return char
    return f"&#{ord(char)};" + ("<!-- -->" if char in "@#" else "")


def _head(report: dict[str, Any]) -> Iterator[str]:
    word = _WORDS[report["decision"]]
    if report["error"]:
        yield f"## {word}"
        yield ""
        yield f"Why: {escape(report['error']['message'], 2000)}"
        if report["error"]["fix"]:
            yield ""
            yield f"What to do: {escape(report['error']['fix'], 2000)}"
        return
    subject, policy = report["subject"], report["policy"]
    yield f"## {word} {escape(subject['name'])} → {escape(report['stage'])}"
    yield ""
    if report["report_only"]:
        yield "> **Nothing was enforced**: this run ends with 0 whatever was decided."
        yield ""
    if report["broken_glass"]:
        glass = report["broken_glass"]
        who, incident, until = (
            escape(text) for text in (", ".join(glass["persons"]), glass["incident"], glass["until"])
        )
        yield f"> **Broken glass**: {who} let this through for {incident}, until {until}."
        yield ""
    yield f"| subject | `{subject['digest']}` |"
    yield "|---|---|"
    yield f"| policy | {escape(policy['name'])} `{policy['digest']}` |"
    yield f"| verdict | `{report['verdict']}` |"
    yield f"| size | {subject['files']} files, {subject['bytes']:,} bytes |"


def _table(found: list[Row]) -> Iterator[str]:
    yield "| severity | rule | what | where |"
    yield "|---|---|---|---|"
    for row in found[:_MAX_ROWS]:
        waived = f" (waived by {escape(row.waived_by)})" if row.waived_by else ""
        yield f"| {row.severity} | {escape(row.rule)} | {escape(row.message)}{waived} | {escape(row.where, 200)} |"
    if len(found) > _MAX_ROWS:
        left = found[_MAX_ROWS:]
        counts = ", ".join(f"{n} {name}" for name in SEVERITIES if (n := sum(row.severity == name for row in left)))
        yield ""
        yield f"… and {len(left)} more ({counts}); report.json and report.html have them."


def _fixes(report: dict[str, Any]) -> Iterator[str]:
    yield "### How to fix it"
    yield ""
    for step in steps(report)[:20]:
        yield f"1. {escape(step.fix, 1000)}"


def _checks(report: dict[str, Any]) -> Iterator[str]:
    yield "| check | status | files | findings |"
    yield "|---|---|---|---|"
    for check in report["checks"]:
        status = check["status"].replace("_", " ")
        yield f"| {escape(check['id'])} | {status} | {check['coverage']['files']} | {len(check['findings'])} |"
