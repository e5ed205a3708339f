"""Declarative Jenkinsfiles: stages in their order, what each does, and what swallows a failure.

Source: jenkins.io/doc/book/pipeline/syntax. A stage that fails ends the pipeline; a stage that `when` skips does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from zt_gate.domain import Finding, printable
from zt_gate.pipelines import model
from zt_gate.pipelines.gates import DEPLOYING_NAME, act_of, policy_of
from zt_gate.pipelines.github_steps import IMAGE_PIN
from zt_gate.pipelines.groovy import GroovyStatement, parse
from zt_gate.pipelines.model import JobStep, PipelineJob, PipelineReading, Wishes, finding
from zt_gate.pipelines.prove import before
from zt_gate.pipelines.shell import commands

_OURS = ("ztGate", "ztAdmit")
_WRAPPERS = frozenset(
    {"script", "timeout", "withEnv", "withCredentials", "dir", "node", "container", "ansiColor", "timestamps", "lock",
     "retry", "sshagent", "ws", "wrap", "configFileProvider", "docker.image", "docker.withRegistry", "tool", "throttle"}
)  # fmt: skip
"""Steps that run what they hold, once at least, and pass its failure on."""
_SWALLOWS = frozenset({"catchError", "warnError"})
_BRANCHES = frozenset({"if", "else", "for", "while", "switch", "do", "each", "times"})
_UNREAD = frozenset({"bat", "powershell", "pwsh", "load", "evaluate", "parallel", "Jenkins.instance"})
_QUIET = frozenset(
    {"echo", "checkout", "git", "stash", "unstash", "archiveArtifacts", "junit", "recordIssues", "cleanWs", "deleteDir",
     "sleep", "def", "writeFile", "readFile", "error", "milestone", "input", "emailext", "slackSend", "fingerprint",
     "copyArtifacts", "readJSON", "currentBuild.result", "String", "env", "step", "return", "unstable"}
)  # fmt: skip
_AFTER_SUCCESS = frozenset({"success"})
_ELSEWHERE = re.compile(r"pack:|/|\$\{?(?:HOME|WORKSPACE_TMP|JENKINS_HOME|ZT_GATE_POLICY)|~")
_LIBRARY_PIN = re.compile(r"@[0-9a-f]{40}$")


@dataclass(slots=True)
class _Jenkinsfile:
    path: str
    reading: PipelineReading
    wishes: Wishes
    names: set[str] = field(default_factory=set)
    jobs: dict[str, PipelineJob] = field(default_factory=dict)
    sometimes: dict[str, tuple[str, PipelineJob]] = field(default_factory=dict)
    """Gates that `when` may skip: that text, and the job that stands for the gate where it runs."""


@dataclass(frozen=True, slots=True)
class _Context:
    """What stands around a stage."""

    requires: frozenset[str] = frozenset()
    prefix: str = ""
    when: str = ""
    """Every `when` around it, as text that can be compared."""


def read_jenkins(path: str, data: bytes, reading: PipelineReading, wishes: Wishes) -> None:
    """Read one Jenkinsfile.

    Raises:
        ValueError: it cannot be read.
    """
    statements = parse(data)
    file = _Jenkinsfile(path, reading, wishes)
    top = [statement for statement in statements if statement.name == "pipeline" and statement.blocks]
    for statement in statements:
        if statement in top:
            continue
        if statement.name in ("@Library", "library"):
            reading.findings += _libraries(path, statement)
        elif statement.blocks or statement.name not in ("import", "_", "def", "@Field", "package"):
            reading.gap(path, statement.line, "something beside the declarative pipeline, which is not read")
    if len(top) != 1:
        reading.gap(path, 0, "there is no declarative pipeline in it", "write it as pipeline { … }")
        return
    _pipeline(file, top[0].block)


def _libraries(path: str, statement: GroovyStatement) -> Iterator[Finding]:
    for token in statement.tokens:
        if token.kind == "string" and not _LIBRARY_PIN.search(token.text):
            message = f"the library {printable(token.text, 100)} is not pinned to a commit"
            yield finding(model.UNPINNED, path, token.line, f"library {printable(token.text, 100)}", message)


def _pipeline(file: _Jenkinsfile, body: list[GroovyStatement]) -> None:
    done: set[str] = set()
    for statement in body:
        if statement.name == "stages":
            done = _sequence(file, statement.block, _Context())
        elif statement.name == "agent":
            file.reading.findings += _image(PipelineJob(file.path, "pipeline", statement.line), statement)
    for statement in body:
        if statement.name == "post":
            _post(file, statement, "pipeline", frozenset(), _Context(), frozenset(done))


def _sequence(file: _Jenkinsfile, statements: list[GroovyStatement], context: _Context) -> set[str]:
    """Read stages that follow each other; return those without whose success none after them starts."""
    done: set[str] = set()
    for statement in statements:
        if statement.name == "stage":
            done.add(_stage(file, statement, replace(context, requires=context.requires | done)))
        elif statement.name in ("matrix", "parallel"):
            done |= _side_by_side(file, statement, context)
    return done


def _side_by_side(file: _Jenkinsfile, statement: GroovyStatement, context: _Context) -> set[str]:
    """Read stages that run at the same time, or once for each cell of a matrix."""
    if statement.name == "matrix":
        excluded = [item for item in statement.block if item.name in ("when", "excludes")]
        inside = next((item.block for item in statement.block if item.name == "stages"), [])
        more = "".join(item.source() for item in excluded)
        return _sequence(file, inside, replace(context, when=context.when + more))
    return {_stage(file, item, context) for item in statement.block if item.name == "stage"}


def _stage(file: _Jenkinsfile, statement: GroovyStatement, context: _Context) -> str:
    """Read one stage and return its name among the jobs."""
    title = statement.string or "?"
    name = _unique(file, f"{context.prefix}{printable(title, 80)}")
    body = statement.block
    when = "".join(item.source() for item in body if item.name == "when")
    job = PipelineJob(file.path, name, statement.line, requires=set(context.requires))
    inner = _Context(context.requires, f"{name}/", context.when + when)
    if title in file.wishes.deploys:
        job.deploys = "the operator says so"
    elif DEPLOYING_NAME.search(title):
        job.deploys = "its name says so"
    nested = [item for item in body if item.name in ("stages", "parallel", "matrix")]
    for item in nested:
        job.deploys = ""  # what it holds is judged by itself
        job.requires |= (_sequence if item.name == "stages" else _blocks)(file, _inside(item), inner)
    for item in body:
        if item.name == "agent":
            file.reading.findings += _image(job, item)
    acts = [act for item in body if item.name == "steps" for act in _steps(file, job, item.block, "", "")]
    job.assess(acts)
    if title in file.wishes.exempt:
        job.deploys = ""
    _depend_on_presence(file, job, inner.when)
    file.reading.jobs.append(job)
    for item in body:
        if item.name == "post":
            _post(file, item, name, context.requires, inner, frozenset({name}))
    return name


def _inside(item: GroovyStatement) -> list[GroovyStatement]:
    return item.block if item.name == "stages" else [item]


def _blocks(file: _Jenkinsfile, statements: list[GroovyStatement], context: _Context) -> set[str]:
    return {name for statement in statements for name in _side_by_side(file, statement, context)}


def _unique(file: _Jenkinsfile, name: str) -> str:
    wanted, number = name, 1
    while name in file.names:
        number += 1
        name = f"{wanted}#{number}"
    file.names.add(name)
    return name


def _depend_on_presence(file: _Jenkinsfile, job: PipelineJob, when: str) -> None:
    """A gate that `when` may skip counts only for what the same `when` would skip, too."""
    if job.gates and when:
        job.gates = False
        twin = PipelineJob(job.path, f"{job.name} (where it runs)", job.line, gates=True)
        file.sometimes[job.name] = (when, twin)
        file.reading.jobs.append(twin)
    file.jobs[job.name] = job
    if not job.deploys:
        return
    for name in sorted(before(job, file.jobs)):
        if name not in file.sometimes:
            continue
        held, twin = file.sometimes[name]
        if when.startswith(held):
            job.requires.add(twin.name)
        else:
            message = f"waits for {name}, which its when may skip while this stage still runs"
            job.cuts.append(job.finding(model.SKIPPABLE, job.line, name, message))


def _steps(
    file: _Jenkinsfile, job: PipelineJob, statements: list[GroovyStatement], rule: str, flaw: str
) -> Iterator[JobStep]:
    """Yield what steps do.

    Args:
        file: the Jenkinsfile.
        job: the stage.
        statements: its steps.
        rule: where what stands around them makes a gate worthless: the rule that says so.
        flaw: why it does.
    """
    for statement in statements:
        name = statement.name
        if step := next((step for step in _OURS if _calls(statement, step)), ""):
            yield from _ours(statement, rule, flaw, step)
        elif _calls(statement, "sh"):
            yield from _shell(file, job, statement, rule, flaw)
        elif name in _UNREAD or (name == "build" and job.name not in file.wishes.exempt):
            reason = f"the step {name} of stage {job.name} is not read"
            file.reading.gap(job.path, statement.line, reason, "use sh, or name the stage with --exempt or --deploys")
        elif DEPLOYING_NAME.search(re.sub(r"([a-z])([A-Z])", r"\1 \2", name)):
            yield JobStep(statement.line, printable(name, 60), deploys=True)
        elif not statement.blocks and name not in _QUIET:
            yield JobStep(statement.line, printable(name or "an expression", 60))
        inner_rule, inner_flaw = _around(statement, rule, flaw)
        for block in statement.blocks:
            yield from _steps(file, job, block, inner_rule, inner_flaw)


def _calls(statement: GroovyStatement, step: str) -> bool:
    """Whether a statement calls a step, perhaps to keep what it returns."""
    words = [token.text for token in statement.tokens if token.kind == "word"]
    before_call = statement.tokens[: next((i for i, token in enumerate(statement.tokens) if token.text == step), 0)]
    plain = all(token.kind == "word" or token.text in ("=", "return") for token in before_call)
    return (
        step in words
        and plain
        and next((token.kind == "word" for token in statement.tokens if token.text == step), False)
    )


def _around(statement: GroovyStatement, rule: str, flaw: str) -> tuple[str, str]:
    """Return what a statement does to a gate in its block."""
    name = statement.name
    if flaw or name in _WRAPPERS:
        return rule, flaw
    if name in _SWALLOWS:
        return model.ALLOWED_TO_FAIL, f"stands in {name}, which lets the pipeline go on"
    if name == "try" or any(token.text == "catch" for token in statement.tokens):
        return model.EXIT_LOST, "stands in a try, which may swallow its failure"
    if name in _BRANCHES:
        return model.SKIPPABLE, f"stands in {name}, which may skip it"
    return model.SKIPPABLE, f"stands in {printable(name, 40) or 'a block'}, of which it is not known whether it runs"


def _ours(statement: GroovyStatement, rule: str, flaw: str, step: str) -> Iterator[JobStep]:
    yield JobStep(statement.line, step, gate=True, rule=rule, flaw=flaw)


def _shell(file: _Jenkinsfile, job: PipelineJob, statement: GroovyStatement, rule: str, flaw: str) -> Iterator[JobStep]:
    script = statement.named("script")
    token = script or next((item for item in statement.tokens if item.kind == "string"), None)
    words = {item.text for item in statement.tokens if item.kind == "operator"}
    # A script that Groovy puts together is only known when it runs.
    if token is None or token.kind != "string" or "+" in words:
        reason = f"a shell script of stage {job.name} is not written out"
        file.reading.gap(job.path, statement.line, reason, "write it as one string")
        return
    # With returnStatus, sh returns the exit code in place of failing the step.
    if not flaw and statement.named("returnStatus") is not None:
        rule, flaw = model.EXIT_LOST, "runs with returnStatus, which keeps its failure from ending the stage"
    try:
        found = commands(token.text, statement.line)
    except ValueError as error:
        file.reading.gap(job.path, statement.line, f"a script of stage {job.name} cannot be read: {error}")
        return
    written = {path for command in found if command.words[:2] == ("git", "show") for path in command.writes}
    for command in found:
        act = act_of(command)
        if act.gate and (policy := policy_of(command.words)) and policy not in written:
            _policy(file, job, policy, statement.line)
        yield replace(act, rule=act.rule or rule, flaw=act.flaw or flaw) if act.gate else act


def _policy(file: _Jenkinsfile, job: PipelineJob, policy: str, line: int) -> None:
    if not _ELSEWHERE.match(policy):
        message = f"reads the policy {printable(policy, 80)} from the branch that it judges"
        file.reading.findings.append(job.finding(model.POLICY, line, "policy", message))


def _post(
    file: _Jenkinsfile,
    statement: GroovyStatement,
    owner: str,
    requires: frozenset[str],
    context: _Context,
    done: frozenset[str],
) -> None:
    """What runs afterwards. Only `success` waits for the success of what is `done`; a gate there comes too late."""
    for item in statement.block:
        name = _unique(file, f"{owner}/post {printable(item.name, 30)}")
        job = PipelineJob(file.path, name, item.line, requires=set(requires))
        acts = list(_steps(file, job, item.block, model.EXIT_LOST, "stands in post, where it stops no stage"))
        # Only `success` waits for success: always, unsuccessful, cleanup and others may run after a failure.
        if item.name in _AFTER_SUCCESS:
            job.requires |= done
        else:
            message = f"deploys in post {printable(item.name, 30)}, which runs after a failure, too"
            job.cuts.append(job.finding(model.RUNS_ANYWAY, item.line, "post", message))
        job.assess(acts)
        _depend_on_presence(file, job, context.when)
        file.reading.jobs.append(job)


def _image(job: PipelineJob, statement: GroovyStatement) -> Iterator[Finding]:
    """PIP-201 for the image of an agent."""
    for block in statement.blocks:
        for item in block:
            inner = next((each.string for each in item.block if each.name == "image"), "")
            image = (inner or item.string) if item.name == "docker" else ""
            if image and not IMAGE_PIN.search(image):
                message = f"runs in the image {printable(image, 100)}, which is not pinned by digest"
                yield job.finding(model.UNPINNED, item.line, "image", message)
