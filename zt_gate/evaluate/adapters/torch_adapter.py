"""Models that PyTorch runs: bare weights with declared layers, TorchScript, exported programs, pickled modules."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
from torch import Tensor, nn

from zt_gate.domain import printable
from zt_gate.evaluate.adapters.architecture import Network, before_last, build_network, last_layer, layer_kinds
from zt_gate.evaluate.adapters.kinds import UnsupportedError

if TYPE_CHECKING:
    from zt_gate.evaluate.adapters.declaration import Declaration

_LEAST_PROBABILITY = 1e-12


class TorchAdapter:
    """A differentiable model; see `zt_gate.evaluate.adapters.adapter.Adapter`."""

    def __init__(self, model: Callable[[Tensor], Any], declared: Declaration, device: str) -> None:
        """Wrap a model that is in evaluation mode, on the device, and whose parameters need no gradients."""
        self.task = declared.task
        self.classes = declared.classes
        self.inputs = declared.inputs
        self.differentiable = True
        self.device = device
        self._model = model
        self._probabilities = declared.output == "probabilities"
        wide = (1, -1) if declared.task == "tabular" else (1, -1, *(1,) * (len(declared.shape) - 1))
        given = zip(declared.least, declared.greatest, strict=True)
        spans = [greatest - least for least, greatest in given]
        self._offset = _constant(declared.mean, wide, device) if declared.mean else None
        self._scale = _constant(declared.std, wide, device) if declared.std else None
        self._least = _constant(declared.least, wide, device) if declared.least else None
        self._span = _constant(spans, wide, device) if spans else None

    def logits(self, batch: Tensor) -> Tensor:
        """Return scores; see the protocol."""
        return self.scored(self._model(self.prepared(batch)))

    def scored(self, output: Any) -> Tensor:
        """Return what the model returned as scores.

        Raises:
            TypeError: it is no tensor.
        """
        if isinstance(output, (tuple, list)) and len(output) == 1:
            output = output[0]
        if not isinstance(output, Tensor):
            raise TypeError(f"the model returned {type(output).__name__}, no tensor")
        return output.float().clamp_min(_LEAST_PROBABILITY).log() if self._probabilities else output.float()

    def features(self, batch: Tensor) -> Tensor | None:
        """Return what the final linear layer sees; see the protocol."""
        if self.final_linear() is None or not isinstance(self._model, Network):
            return None
        return before_last(self._model, self.prepared(batch)).float()

    def final_linear(self) -> tuple[Tensor, Tensor] | None:
        """Return the final linear layer; see the protocol."""
        last = last_layer(self._model) if isinstance(self._model, Network) else None
        if not isinstance(last, nn.Linear):
            return None
        bias: Tensor | None = last.bias
        if bias is None:
            bias = torch.zeros(last.out_features, device=self.device)
        return last.weight.detach().float(), bias.detach().float()

    def layer_kinds(self) -> tuple[str, ...]:
        """Return of what kinds of layers the network is made; see the protocol."""
        return layer_kinds(self._model)

    def prepared(self, batch: Tensor) -> Tensor:
        """Return a batch as the model wants it: columns scaled back, channels normalised."""
        if self._least is not None and self._span is not None:
            batch = self._least + batch * self._span
        if self._offset is not None and self._scale is not None:
            batch = (batch - self._offset) / self._scale
        return batch


def _constant(values: Any, shape: tuple[int, ...], device: str) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float32, device=device).reshape(shape)


def ready(module: nn.Module, device: str) -> nn.Module:
    """Return a module in evaluation mode, on the device, whose parameters need no gradients."""
    for parameter in module.parameters():
        parameter.requires_grad = False
    return module.eval().to(device)


def _adapted(model: nn.Module, declared: Declaration, device: str) -> TorchAdapter:
    if declared.task != "text":
        return TorchAdapter(model, declared, device)
    from zt_gate.evaluate.adapters.text_adapter import text_adapter

    return text_adapter(model, declared, device)


def load_state(path: str, declared: Declaration, device: str) -> TorchAdapter:
    """Load bare weights: safetensors, or a checkpoint that `weights_only` accepts.

    Raises:
        ValueError: the declaration names no layers, or the weights do not fit them.
        UnsupportedError: a checkpoint holds several models.
    """
    if not declared.layers:
        raise ValueError("bare weights need declared layers")
    if path.endswith(".safetensors"):
        from safetensors.torch import load_file

        weights = load_file(path, device="cpu")
    else:
        weights = only_weights(torch.load(path, map_location="cpu", weights_only=True))
    return _adapted(ready(build_network(declared.layers, weights), device), declared, device)


def only_weights(checkpoint: Any) -> dict[str, Tensor]:
    """Return the weights in a checkpoint: all of it, or its only entry that could be a model.

    Whoever serves a checkpoint with both `state_dict` and `ema` may take either, so none of them is measured.

    Raises:
        UnsupportedError: several entries could be a model, or none is one.
    """
    if _are_weights(checkpoint):
        return checkpoint
    entries = checkpoint if isinstance(checkpoint, dict) else {}
    models = {name: entry for name, entry in entries.items() if _holds_tensors(entry) and not _is_optimizer(entry)}
    if len(models) > 1:
        names = ", ".join(sorted(printable(str(name), 40) for name in models)[:4])
        raise UnsupportedError(
            f"the checkpoint has {len(models)} entries that could be the model ({names}); save the weights alone"
        )
    name, weights = next(iter(models.items()), ("", None))
    if not _are_weights(weights):
        place = f"the entry {printable(str(name), 40)} of the checkpoint" if models else "the checkpoint"
        raise UnsupportedError(f"{place} is no mapping from names to tensors; save the weights alone")
    return weights


def _are_weights(value: Any) -> TypeGuard[dict[str, Tensor]]:
    named = isinstance(value, dict) and all(isinstance(name, str) for name in value)
    return named and bool(value) and all(isinstance(item, Tensor) for item in value.values())


def _holds_tensors(value: Any) -> bool:
    """Whether there are tensors anywhere in a checkpoint's entry; what nobody knows counts as one."""
    if isinstance(value, dict):
        return any(_holds_tensors(part) for item in value.items() for part in item)
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(map(_holds_tensors, value))
    return not isinstance(value, (str, bytes, int, float, complex, type(None), torch.device, torch.dtype, torch.Size))


def _is_optimizer(value: Any) -> bool:
    """Whether an entry is what `Optimizer.state_dict` returns, or a list of these: numbers, and no weights by name."""
    if isinstance(value, list) and value:
        return all(map(_is_optimizer, value))
    if not isinstance(value, dict) or value.keys() != {"state", "param_groups"}:
        return False
    state, groups = value["state"], value["param_groups"]
    if not isinstance(state, dict) or not isinstance(groups, list) or not all(type(number) is int for number in state):
        return False
    inner = [*state.values(), *groups]
    flat = all(isinstance(item, dict) for item in inner)
    return flat and not any(isinstance(part, dict) for item in inner for part in item.values())


def load_script(path: str, declared: Declaration, device: str) -> TorchAdapter:
    """Load a TorchScript archive."""
    module = torch.jit.load(path, map_location=device)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return _adapted(ready(module, device), declared, device)


def warm_export() -> None:
    """Load a program of ours once: reading the first one makes PyTorch look around in this machine."""
    held = io.BytesIO()
    torch.export.save(torch.export.export(nn.ReLU(), (torch.zeros(2),)), held)
    held.seek(0)
    torch.export.load(held).module()


def load_export(path: str, declared: Declaration, device: str) -> TorchAdapter:
    """Load a program that `torch.export.save` wrote."""
    module = torch.export.load(path).module()
    for parameter in module.parameters():
        parameter.requires_grad = False
    return _adapted(module.to(device), declared, device)


def load_pickled(path: str, declared: Declaration, device: str) -> TorchAdapter:
    """Load a whole module from a pickle. Code of its author may run here, and nowhere else."""
    module = torch.load(path, map_location=device, weights_only=False)
    if not isinstance(module, nn.Module):
        raise TypeError(f"the pickle holds a {type(module).__name__}, no module")
    return _adapted(ready(module, device), declared, device)
