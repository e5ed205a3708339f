"""The jobs of a worker: load a model, return its scores, attack it. Every answer is only a claim.

Attacks are imported by the job that needs them. They import torch, whose import a sandbox may interfere with; `prepare`
imports it first and reports what fails as a missing package, and not as the model's fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from zt_gate.domain import printable
from zt_gate.evaluate.adapters.declaration import Declaration
from zt_gate.evaluate.adapters.kinds import KINDS, UnsupportedError
from zt_gate.evaluate.sandbox.confine import SandboxBounds
from zt_gate.evaluate.sandbox.tripwire import arm
from zt_gate.evaluate.sandbox.wire import Message
from zt_gate.evaluate.warmup import warm
from zt_gate.rulings.attacks import MISCLASSIFIED

if TYPE_CHECKING:
    from torch import Tensor

    from zt_gate.evaluate.adapters.adapter import Adapter
    from zt_gate.evaluate.sandbox.wire import Array


class Jobs:
    """Answers questions, one after the other."""

    def __init__(self, bounds: SandboxBounds, events: int) -> None:
        self._bounds = bounds
        self._events = events
        self._adapter: Adapter | None = None
        self._reference: Adapter | None = None
        self._declared: Declaration | None = None
        self._armed = False

    def answer(self, message: Message) -> Message:
        """Do what is asked; whatever goes wrong is an answer, too."""
        jobs: dict[str, Callable[[Message], Message]] = {
            "prepare": self._prepare,
            "load": self._load,
            "logits": self._logits,
            "flags": self._flags,
            "attack": self._attack,
            "corruptions": self._corruptions,
            "certify": self._certify,
            "backdoor": self._backdoor,
            "training_data": self._training_data,
        }
        try:
            return jobs[message.head["op"]](message)
        except UnsupportedError as error:
            return _error("unsupported", str(error))
        except MemoryError:
            return _error("memory", "it needs more memory than its limit")
        except Exception as error:  # noqa: BLE001 - whatever a hostile model provokes is an answer that says so
            kind = "memory" if "out of memory" in str(error).lower() or "allocate" in str(error).lower() else "raised"
            return _error(kind, f"{type(error).__name__}: {_brief(error)}")

    def _prepare(self, message: Message) -> Message:
        """Import what a kind of model needs. Nothing of the model has run, so what is denied is nobody's fault."""
        import torch

        torch.set_num_threads(self._bounds.threads)
        torch.manual_seed(0)
        versions = KINDS[message.head["kind"]].prepare()
        warm(message.head["checks"])
        return Message({"versions": versions})

    def _load(self, message: Message) -> Message:
        head = message.head
        kind, declared = KINDS[head["kind"]], Declaration.from_json(head["declaration"])
        # Once only: an armed tripwire ends the process that adds another audit hook.
        if not self._armed:
            arm(self._events, self._bounds.scratch, kind.tolerated)
            self._armed = True
        adapter = kind.load(head["path"], declared, head["device"])
        if head.get("slot") == "reference":
            self._reference = adapter
        else:
            self._adapter, self._declared = adapter, declared
        if declared.constraints:
            adapter.differentiable = False  # gradients ignore the constraints
        facts = {name: getattr(adapter, name) for name in ("task", "classes", "differentiable")}
        return Message({"adapter": facts | {"inputs": asdict(adapter.inputs)}})

    def _logits(self, message: Message) -> Message:
        import torch

        adapter = self._loaded()
        with torch.no_grad():
            scores = adapter.logits(self._tensor(message.tensors["x"]))
        return Message({}, {"logits": _plain(scores)})

    def _flags(self, message: Message) -> Message:
        from zt_gate.evaluate.searches import flags

        head, x, y = message.head, self._tensor(message.tensors["x"]), self._tensor(message.tensors["y"])
        found = flags(self._loaded(), x, y, head["norm"], head["eps"], head["seed"])
        return Message({"raised": list(found.raised), "measures": found.measures, "samples": found.samples})

    def _attack(self, message: Message) -> Message:
        from zt_gate.evaluate.searches import attack

        head, x, y = message.head, self._tensor(message.tensors["x"]), self._tensor(message.tensors["y"])
        how = (head["norm"], head["eps"], head["plan"], head["seed"], head["done"])
        found = attack(self._loaded(), x, y, *how, self._declared)
        said = {"stages": list(found.stages), "forwards": found.forwards, "unconfirmed": found.unconfirmed}
        codes = found.fooled_by.masked_fill(~found.correct, MISCLASSIFIED)
        return Message(said, {"codes": codes.cpu().numpy(), "adversarial": _plain(found.adversarial)})

    def _corruptions(self, message: Message) -> Message:
        from zt_gate.evaluate.robustness import withstands_corruption

        x, y = self._tensor(message.tensors["x"]), self._tensor(message.tensors["y"])
        right = withstands_corruption(self._loaded(), x, y, message.head["seed"])
        return Message({}, {"right": right.byte().cpu().numpy()})

    def _certify(self, message: Message) -> Message:
        import torch

        from zt_gate.evaluate.robustness import certify

        head, x = message.head, self._tensor(message.tensors["x"])
        found = certify(self._loaded(), x, head["sigma"], head["seed"], votes=head["votes"], alpha=head["alpha"])
        guesses, radii = torch.tensor([item.guess for item in found]), torch.tensor([item.radius for item in found])
        return Message({}, {"guess": guesses.numpy(), "radius": radii.float().numpy()})

    def _backdoor(self, message: Message) -> Message:
        from zt_gate.evaluate.backdoor import SearchBudget, examine

        x, y = self._tensor(message.tensors["x"]), self._tensor(message.tensors["y"])
        budget = SearchBudget(**message.head["budget"])
        report = examine(self._loaded(), x, y, self._reference, budget, message.head["seed"])
        return Message({"report": report.to_json()}, {name: _plain(item) for name, item in report.tensors.items()})

    def _training_data(self, message: Message) -> Message:
        from zt_gate.evaluate.backdoor.training_data import examine_training_data

        x, y = self._tensor(message.tensors["x"]), self._tensor(message.tensors["y"])
        return Message({"detector": examine_training_data(self._loaded(), x, y).to_json()})

    def _loaded(self) -> Adapter:
        if self._adapter is None:
            raise UnsupportedError("no model is loaded")
        return self._adapter

    def _tensor(self, array: Array) -> Tensor:
        import torch

        return torch.from_numpy(array.copy()).to(self._loaded().device)


def _plain(tensor: Tensor) -> Array:
    # The parent expects float32, and NumPy has no bfloat16.
    array: Any = tensor.detach().float().cpu().numpy()
    return array  # type: ignore[no-any-return]  # numpy's own stubs say Any


def _brief(error: Exception) -> str:
    """Return what an error says; of one that tells a whole way to it, as TorchScript's do, the last line."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    return lines[-1] if any("Traceback" in line for line in lines) else "\n".join(lines)


def _error(kind: str, text: str) -> Message:
    return Message({"error": {"kind": kind, "text": printable(text, 400)}})
