"""What the proof works on: jobs, what each waits for, what in it gates and what in it deploys."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from zt_gate.domain import Finding, Gap, Notes, printable

UNGATED, UNWAITING, ALLOWED_TO_FAIL, RUNS_ANYWAY, EXIT_LOST, SKIPPABLE = (f"PIP-10{digit}" for digit in range(1, 7))
UNPINNED, FOREIGN_CODE, PERMISSIONS, POLICY, UNPROTECTED = (f"PIP-20{digit}" for digit in range(1, 6))


def finding(rule: str, path: str, line: int, symbol: str, message: str) -> Finding:
    """Make a finding about a pipeline file; line 0 where none is known."""
    return Finding.of(rule, message, path, line=line or None, symbol=printable(symbol, 200))


@dataclass(frozen=True, slots=True)
class JobStep:
    """One thing that a job does, in order: a command or an action."""

    line: int
    what: str
    """For people."""
    gate: bool = False
    """Whether the gate runs here."""
    rule: str = ""
    """Where the gate runs here and can stop nothing: the rule that says so."""
    flaw: str = ""
    """Why it can stop nothing."""
    deploys: bool = False
    anyway: bool = False
    """Whether it runs although something before it in the same job failed."""
    prepares: bool = False
    """Whether it only fetches, installs or prints, so that it may come before the gate in a job that deploys."""


@dataclass(slots=True)
class PipelineJob:
    """A job, or a stage of a Jenkinsfile."""

    path: str
    name: str
    """Unique among the jobs of one reading."""
    line: int
    requires: set[str] = field(default_factory=set)
    """Jobs without whose success it never starts."""
    deploys: str = ""
    """Why it is taken for a deployment; empty where it is none."""
    gates: bool = False
    """Whether it fails where the gate does not allow, whatever else it does."""
    guarded: bool = False
    """Whether it asks the gate itself before it deploys anything."""
    flaws: list[Finding] = field(default_factory=list)
    """Why a gate in it stops nothing."""
    cuts: list[Finding] = field(default_factory=list)
    """Why it does not wait for what stands before it; reported where it deploys unguarded."""

    def finding(self, rule: str, line: int, detail: str, message: str) -> Finding:
        """Say something about this job."""
        symbol = f"{self.name} {detail}".strip()
        return finding(rule, self.path, line or self.line, symbol, f"job {self.name}: {message}")

    def assess(self, acts: Collection[JobStep], weakened: tuple[str, str, int] | None = None) -> None:
        """Work out from what the job does whether it gates, deploys, and in which order.

        Args:
            acts: what it does.
            weakened: a rule, a reason and a line where the job as a whole may fail without consequences.
        """
        clean, late = True, next((act for act in acts if act.deploys and act.anyway), None)
        for act in acts:
            if act.gate and act.flaw:
                self.flaws.append(self.finding(act.rule, act.line, act.what, f"{act.what} {act.flaw}"))
            elif act.gate:
                # A failure that others may ignore still ends this job before anything that follows.
                self.guarded = self.guarded or clean
                self.gates = self.gates or weakened is None
                if weakened is not None:
                    rule, why, line = weakened
                    self.flaws.append(self.finding(rule, line, act.what, f"{act.what} runs, but {why}"))
            else:
                clean = clean and not act.deploys and (act.prepares or not self.deploys)
            if act.deploys and not self.deploys:
                self.deploys = f"it runs {act.what}"
        if late is not None:
            self.guarded = False
            self.cuts.append(
                self.finding(RUNS_ANYWAY, late.line, late.what, f"{late.what} runs also after a failed gate")
            )


@dataclass(slots=True)
class PipelineReading(Notes):
    """All that was read from the files of one kind."""

    jobs: list[PipelineJob] = field(default_factory=list)
    read: set[str] = field(default_factory=set)
    """Files that were read to the end."""

    def gap(self, path: str, line: int, reason: str, fix: str = "") -> None:
        """Note what could not be understood."""
        self.gaps.append(Gap(f"line {line}: {reason}" if line else reason, path, fix))


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the operator says about the pipelines; never read from the files themselves."""

    deploys: frozenset[str] = frozenset()
    """Names of jobs that deploy, though nothing shows it."""
    exempt: frozenset[str] = frozenset()
    """Names of jobs that deploy nothing that the gate is for, such as documentation."""
