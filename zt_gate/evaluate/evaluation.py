"""One evaluation, from the frozen copy to the predicates that are signed; they record every failure on the way."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zt_gate import __version__
from zt_gate.domain import Digest
from zt_gate.errors import ToolError, UsageError
from zt_gate.evaluate.adapters.declaration import Declaration
from zt_gate.evaluate.adapters.kinds import KINDS
from zt_gate.evaluate.adapters.recognise import Recognised, recognise
from zt_gate.evaluate.attack import Attacker
from zt_gate.evaluate.backdoor_check import Search, Training, look_for_backdoors, nothing_ran, trigger_pictures
from zt_gate.evaluate.data import LAST_CODE_POINT, declared_for, prepared, read_test_set
from zt_gate.evaluate.journal import Journal
from zt_gate.evaluate.remote import OutOfMemoryError, Patience, RemoteModel, TroubleError, UnmeasuredError
from zt_gate.evaluate.robustness_check import EvaluationJob, measure
from zt_gate.evaluate.sample import pack
from zt_gate.evaluate.sandbox.confine import SandboxBounds
from zt_gate.evaluate.sandbox.parent import Level, Sandbox
from zt_gate.evaluate.sandbox.start import device_files
from zt_gate.evaluate.stopping_rule import Aim
from zt_gate.evaluate.tally import Tally
from zt_gate.intake import Frozen
from zt_gate.rulings.amounts import parse_amount
from zt_gate.rulings.attacks import STRENGTH, withstood_plan
from zt_gate.rulings.robustness_ruling import MIN_SAMPLES, Thresholds
from zt_gate.rulings.sandbox_levels import LEAST, reaches

if TYPE_CHECKING:
    from zt_gate.evaluate.sandbox.wire import Array

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """What is to be done, and with what."""

    checks: tuple[str, ...]
    ticket: dict[str, Any]
    """How the statement names its ticket."""
    data: Path
    data_digest: Digest
    seed: str
    plan: Mapping[str, Any]
    """By check, what the policy requires, from the ticket."""
    out: Path
    journal_key: bytes
    """Authenticates the journal in `out`; kept where nobody who can write there reads it."""
    declared: Declaration | None = None
    approved: Mapping[str, Any] | None = None
    """Predicate of the approved release's statement, which allows an early stop."""
    device: str = "cpu"
    batch: int = 128
    samples: int = 2000
    seconds: float = float("inf")
    threads: int = 1
    memory: int = 12 << 30
    curve: bool = True
    smoothing: float | None = None
    """Standard deviation of noise, to certify by votes for information."""
    patience: Patience = field(default_factory=Patience)
    training: Path | None = None
    """What the model was trained on, for detectors of poisoned samples."""


@dataclass(slots=True)
class Evaluation:
    """The result of an evaluation."""

    frame: dict[str, Any]
    """What the predicates of all checks have in common."""
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[dict[str, str]] = field(default_factory=list)
    unmeasured: list[str] = field(default_factory=list)
    least: float | None = None
    """The robust accuracy that is asked for, for pictures."""
    triggers: Mapping[str, Array] = field(default_factory=dict)
    """Recovered triggers, `(channels, height, width)` each, for pictures; the worker's word."""

    def predicate(self, check: str) -> dict[str, Any]:
        """Return the predicate of one check's statement."""
        said = {"problems": self.problems, "unmeasured": self.unmeasured}
        return {**self.frame, **said, **self.results.get(check, {})}


def evaluate(
    frozen: Frozen, settings: EvaluationSettings, reference: Frozen | None, progress: Callable[[str], None]
) -> Evaluation:
    """Evaluate a release whose static checks passed.

    Args:
        frozen: the private copy.
        settings: what is to be done.
        reference: an approved release, scanned as well, for detectors that compare.
        progress: called with a line for people.

    Raises:
        UsageError: the data are not the ticket's, or the policy does not let such a model be loaded.
        EvidenceError: data or declaration cannot be used.
        ToolError: there is no sandbox that is good enough, or a file cannot be written.
    """
    started = datetime.now(UTC)
    test = read_test_set(settings.data)
    # Otherwise a runner could bring samples that suit the model.
    if test.digest != settings.data_digest:
        raise UsageError("the data are not those that the ticket names", "use the file that the ticket was made for")
    found = recognise(frozen, settings.declared)
    _permit(found, settings)
    declared = declared_for(test, found.declared)
    x = prepared(test, declared)
    training = None if settings.training is None else Training.read(settings.training, declared)
    if frozen.root is None:
        raise UsageError("a model is evaluated from a private copy", "freeze the target by copying it")
    progress("sandbox")
    devices = tuple(device_files()) if settings.device != "cpu" else ()
    if settings.device != "cpu" and not devices:
        raise ToolError(f"there is no GPU for --device {settings.device}", "use --device cpu, or a runner with one")
    bounds = SandboxBounds(memory=settings.memory, threads=settings.threads, devices=devices)
    with Sandbox(frozen.root, bounds, also=[reference.root] if reference and reference.root else []) as sandbox:
        _check_level(sandbox.level, settings)
        frame = _frame(settings, test.digest, found, declared, sandbox.level, started)
        whole = Evaluation(frame, least=_number(settings.plan.get("robustness", {}).get("least")))
        if found.unmeasured:
            whole.unmeasured.append(found.unmeasured)
        walk = _EvaluationWalk(settings, sandbox, found, declared, whole, progress, training)
        walk.go(frozen.root, frozen.digest, x, test.y, reference)
    frame["finishedOn"] = datetime.now(UTC).strftime(_FORMAT)
    return whole


@dataclass(slots=True)
class _EvaluationWalk:
    """The checks, one after the other, until the model gives reason to stop."""

    settings: EvaluationSettings
    sandbox: Sandbox
    found: Recognised
    declared: Declaration
    whole: Evaluation
    progress: Callable[[str], None]
    training: Training | None

    def go(self, root: Path, subject: Digest, x: Array, y: Array, reference: Frozen | None) -> None:
        """Do it all; what goes wrong with the model is part of the result."""
        settings, frame = self.settings, self.whole.frame
        try:
            self.progress("load the model")
            model = RemoteModel(
                self.sandbox,
                self.found.kind,
                root / self.found.path,
                self.declared,
                device=settings.device,
                patience=settings.patience,
                checks=settings.checks,
            )
            frame["environment"]["versions"] = model.versions
            frame["model"]["differentiable"] = model.differentiable
            if "robustness" in settings.checks:
                self._robustness(model, subject, x, y)
            if "backdoor" in settings.checks:
                self._backdoor(model, x, y, reference)
        except TroubleError as error:
            self.whole.problems.append({"rule": error.rule, "message": error.message})
        except UnmeasuredError as error:
            self.whole.unmeasured.append(str(error))
        # A small runner is not the model's fault. It blocks all the same: what was not measured is incomplete.
        except OutOfMemoryError as error:
            self.whole.unmeasured.append(f"not enough memory: {error}; try --memory, or a smaller --batch")

    def _robustness(self, model: RemoteModel, subject: Digest, x: Array, y: Array) -> None:
        if self.declared.task == "text" and self.declared.high < LAST_CODE_POINT:
            self.whole.unmeasured.append("words are attacked in texts, and the data are numbers of tokens")
            return
        job = job_of(self.settings, self.declared, x.shape[0])
        journal = Journal(
            self.settings.out / "journal.jsonl", self._run(subject, model, job), self.settings.journal_key
        )
        try:
            tally = measure(model, x, y, job, journal, self.progress)
        finally:
            journal.close()
        if not tally.parts:
            self.whole.unmeasured.append("the budget was used up before anything was attacked")
            return
        if tally.lacking:
            self.whole.unmeasured.append(tally.lacking)
        if self.settings.plan["robustness"].get("corruption_drop") and self.declared.task != "image":
            self.whole.unmeasured.append("corruptions are tried on images, and these are none")
        self.whole.results["robustness"] = {"robustness": tally.statement(job.attacker), **_stored(tally)}

    def _run(self, subject: Digest, model: RemoteModel, job: EvaluationJob) -> dict[str, Any]:
        """Return everything that the numbers of robustness depend on, as JSON without floating-point numbers."""
        declared = json.dumps(self.declared.to_json(), sort_keys=True).encode()
        return {
            # What is missing here may change between the run that began a journal and the run that continues it.
            "subject": str(subject),
            "ticket": self.settings.ticket,
            "model": {"kind": self.found.kind, "path": self.found.path, "declaration": str(Digest.of(declared))},
            "plan": str(Digest.of(json.dumps(self.settings.plan, sort_keys=True, default=str).encode())),
            "data": str(self.settings.data_digest),
            "seed": self.settings.seed,
            "samples": job.most,
            "batch": job.batch,
            "device": self.settings.device,
            "threads": self.settings.threads,
            "version": __version__,
            "versions": model.versions,
        }

    def _backdoor(self, model: RemoteModel, x: Array, y: Array, reference: Frozen | None) -> None:
        other = None
        if reference is not None and reference.root is not None:
            other = (reference.root, recognise(reference, self.settings.declared))
        budget = self.settings.plan.get("backdoor", {}).get("budget") or {}
        search = Search(self.settings.seed, budget, self.declared, other, self.training)
        report, self.whole.triggers = look_for_backdoors(model, x, y, search, self.progress)
        drawn = trigger_pictures(self.whole.triggers, x[0], self.declared) if self.declared.task == "image" else {}
        trained = {} if self.training is None else {"training": self.training.to_json()}
        self.whole.results["backdoor"] = {"backdoor": report, "triggers": drawn, **trained}
        if why := nothing_ran(report):
            self.whole.unmeasured.append(why)


def _permit(found: Recognised, settings: EvaluationSettings) -> None:
    """Refuse what would be unpickled, unless every check's policy says that it may be."""
    # Every check's policy is asked, since the model is loaded once and for all of them.
    if KINDS[found.kind].pickle and not all(settings.plan[check].get("pickle") for check in settings.checks):
        raise UsageError(
            f"the model is a {found.kind}, and the policy does not let anything be unpickled",
            "release it as safetensors, ONNX or skops; or set `pickle: true` in the policy and ask for a new ticket",
        )


def _check_level(level: Level, settings: EvaluationSettings) -> None:
    for check in settings.checks:
        least = settings.plan[check].get("sandbox") or LEAST
        if not reaches(level.name, least):
            missing = "; ".join(f"{name}: {why}" for name, why in level.layers.items() if name.startswith("no "))
            reason = f" ({missing})" if missing else ""
            raise ToolError(
                f"the sandbox reaches the level {level.name} here, and the policy asks for {least}{reason}",
                "use a runner with Landlock and seccomp (Linux 5.13 or later); docs/evaluate.md, Sandbox",
            )


def _frame(
    settings: EvaluationSettings,
    data: Digest,
    found: Recognised,
    declared: Declaration,
    level: Level,
    started: datetime,
) -> dict[str, Any]:
    return {
        "ticket": settings.ticket,
        "data": {"digest": {"sha256": data.hex}},
        "seed": settings.seed,
        "startedOn": started.strftime(_FORMAT),
        "finishedOn": started.strftime(_FORMAT),
        "environment": {"zt-gate": __version__, "device": settings.device, "threads": settings.threads, "versions": {}},
        "sandbox": {"level": level.name, "layers": dict(level.layers)},
        "model": {
            "kind": found.kind,
            "path": found.path,
            "declaration": declared.to_json(),
            "differentiable": False,
        },
    }


def job_of(settings: EvaluationSettings, declared: Declaration, population: int) -> EvaluationJob:
    """Return what is measured by a ticket's plan.

    Raises:
        UsageError: the policy does not say what the attacker may do.
    """
    plan = settings.plan["robustness"]
    threat = plan.get("threat")
    if threat is None:
        raise UsageError("the policy does not say what the attacker may do", "add `threat:`, and ask for a new ticket")
    attacker = Attacker(
        threat["norm"],
        parse_amount(threat["eps"]),
        # As declared, and not as the policy says: the gate compares, and a wider range would make any eps harmless.
        declared.low,
        declared.high,
        plan.get("strength") or STRENGTH,
        declared if declared.constraints else None,
    )
    said = [plan.get(name) for name in ("least", "worst_class", "drop", "corruption_drop", "alpha")]
    asked = Thresholds.of(*(parse_amount(item) if item else None for item in said))
    aim = Aim(
        alpha=asked.alpha,
        min_samples=plan.get("min_samples") or MIN_SAMPLES,
        population=population,
        classes=declared.classes,
        least=asked.least,
        worst_class=asked.worst_class,
        drop=asked.drop,
        approved=_approved(settings.approved),
        corruption_drop=asked.corruption_drop if declared.task == "image" else None,
    )
    # With fewer samples than the policy asks for, the answer could only be incomplete.
    most = min(max(settings.samples, aim.min_samples), population)
    smoothing = None if declared.task == "text" else settings.smoothing
    return EvaluationJob(
        settings.seed, attacker, aim, settings.batch, most, settings.seconds, settings.curve, smoothing
    )


def _approved(predicate: Mapping[str, Any] | None) -> dict[int, bool] | None:
    if predicate is None:
        return None
    try:
        value = predicate["robustness"]
        first = int(value["confirmed"]["from"])
        pairs = zip(value["order"], value["codes"], strict=True)
        return {int(number): withstood_plan(code, first) for number, code in pairs}
    except (KeyError, TypeError, ValueError):
        raise UsageError("the approved release's statement is malformed", "name what zt-gate evaluate wrote") from None


def _number(text: Any) -> float | None:
    return None if text is None else float(parse_amount(text))


def _stored(tally: Tally) -> dict[str, Any]:
    sample = tally.kept()
    if sample is None:
        return {}
    data = pack(sample)
    return {"sample": {"digest": {"sha256": Digest.of(data).hex}, "npz": base64.b64encode(data).decode()}}
