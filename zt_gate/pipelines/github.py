"""GitHub workflows: jobs, what each waits for, and the rules about triggers, permissions and pins.

A reusable workflow of the same tree is read where it is called, its jobs under the caller's name; one of another
repository is not read, and is a gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from zt_gate.codecs.strict_yaml import is_false, items, mapping, text
from zt_gate.domain import Finding, printable
from zt_gate.pipelines import model
from zt_gate.pipelines.conditions import ALL, read_condition
from zt_gate.pipelines.gates import DEPLOYING_NAME
from zt_gate.pipelines.github_steps import (
    IMAGE_PIN,
    PIN,
    StepPlace,
    Steps,
    is_conditional,
    our_workflow,
    read_steps,
)
from zt_gate.pipelines.model import PipelineJob, PipelineReading, Wishes, finding

FOLDER = ".github/workflows/"
_GATE_MAY_WRITE = frozenset({"security-events", "id-token", "attestations"})
_HEAD = re.compile(r"pull_request\.head\b|head_ref|workflow_run\.head_(?:sha|branch)|refs/pull/")
_BASE = re.compile(
    r"base_ref|pull_request\.base\b|default_branch|refs/(?:heads|tags)/|^[0-9a-f]{40}$|^(?:main|master|v\d)"
)
_ELSEWHERE = re.compile(r"pack:|/|\$\{?RUNNER_TEMP|\$\{?HOME|~|\$\{\{ *runner\.temp")
_MAX_NESTING = 4
"""GitHub allows workflows to call each other this deep."""


@dataclass(slots=True)
class _Workflows:
    """All workflows and actions of a tree."""

    files: Mapping[str, Any]
    actions: Mapping[str, tuple[str, Any]]
    reading: PipelineReading
    wishes: Wishes
    called: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)


def read_github(
    files: Mapping[str, Any], actions: Mapping[str, tuple[str, Any]], reading: PipelineReading, wishes: Wishes
) -> None:
    """Read workflows.

    Args:
        files: parsed workflows by manifest path.
        actions: action files by folder, each with its path; the root folder is empty text.
        reading: where jobs, findings and gaps go.
        wishes: what the operator says about jobs.
    """
    tree = _Workflows(files, actions, reading, wishes)
    for document in files.values():
        for job in mapping(document, "jobs").values():
            uses = text(job, "uses")
            if uses.startswith("./"):
                tree.called.add(uses.removeprefix("./"))
    for path, document in sorted(files.items()):
        reading.findings += _triggers(path, document)
        # What only other workflows of the tree call is judged where they call it.
        if _events(document) != {"workflow_call"} or path not in tree.called:
            _jobs(tree, path, document, f"{path.rsplit('/', 1)[-1]}:", set(), 0)
        reading.findings += _permissions_of_workflow(path, document)
    for path in sorted(files.keys() - tree.read):
        reading.gap(path, 0, "workflows call each other in a circle, so that none of them begins")
    for folder, (path, document) in sorted(actions.items()):
        for step in items(mapping(document, "runs"), "steps"):
            body = mapping(step)
            reading.findings += _unpinned(path, f"action {folder or '.'}", text(body, "uses"), body.at("uses"))


def _events(document: Any) -> set[str]:
    # YAML 1.1 makes True of the key `on`; the reader here keeps every scalar as text.
    value = mapping(document).get("on")
    if isinstance(value, str):
        return {value}
    return {item for item in value if isinstance(item, str)} if isinstance(value, (list, dict)) else set()


def _jobs(tree: _Workflows, path: str, document: Any, prefix: str, waits: set[str], nesting: int) -> set[str]:
    """Read the jobs of a workflow and return the names of those that are never skipped.

    Args:
        tree: all files.
        path: the workflow.
        document: what stands in it.
        prefix: put in front of the names of jobs.
        waits: jobs of a caller without whose success none of these starts.
        nesting: how many callers there are.
    """
    tree.read.add(path)
    jobs = mapping(document, "jobs")
    if not jobs:
        tree.reading.gap(path, 0, "it has no jobs", "it is no workflow, or it is broken")
    certain: dict[str, bool] = {}
    for name, body in jobs.items():
        job = PipelineJob(path, prefix + printable(name, 100), jobs.at(name))
        condition, needs = text(body, "if"), _needs(body)
        for other in set(needs) - set(jobs):
            tree.reading.gap(
                path, job.line, f"job {printable(name, 60)} needs {printable(other, 60)}, which is not there"
            )
        job.requires = waits | {
            prefix + printable(other, 100) for other in _required(tree, job, body, needs, condition)
        }
        certain[name] = not is_conditional(condition)
        _deployment(tree.wishes, job, name, body)
        if "uses" in mapping(body):
            _called(tree, job, mapping(body), nesting)
        else:
            _own_steps(tree, job, mapping(body), document)
        tree.reading.jobs.append(job)
    return {prefix + printable(name, 100) for name in certain if _is_certain(name, jobs, certain, set())}


def _is_certain(name: str, jobs: Any, certain: dict[str, bool], seen: set[str]) -> bool:
    """Whether a job runs in every run that succeeds: nothing skips it, nor anything that it needs."""
    if name in seen or not certain.get(name, False):
        return False
    body = jobs[name]
    if "always()" in text(body, "if"):
        return True
    return all(_is_certain(other, jobs, certain, seen | {name}) for other in _needs(body))


def _needs(body: Any) -> list[str]:
    value = mapping(body).get("needs")
    return [value] if isinstance(value, str) else [item for item in items(value) if isinstance(item, str)]


def _required(tree: _Workflows, job: PipelineJob, body: Any, needs: list[str], condition: str) -> set[str]:
    """Return which of the jobs that it needs must have succeeded, by its condition."""
    if not condition:
        return set(needs)
    line = mapping(body).at("if")
    shown = printable(condition, 100)
    try:
        found = read_condition(condition)
    except ValueError as error:
        tree.reading.gap(job.path, line, f"the condition {shown!r} of job {job.name} cannot be read: {error}")
        return set()
    if not found.status or ALL in found.implies:
        return set(needs)
    job.cuts.append(job.finding(model.RUNS_ANYWAY, line, "if", f"deploys if {shown}, also when the gate failed"))
    return set(needs) & found.implies


def _deployment(wishes: Wishes, job: PipelineJob, name: str, body: Any) -> None:
    """Say what makes a job a deployment before its steps are read."""
    title = text(body, "name")
    if name in wishes.deploys:
        job.deploys = "the operator says so"
    elif mapping(body).get("environment") is not None:
        job.deploys = "it names an environment"
    elif DEPLOYING_NAME.search(name) or DEPLOYING_NAME.search(title):
        job.deploys = "its name says so"


def _exempted(wishes: Wishes, job: PipelineJob) -> None:
    """Take a job that the operator answers for out of the proof."""
    if job.name.split(":", 1)[-1] in wishes.exempt or job.name in wishes.exempt:
        job.deploys = ""


def _called(tree: _Workflows, job: PipelineJob, body: Any, nesting: int) -> None:
    """A job that is a reusable workflow."""
    uses, line = text(body, "uses"), body.at("uses")
    name = uses.partition("@")[0]
    tree.reading.findings += _unpinned(job.path, job.name, uses, line)
    if name.startswith("./") and (inner := tree.files.get(name.removeprefix("./"))) is not None:
        if nesting >= _MAX_NESTING:
            tree.reading.gap(job.path, line, "workflows call each other in a circle, or too deeply")
            return
        deploys, job.deploys = job.deploys, ""
        inside = _jobs(tree, name.removeprefix("./"), inner, f"{job.name}/", set(job.requires), nesting + 1)
        job.requires |= inside
        if deploys == "the operator says so":
            job.deploys = deploys
    elif our_workflow(name):
        job.gates, job.deploys, job.guarded = True, "", True
    else:
        _exempted(tree.wishes, job)
        if not job.deploys and job.name.split(":", 1)[-1] not in tree.wishes.exempt:
            reason = f"job {job.name} is the workflow {printable(uses, 100)}, which is not in the tree"
            tree.reading.gap(job.path, line, reason, "read it there, then name the job with --exempt or --deploys")


def _own_steps(tree: _Workflows, job: PipelineJob, body: Any, document: Any) -> None:
    env = {**mapping(document, "env"), **mapping(body, "env")}
    shell = text(body, "defaults", "run", "shell") or text(document, "defaults", "run", "shell")
    # GitHub's default shell on Windows runners is PowerShell.
    if "windows" in str(body.get("runs-on", "")).lower() and not shell:
        shell = "pwsh"
    steps = read_steps(items(body, "steps"), StepPlace(job.path, tree.actions, tree.reading, shell, env))
    job.assess(steps.acts, _weakened(body))
    _exempted(tree.wishes, job)
    findings = tree.reading.findings
    for uses, line in steps.uses:
        findings += _unpinned(job.path, job.name, uses, line)
    findings += _image(job, body)
    gates = any(act.gate for act in steps.acts)
    if gates:
        findings += _gate_permissions(job, body, document)
        findings += _policies(job, steps, document)
    findings += _foreign_code(job, steps, document)
    if job.deploys and body.get("environment") is None:
        message = "deploys outside any environment, so that no reviewer and no branch rule protects it"
        findings.append(job.finding(model.UNPROTECTED, job.line, "environment", message))


def _weakened(body: Any) -> tuple[str, str, int] | None:
    value = body.get("continue-on-error")
    if value is None or is_false(value):
        return None
    return (
        model.ALLOWED_TO_FAIL,
        "the job may fail without consequences (continue-on-error)",
        body.at("continue-on-error"),
    )


def _unpinned(path: str, where: str, uses: str, line: int) -> Iterator[Finding]:
    """PIP-201: whoever owns the tag decides what runs."""
    # What lies in the tree is of the commit that is judged.
    if not uses or uses.startswith("./"):
        return
    name, _, ref = uses.partition("@")
    pinned = IMAGE_PIN.search(uses) if uses.startswith("docker://") else PIN.fullmatch(ref)
    if not pinned:
        message = f"{where}: {printable(uses, 120)} is not pinned to a commit"
        yield finding(model.UNPINNED, path, line, f"{where} {printable(name, 100)}", message)


def _image(job: PipelineJob, body: Any) -> Iterator[Finding]:
    container = body.get("container")
    image = container if isinstance(container, str) else text(container, "image")
    if image and not IMAGE_PIN.search(image):
        message = f"runs in the image {printable(image, 100)}, which is not pinned by digest"
        yield job.finding(model.UNPINNED, body.at("container"), "container", message)


def _triggers(path: str, document: Any) -> Iterator[Finding]:
    """PIP-202: a trigger that gives a stranger's pull request the rights of the base branch."""
    if "pull_request_target" in _events(document):
        line = mapping(document, "on").at("pull_request_target") or mapping(document).at("on")
        message = f"{path}: pull_request_target runs with the base branch's rights on what a stranger sent"
        yield finding(model.FOREIGN_CODE, path, line, "pull_request_target", message)


def _foreign_code(job: PipelineJob, steps: Steps, document: Any) -> Iterator[Finding]:
    if not _events(document) & {"pull_request_target", "workflow_run", "issue_comment"}:
        return
    for given, line in steps.checkouts:
        if _HEAD.search(text(given, "ref")) or "head" in text(given, "repository"):
            yield job.finding(
                model.FOREIGN_CODE, line, "checkout", "checks out a pull request with the base branch's rights"
            )


def _permissions_of_workflow(path: str, document: Any) -> Iterator[Finding]:
    """PIP-203: a token that may do more than the jobs need."""
    body = mapping(document)
    line = body.at("permissions")
    if body.get("permissions") == "write-all":
        yield finding(model.PERMISSIONS, path, line, "write-all", f"{path}: the token may write everything (write-all)")
    for name, job in mapping(document, "jobs").items():
        own = mapping(job)
        if own.get("permissions") == "write-all":
            line = own.at("permissions")
            yield finding(
                model.PERMISSIONS, path, line, f"{name} write-all", f"job {printable(name, 80)} may write everything"
            )
        elif "permissions" not in own and "permissions" not in body:
            message = (
                f"job {printable(name, 80)}: no permissions are set, so the token may do what the repository allows"
            )
            yield finding(model.PERMISSIONS, path, own.line, f"{name} none", message)


def _gate_permissions(job: PipelineJob, body: Any, document: Any) -> Iterator[Finding]:
    held = mapping(body, "permissions") if "permissions" in body else mapping(document, "permissions")
    for scope, value in held.items():
        if value == "write" and scope not in _GATE_MAY_WRITE:
            message = f"holds the gate and may write {printable(scope, 40)}, which deciding does not need"
            yield job.finding(model.PERMISSIONS, held.at(scope), f"write {printable(scope, 40)}", message)


def _policies(job: PipelineJob, steps: Steps, document: Any) -> Iterator[Finding]:
    """PIP-204: whoever opens the pull request brings the policy that judges it."""
    if not _events(document) & {"pull_request", "pull_request_target", "merge_group"}:
        return
    trusted = [text(given, "path") for given, _ in steps.checkouts if _is_base(given)]
    for policy in steps.policies:
        bare = policy.path.removeprefix("./")
        if not bare or _ELSEWHERE.match(bare) or bare in steps.written or policy.path in steps.written:
            continue
        if not any(folder == "" or bare.startswith(folder.strip("./") + "/") for folder in trusted):
            message = f"reads the policy {printable(policy.path, 80)} from the pull request that it judges"
            yield job.finding(model.POLICY, policy.line, "policy", message)


def _is_base(given: Any) -> bool:
    """Whether a checkout takes what the pull request cannot change."""
    ref = text(given, "ref")
    return not _HEAD.search(ref) and bool(_BASE.search(ref) or (text(given, "repository") and not ref.startswith("$")))
