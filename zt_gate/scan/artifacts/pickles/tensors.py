"""Tensors in a pickle of PyTorch against the storages that they are views of (CVE-2026-24747).

A storage's persistent id tells its kind and number of items, and a tensor is an offset, a shape and strides in it.
Older versions of PyTorch believe both. The container's reader holds the declared size against the member; here a tensor
has to stay inside of what is declared, and each storage has to be declared the same way every time.
"""

from __future__ import annotations

from typing import Any

from zt_gate.domain import printable
from zt_gate.scan.artifacts.pickles.rules import PickleJudge
from zt_gate.scan.artifacts.pickles.values import Global, Instance, Tuple

_VIEWS = frozenset(
    {"torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3",
     "torch._utils._rebuild_qtensor"}
)  # fmt: skip
"""Functions whose first four arguments are a storage, an offset in items, a shape and strides."""
_BYTES_V3 = 6
_WIDTHS = {
    "float64": 8, "double": 8, "float32": 4, "float": 4, "float16": 2, "half": 2, "bfloat16": 2, "int64": 8, "long": 8,
    "int32": 4, "int": 4, "int16": 2, "short": 2, "int8": 1, "uint8": 1, "bool": 1, "complex128": 16, "complex64": 8,
    "complex32": 4, "uint16": 2, "uint32": 4, "uint64": 8, "float8_e4m3fn": 1, "float8_e5m2": 1, "float8_e4m3fnuz": 1,
    "float8_e5m2fnuz": 1, "float8_e8m0fnu": 1, "float4_e2m1fn_x2": 1,
}  # fmt: skip


class TensorJudge(PickleJudge):
    """A judge of pickles that also measures tensors."""

    def called(self, callee: Any, args: Any, offset: int, use: str) -> None:
        """Judge a call, and whether the tensor that it makes stays inside of its storage."""
        super().called(callee, args, offset, use)
        if isinstance(callee, Global) and callee.name in _VIEWS:
            items = args.items if isinstance(args, Tuple) else None
            problem = _reach(callee.name, items)
            if problem:
                self._find("ART-116", problem, f"a tensor {problem}", offset)

    def persistent(self, pid: Any, offset: int) -> None:
        """Judge a persistent id, and whether it tells of a storage what it told before."""
        items = pid.items if isinstance(pid, Tuple) else None
        key = items[2] if items and len(items) > 2 else None
        before = self.storages.get(key) if isinstance(key, str) else None
        super().persistent(pid, offset)
        # The loader keeps the first storage of a key, and what is accounted for here is the last.
        if before is not None and self.storages.get(str(key)) != before:
            shown = printable(str(key), 40)
            message = f"the storage {shown} is declared as {before} and then as {self.storages.get(str(key))}"
            self._find("ART-116", f"storage {shown}", message, offset)


def _reach(name: str, items: tuple[Any, ...] | None) -> str:
    """Return what is wrong with a tensor; nothing where its storage is made in another way than by the container."""
    if not items or len(items) < 4:
        return "is made of too few arguments to be measured"
    storage, start, shape, strides = items[:4]
    available = _items_of(storage)
    if available is None:
        return ""
    if name.endswith("_v3") and len(items) > _BYTES_V3:
        dtype = items[_BYTES_V3]
        width = _WIDTHS.get(dtype.qualname) if isinstance(dtype, Global) else None
        if width is None:
            return "has a type of unknown width"
        available //= width
    sizes, steps = (part.items if isinstance(part, Tuple) else None for part in (shape, strides))
    if sizes is None or steps is None or len(sizes) != len(steps):
        return "has a shape and strides that only the running pickle knows"
    if any(type(number) is not int or number < 0 for number in (start, *sizes, *steps)):
        return "has a shape, strides or an offset that are no counts"
    last = start + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
    end = start if 0 in sizes else last + 1
    return f"ends at item {end} of a storage of {available}" if end > available else ""


def _items_of(storage: Any) -> int | None:
    """Return how many items a storage of the container declares, or bytes where it has no type."""
    pid = storage.args if isinstance(storage, Instance) and storage.made_by == "torch.storage.UntypedStorage" else None
    items = pid.items if isinstance(pid, Tuple) else None
    if not items or len(items) < 5:
        return None
    # The stacked format before the zip has views, of so many items of a larger storage.
    view = items[5].items if len(items) > 5 and isinstance(items[5], Tuple) else None
    count = view[2] if view and len(view) > 2 else items[4]
    return count if type(count) is int else None
