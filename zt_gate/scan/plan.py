"""Which static checks exist, and how they are run: each on its own, none able to take the others down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from zt_gate.domain import Evidence, Gap, Notes, printable
from zt_gate.errors import UsageError, ZtGateError
from zt_gate.intake import Frozen
from zt_gate.isolation.limits import WorkerLimits
from zt_gate.log import info
from zt_gate.policy.model import Stage
from zt_gate.scan.engines import ENGINES
from zt_gate.scan.examination import AskingCheck, ask_all
from zt_gate.scan.interface import Check
from zt_gate.scan.redaction import masked
from zt_gate.scan.warmup import warm_up

if TYPE_CHECKING:
    from zt_gate.scan.cache import ExaminationCache

T = TypeVar("T")


def _artifacts(cache: ExaminationCache | None) -> Check:
    from zt_gate.scan.artifacts.check import ArtifactCheck

    return ArtifactCheck(cache)


def _code(_cache: ExaminationCache | None) -> Check:
    from zt_gate.scan.code.check import CodeCheck

    return CodeCheck()


def _secrets(_cache: ExaminationCache | None) -> Check:
    from zt_gate.scan.secrets.check import SecretsCheck

    return SecretsCheck()


def _dependencies(_cache: ExaminationCache | None) -> Check:
    from zt_gate.scan.dependencies.check import DependencyCheck

    return DependencyCheck()


def _vulnerabilities(_cache: ExaminationCache | None) -> Check:
    from zt_gate.scan.dependencies.vulnerabilities import VulnerabilityCheck

    return VulnerabilityCheck(None)


def _deploy(_cache: ExaminationCache | None) -> Check:
    from zt_gate.scan.deploy.check import DeployCheck

    return DeployCheck()


def _sarif(_cache: ExaminationCache | None) -> Check:
    from zt_gate.scan.engines.sarif import SarifCheck

    return SarifCheck()


def _engine(name: str) -> Factory:
    def make(_cache: ExaminationCache | None) -> Check:
        from zt_gate.scan.engines.table import ENGINES

        return ENGINES[name]()

    return make


Factory = Callable[["ExaminationCache | None"], Check]
CHECKS: dict[str, Factory] = {
    "artifacts": _artifacts,
    "code": _code,
    "dependencies": _dependencies,
    "deploy": _deploy,
    "sarif": _sarif,
    "secrets": _secrets,
    "vulnerabilities": _vulnerabilities,
} | {name: _engine(name) for name in ENGINES}
"""Every static check by id. Each is imported only when a policy asks for it."""


def run_checks(
    frozen: Frozen,
    ids: Iterable[str],
    progress: Callable[[str], None],
    cache: ExaminationCache | None = None,
    prepared: Mapping[str, Check] | None = None,
) -> list[Evidence]:
    """Run the named checks on a frozen target.

    A check that is unknown, cannot be loaded or raises is evidence too: it is incomplete, and it says why. One worker
    answers all checks that only ask, and nothing waits for the subject's digest before it has.

    Args:
        frozen: the target.
        ids: check ids, such as a stage names them.
        progress: called with each check's id before it runs.
        cache: what earlier runs found out about single files; None where every file is to be examined.
        prepared: checks by id that the caller made, since they need something of the operator's.

    Raises:
        TargetError, ToolError: the target could not be hashed; see `Frozen.subject`.
    """
    made = {name: _attempt(partial(_make, name, prepared or {}, cache)) for name in sorted(set(ids))}
    for name in made:
        progress(name)
    answers = _ask(frozen, made)
    done = _run_beside(frozen, {name: check for name, check in made.items() if name not in answers})
    return _settle(frozen, done, answers)


def _ask(frozen: Frozen, made: Mapping[str, Check | Gap | None]) -> dict[str, tuple[AskingCheck, list[Notes] | Gap]]:
    """Have one worker answer all that the asking checks want to know; what cannot be asked is a gap."""
    asking = {name: check for name, check in made.items() if isinstance(check, AskingCheck)}
    warm_up({name: partial(CHECKS[name], None) for name in asking if name in CHECKS}, frozen.files)
    asked = {name: _attempt(partial(check.questions, frozen)) for name, check in asking.items()}
    every = [item for part in asked.values() if not isinstance(part, Gap) for item in part]
    largest = max((file.size for file in frozen.files.values()), default=0)
    notes = iter(ask_all(every, WorkerLimits.of(largest)))
    return {
        name: (asking[name], part if isinstance(part, Gap) else [next(notes) for _ in part])
        for name, part in asked.items()
    }


def _run_beside(frozen: Frozen, made: Mapping[str, Check | Gap | None]) -> dict[str, Evidence | Gap]:
    """Run the checks that do their own work. The files may still be hashed meanwhile: nothing waits for the digest."""
    return {name: _attempt(partial(_run, frozen, name, check)) for name, check in made.items()}


def _settle(
    frozen: Frozen,
    done: Mapping[str, Evidence | Gap],
    answers: Mapping[str, tuple[AskingCheck, list[Notes] | Gap]],
) -> list[Evidence]:
    """Make evidence of all answers, which waits for the subject's digest, in the order of the ids."""
    settled = {
        name: part if isinstance(part, Gap) else _attempt(partial(check.answered, frozen, part))
        for name, (check, part) in answers.items()
    }
    evidence = [masked(_evidence(frozen, name, result)) for name, result in sorted({**done, **settled}.items())]
    for item in evidence:
        info(__name__, "%s: %s, %d findings, %d gaps", item.check, item.status, len(item.findings), len(item.gaps))
    return evidence


def _make(name: str, prepared: Mapping[str, Check], cache: ExaminationCache | None) -> Check | None:
    factory = CHECKS.get(name)
    return prepared.get(name) or (None if factory is None else factory(cache))


def _run(frozen: Frozen, name: str, check: Check | Gap | None) -> Evidence | Gap:
    if check is None:
        known = f"known checks: {', '.join(sorted(CHECKS))}"
        return Evidence.missing(name, frozen.subject.digest, "there is no such check", known)
    return check if isinstance(check, Gap) else check.run(frozen)


def _attempt(work: Callable[[], T]) -> T | Gap:
    """Do a part of a check's work; where it fails, the gap says why."""
    try:
        return work()
    except ZtGateError as error:
        return Gap(reason=error.message, fix=error.advice)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong inside a check, the subject was not examined
        detail = printable(f"{type(error).__name__}: {error}")
        return Gap(reason=f"stopped by an error: {detail}", fix="report it with the file that caused it")


def _evidence(frozen: Frozen, name: str, result: Evidence | Gap) -> Evidence:
    return result if isinstance(result, Evidence) else Evidence.of(name, "", frozen.subject.digest, gaps=[result])


def prepare(name: str, stage: Stage, osv: Path | None, sarif: Sequence[Path], now: datetime) -> dict[str, Check]:
    """Make the checks that read a vulnerability list or SARIF files.

    Args:
        name: of the stage, for messages.
        stage: what it asks for.
        osv: a copy of the OSV database, for the check `vulnerabilities`.
        sarif: files of other scanners, for the check `sarif`.
        now: when it is judged.

    Raises:
        UsageError: the stage asks for no such check, so the files would have no effect.
        EvidenceError: a file cannot be read.
    """
    prepared: dict[str, Check] = {}
    if osv is not None:
        if "vulnerabilities" not in stage.weights:
            problem = f"stage {name} does not ask for the check vulnerabilities, so --osv would have no effect"
            raise UsageError(problem, "add `vulnerabilities: required` to the stage's checks in the policy")
        from zt_gate.scan.dependencies.vulnerabilities import MAX_AGE_DAYS, OsvCopy, VulnerabilityCheck

        days = MAX_AGE_DAYS if stage.osv_max_age_days is None else stage.osv_max_age_days
        prepared["vulnerabilities"] = VulnerabilityCheck(OsvCopy(osv, now, days))
    if sarif:
        if "sarif" not in stage.weights:
            problem = f"stage {name} does not ask for the check sarif, so a SARIF file would count for nothing"
            raise UsageError(problem, "add `sarif: opinion` to the stage's checks in the policy")
        from zt_gate.scan.engines.sarif import SarifCheck, read_sarif

        prepared["sarif"] = SarifCheck([read_sarif(path) for path in sarif])
    return prepared
