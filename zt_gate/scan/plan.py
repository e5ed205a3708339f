"""Which static checks exist, and how they are run: each on its own, none able to take the others down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from zt_gate.domain import Evidence, Gap, printable
from zt_gate.errors import ZtGateError
from zt_gate.intake import Frozen
from zt_gate.scan.interface import Check
from zt_gate.scan.masked import masked

if TYPE_CHECKING:
    from zt_gate.scan.cache import ExaminationCache


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
ENGINES = ("modelscan", "picklescan", "fickling", "modelaudit", "unpickler")
"""Second opinions, by check id: other people's scanners, and CPython's own unpickler."""
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

    A check that is unknown, cannot be loaded or raises is evidence too: it is incomplete, and it says why.

    Args:
        frozen: the target.
        ids: check ids, such as a stage names them.
        progress: called with each check's id before it runs.
        cache: what earlier runs found out about single files; None where every file is to be examined.
        prepared: checks by id that the caller made, since they need something of the operator's.
    """
    evidence = []
    for name in sorted(set(ids)):
        progress(name)
        made = (prepared or {}).get(name)
        evidence.append(masked(_run(frozen, name, _given(made) if made else CHECKS.get(name), cache)))
    return evidence


def _given(check: Check) -> Factory:
    return lambda _: check


def _run(frozen: Frozen, name: str, factory: Factory | None, cache: ExaminationCache | None) -> Evidence:
    digest = frozen.subject.digest
    if factory is None:
        return Evidence.missing(name, digest, "there is no such check", f"known checks: {', '.join(sorted(CHECKS))}")
    try:
        return factory(cache).run(frozen)
    except ZtGateError as error:
        gap = Gap(reason=error.message, fix=error.advice)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong inside a check, the subject was not examined
        detail = printable(f"{type(error).__name__}: {error}")
        gap = Gap(reason=f"stopped by an error: {detail}", fix="report it with the file that caused it")
    return Evidence.of(name, "", digest, gaps=[gap])
