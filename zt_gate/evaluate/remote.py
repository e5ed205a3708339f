"""A model in a worker, as its parent sees it: every answer is checked before anybody counts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zt_gate.domain import printable
from zt_gate.evaluate.adapters.declaration import Declaration
from zt_gate.evaluate.sandbox.parent import Sandbox, WorkerError

if TYPE_CHECKING:
    from zt_gate.evaluate.sandbox.wire import Array

_PREPARE_SECONDS = 180.0
_RELATIVE, _ABSOLUTE = 1e-3, 1e-4


class TroubleError(Exception):
    """The model did what no release may do; the run ends, and the statement says so.

    Args:
        rule: id of the rule.
        message: what happened, for people.
    """

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"{rule}: {message}")
        self.rule = rule
        self.message = message


class UnmeasuredError(Exception):
    """The model could not be measured here, and nothing shows that this is the model's fault."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a worker may take, in seconds."""

    load: float = 300.0
    answer: float = 120.0
    job: float = 3600.0
    """For an attack or a detector on one batch."""


class RemoteModel:
    """Loads one model in a sandbox and asks it. A sandbox serves one model."""

    def __init__(
        self,
        sandbox: Sandbox,
        kind: str,
        path: Path,
        declared: Declaration,
        *,
        device: str,
        patience: Patience,
        checks: Sequence[str] = (),
    ) -> None:
        """Load it.

        Args:
            sandbox: a worker that has not been asked anything.
            kind: key of `zt_gate.evaluate.adapters.kinds.KINDS`.
            path: the file or folder, inside the frozen copy.
            declared: task and inputs.
            device: such as `cpu` or `cuda`.
            patience: how long anything may take.
            checks: what it will be asked for, so that libraries are warm before code of the model runs.

        Raises:
            TroubleError: it tried what it must not, or gave no answer.
            UnmeasuredError: nothing here can load it.
        """
        self.sandbox = sandbox
        self.declared = declared
        self._patience = patience
        self.versions: dict[str, str] = self._ask(
            {"op": "prepare", "kind": kind, "checks": list(checks)}, {}, _PREPARE_SECONDS
        )[0]["versions"]
        # Not earlier: what libraries do at their first use was done by `prepare`, and is not held against the model.
        sandbox.watch()
        self.differentiable = self._load(kind, path, declared, device, "model")
        self._kind, self._device = kind, device

    def compare_with(self, kind: str, path: Path, declared: Declaration) -> None:
        """Load an approved release of the same kind into the same worker, for detectors that compare.

        Raises:
            TroubleError: it tried what it must not.
            UnmeasuredError: it is of another kind, or cannot be loaded as it is declared.
        """
        if kind != self._kind:
            raise UnmeasuredError(f"the approved release is of the kind {kind}, and this one {self._kind}")
        try:
            self._load(kind, path, declared, self._device, "reference")
        except TroubleError as error:
            # An approved release that does not load is no fault of the candidate's. A forbidden act is one in any case.
            if error.rule != "EVL-106":
                raise
            raise UnmeasuredError(f"the approved release cannot be loaded: {error.message}") from None

    def _load(self, kind: str, path: Path, declared: Declaration, device: str, slot: str) -> bool:
        question = {"op": "load", "kind": kind, "path": str(path), "declaration": declared.to_json(), "device": device}
        question["slot"] = slot
        facts = self._ask(question, {}, self._patience.load)[0]["adapter"]
        if facts["classes"] != declared.classes or tuple(facts["inputs"]["shape"]) != declared.shape:
            raise TroubleError("EVL-106", "the worker loaded another model than it was asked to")
        # Anything else that a worker says means no gradients, which a policy has to allow.
        return facts["differentiable"] is True

    def logits(self, batch: Array) -> Array:
        """Return scores of shape `(n, classes)`, float32, all finite.

        Raises:
            TroubleError: another shape, NaN or infinity, a forbidden act, or no answer.
        """
        _, tensors = self._ask({"op": "logits"}, {"x": batch}, self._patience.answer)
        scores = tensors.get("logits")
        expected = (len(batch), self.declared.classes)
        if scores is None or scores.shape != expected or scores.dtype != np.float32:
            shown = "nothing" if scores is None else f"{scores.dtype} of shape {scores.shape}"
            raise TroubleError("EVL-102", f"the model returned {shown} for a batch whose scores have shape {expected}")
        if not np.isfinite(scores).all():
            bad = int((~np.isfinite(scores)).any(axis=1).sum())
            raise TroubleError("EVL-101", f"the model returned NaN or infinity for {bad} of {len(batch)} inputs")
        return scores

    def examine(self, batch: Array) -> Array:
        """Return scores of a batch after looking whether the model can be measured at all.

        Raises:
            TroubleError: as `logits`; or it answers differently each time, or with probabilities.
        """
        first, second = self.logits(batch), self.logits(batch)
        if not np.allclose(first, second, rtol=_RELATIVE, atol=_ABSOLUTE):
            moved = int((first.argmax(axis=1) != second.argmax(axis=1)).sum())
            raise TroubleError(
                "EVL-104", f"the same {len(batch)} inputs got other scores, {moved} of them another class"
            )
        shares = first.min() >= 0 and np.allclose(first.sum(axis=1), 1, atol=1e-3)
        if shares and self.declared.output == "logits" and self.differentiable:
            raise TroubleError("EVL-103", "the model returns probabilities, and logits were declared")
        return first

    def run(self, head: dict[str, Any], tensors: Mapping[str, Array]) -> tuple[dict[str, Any], Mapping[str, Array]]:
        """Let the worker do a longer job, and return what it claims.

        Raises:
            TroubleError: a forbidden act, or no answer.
            OutOfMemoryError: it needs more memory than it may have; nothing is wrong with the model for that.
        """
        return self._ask(head, tensors, self._patience.job)

    def _ask(
        self, head: dict[str, Any], tensors: Mapping[str, Array], seconds: float
    ) -> tuple[dict[str, Any], Mapping[str, Array]]:
        try:
            answer = self.sandbox.ask(head, tensors, seconds=seconds)
        except WorkerError as error:
            self._check_violations()
            if error.kind == "tripped":
                raise TroubleError("EVL-105", f"it tried what no model needs: {error.text}") from None
            if error.kind == "unsupported":
                raise UnmeasuredError(error.text) from None
            if error.kind == "memory":
                raise OutOfMemoryError(error.text) from None
            why = f"after {seconds:.0f} s: {error.text}" if error.kind == "time" else error.text
            raise TroubleError("EVL-106", f"no answer to {head['op']}: {why}") from None
        self._check_violations()
        return answer.head, answer.tensors

    def _check_violations(self) -> None:
        if self.sandbox.violations:
            shown = "; ".join(printable(item, 100) for item in self.sandbox.violations[:3])
            raise TroubleError("EVL-105", f"it tried what no model needs: {shown}")


class OutOfMemoryError(Exception):
    """A smaller batch may do."""
