"""The proof: no job that deploys can start unless a job that gates has succeeded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from zt_gate.domain import Finding
from zt_gate.pipelines.model import UNGATED, PipelineJob


def prove(jobs: Sequence[PipelineJob]) -> Iterator[Finding]:
    """Yield what stands against the proof, for every job that deploys and every gate that stops nothing.

    A job that deploys is proven when it asks the gate itself first, or when some job without whose success it never
    starts does; `Job.requires` is followed to its end, and a circle proves nothing.
    """
    by_name = {job.name: job for job in jobs}
    for job in jobs:
        yield from job.flaws
        if not job.deploys or job.guarded:
            continue
        earlier = before(job, by_name).values()
        if any(other.gates for other in earlier):
            continue
        if job.cuts:
            yield from job.cuts
        elif not any(other.flaws for other in (job, *earlier)):
            waits = ", ".join(sorted(other.name for other in earlier)) or "nothing"
            message = f"deploys ({job.deploys}), and no gate has to allow it first; it waits for {waits}"
            yield job.finding(UNGATED, job.line, "ungated", message)


def before(job: PipelineJob, by_name: dict[str, PipelineJob]) -> dict[str, PipelineJob]:
    """Return, by name, the jobs without whose success a job never starts."""
    seen: dict[str, PipelineJob] = {}
    left = sorted(job.requires)
    while left:
        name = left.pop()
        other = by_name.get(name)
        # A job that is reached twice, or from itself, proves nothing more, and following it would not end.
        if other is None or name in seen or other is job:
            continue
        seen[name] = other
        left += sorted(other.requires)
    return seen
