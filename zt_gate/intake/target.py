"""A target as users name it, frozen: fetched first where MLflow keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from zt_gate.domain import printable
from zt_gate.intake.frozen import Freeze, Frozen, freeze
from zt_gate.intake.hash_cache import HashMemory
from zt_gate.intake.limits import Limits
from zt_gate.intake.remote import fetched, remote_uri


@contextmanager
def frozen_target(
    targets: Sequence[Path],
    mode: Freeze,
    limits: Limits,
    *,
    fast: bool = False,
    memory: HashMemory | None = None,
    into: Path | None = None,
    base: Path | None = None,
) -> Iterator[Frozen]:
    """Freeze paths and URIs of MLflow; the arguments are those of `freeze`. Downloads are gone at the end.

    Raises:
        TargetError: a path or URI leads nowhere, or the target exceeds the limits.
        ToolError: this machine lacks disk space, BLAKE3, or MLflow for a target of its own.
    """
    with (
        fetched(targets) as local,
        freeze(local, mode, limits, fast=fast, memory=memory, into=into, base=base) as frozen,
    ):
        if len(targets) == 1 and (uri := remote_uri(targets[0])) is not None:
            frozen.name = printable(uri)
        yield frozen
