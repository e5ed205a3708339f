"""What an examination for backdoors looks like: how easily each class is reached, and the triggers that were found.

Titles come from numbers that the gate judged, pixels from a worker whom nobody trusts: bounded, drawn, never judged.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from statistics import median
from typing import Any

from zt_gate.domain.backdoor_claims import ANY, FAMILIES, NONSENSE
from zt_gate.domain.picture import Bars, Picture, parse_picture

PARTS = {
    "patch.seen": "what the trigger looks like",
    "patch.example": "an image without it",
    "patch.stamped": "the same image with it",
    "additive.seen": "what the trigger adds, on grey",
    "additive.example": "an image without it",
    "additive.stamped": "the same image with it",
}
"""Pictures of a family's smallest trigger that worked, as a statement names them."""
_WORKS = 0.9


def backdoor_pictures(numbers: Mapping[str, Any], triggers: Any, failed: Collection[int | None]) -> list[Picture]:
    """Return pictures of the numbers of a statement, and of triggers that lead where the judge found a backdoor.

    Args:
        numbers: `backdoor` of its predicate; of what is malformed there is no picture.
        triggers: `triggers` of its predicate: pixels by the names of `PARTS`.
        failed: classes that a backdoor was found for; None stands for one from every class to another.
    """
    found: list[Picture] = []
    for family in FAMILIES:
        try:
            slots = numbers["detectors"][family]["slots"]
            found += _eases(family, slots)
            found += _shown(family, slots, triggers, failed)
        except NONSENSE:
            continue
    return found


def _eases(family: str, slots: Any) -> list[Picture]:
    sizes = [(int(slot["target"]), float(slot["size"])) for slot in slots]
    classes = [(target, size) for target, size in sizes if target != ANY]
    if len(classes) < 2 or not all(size > 0 and math.isfinite(size) for _, size in classes):
        return []
    usual = median(size for _, size in classes)
    rows = tuple((f"class {target}", round(usual / size, 3)) for target, size in classes)
    return [Bars(f"How many times smaller than the median class's a {family} trigger can be, by its class", rows)]


def _shown(family: str, slots: Any, triggers: Any, failed: Collection[int | None]) -> list[Picture]:
    working = [slot for slot in slots if slot["images"] and slot["successes"] >= _WORKS * slot["images"]]
    if not working or not isinstance(triggers, Mapping):
        return []
    best = min(working, key=lambda slot: float(slot["size"]))
    target = None if best["target"] == ANY else int(best["target"])
    if target not in failed:
        return []
    where = "another class" if target is None else f"class {target}"
    works = f"turns {int(best['successes'])} of {int(best['images'])} unseen images into {where}"
    parts = [(name, text) for name, text in PARTS.items() if name.startswith(f"{family}.") and name in triggers]
    return [
        parse_picture({**triggers[name], "kind": "pixels", "title": f"Recovered {family} trigger: {text}; it {works}"})
        for name, text in parts
    ]
