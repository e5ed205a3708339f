"""Who said what where the scanners do not agree.

Several scanners that find nothing are no proof, but two that disagree are a question for a person: one of them is
blind, or cries wolf. Only files that at least one engine beside our own check read are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zt_gate.domain import Evidence, Severity
from zt_gate.scan.engines import ENGINES

OURS = "artifacts"
_SHOWN = 20
_ALARM = Severity.HIGH
"""What the packs block at. One scanner's remark beside another's silence is no disagreement."""
_COMPARED_ALREADY = "unpickler"
"""It reports where it differs from us, so that its silence is agreement with whatever we say."""
_NOTHING, _UNREAD = "nothing", "unread"


def agreement(evidence: Sequence[Evidence]) -> dict[str, Any] | None:
    """Compare what our check and the engines say about each file; None where no engine was asked.

    Returns:
        `asked` and `looked`: ids of the engines; `files`: how many files at least one of them read; `differ`: up to 20
        files with the word of each that read or tried it (`nothing`, `unread`, or its highest severity); `more`: how
        many were left out.
    """
    engines = [item for item in evidence if item.check in ENGINES and item.check != _COMPARED_ALREADY]
    if not engines:
        return None
    voices = [item for item in evidence if item.check == OURS] + engines
    files = sorted({path for item in engines for path in item.looked})
    rows = [(path, {item.check: word for item in voices if (word := _word(item, path))}) for path in files]
    differ = [{"path": path, "said": said} for path, said in rows if _differ(said)]
    return {
        "asked": [item.check for item in engines],
        "looked": [item.check for item in engines if item.looked],
        "files": len(files),
        "differ": differ[:_SHOWN],
        "more": len(differ[_SHOWN:]),
    }


def _word(item: Evidence, path: str) -> str:
    """Return the highest severity that a check reports in a file, or why there is none; empty if it never looked."""
    found = [finding.severity for finding in item.findings if finding.path == path]
    if found:
        return str(max(found))
    if any(gap.path == path for gap in item.gaps):
        return _UNREAD
    return _NOTHING if item.check == OURS or path in item.looked else ""


def _differ(said: dict[str, str]) -> bool:
    alarms = [word not in (_NOTHING, _UNREAD) and Severity.parse(word) >= _ALARM for word in said.values()]
    return any(alarms) and not all(alarms)
