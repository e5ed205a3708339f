"""Run stored adversarial inputs again, in a child process that loads the model in a sandbox.

The gate itself imports nothing that loads models. It hands the frozen copy and the stored inputs to a child, and gets
two numbers back. The child has a deadline, and limits of memory, processor time and output like every other.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zt_gate.domain import Digest, printable
from zt_gate.intake import Frozen
from zt_gate.isolation.child_process import run_module
from zt_gate.isolation.limits import WorkerLimits
from zt_gate.isolation.supervise import Failure, FailureKind

SECONDS = 600
_WORKER = "zt_gate.evaluate.replay"
_MEMORY = 12 << 30
"""Bytes of address space, of the child as of the sandbox that it starts: what a sandbox has by default."""
_MAX_ANSWER = 1 << 16
_SCRATCH = 64 << 20
"""Bytes of a file that the sandbox may write, however small the model is."""
_SILENT = "the process that loads the model gave no answer"


@dataclass(frozen=True, slots=True)
class Replayed:
    """Result of a replay."""

    tried: int = 0
    held: int = 0
    """How many of the inputs the model answers as the statement says."""
    problem: str = ""
    """Why nothing could be replayed, for people."""


Replay = Callable[[bytes, dict[str, Any]], Replayed]
"""Runs a stored sample against the model that a statement describes."""


def replayer(frozen: Frozen, *, scanned: bool) -> Replay:
    """Return a function that runs stored inputs against the frozen copy.

    Args:
        frozen: the subject.
        scanned: whether the static checks passed. A model that did not pass them is never loaded.
    """
    # Several statements may carry the same sample, and every replay loads the model in a new sandbox.
    known: dict[bytes, Replayed] = {}

    def replay(sample: bytes, model: dict[str, Any]) -> Replayed:
        if not scanned:
            return Replayed(problem="the static checks did not pass, so the model is not loaded")
        key = sample + json.dumps(model, sort_keys=True).encode()
        if key not in known:
            with frozen.materialise(frozen.files) as root:
                largest = max((file.size for file in frozen.files.values()), default=0)
                known[key] = _ask(root, frozen.digest, sample, model, _limits(largest))
        return known[key]

    return replay


def _limits(largest: int) -> WorkerLimits:
    """Return what the child may use; it makes a copy of each file, the largest among them."""
    return WorkerLimits(
        wall_seconds=SECONDS,
        cpu_seconds=4 * SECONDS,
        memory=_MEMORY,
        answer=_MAX_ANSWER,
        file=max(largest, _SCRATCH),
    )


def _ask(root: Path, subject: Digest, sample: bytes, model: dict[str, Any], limits: WorkerLimits) -> Replayed:
    request = {
        "root": str(root),
        "subject": subject.hex,
        "sample": base64.b64encode(sample).decode("ascii"),
        "model": model,
    }
    # Two variables only: the child loads the model, and a CI job's environment holds tokens.
    answer = run_module(_WORKER, request, limits, inherit=("PATH", "LANG"))
    if isinstance(answer, Failure):
        late = answer.kind is FailureKind.TIMEOUT
        return Replayed(problem=f"it took more than {SECONDS} seconds" if late else _SILENT)
    tried, held, problem = (answer.value.get(name) for name in ("tried", "held", "problem"))
    # Exact types, since True is an int as well and the child has run a model that nobody trusts yet.
    if type(tried) is not int or type(held) is not int or not isinstance(problem, str) or not 0 <= held <= tried:
        return Replayed(problem=_SILENT)
    return Replayed(tried, held, printable(problem, 200))
