"""modelscan as a second opinion: it may raise risk, and its silence proves nothing.

modelscan is a denylist over file names that it knows. It therefore never claims a byte: which bytes were accounted
for is the business of the `artifacts` check and its ledger. What remains to be decided is what a *skip* means:

- A file for which modelscan has no scanner (safetensors, JSON, code) is counted and named in the metrics. Were it a
  gap, a policy that requires modelscan would block exactly the releases that hold no pickle at all.
- A file that it has a scanner for and could not read is a gap, whatever the reason.
- Where no file is of a kind that it reads, which this check establishes itself from names and first bytes, the
  evidence is `not_applicable` and no process is started.
- Where modelscan is not installed nobody looked: `missing`, which blocks wherever the policy requires the check.
"""

from __future__ import annotations

import importlib.util
from typing import Any, ClassVar

from zt_gate.domain import Evidence, Finding, Gap, Severity, printable
from zt_gate.intake import Frozen
from zt_gate.scan.engines.modelscan_formats import HEAD, wanted
from zt_gate.scan.engines.worker import Failure, WorkerLimits, run_module

RULES = ("ENG-101",)
"""Every rule id that this engine may emit."""

_WORKER = "zt_gate.scan.engines.modelscan_worker"
_NAMES_SHOWN = 20
_ABSENT_FIX = "install it beside zt-gate on Python 3.12 or older: pip install 'modelscan>=0.8.8,<0.9'"
_UNREAD_FIX = "save the model as safetensors or skops, or make the check `modelscan` advisory in the policy"


class ModelscanCheck:
    """Runs modelscan over the files that it knows how to read."""

    id: ClassVar[str] = "modelscan"
    version: ClassVar[str] = "1"
    """Version of our contract with the engine; the installed engine's own version is a metric."""

    def __init__(self, limits: WorkerLimits | None = None) -> None:
        self._limits = limits or WorkerLimits()

    def run(self, frozen: Frozen) -> Evidence:
        """Ask modelscan about the target.

        Raises:
            ToolError: no disk space for the copies, or the disk returned an error.
        """
        digest = frozen.subject.digest
        if importlib.util.find_spec("modelscan") is None:
            return Evidence.missing(self.id, digest, "modelscan is not installed", _ABSENT_FIX)
        paths = [path for path, file in sorted(frozen.files.items()) if wanted(path, file.read_at(0, HEAD))]
        skipped = sorted(set(frozen.files) - set(paths))
        if not paths:
            return Evidence.of(self.id, self.version, digest, metrics=_metrics("", 0, skipped), applicable=False)
        with frozen.materialise(paths) as root:
            outcome = run_module(_WORKER, {"root": str(root), "paths": paths}, self._limits)
        if isinstance(outcome, Failure):
            return Evidence.of(self.id, self.version, digest, gaps=[outcome.gap("modelscan")])
        return self._evidence(frozen, paths, skipped, outcome.value)

    def _evidence(self, frozen: Frozen, paths: list[str], skipped: list[str], answer: dict[str, Any]) -> Evidence:
        findings: list[Finding] = []
        gaps: list[Gap] = []
        examined = 0
        try:
            for path, item in zip(paths, answer["files"], strict=True):
                findings += [_finding(path, *issue) for issue in item["issues"]]
                gaps += [_gap(path, error) for error in item["errors"]]
                if item["examined"] > 0:
                    examined += 1
                elif not item["errors"]:
                    skipped = sorted([*skipped, path])
            metrics = _metrics(printable(answer["version"]), examined, skipped)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            gaps.append(Gap(reason=printable(f"modelscan answered something unexpected: {error}")))
            metrics = {}
        return Evidence.of(
            self.id,
            self.version,
            frozen.subject.digest,
            findings=findings,
            gaps=gaps,
            metrics=metrics,
            applicable=examined > 0,
        )


def _finding(path: str, member: str, module: str, operator: str, severity: str) -> Finding:
    symbol = printable(f"{module}.{operator}")
    return Finding(
        rule="ENG-101",
        severity=Severity.parse(severity),
        message=f"modelscan: loading {path} would import {symbol}, which can run commands",
        path=path,
        member=printable(member),
        symbol=symbol,
    )


def _gap(path: str, error: str) -> Gap:
    return Gap(reason=printable(f"modelscan could not read it: {error}"), path=path, fix=_UNREAD_FIX)


def _metrics(engine: str, examined: int, skipped: list[str]) -> dict[str, str]:
    shown = ", ".join(skipped[:_NAMES_SHOWN]) + (", …" if len(skipped) > _NAMES_SHOWN else "")
    metrics = {"examined": str(examined), "skipped": str(len(skipped))}
    if engine:
        metrics["engine"] = f"modelscan {engine}"
    return metrics | ({"skipped_files": shown} if skipped else {})
