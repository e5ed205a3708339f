"""A model that PyTorch runs, whichever file it was loaded from; see `torch_files`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zt_gate.evaluate.adapters.architecture import Network, before_last, last_layer, layer_kinds

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
        # The logarithm of 0 is no finite number, and such scores end a run.
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
    # Attacks want the gradient of the input only; without those of the weights a backward pass costs less.
    for parameter in module.parameters():
        parameter.requires_grad = False
    return module.eval().to(device)
