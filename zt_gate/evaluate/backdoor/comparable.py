"""Whether an approved release can be compared with a candidate: the same question asked of the same kind of network.

A network of another kind has other margins and other trigger sizes for reasons of its own: beside such references 5 of
12 honest models were accused. Other widths, seeds and amounts of data do no harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from zt_gate.evaluate.backdoor.phrases import TokenModel

if TYPE_CHECKING:
    from torch import Tensor

    from zt_gate.evaluate.adapters.adapter import Adapter

USED = "used"


def compared(adapter: Adapter, reference: Adapter, clean: Tensor | None) -> str:
    """Return `used`, or why a reference cannot be compared.

    Args:
        adapter: the candidate.
        reference: the approved release.
        clean: inputs of the candidate; the reference has to answer them.
    """
    if reference.classes != adapter.classes:
        return f"it has {reference.classes} classes and not {adapter.classes}"
    if reference.inputs.shape != adapter.inputs.shape:
        return f"it takes inputs of shape {reference.inputs.shape} and not {adapter.inputs.shape}"
    if not reference.differentiable and not isinstance(reference, TokenModel):
        return "it gives no gradients"
    if why := _other_network(adapter.layer_kinds(), reference.layer_kinds()):
        return why
    return USED if clean is None else _asked(reference, clean[:2])


def _other_network(mine: tuple[str, ...], theirs: tuple[str, ...]) -> str:
    if not mine or not theirs:
        return "it cannot be told what kind of network it is"
    if mine == theirs:
        return ""
    at = next((i for i, pair in enumerate(zip(mine, theirs, strict=False)) if pair[0] != pair[1]), None)
    if at is None:
        return f"it is another kind of network: {len(theirs)} layers and not {len(mine)}"
    return f"it is another kind of network: its layer {at + 1} is {theirs[at]} and not {mine[at]}"


def _asked(reference: Adapter, clean: Tensor) -> str:
    try:
        with torch.no_grad():
            scores = reference.logits(clean.to(reference.device, torch.float32))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        return f"it does not take these inputs: {str(error).splitlines()[0][:120]}"
    shape = tuple(scores.shape)
    return USED if shape == (len(clean), reference.classes) else f"it returns scores of shape {shape}"
