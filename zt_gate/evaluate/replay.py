"""Asks a model about stored inputs again: started by a gate, which imports nothing that loads models.

It is asked with the stored inputs, and answers with two numbers and a sentence.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import numpy as np

from zt_gate.domain import printable
from zt_gate.errors import ZtGateError
from zt_gate.evaluate.adapters.declaration import Declaration
from zt_gate.evaluate.adapters.recognise import recognise
from zt_gate.evaluate.attack import Attacker
from zt_gate.evaluate.remote import OutOfMemoryError, Patience, RemoteModel, TroubleError, UnmeasuredError
from zt_gate.evaluate.sample import Sample, unpack
from zt_gate.evaluate.sandbox.parent import Sandbox
from zt_gate.intake import Freeze, freeze
from zt_gate.isolation.serve import serve
from zt_gate.rulings.amounts import parse_amount
from zt_gate.rulings.attacks import MISCLASSIFIED

INPUTS = 32
_PATIENCE = Patience(load=200.0, answer=100.0)


def handle(request: dict[str, Any]) -> dict[str, Any]:
    """Answer one question; see `zt_gate.trust.replay`."""
    # Where the gate is root, the sandbox is another user, who has to pass through our private folder to reach its own
    # copy. Names in it are random, and it cannot be listed.
    os.chmod(os.environ["TMPDIR"], 0o711)  # noqa: S103 - for passing through
    try:
        data = base64.b64decode(request["sample"], validate=True)
        tried, held = replay(Path(request["root"]), request["subject"], data, request["model"])
        problem = ""
    except (ZtGateError, TroubleError, UnmeasuredError, OutOfMemoryError, ValueError, KeyError) as error:
        tried, held, problem = 0, 0, printable(str(error), 200)
    return {"tried": tried, "held": held, "problem": problem}


def replay(root: Path, subject: str, data: bytes, said: dict[str, Any]) -> tuple[int, int]:
    """Ask a model about stored inputs.

    Args:
        root: the frozen copy.
        subject: its digest, hexadecimal.
        data: an `.npz` that `zt_gate.evaluate.sample.pack` wrote.
        said: what the statement says about the model, `kind`, `path` and `declaration`, and about the attacker,
            `threat`.

    Returns:
        How many inputs were tried, and how many of them are answered as the statement says, within the budget and the
        constraints that it names.

    Raises:
        ValueError: the sample, the declaration or the copy is another.
        ZtGateError: there is no sandbox, or nothing that can be loaded.
        TroubleError: the model does what none may do.
        UnmeasuredError: it cannot be loaded here.
    """
    declared, sample = Declaration.from_json(said["declaration"]), unpack(data)
    sample = sample.rows(np.arange(min(INPUTS, len(sample))))
    if sample.x.shape[1:] != declared.shape:
        raise ValueError("the stored inputs have another shape than is declared")
    # A copy of its own, since the worker's user is let at it, and the gate watches its copy for changes.
    with freeze([root], Freeze.COPY) as frozen:
        if frozen.digest.hex != subject or frozen.root is None:
            raise ValueError("the copy is not the subject")
        found = recognise(frozen, declared)
        if found.kind != said["kind"]:
            raise ValueError(f"the release is of the kind {found.kind}, and the statement says another")
        if found.path != said["path"]:
            raise ValueError(f"the model is {printable(found.path, 60)}, and the statement says another file")
        with Sandbox(frozen.root) as sandbox:
            if sandbox.level.name not in ("kernel", "namespaces"):
                raise ValueError(f"the sandbox reaches the level {sandbox.level.name} only")
            path = frozen.root / found.path
            model = RemoteModel(sandbox, found.kind, path, declared, device="cpu", patience=_PATIENCE)
            allowed = _attacker(said["threat"], declared).allowed(sample.x, sample.adversarial)
            return len(sample), int((_held(model, sample) & allowed).sum())


def _attacker(threat: dict[str, Any], declared: Declaration) -> Attacker:
    table = declared if declared.constraints else None
    return Attacker(threat["norm"], parse_amount(threat["eps"]), threat["low"], threat["high"], "", table)


def _held(model: RemoteModel, sample: Sample) -> Any:
    """Return for each input whether the model answers as the statement says, before and after the attack."""
    clean = model.logits(sample.x).argmax(axis=1) == sample.label
    after = model.logits(sample.adversarial).argmax(axis=1) == sample.label
    as_said = clean == (sample.code != MISCLASSIFIED)
    return as_said & np.where(sample.code >= 0, ~after, True)


if __name__ == "__main__":
    serve(handle, alone=False)
