"""The code check: every Python file and notebook is parsed, examined by bandit and by our own rules.

Nothing is imported and nothing is executed; the parsing itself happens in a child process. A file counts as
examined, and its bytes as claimed, only when it was parsed whole, our rules ran to the end and bandit did not skip
it. A release without code is `not_applicable`, at the price of looking at its file names.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

from zt_gate.domain import Claim, Evidence, Finding, Gap, Notes, Severity, printable
from zt_gate.intake import Frozen
from zt_gate.scan.code.source import is_code
from zt_gate.scan.code.torch_version import MAX_BYTES, says_versions

if TYPE_CHECKING:
    from zt_gate.isolation.limits import WorkerLimits

_WORKER = "zt_gate.scan.code.worker"
_FIX = "fix the file so that Python 3.11 parses it as UTF-8, convert notebooks to format 4, or leave it out"

_MOST_WORKERS = 4
_WORTH_A_WORKER = 400_000
"""Bytes of code for which one more process pays."""


class CodeCheck:
    """Examines the Python files and notebooks of a target."""

    id: ClassVar[str] = "code"
    version: ClassVar[str] = "7"

    def __init__(self, limits: WorkerLimits | None = None) -> None:
        self._limits = limits

    def run(self, frozen: Frozen) -> Evidence:
        """Examine all code of the target.

        Raises:
            ToolError: no disk space for the copies.
        """
        paths = sorted(path for path in frozen.files if is_code(path))
        if not paths:
            return Evidence.of(self.id, self.version, frozen.subject.digest, metrics={"files": "0"}, applicable=False)
        outcome = self._examine(frozen, paths)
        if isinstance(outcome, Gap):
            return Evidence.of(self.id, self.version, frozen.subject.digest, gaps=[outcome])
        return self._evidence(frozen, paths, outcome)

    def _examine(self, frozen: Frozen, paths: list[str]) -> dict[str, Any] | Gap:
        """Ask the workers, several where there is much to read, and put their answers together in the files' order."""
        # Imported here: most releases hold no code, and a scan should not pay for what it does not start.
        from concurrent.futures import ThreadPoolExecutor

        from zt_gate.isolation.child_process import run_module
        from zt_gate.isolation.supervise import Failure

        shares = _shares(frozen, paths)
        # What a release says about versions can only make the rules stricter, never laxer than silence.
        needs = sorted(path for path in frozen.files if says_versions(path) and frozen.files[path].size <= MAX_BYTES)
        with frozen.materialise([*paths, *needs]) as root, ThreadPoolExecutor(len(shares)) as pool:
            requests = [{"root": str(root), "paths": share, "requirements": needs} for share in shares]
            outcomes = list(pool.map(lambda request: run_module(_WORKER, request, self._limits), requests))
        answers: list[dict[str, Any]] = []
        for outcome in outcomes:
            if isinstance(outcome, Failure):
                return outcome.gap("the code check")
            answers.append(outcome.value)
        return _joined(answers)

    def _evidence(self, frozen: Frozen, paths: list[str], answer: dict[str, Any]) -> Evidence:
        notes = Notes(metrics={"files": str(len(paths))})
        try:
            notes.metrics["bandit"] = printable(answer["version"])
            for path, item in _by_path(paths, answer["files"]):
                notes.findings += [_finding(path, *hit) for hit in item["hits"]]
                if item["gap"]:
                    notes.gaps.append(Gap(reason=printable(item["gap"]), path=path, fix=_FIX))
                else:
                    notes.claims.append(Claim(path=path, size=frozen.files[path].size, by="python"))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            notes.gaps.append(Gap(reason=printable(f"the code worker answered something unexpected: {error}")))
        return notes.evidence(self.id, self.version, frozen.subject.digest)


def _by_path(paths: list[str], files: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Return what was answered about each path, in the order of the paths.

    Raises:
        ValueError: the answers are not about these paths, each once.
    """
    ordered = sorted(files, key=lambda item: str(item["path"]))
    if [item["path"] for item in ordered] != paths:
        raise ValueError("not about each file once")
    return list(zip(paths, ordered, strict=True))


def _shares(frozen: Frozen, paths: list[str]) -> list[list[str]]:
    """Share files out so that each worker reads about the same number of bytes; one worker where there is little."""
    total = sum(frozen.files[path].size for path in paths)
    count = max(1, min(_MOST_WORKERS, os.cpu_count() or 1, len(paths), total // _WORTH_A_WORKER))
    shares: list[list[str]] = [[] for _ in range(count)]
    loads = [0] * count
    for path in sorted(paths, key=lambda path: (-frozen.files[path].size, path)):
        lightest = loads.index(min(loads))
        shares[lightest].append(path)
        loads[lightest] += frozen.files[path].size + 1
    return [sorted(share) for share in shares]


def _joined(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one answer of several workers; theirs is the version that all of them name."""
    if len(answers) == 1:
        return answers[0]
    versions = {str(answer.get("version")) for answer in answers}
    files = [item for answer in answers for item in answer.get("files", ())]
    return {"version": ", ".join(sorted(versions)), "files": files}


def _finding(path: str, rule: str, severity: int, cell: int, line: int, symbol: str, message: str) -> Finding:
    what = "bandit: " if rule.startswith("bandit.") else ""
    return Finding(
        rule=printable(rule),
        severity=Severity(severity),
        message=printable(what + message),
        path=path,
        member=f"cell-{cell}" if cell else "",
        line=line,
        symbol=printable(symbol),
    )
