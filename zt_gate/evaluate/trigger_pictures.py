"""Recovered triggers as small pictures for a statement: what each looks like, and an image without and with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from zt_gate.domain.picture import MAX_SIDE, Pixels

if TYPE_CHECKING:
    from zt_gate.evaluate.adapters.declaration import Declaration
    from zt_gate.evaluate.sandbox.wire import Array

_STRONGER = 5
"""How much stronger than it is an added pattern is drawn."""


def trigger_pictures(triggers: Mapping[str, Array], example: Array, declared: Declaration) -> dict[str, Any]:
    """Return pixels by the names of `zt_gate.rulings.backdoor_pictures.PARTS`.

    Args:
        triggers: masks and patterns as the worker gave them, `(channels, height, width)`.
        example: a clean image, to show a trigger on.
        declared: shape and bounds of an image.
    """
    middle, span = (declared.low + declared.high) / 2, declared.high - declared.low
    seen: dict[str, Array] = {}
    mask, pattern = triggers.get("patch.mask"), triggers.get("patch.pattern")
    if mask is not None and pattern is not None and _fits(mask, declared, 1) and _fits(pattern, declared):
        seen["patch.seen"] = (1 - mask) * middle + mask * pattern
        seen["patch.example"], seen["patch.stamped"] = example, (1 - mask) * example + mask * pattern
    added = triggers.get("additive.pattern")
    if added is not None and _fits(added, declared):
        seen["additive.seen"] = middle + _STRONGER * added
        seen["additive.example"], seen["additive.stamped"] = example, example + added
    return {name: _pixels((array - declared.low) / span) for name, array in seen.items()}


def _fits(array: Array, declared: Declaration, channels: int | None = None) -> bool:
    expected = (channels or declared.shape[0], *declared.shape[1:])
    return tuple(array.shape) == expected


def _pixels(array: Array) -> dict[str, Any]:
    """Return an image in 0…1 as hex digits; a large one loses pixels, one of 2 or many channels becomes grey."""
    step = -(-max(array.shape[1:]) // MAX_SIDE)
    small = np.nan_to_num(array[:, ::step, ::step])
    if len(small) not in (1, 3):
        small = small.mean(axis=0, keepdims=True)
    levels = np.rint(255 * np.clip(small, 0, 1)).astype(np.uint8)
    rows = tuple(bytes(levels[:, y].T.reshape(-1)).hex() for y in range(levels.shape[1]))
    said = Pixels("-", len(levels), rows).to_json()
    return {name: said[name] for name in ("channels", "rows")}
