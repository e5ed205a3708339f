"""What every attack and every detector sees of a model, whatever it was saved as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor

Task = Literal["image", "tabular", "text"]


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The inputs that a model takes, before any normalisation: that is the adapter's business."""

    shape: tuple[int, ...]
    """Of one sample, without the batch: `(channels, height, width)` for images, `(features,)` for tables."""
    low: float
    """Least value of a valid input."""
    high: float
    """Greatest value of a valid input."""


class Adapter(Protocol):
    """A classifier that can be asked for scores, and for gradients where it has them.

    Every tensor is float32 and lies on `device`. `logits` must be differentiable with respect to its input where
    `differentiable` says so; its parameters never require gradients, and the model is in evaluation mode.
    """

    task: Task
    classes: int
    inputs: InputSpec
    differentiable: bool
    device: str

    def logits(self, batch: Tensor) -> Tensor:
        """Return scores of shape `(n, classes)` for inputs of shape `(n, *inputs.shape)` within their bounds."""

    def features(self, batch: Tensor) -> Tensor | None:
        """Return what the final linear layer sees, of shape `(n, width)`, or None where there is no such layer."""

    def final_linear(self) -> tuple[Tensor, Tensor] | None:
        """Return weight `(classes, width)` and bias `(classes,)` of the final linear layer, or None."""

    def layer_kinds(self) -> tuple[str, ...]:
        """Return of what kinds of layers the network is made, in order; empty where that cannot be told."""
