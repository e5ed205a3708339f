"""What every engine has in common: which files it is asked about, how it is asked, and what its answer counts for.

An engine is somebody else's scanner. Each knows some dangers by name, so its silence proves nothing and it never claims
a byte: which bytes were accounted for is the business of the `artifacts` check and its ledger. What it finds counts in
full. What remains to be decided is what a *skip* means:

- A file that the engine has no scanner for (safetensors, JSON, code) is counted and named in the metrics. Were it a
  gap, a policy that requires the engine would block exactly the releases that hold no pickle at all.
- A file that it has a scanner for and could not read is a gap, whatever the reason.
- Where no file is of a kind that it reads, which this check establishes itself from names and first bytes, the
  evidence is `not_applicable` and no process is started.
- Where it is not installed nobody looked: `missing`, which blocks wherever the policy requires the check.

Its worker, a module of its own that ends in `serve(handle)`, is asked `{"root", "paths"}` and answers
`{"version", "files": [{"path", "examined", "errors", "issues"}]}`, one entry for each path in the order asked.
`examined` is the number of parts that it read, and an issue is `[member, symbol, severity, what]`.
"""

from __future__ import annotations

import importlib.util
from typing import Any, ClassVar

from zt_gate.domain import Digest, Evidence, Finding, Gap, Notes, Severity, printable
from zt_gate.intake import Frozen
from zt_gate.isolation.child_process import run_module
from zt_gate.isolation.limits import WorkerLimits
from zt_gate.isolation.supervise import Failure
from zt_gate.scan.engines.formats import HEAD

_NAMES_SHOWN = 20


class EngineCheck:
    """Runs one engine over the files that it knows how to read; the engines themselves stand in `table`."""

    id: ClassVar[str]
    version: ClassVar[str]
    """Version of our contract with the engine; the installed engine's own version is a metric."""
    rule: ClassVar[str]
    """The rule that its findings carry."""
    requirement: ClassVar[str]
    """What `pip install` has to be told; empty where the engine comes with Python."""
    needs: ClassVar[str] = ""
    """What it needs besides, for people."""
    worker: ClassVar[str]
    """Dotted name of the module that runs in the child."""

    def __init__(self, limits: WorkerLimits | None = None) -> None:
        self._limits = limits

    @staticmethod
    def wanted(name: str, head: bytes) -> bool:
        """Whether the engine has anything to say about a file, by its name and its first `HEAD` bytes."""
        raise NotImplementedError

    def run(self, frozen: Frozen) -> Evidence:
        """Ask the engine about the target.

        Raises:
            ToolError: no disk space for the copies, or the disk returned an error.
        """
        if self.requirement and importlib.util.find_spec(self.id) is None:
            fix = f"install it beside zt-gate{self.needs}: pip install '{self.requirement}'"
            return Evidence.missing(self.id, frozen.subject.digest, f"{self.id} is not installed", fix)
        paths = [path for path, file in sorted(frozen.files.items()) if self.wanted(path, file.read_at(0, HEAD))]
        skipped = sorted(set(frozen.files) - set(paths))
        if not paths:
            digest = frozen.subject.digest
            return Evidence.of(self.id, self.version, digest, metrics=_metrics("", 0, skipped), applicable=False)
        with frozen.materialise(paths) as root:
            outcome = run_module(self.worker, {"root": str(root), "paths": paths}, self._limits)
        digest = frozen.subject.digest
        if isinstance(outcome, Failure):
            return Evidence.of(self.id, self.version, digest, gaps=[outcome.gap(self.id)])
        return self._evidence(digest, paths, skipped, _without(f"{root}/", outcome.value))

    def _evidence(self, digest: Digest, paths: list[str], skipped: list[str], answer: dict[str, Any]) -> Evidence:
        notes = Notes()
        looked: list[str] = []
        metrics: dict[str, str] = {}
        try:
            for path, item in zip(paths, answer["files"], strict=True):
                notes.findings += [self._finding(path, *issue) for issue in item["issues"]]
                notes.gaps += [self._gap(path, error) for error in item["errors"]]
                if item["examined"] > 0:
                    looked.append(path)
                elif not item["errors"]:
                    skipped = sorted([*skipped, path])
            metrics = _metrics(f"{self.id} {printable(answer['version'])}", len(looked), skipped)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            notes.gaps.append(Gap(reason=printable(f"{self.id} answered something unexpected: {error}")))
        applicable = bool(looked)
        return notes.evidence(self.id, self.version, digest, metrics=metrics, applicable=applicable, looked=looked)

    def _finding(self, path: str, member: str, symbol: str, severity: str, what: str) -> Finding:
        return Finding(
            rule=self.rule,
            severity=Severity.parse(severity),
            message=printable(f"{self.id}: {what}"),
            path=path,
            member=printable(member),
            symbol=printable(symbol),
        )

    def _gap(self, path: str, error: str) -> Gap:
        fix = f"save the model as safetensors or skops, or make the check `{self.id}` an opinion in the policy"
        return Gap(reason=printable(f"{self.id} could not read it: {error}"), path=path, fix=fix)


def _without(root: str, value: Any) -> Any:
    """Take the private folder, whose name is another one each time, out of every text of an answer."""
    if isinstance(value, str):
        return value.replace(root, "")
    if isinstance(value, list):
        return [_without(root, item) for item in value]
    return {key: _without(root, item) for key, item in value.items()} if isinstance(value, dict) else value


def _metrics(engine: str, examined: int, skipped: list[str]) -> dict[str, str]:
    shown = ", ".join(skipped[:_NAMES_SHOWN]) + (", …" if len(skipped) > _NAMES_SHOWN else "")
    metrics = {"examined": str(examined), "skipped": str(len(skipped))}
    if engine:
        metrics["engine"] = engine
    return metrics | ({"skipped_files": shown} if skipped else {})
