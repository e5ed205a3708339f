"""The code check: every Python file and notebook is parsed, examined by bandit and by our own rules.

Nothing is imported and nothing is executed; the parsing itself happens in a child process. A file counts as
examined, and its bytes as claimed, only when it was parsed whole, our rules ran to the end and bandit did not skip
it. A release without code is `not_applicable`, at the price of looking at its file names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from zt_gate.domain import Claim, Evidence, Finding, Gap, Severity, printable
from zt_gate.intake import Frozen
from zt_gate.scan.code.source import is_code

if TYPE_CHECKING:
    from zt_gate.scan.engines.worker import WorkerLimits

_WORKER = "zt_gate.scan.code.worker"
_FIX = "mend the file so that Python 3.11 parses it as UTF-8, convert notebooks to format 4, or leave it out"


class CodeCheck:
    """Examines the Python files and notebooks of a target."""

    id: ClassVar[str] = "code"
    version: ClassVar[str] = "2"

    def __init__(self, limits: WorkerLimits | None = None) -> None:
        self._limits = limits

    def run(self, frozen: Frozen) -> Evidence:
        """Examine all code of the target.

        Raises:
            ToolError: no disk space for the copies.
        """
        digest = frozen.subject.digest
        paths = sorted(path for path in frozen.files if is_code(path))
        if not paths:
            return Evidence.of(self.id, self.version, digest, metrics={"files": "0"}, applicable=False)
        # Imported here: most releases hold no code, and a scan should not pay for what it does not start.
        from zt_gate.scan.engines.worker import Failure, WorkerLimits, run_module

        with frozen.materialise(paths) as root:
            outcome = run_module(_WORKER, {"root": str(root), "paths": paths}, self._limits or WorkerLimits())
        if isinstance(outcome, Failure):
            return Evidence.of(self.id, self.version, digest, gaps=[outcome.gap("the code check")])
        return self._evidence(frozen, paths, outcome.value)

    def _evidence(self, frozen: Frozen, paths: list[str], answer: dict[str, Any]) -> Evidence:
        findings: list[Finding] = []
        gaps: list[Gap] = []
        claims: list[Claim] = []
        metrics = {"files": str(len(paths))}
        try:
            metrics["bandit"] = printable(answer["version"])
            for path, item in zip(paths, answer["files"], strict=True):
                findings += [_finding(path, *hit) for hit in item["hits"]]
                if item["gap"]:
                    gaps.append(Gap(reason=printable(item["gap"]), path=path, fix=_FIX))
                else:
                    claims.append(Claim(path=path, size=frozen.files[path].size, by="python"))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            gaps.append(Gap(reason=printable(f"the code worker answered something unexpected: {error}")))
        return Evidence.of(
            self.id, self.version, frozen.subject.digest, findings=findings, gaps=gaps, claims=claims, metrics=metrics
        )


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
