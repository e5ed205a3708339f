"""GitLab pipelines: jobs, and what each waits for by its stage or its `needs`.

Source: docs.gitlab.com/ci/yaml. Without `needs` a job waits for all jobs of earlier stages; with it, for those alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from collections.abc import Mapping as Files
from dataclasses import dataclass, field
from typing import Any

from zt_gate.codecs.strict_yaml import YamlMapping, is_false, is_true, items, mapping, text
from zt_gate.domain import Finding, printable
from zt_gate.pipelines import model
from zt_gate.pipelines.gates import DEPLOYING_NAME, act_of, policy_of
from zt_gate.pipelines.github_steps import IMAGE_PIN
from zt_gate.pipelines.gitlab_files import Assembler, lines_of, resolved
from zt_gate.pipelines.model import JobStep, PipelineJob, PipelineReading, Wishes
from zt_gate.pipelines.shell import commands

ROOT = ".gitlab-ci.yml"
_GLOBAL = frozenset(
    {"default", "include", "stages", "variables", "workflow", "image", "services", "cache", "before_script",
     "after_script", "spec"}
)  # fmt: skip
_STAGES = [".pre", "build", "test", "deploy", ".post"]
_ANYWAY = ("always", "on_failure")
_BRANCH = re.compile(r"CI_DEFAULT_BRANCH|CI_COMMIT_TAG|CI_COMMIT_REF_PROTECTED")
_ELSEWHERE = re.compile(r"pack:|/|\$\{?(?:HOME|CI_BUILDS_DIR|RUNNER_TEMP_PROJECT_DIR|ZT_GATE_POLICY)|~")
_MAX_NESTING = 3


@dataclass(slots=True)
class _GitLabJob:
    """A job of a pipeline, with what decides what waits for it."""

    job: PipelineJob
    body: YamlMapping
    stage: int
    rules: str
    """When it is in a pipeline, as canonical text; empty where it always is."""
    needed: set[str] = field(default_factory=set)


def read_gitlab(files: Files[str, list[Any]], path: str, reading: PipelineReading, wishes: Wishes) -> None:
    """Read a pipeline from its root file.

    Args:
        files: parsed files by manifest path.
        path: the root file.
        reading: where jobs, findings and gaps go.
        wishes: what the operator says about jobs.
    """
    _read(files, path, reading, wishes, "", set(), 0)


def _read(
    files: Files[str, list[Any]],
    path: str,
    reading: PipelineReading,
    wishes: Wishes,
    prefix: str,
    waits: set[str],
    nesting: int,
) -> set[str]:
    pipeline = Assembler(files, reading).assemble(path)
    document = pipeline.document
    listed = [item for item in items(document, "stages") if isinstance(item, str)]
    # `.pre` is always the first stage and `.post` the last, whatever the file lists.
    stages = [".pre", *listed, ".post"] if listed else _STAGES
    known: dict[str, _GitLabJob] = {}
    for name, value in document.items():
        # A name that begins with a dot is a template, which GitLab never runs.
        if name in _GLOBAL or name.startswith("."):
            continue
        where = pipeline.origins.get(name, path)
        if not isinstance(value, YamlMapping):
            reading.gap(where, document.at(name), f"{printable(name, 60)} is no job")
            continue
        body = _with_defaults(document, resolved(document, name, reading, where))
        job = PipelineJob(where, prefix + printable(name, 100), document.at(name))
        # GitLab puts a job without a stage into `test`.
        stage = text(body, "stage") or "test"
        if stage not in stages:
            reading.gap(
                where,
                job.line,
                f"job {printable(name, 60)} is in the stage {printable(stage, 60)}, which is not listed",
            )
        known[name] = _GitLabJob(job, body, stages.index(stage) if stage in stages else -1, _presence(body))
    for inputs in pipeline.ours:
        _add_ours(known, inputs, stages, path, prefix)
    for name, item in known.items():
        _wait(name, item, known, reading, waits)
        _work(item, reading, wishes, name)
        _child(files, item, reading, wishes, nesting)
        reading.jobs.append(item.job)
    for item in known.values():
        _explain(item, known)
    return {item.job.name for item in known.values() if not item.rules}


def _add_ours(known: dict[str, _GitLabJob], inputs: YamlMapping, stages: list[str], path: str, prefix: str) -> None:
    """The job that the component of zt-gate adds."""
    name = text(inputs, "job-name") or "zt-gate"
    stage = text(inputs, "stage") or "test"
    job = PipelineJob(path, prefix + printable(name, 100), inputs.line, gates=True)
    known.setdefault(
        name, _GitLabJob(job, YamlMapping(inputs.line), stages.index(stage) if stage in stages else -1, "")
    )


def _with_defaults(document: YamlMapping, body: YamlMapping) -> YamlMapping:
    """Add what `default` and the old global keywords say, unless the job does not inherit it."""
    inherit = mapping(body, "inherit").get("default")
    if is_false(inherit):
        return body
    wanted = items(inherit) if isinstance(inherit, list) else None
    for key in ("image", "before_script", "after_script"):
        value = mapping(document, "default").get(key, document.get(key))
        if value is not None and key not in body and (wanted is None or key in wanted):
            body[key], body.lines[key] = value, body.line
    return body


def _presence(body: YamlMapping) -> str:
    """When the job is in a pipeline, as text that can be compared."""
    said = {key: body[key] for key in ("rules", "only", "except") if key in body}
    return json.dumps(said, sort_keys=True, default=str) if said else ""


def _wait(name: str, item: _GitLabJob, known: dict[str, _GitLabJob], reading: PipelineReading, waits: set[str]) -> None:
    """Work out which jobs must have succeeded before this one starts."""
    job, body = item.job, item.body
    job.requires = set(waits)
    anyway = _anyway(body)
    if anyway:
        job.cuts.append(
            job.finding(model.RUNS_ANYWAY, anyway[1], "when", f"runs when: {anyway[0]}, also after a failed gate")
        )
        return
    if "needs" not in body:
        # Without `needs`, a job waits for every job of the stages before its own.
        earlier = [other for other in known.values() if 0 <= other.stage < item.stage]
        item.needed = {other.job.name for other in earlier if other.rules in ("", item.rules)}
        for other in earlier:
            if other.rules not in ("", item.rules):
                message = f"waits for {other.job.name} only where that job's rules put it into the pipeline"
                job.cuts.append(job.finding(model.SKIPPABLE, job.line, other.job.name, message))
        job.requires |= item.needed
        return
    needs, line = body["needs"], body.at("needs")
    if needs == []:
        job.cuts.append(job.finding(model.UNWAITING, line, "needs", "starts at once (needs: []), whatever its stage"))
    for need in items(needs):
        wanted = need if isinstance(need, str) else text(need, "job")
        needed = known.get(wanted)
        if mapping(need).get("pipeline") or mapping(need).get("project"):
            continue
        if needed is None:
            reading.gap(job.path, line, f"job {printable(name, 60)} needs {printable(wanted, 60)}, which is not there")
        elif is_true(mapping(need).get("optional")) and needed.rules not in ("", item.rules):
            message = f"needs {needed.job.name} only where that job is in the pipeline (optional)"
            job.cuts.append(job.finding(model.SKIPPABLE, line, needed.job.name, message))
        elif "parallel" in mapping(need):
            message = f"needs only some of the jobs that {needed.job.name} is run as"
            job.cuts.append(job.finding(model.UNWAITING, line, needed.job.name, message))
        else:
            item.needed.add(needed.job.name)
    job.requires |= item.needed


def _anyway(body: YamlMapping) -> tuple[str, int] | None:
    """Return the `when`, and its line, that makes a job run after a failure."""
    if text(body, "when") in _ANYWAY:
        return text(body, "when"), body.at("when")
    for rule in items(body, "rules"):
        if text(rule, "when") in _ANYWAY:
            return text(rule, "when"), mapping(rule).at("when")
    return None


def _work(item: _GitLabJob, reading: PipelineReading, wishes: Wishes, name: str) -> None:
    """Work out what a job does."""
    job, body = item.job, item.body
    acts = list(_acts(job, body, reading))
    environment = body.get("environment")
    action = text(environment, "action") or "start"
    if name in wishes.deploys:
        job.deploys = "the operator says so"
    elif environment is not None and action == "start":
        job.deploys = "it names an environment"
    elif "release" in body:
        job.deploys = "it makes a release"
    elif DEPLOYING_NAME.search(name):
        job.deploys = "its name says so"
    gates = job.gates
    job.assess(acts, _weakened(body))
    job.gates = job.gates or gates
    if name in wishes.exempt:
        job.deploys = ""
    if "run" in body:
        reading.gap(job.path, body.at("run"), f"job {job.name} is made of steps (run), which are not read")
    if any(act.gate for act in acts) or job.deploys:
        reading.findings += _image(job, body)
    if job.deploys and environment is None:
        message = "deploys outside any environment, so that nobody's approval protects it"
        reading.findings.append(job.finding(model.UNPROTECTED, job.line, "environment", message))


def _acts(job: PipelineJob, body: YamlMapping, reading: PipelineReading) -> Iterator[JobStep]:
    """Yield what the scripts do. `before_script` and `script` are one script; `after_script` is another."""
    try:
        script = "\n".join(lines_of(body.get(key)) for key in ("before_script", "script") if key in body)
        found = commands(script)
        after = commands(lines_of(body.get("after_script")))
    except ValueError as error:
        reading.gap(job.path, body.at("script"), f"the script of job {job.name} cannot be read: {error}")
        return
    written = {path for command in found if command.words[:2] == ("git", "show") for path in command.writes}
    line = body.at("script")
    for command in found:
        act = act_of(command)
        policy = policy_of(command.words) if act.gate else ""
        if policy and policy not in written and not _ELSEWHERE.match(policy) and not _only_protected(body):
            shown = printable(policy, 80)
            message = f"reads the policy {shown} from the branch that it judges"
            reading.findings.append(job.finding(model.POLICY, line, "policy", message))
        yield JobStep(line, act.what, act.gate, act.rule, act.flaw, act.deploys, act.prepares)
    for command in after:
        act = act_of(command)
        if act.gate:
            flaw = "stands in after_script, whose failure GitLab ignores"
            yield JobStep(body.at("after_script"), act.what, gate=True, rule=model.EXIT_LOST, flaw=flaw)
        elif act.deploys:
            yield JobStep(body.at("after_script"), act.what, deploys=True, anyway=True)


def _only_protected(body: YamlMapping) -> bool:
    """Whether every rule asks for the default branch, a tag or a protected ref."""
    rules = items(body, "rules")
    return bool(rules) and all(_BRANCH.search(text(rule, "if")) or text(rule, "when") == "never" for rule in rules)


def _weakened(body: YamlMapping) -> tuple[str, str, int] | None:
    """Return the rule, the reason and the line where a failure of the job stops nothing."""
    for place in (body, *items(body, "rules")):
        allowed = mapping(place).get("allow_failure")
        # A mapping lists exit codes that are allowed, and the gate's own may be among them.
        if isinstance(allowed, YamlMapping) or is_true(allowed) or (isinstance(allowed, str) and not is_false(allowed)):
            return model.ALLOWED_TO_FAIL, "the job may fail (allow_failure)", mapping(place).at("allow_failure")
    # GitLab lets a manual job fail by default, and goes on without it.
    if text(body, "when") == "manual" and not is_false(body.get("allow_failure")):
        return model.ALLOWED_TO_FAIL, "nobody has to start the job (when: manual)", body.at("when")
    return None


def _image(job: PipelineJob, body: YamlMapping) -> Iterator[Finding]:
    image = body.get("image")
    name = image if isinstance(image, str) else text(image, "name")
    if name and not IMAGE_PIN.search(name):
        message = f"runs in the image {printable(name, 100)}, which is not pinned by digest"
        yield job.finding(model.UNPINNED, body.at("image"), "image", message)


def _child(
    files: Files[str, list[Any]], item: _GitLabJob, reading: PipelineReading, wishes: Wishes, nesting: int
) -> None:
    """A job that starts another pipeline: one of the same tree is read, one of another project is a gap."""
    trigger = item.body.get("trigger")
    if trigger is None:
        return
    job = item.job
    include = mapping(trigger).get("include")
    for entry in include if isinstance(include, list) else [include]:
        local = (entry if isinstance(entry, str) else text(entry, "local")).lstrip("/")
        # GitLab resolves a child pipeline from the same commit, so that its file is part of what is judged.
        if local in files and nesting < _MAX_NESTING:
            inside = _read(files, local, reading, wishes, f"{job.name}/", set(job.requires), nesting + 1)
            # Without it, the triggering job succeeds as soon as the other pipeline is created.
            if text(trigger, "strategy") == "depend":
                job.requires |= inside
        elif not job.deploys and job.name not in wishes.exempt:
            reason = f"job {job.name} starts a pipeline that is not in the tree"
            reading.gap(job.path, job.line, reason, "read it there, then name the job with --exempt or --deploys")


def _explain(item: _GitLabJob, known: dict[str, _GitLabJob]) -> None:
    """Say of a job with `needs` that it leaves out a gate which its stage would have waited for."""
    if "needs" not in item.body or item.body["needs"] == []:
        return
    for other in known.values():
        if other.job.gates and 0 <= other.stage < item.stage and other.job.name not in item.needed:
            message = f"its needs leave out {other.job.name}, which its stage would have waited for"
            item.job.cuts.append(item.job.finding(model.UNWAITING, item.body.at("needs"), other.job.name, message))
