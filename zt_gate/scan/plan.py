"""Which static checks exist, and how they are run: each on its own, none able to take the others down."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from zt_gate.domain import Evidence, Gap, printable
from zt_gate.errors import ZtGateError
from zt_gate.intake import Frozen
from zt_gate.scan.interface import Check

if TYPE_CHECKING:
    from zt_gate.scan.cache import ExaminationCache


def _artifacts(cache: ExaminationCache | None) -> Check:
    from zt_gate.scan.artifacts.check import ArtifactCheck

    return ArtifactCheck(cache)


def _code(_cache: ExaminationCache | None) -> Check:
    from zt_gate.scan.code.check import CodeCheck

    return CodeCheck()


def _modelscan(_cache: ExaminationCache | None) -> Check:
    from zt_gate.scan.engines.modelscan_engine import ModelscanCheck

    return ModelscanCheck()


Factory = Callable[["ExaminationCache | None"], Check]
CHECKS: dict[str, Factory] = {"artifacts": _artifacts, "code": _code, "modelscan": _modelscan}
"""Every static check by id. Each is imported only when a policy asks for it."""


def run_checks(
    frozen: Frozen, ids: Iterable[str], progress: Callable[[str], None], cache: ExaminationCache | None = None
) -> list[Evidence]:
    """Run the named checks on a frozen target.

    A check that is unknown, cannot be loaded or raises is evidence too: it is incomplete, and it says why.

    Args:
        frozen: the target.
        ids: check ids, such as a stage names them.
        progress: called with each check's id before it runs.
        cache: what earlier runs found out about single files; None where every file is to be examined.
    """
    evidence = []
    for name in sorted(set(ids)):
        progress(name)
        evidence.append(_run(frozen, name, cache))
    return evidence


def _run(frozen: Frozen, name: str, cache: ExaminationCache | None) -> Evidence:
    digest = frozen.subject.digest
    factory = CHECKS.get(name)
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
