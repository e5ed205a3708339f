"""What a worker can be asked: to load a model, for its scores, to attack it. Every answer is only a claim."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from zt_gate.domain import printable
from zt_gate.evaluate.adapters.declaration import Declaration
from zt_gate.evaluate.adapters.kinds import KINDS, UnsupportedError
from zt_gate.evaluate.sandbox.confine import Bounds
from zt_gate.evaluate.sandbox.tripwire import arm
from zt_gate.evaluate.sandbox.wire import Message

if TYPE_CHECKING:
    from torch import Tensor

    from zt_gate.evaluate.adapters.adapter import Adapter
    from zt_gate.evaluate.sandbox.wire import Array


class Jobs:
    """Answers questions, one after the other."""

    def __init__(self, bounds: Bounds, events: int) -> None:
        self._bounds = bounds
        self._events = events
        self._adapter: Adapter | None = None

    def answer(self, message: Message) -> Message:
        """Do what is asked; whatever goes wrong is an answer, too."""
        jobs: dict[str, Callable[[Message], Message]] = {
            "prepare": self._prepare,
            "load": self._load,
            "logits": self._logits,
        }
        try:
            return jobs[message.head["op"]](message)
        except UnsupportedError as error:
            return _error("unsupported", str(error))
        except MemoryError:
            return _error("memory", "it needs more memory than its limit")
        except Exception as error:  # noqa: BLE001 - whatever a hostile model provokes is an answer that says so
            kind = "memory" if "out of memory" in str(error).lower() or "allocate" in str(error).lower() else "raised"
            return _error(kind, f"{type(error).__name__}: {error}")

    def _prepare(self, message: Message) -> Message:
        """Import what a kind of model needs. Nothing of the model has run, so what is denied is nobody's fault."""
        import torch

        torch.set_num_threads(self._bounds.threads)
        torch.manual_seed(0)
        return Message({"versions": KINDS[message.head["kind"]].prepare()})

    def _load(self, message: Message) -> Message:
        head = message.head
        kind, declared = KINDS[head["kind"]], Declaration.from_json(head["declaration"])
        arm(self._events, self._bounds.scratch, kind.tolerated)
        self._adapter = kind.load(head["path"], declared, head["device"])
        facts = {name: getattr(self._adapter, name) for name in ("task", "classes", "differentiable")}
        return Message({"adapter": facts | {"inputs": asdict(self._adapter.inputs)}})

    def _logits(self, message: Message) -> Message:
        import torch

        adapter = self._loaded()
        with torch.no_grad():
            scores = adapter.logits(self._tensor(message.tensors["x"]))
        return Message({}, {"logits": _plain(scores)})

    def _loaded(self) -> Adapter:
        if self._adapter is None:
            raise UnsupportedError("no model is loaded")
        return self._adapter

    def _tensor(self, array: Array) -> Tensor:
        import torch

        return torch.from_numpy(array.copy()).to(self._loaded().device)


def _plain(tensor: Tensor) -> Array:
    array: Any = tensor.detach().float().cpu().numpy()
    return array  # type: ignore[no-any-return]  # numpy's own stubs say Any


def _error(kind: str, text: str) -> Message:
    return Message({"error": {"kind": kind, "text": printable(text, 400)}})
