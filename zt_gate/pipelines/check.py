"""The pipeline check: every CI file of a tree, read together.

Each file is claimed only when it was read to the end; what is not understood is a gap, and a gap blocks. The files are
parsed in a worker process, under a deadline and a memory limit, since a pull request may have written them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

from zt_gate.codecs.strict_yaml import LOADED, YamlMapping, load
from zt_gate.domain import Claim, Evidence, Gap, Notes, printable
from zt_gate.intake import ByteSource, Frozen
from zt_gate.isolation.limits import OUT_OF_MEMORY, WorkerLimits
from zt_gate.pipelines import files
from zt_gate.pipelines.github import read_github
from zt_gate.pipelines.gitlab import read_gitlab
from zt_gate.pipelines.jenkins import read_jenkins
from zt_gate.pipelines.model import PipelineReading, Wishes
from zt_gate.pipelines.prove import prove
from zt_gate.scan.examination import AskingCheck, ExaminationJob

_COUNTS = ("jobs", "deploys", "gates")


class PipelineCheck(AskingCheck):
    """Proves of the CI files of a tree that nothing is deployed without the gate.

    Args:
        wishes: what the operator says about the pipelines.
        limits: what reading the pipelines of one system may use.
    """

    id: ClassVar[str] = "pipeline"
    version: ClassVar[str] = "2"

    def __init__(self, wishes: Wishes | None = None, limits: WorkerLimits | None = None) -> None:
        super().__init__(limits)
        self._wishes = wishes or Wishes()

    def questions(self, frozen: Frozen) -> Sequence[ExaminationJob]:
        """Ask about the files of each system together: what one of them says is followed into the others."""
        sources = dict(sorted(frozen.files.items()))
        sizes = {"": 0} | {path: source.size for path, source in sources.items()}  # "" is all of them together
        acts: list[tuple[str, Callable[[PipelineReading], None]]] = []
        if any(files.WORKFLOW.fullmatch(path) or files.ACTION.fullmatch(path) for path in sources):
            acts.append(("the GitHub workflows", partial(_github, sources, wishes=self._wishes)))
        if any(files.GITLAB.fullmatch(path) for path in sources):
            acts.append(("the GitLab pipelines", partial(_gitlab, sources, wishes=self._wishes)))
        for path, source in sources.items():
            if files.JENKINSFILE.fullmatch(path):
                act = partial(_jenkins, path, source, wishes=self._wishes)
                acts.append((path, partial(_proven, path=path, act=act)))
        return [ExaminationJob(what, sizes, partial(_notes, sizes, act)) for what, act in acts]

    def answered(self, frozen: Frozen, notes: Sequence[Notes]) -> Evidence:
        """Put what was read together; see `AskingCheck`."""
        gaps = [gap for part in notes for gap in part.gaps] + list(_unread(frozen.files))
        gapped = {gap.path for gap in gaps}
        claims = {claim.path: claim for part in notes for claim in part.claims if claim.path not in gapped}
        return Evidence.of(
            self.id,
            self.version,
            frozen.subject.digest,
            findings=(finding for part in notes for finding in part.findings),
            gaps=gaps,
            claims=claims.values(),
            metrics={name: str(sum(_count(part, name) for part in notes)) for name in _COUNTS},
        )


def _unread(paths: Iterable[str]) -> Iterator[Gap]:
    for path in paths:
        if files.UNREAD.fullmatch(path) and not files.JENKINSFILE.fullmatch(path):
            yield Gap("a pipeline of a system that is not read here", path, "deploy from one that is")


def _count(notes: Notes, name: str) -> int:
    figure = notes.metrics.get(name, "")
    return int(figure) if figure.isascii() and figure.isdigit() else 0


# --- in the worker -----------------------------------------------------------------------------------------------


def _notes(sizes: dict[str, int], act: Callable[[PipelineReading], None]) -> Notes:
    reading = PipelineReading()
    act(reading)
    gapped = {gap.path for gap in reading.gaps}
    reading.claims = [Claim(path, sizes[path], "pipeline") for path in sorted(reading.read - gapped)]
    counts = (len(reading.jobs), sum(bool(job.deploys) for job in reading.jobs), sum(job.gates for job in reading.jobs))
    reading.metrics = {name: str(count) for name, count in zip(_COUNTS, counts, strict=True)}
    return reading


def _proven(whole: PipelineReading, path: str, act: Callable[[PipelineReading], None]) -> None:
    """Run the reader of one pipeline, prove what it read, and add that to the whole.

    Whatever a reader raises on bytes that somebody chose is an unfinished examination. Each pipeline is proven by
    itself: a gate of one says nothing about a job of the same name in another.
    """
    reading = PipelineReading()
    _guarded(reading, path, act)
    # The proof follows jobs by name, so one of two could pass for the other's gate.
    if len({job.name for job in reading.jobs}) != len(reading.jobs):
        reading.gap(path, 0, "two jobs have the same name", "rename one of them")
    whole.findings += [*reading.findings, *prove(reading.jobs)]
    whole.jobs += reading.jobs
    whole.gaps += reading.gaps
    whole.read |= reading.read


def _guarded(reading: PipelineReading, path: str, act: Callable[[PipelineReading], None]) -> None:
    try:
        act(reading)
    except ValueError as error:
        reading.gap(path, 0, printable(str(error)), "fix the file")
    except MemoryError:
        reading.gap(path, 0, OUT_OF_MEMORY, "split the file, or report it if it is an honest one")
    except Exception as error:  # noqa: BLE001 - whatever a hostile file provokes is an unfinished examination
        reading.gap(path, 0, printable(f"stopped by {type(error).__name__}: {error}"), "report it with the file")


def _documents(
    path: str, source: ByteSource, reading: PipelineReading, *, references: bool = False
) -> list[Any] | None:
    """Parse one file; None, and a gap, where it cannot be."""
    try:
        content = load(source.read_at(0, LOADED.size + 1), references=references)
    except ValueError as error:
        reading.gap(path, 0, printable(str(error)), "fix the YAML")
        return None
    reading.read.add(path)
    return content


def _github(sources: dict[str, Any], reading: PipelineReading, *, wishes: Wishes) -> None:
    workflows, actions = dict[str, Any](), dict[str, tuple[str, Any]]()
    for path, source in sources.items():
        workflow = files.WORKFLOW.fullmatch(path)
        if not workflow and not files.ACTION.fullmatch(path):
            continue
        parsed = _documents(path, source, reading)
        if parsed is None:
            continue
        if len(parsed) != 1 or not isinstance(parsed[0], YamlMapping):
            reading.gap(path, 0, "it is not one mapping", "fix the file")
        elif workflow:
            workflows[path] = parsed[0]
        else:
            actions[path.rpartition("/")[0]] = (path, parsed[0])
    _proven(reading, next(iter(workflows), ""), partial(read_github, workflows, actions, wishes=wishes))


def _gitlab(sources: dict[str, Any], reading: PipelineReading, *, wishes: Wishes) -> None:
    roots = [path for path in sources if files.GITLAB.fullmatch(path)]
    others = (files.WORKFLOW, files.ACTION, files.JENKINSFILE, files.UNREAD)
    parsed: dict[str, list[Any]] = {}
    for path, source in sources.items():
        if not any(kind.fullmatch(path) for kind in others):
            content = _documents(path, source, reading, references=True)
            parsed |= {} if content is None else {path: content}
    for root in roots:
        if root in parsed:
            _proven(reading, root, partial(read_gitlab, parsed, root, wishes=wishes))


def _jenkins(path: str, source: ByteSource, reading: PipelineReading, *, wishes: Wishes) -> None:
    read_jenkins(path, source.read_at(0, LOADED.size + 1), reading, wishes)
    reading.read.add(path)
