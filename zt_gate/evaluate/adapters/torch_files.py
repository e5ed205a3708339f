"""Load models that PyTorch runs: bare weights with declared layers, TorchScript, exported programs, pickled modules."""

from __future__ import annotations

import io
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from zt_gate.domain import printable
from zt_gate.evaluate.adapters.architecture import build_network
from zt_gate.evaluate.adapters.declaration import Declaration
from zt_gate.evaluate.adapters.kinds import UnsupportedError
from zt_gate.evaluate.adapters.text_adapter import text_adapter
from zt_gate.evaluate.adapters.torch_adapter import TorchAdapter, ready


def _adapted(model: nn.Module, declared: Declaration, device: str) -> TorchAdapter:
    if declared.task != "text":
        return TorchAdapter(model, declared, device)
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
    # Not `ready`: an exported program refuses eval(), since its mode was fixed when it was exported.
    for parameter in module.parameters():
        parameter.requires_grad = False
    return _adapted(module.to(device), declared, device)


def load_pickled(path: str, declared: Declaration, device: str) -> TorchAdapter:
    """Load a whole module from a pickle. Code of its author may run here, and nowhere else."""
    module = torch.load(path, map_location=device, weights_only=False)
    if not isinstance(module, nn.Module):
        raise TypeError(f"the pickle holds a {type(module).__name__}, no module")
    return _adapted(ready(module, device), declared, device)
