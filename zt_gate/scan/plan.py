"""Which static checks exist, and how they are run: each on its own, none able to take the others down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from zt_gate.domain import Evidence, Gap, printable
from zt_gate.errors import ZtGateError
from zt_gate.intake import Frozen
from zt_gate.scan.engines import ENGINES
from zt_gate.scan.interface import Check
from zt_gate.scan.isolation import Limits
from zt_gate.scan.masked import masked
from zt_gate.scan.question import AskingCheck, ask_all

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
    asking = {name: check for name, check in made.items() if isinstance(check, AskingCheck)}
    asked = {name: _attempt(partial(check.questions, frozen)) for name, check in asking.items()}
    limits = Limits.of(max((file.size for file in frozen.files.values()), default=0))
    notes = iter(ask_all((item for part in asked.values() if not isinstance(part, Gap) for item in part), limits))
    answers = {name: part if isinstance(part, Gap) else [next(notes) for _ in part] for name, part in asked.items()}
    # Before the answers are judged, which waits for the digest, other checks may do their own work beside the hashing.
    done = {name: _attempt(partial(_run, frozen, name, check)) for name, check in made.items() if name not in asking}
    for name, check in asking.items():
        part = answers[name]
        done[name] = part if isinstance(part, Gap) else _attempt(partial(check.answered, frozen, part))
    return [masked(_evidence(frozen, name, result)) for name, result in sorted(done.items())]


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
