"""Steps of GitHub jobs and composite actions: what each does, and whether its failure counts.

Source: docs.github.com/actions/reference/workflow-syntax-for-github-actions (shells, `continue-on-error`, `uses`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from zt_gate.codecs.strict_yaml import is_false, items, mapping, text
from zt_gate.domain import printable
from zt_gate.pipelines.conditions import waits_for_all
from zt_gate.pipelines.gates import DEPLOYING_NAME, act_of, policy_of
from zt_gate.pipelines.model import ALLOWED_TO_FAIL, SKIPPABLE, JobStep, PipelineReading
from zt_gate.pipelines.shell import ShellCommand, commands

PIN = re.compile(r"[0-9a-f]{40}")
IMAGE_PIN = re.compile(r"@sha256:[0-9a-f]{64}$")
OURS = re.compile(r"[^/]+/zt-gate(?:/actions/(?:check|promote))?")
_OUR_JOB = re.compile(r"[^/]+/zt-gate/\.github/workflows/[a-z-]+\.ya?ml")
_PREPARING = re.compile(r"actions/[^/]+|[^/]+/setup-[^/]+|[^/]+/[^/]*(?:login|auth|credentials)[^/]*|[^/]+/zt-gate/.*")
_MAX_NESTING = 8
_EXITS = re.compile(r"\$(?:\{([A-Za-z_]\w*)(?::-[1-9]\d*)?\}|([A-Za-z_]\w*))")


@dataclass(frozen=True, slots=True)
class GatePolicyFile:
    """A policy file that a gate reads, as it was written."""

    path: str
    line: int


@dataclass(slots=True)
class Steps:
    """What the steps of a job do, and what the rules about files want to know of them."""

    acts: list[JobStep] = field(default_factory=list)
    uses: list[tuple[str, int]] = field(default_factory=list)
    """Every action with its line."""
    policies: list[GatePolicyFile] = field(default_factory=list)
    checkouts: list[tuple[Any, int]] = field(default_factory=list)
    """The `with` of every checkout."""
    written: set[str] = field(default_factory=set)
    """Files that a command writes from another commit."""


@dataclass(frozen=True, slots=True)
class StepPlace:
    """Where steps stand."""

    path: str
    actions: Mapping[str, tuple[str, Any]]
    """Action files of the tree by folder, each with its path."""
    reading: PipelineReading
    shell: str = ""
    """What `defaults` says."""
    env: Mapping[str, Any] = field(default_factory=dict)
    nesting: int = 0


def our_workflow(name: str) -> bool:
    """Whether a reusable workflow is the one that comes with zt-gate."""
    return _OUR_JOB.fullmatch(name) is not None


def read_steps(steps: list[Any], place: StepPlace) -> Steps:
    """Read the steps of a job or of a composite action.

    A gate whose failure a later step turns into the job's stands where that step stands: what comes between runs.
    """
    result, later = Steps(), dict[int, list[JobStep]]()
    for index, step in enumerate(steps):
        anyway = _runs_anyway(mapping(step))
        acts = [replace(act, anyway=anyway or act.anyway) for act in _step(step, place, result)]
        enforced = index + _enforced_after(step, steps[index + 1 :])
        for act in acts:
            if act.gate and not act.flaw and enforced > index:
                later.setdefault(enforced, []).append(act)
            else:
                result.acts.append(_weakened(act, step))
        result.acts += later.get(index, [])
    return result


def _step(step: Any, place: StepPlace, result: Steps) -> Iterator[JobStep]:
    body = mapping(step)
    if "uses" in body:
        yield from _action(body, place, result)
    elif "run" in body:
        for command, act in _commands(body, place):
            if act.gate and (policy := policy_of(command.words)):
                result.policies.append(GatePolicyFile(_known(policy, body, place), act.line))
            elif act.gate and "--policy-key" not in command.words:
                policy = _environment(body, place).get("ZT_GATE_POLICY", "")
                result.policies += [GatePolicyFile(str(policy), act.line)] if policy else []
            if command.words[:2] == ("git", "show"):
                result.written |= set(command.writes)
            yield act


def _commands(body: Any, place: StepPlace) -> Iterator[tuple[ShellCommand, JobStep]]:
    shell, script, line = text(body, "shell") or place.shell, text(body, "run"), body.at("run")
    options = _shell_options(shell)
    if options is None:
        reason = f"a script for {printable(shell, 40)}, which is not read here"
        place.reading.gap(place.path, line, reason, "write it for bash")
        return
    try:
        # A block scalar begins below its key; a plain one on the same line. One line off at most, for people only.
        for command in commands(script, line + ("\n" in script), errexit=options[0], pipefail=options[1]):
            yield command, act_of(command)
    except ValueError as error:
        place.reading.gap(place.path, line, f"a script cannot be read: {error}", "write it for bash, or call a script")


def _shell_options(shell: str) -> tuple[bool, bool] | None:
    """Return whether `-e` and `pipefail` hold; None for a shell that is none of ours."""
    # What GitHub runs: `bash -e` where no shell is named, and `bash -eo pipefail` where `shell: bash` stands.
    known = {"": (True, False), "bash": (True, True), "sh": (True, False)}
    if shell in known:
        return known[shell]
    words = shell.split()
    if not words or words[0].rsplit("/", 1)[-1] not in ("bash", "sh", "dash"):
        return None
    flags = [word for word in words[1:] if word.startswith("-") and not word.startswith("--")]
    return any("e" in flag for flag in flags), "pipefail" in words


def _action(body: Any, place: StepPlace, result: Steps) -> Iterator[JobStep]:
    uses, line = text(body, "uses"), body.at("uses")
    name, _, _ = uses.partition("@")
    given = mapping(body, "with")
    result.uses.append((uses, line))
    if name.startswith("./"):
        yield from _local(name, line, given, place, result)
        return
    if name == "actions/checkout":
        result.checkouts.append((given, line))
    gate = OURS.fullmatch(name) is not None
    yield JobStep(
        line,
        printable(name, 80),
        gate=gate,
        rule=ALLOWED_TO_FAIL if gate and not _enforced(given) else "",
        flaw="runs with report-only and exits 0 whatever it decides" if gate and not _enforced(given) else "",
        deploys=not gate and DEPLOYING_NAME.search(name.split("/", 1)[-1]) is not None,
        prepares=_PREPARING.fullmatch(name) is not None,
    )


def _enforced(given: Any) -> bool:
    value = given.get("report-only")
    return value is None or is_false(value)


def _local(name: str, line: int, given: Any, place: StepPlace, result: Steps) -> Iterator[JobStep]:
    """An action of the same tree: its steps stand in for it."""
    folder = name.removeprefix("./").strip("/")
    path, document = place.actions.get(folder, ("", None))
    if document is None or place.nesting >= _MAX_NESTING:
        place.reading.gap(place.path, line, f"the action {printable(name, 80)} is not in the tree", "add it, or pin it")
        return
    runs = mapping(document, "runs")
    if text(runs, "using") != "composite":
        yield JobStep(line, printable(name, 80), deploys=DEPLOYING_NAME.search(name) is not None)
        return
    inner = read_steps(items(runs, "steps"), replace(place, path=path, nesting=place.nesting + 1, env={}, shell=""))
    gates = [act for act in inner.acts if act.gate]
    if gates and not _enforced(given):
        inner.acts = [replace(act, rule=ALLOWED_TO_FAIL, flaw="runs with report-only") for act in inner.acts]
    result.uses += [use for use in inner.uses if not use[0].startswith("./")]
    yield from (replace(act, line=line) for act in inner.acts)


def _weakened(act: JobStep, step: Any) -> JobStep:
    """What the step itself does to the gate in it."""
    body = mapping(step)
    if not act.gate or act.flaw:
        return act
    condition = text(body, "if")
    if condition and not _always(condition):
        return replace(act, rule=SKIPPABLE, flaw=f"runs only if {printable(condition, 80)}")
    if _ignored(body):
        return replace(act, rule=ALLOWED_TO_FAIL, flaw="may fail without consequences (continue-on-error)")
    return act


def _runs_anyway(body: Any) -> bool:
    """Whether a step runs although an earlier one failed; a condition that cannot be read may mean that."""
    condition = text(body, "if")
    try:
        return bool(condition) and not waits_for_all(condition)
    except ValueError:
        return True


def _always(condition: str) -> bool:
    bare = condition.replace("${{", "").replace("}}", "").replace(" ", "")
    return bare in ("always()", "success()", "!cancelled()", "success()||failure()")


def _ignored(body: Any) -> bool:
    """Whether the job goes on where this step fails."""
    value = body.get("continue-on-error")
    return value is not None and not is_false(value)


def _enforced_after(gate: Any, later: list[Any]) -> int:
    """Return how many steps later the job ends by the outcome of a step that may fail; 0 where it never does."""
    name, condition = text(gate, "id"), text(gate, "if")
    if not name or not _ignored(mapping(gate)) or (condition and not _always(condition)):
        return 0
    for distance, step in enumerate(later, 1):
        body = mapping(step)
        condition, script = text(body, "if"), text(body, "run")
        try:
            last = commands(script)[-1:]
        except ValueError:
            continue
        if (
            not last
            or last[0].words[:1] != ("exit",)
            or last[0].optional
            or not is_false(body.get("continue-on-error", "no"))
        ):
            continue
        status = "".join(last[0].words[1:2])
        match = _EXITS.fullmatch(status)
        source = text(mapping(body, "env"), (match.group(1) or match.group(2)) if match else "")
        outcome = re.sub(r"\s|\$\{\{|\}\}", "", condition) in (
            f"steps.{name}.outcome!='success'", f"steps.{name}.outcome=='failure'",
            f"always()&&steps.{name}.outcome!='success'")  # fmt: skip
        if match and f"steps.{name}.outputs.exit-code" in source and (not condition or _always(condition)):
            return distance
        if outcome and status.isdigit() and status.strip("0"):
            return distance
    return 0


def _environment(body: Any, place: StepPlace) -> dict[str, Any]:
    return {**place.env, **mapping(body, "env")}


def _known(policy: str, body: Any, place: StepPlace) -> str:
    """Replace a variable by what `env` says it holds."""
    match = _EXITS.fullmatch(policy)
    value = _environment(body, place).get(match.group(1) or match.group(2)) if match else None
    return str(value) if value is not None else policy


def is_conditional(condition: str) -> bool:
    """Whether a job with this condition may be skipped while what it waits for succeeds."""
    return bool(condition) and not _always(condition)


def waits(condition: str) -> bool:
    """Whether a job with this condition starts only after everything that it needs has succeeded.

    Raises:
        ValueError: the condition cannot be read.
    """
    return not condition or waits_for_all(condition)
