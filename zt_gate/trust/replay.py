"""Trying stored adversarial inputs again: in a process of its own, which loads the model in a sandbox.

The gate itself imports nothing that loads models. It hands the frozen copy and the stored inputs to a child, and gets
two numbers back.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import Digest, printable
from zt_gate.intake import Frozen

SECONDS = 600
_MAX_ANSWER = 1 << 16


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of it."""

    tried: int = 0
    held: int = 0
    """How many of them the model answers as the statement says."""
    problem: str = ""
    """Why nothing could be tried, for people."""


Replay = Callable[[bytes, dict[str, Any]], Replayed]
"""Tries a stored sample on the model that a statement describes."""


def replayer(frozen: Frozen, *, scanned: bool) -> Replay:
    """Return what tries stored inputs on the frozen copy.

    Args:
        frozen: the subject.
        scanned: whether the static checks passed. What did not pass them is never loaded.
    """
    known: dict[bytes, Replayed] = {}

    def replay(sample: bytes, model: dict[str, Any]) -> Replayed:
        if not scanned:
            return Replayed(problem="the static checks did not pass, so the model is not loaded")
        key = sample + json.dumps(model, sort_keys=True).encode()
        if key not in known:
            with frozen.materialise(frozen.files) as root:
                known[key] = _ask(root, frozen.digest, sample, model)
        return known[key]

    return replay


def _ask(root: Path, subject: Digest, sample: bytes, model: dict[str, Any]) -> Replayed:
    head = json.dumps({"root": str(root), "subject": subject.hex, "sample": len(sample), "model": model}).encode()
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-B", "-m", "zt_gate.evaluate.replay"],
            input=head + b"\n" + sample,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            cwd="/",
            env={name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ},
        )
        answer = parse_json(done.stdout[:_MAX_ANSWER])
        tried, held, problem = answer["tried"], answer["held"], answer["problem"]
    except subprocess.TimeoutExpired:
        return Replayed(problem=f"it took more than {SECONDS} seconds")
    except (OSError, ValueError, KeyError, TypeError):
        return Replayed(problem="the process that loads the model gave no answer")
    if type(tried) is not int or type(held) is not int or not isinstance(problem, str) or not 0 <= held <= tried:
        return Replayed(problem="the process that loads the model gave no answer")
    return Replayed(tried, held, printable(problem, 200))
