"""Of what kinds of layers a network is made, in order: what two networks of the same kind have in common.

Widths do not count, kernel sizes do; what does nothing when a model answers, such as dropout, is left out.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx, nn

_NOTHING = ("Identity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout")


def layer_kinds(model: Any) -> tuple[str, ...]:
    """Return the kinds of layers of a module, a traced graph or a converted one; empty where they cannot be told."""
    if isinstance(model, fx.GraphModule):
        return tuple(str(node.target) for node in model.graph.nodes if node.op == "call_function")
    if isinstance(model, nn.Module):
        leaves = (part for part in model.modules() if not any(True for _ in part.children()))
        named = [_kind(part) for part in leaves]
        return tuple(kind for kind in named if kind not in _NOTHING)
    kinds = getattr(model, "kinds", ())
    return kinds if isinstance(kinds, tuple) else ()


def _kind(part: nn.Module) -> str:
    name = str(getattr(part, "original_name", type(part).__name__))
    weight = getattr(part, "weight", None)
    kernel = tuple(weight.shape[2:]) if isinstance(weight, Tensor) and weight.dim() > 2 else ()
    return f"{name} {'x'.join(map(str, kernel))}" if kernel else name
