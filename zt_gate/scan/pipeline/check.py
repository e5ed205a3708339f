"""The pipeline check: every CI file of a tree, read together.

Each file is claimed only when it was read to the end; what is not understood is a gap, and a gap blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from zt_gate.codecs.strict_yaml import LOADED, Mapping, load
from zt_gate.domain import Claim, Evidence, Finding, printable
from zt_gate.intake import Frozen, Source
from zt_gate.scan.pipeline import files
from zt_gate.scan.pipeline.github import read_github
from zt_gate.scan.pipeline.gitlab import read_gitlab
from zt_gate.scan.pipeline.jenkins import read_jenkins
from zt_gate.scan.pipeline.model import Hit, Reading, Wishes
from zt_gate.scan.pipeline.prove import prove
from zt_gate.scan.pipeline.rules import SEVERITIES


class PipelineCheck:
    """Proves of the CI files of a tree that nothing is deployed without the gate."""

    id: ClassVar[str] = "pipeline"
    version: ClassVar[str] = "2"

    def __init__(self, wishes: Wishes | None = None) -> None:
        self._wishes = wishes or Wishes()

    def run(self, frozen: Frozen) -> Evidence:
        """Read all files and judge them together."""
        reading = Reading()
        sources = dict(sorted(frozen.files.items()))
        _github(sources, reading, self._wishes)
        _gitlab(sources, reading, self._wishes)
        for path, source in sources.items():
            if files.JENKINSFILE.fullmatch(path):
                _proven(reading, path, partial(_jenkins, path, source, wishes=self._wishes))
            elif files.UNREAD.fullmatch(path):
                reading.gap(path, 0, "a pipeline of a system that is not read here", "deploy from one that is")
        gapped = {gap.path for gap in reading.gaps}
        claims = [
            Claim(path, source.size, "pipeline")
            for path, source in sources.items()
            if path in reading.read and path not in gapped
        ]
        deploys = sum(bool(job.deploys) for job in reading.jobs)
        metrics = {"jobs": str(len(reading.jobs)), "deploys": str(deploys)}
        metrics["gates"] = str(sum(job.gates for job in reading.jobs))
        findings = [_finding(hit) for hit in reading.hits]
        digest = frozen.subject.digest
        return Evidence.of(
            self.id, self.version, digest, findings=findings, gaps=reading.gaps, claims=claims, metrics=metrics
        )


def _finding(hit: Hit) -> Finding:
    return Finding(
        rule=hit.rule,
        severity=SEVERITIES[hit.rule],
        message=hit.message,
        path=hit.path,
        line=hit.line or None,
        symbol=printable(hit.symbol, 200),
    )


def _proven(whole: Reading, path: str, act: Callable[[Reading], None]) -> None:
    """Run the reader of one pipeline, prove what it read, and add that to the whole.

    Whatever a reader raises on bytes that somebody chose is an unfinished examination. Each pipeline is proven by
    itself: a gate of one says nothing about a job of the same name in another.
    """
    reading = Reading()
    _guarded(reading, path, act)
    if len({job.name for job in reading.jobs}) != len(reading.jobs):
        reading.gap(path, 0, "two jobs have the same name", "rename one of them")
    whole.hits += [*reading.hits, *prove(reading.jobs)]
    whole.jobs += reading.jobs
    whole.gaps += reading.gaps
    whole.read |= reading.read


def _guarded(reading: Reading, path: str, act: Callable[[Reading], None]) -> None:
    try:
        act(reading)
    except ValueError as error:
        reading.gap(path, 0, printable(str(error)), "fix the file")
    except Exception as error:  # noqa: BLE001 - whatever a hostile file provokes is an unfinished examination
        reading.gap(path, 0, printable(f"stopped by {type(error).__name__}: {error}"), "report it with the file")


def _documents(path: str, source: Source, reading: Reading, *, references: bool = False) -> list[Any] | None:
    """Parse one file; None, and a gap, where it cannot be."""
    try:
        documents = load(source.read_at(0, LOADED.size + 1), references=references)
    except ValueError as error:
        reading.gap(path, 0, printable(str(error)), "fix the YAML")
        return None
    reading.read.add(path)
    return documents


def _github(sources: dict[str, Any], reading: Reading, wishes: Wishes) -> None:
    workflows, actions = dict[str, Any](), dict[str, tuple[str, Any]]()
    for path, source in sources.items():
        workflow = files.WORKFLOW.fullmatch(path)
        if not workflow and not files.ACTION.fullmatch(path):
            continue
        documents = _documents(path, source, reading)
        if documents is None:
            continue
        if len(documents) != 1 or not isinstance(documents[0], Mapping):
            reading.gap(path, 0, "it is not one mapping", "fix the file")
        elif workflow:
            workflows[path] = documents[0]
        else:
            actions[path.rpartition("/")[0]] = (path, documents[0])
    _proven(reading, next(iter(workflows), ""), partial(read_github, workflows, actions, wishes=wishes))


def _gitlab(sources: dict[str, Any], reading: Reading, wishes: Wishes) -> None:
    roots = [path for path in sources if files.GITLAB.fullmatch(path)]
    if not roots:
        return
    others = (files.WORKFLOW, files.ACTION, files.JENKINSFILE, files.UNREAD)
    parsed: dict[str, list[Any]] = {}
    for path, source in sources.items():
        if not any(kind.fullmatch(path) for kind in others):
            documents = _documents(path, source, reading, references=True)
            parsed |= {} if documents is None else {path: documents}
    for root in roots:
        if root in parsed:
            _proven(reading, root, partial(read_gitlab, parsed, root, wishes=wishes))


def _jenkins(path: str, source: Source, reading: Reading, *, wishes: Wishes) -> None:
    read_jenkins(path, source.read_at(0, LOADED.size + 1), reading, wishes)
    reading.read.add(path)
