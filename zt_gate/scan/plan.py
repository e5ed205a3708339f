"""Which static checks exist, and how they are run: each on its own, none able to take the others down."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from zt_gate.domain import Evidence, Gap, printable
from zt_gate.errors import ZtGateError
from zt_gate.intake import Frozen
from zt_gate.scan.interface import Check


def _artifacts() -> Check:
    from zt_gate.scan.artifacts.check import ArtifactCheck

    return ArtifactCheck()


def _code() -> Check:
    from zt_gate.scan.code.check import CodeCheck

    return CodeCheck()


def _modelscan() -> Check:
    from zt_gate.scan.engines.modelscan_engine import ModelscanCheck

    return ModelscanCheck()


CHECKS: dict[str, Callable[[], Check]] = {"artifacts": _artifacts, "code": _code, "modelscan": _modelscan}
"""Every static check by id. Each is imported only when a policy asks for it."""


def run_checks(frozen: Frozen, ids: Iterable[str], progress: Callable[[str], None]) -> list[Evidence]:
    """Run the named checks on a frozen target.

    A check that is unknown, cannot be loaded or raises is evidence too: it is incomplete, and it says why.

    Args:
        frozen: the target.
        ids: check ids, such as a stage names them.
        progress: called with each check's id before it runs.
    """
    evidence = []
    for name in sorted(set(ids)):
        progress(name)
        evidence.append(_run(frozen, name))
    return evidence


def _run(frozen: Frozen, name: str) -> Evidence:
    digest = frozen.subject.digest
    factory = CHECKS.get(name)
    if factory is None:
        return Evidence.missing(name, digest, "there is no such check", f"known checks: {', '.join(sorted(CHECKS))}")
    try:
        return factory().run(frozen)
    except ZtGateError as error:
        gap = Gap(reason=error.message, fix=error.advice)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong inside a check, the subject was not examined
        detail = printable(f"{type(error).__name__}: {error}")
        gap = Gap(reason=f"stopped by an error: {detail}", fix="report it with the file that caused it")
    return Evidence.of(name, "", digest, gaps=[gap])
