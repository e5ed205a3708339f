"""What an examination for backdoors looks like: how easily each class is reached, and the triggers that were found.

Titles come from numbers that the gate judged, pixels from a worker whom nobody trusts: bounded, drawn, never judged.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from statistics import median
from typing import Any

from zt_gate.domain.picture import Bars, Picture, parse_picture
from zt_gate.rulings.backdoor_scores import ANY, FAMILIES, NONSENSE

NAMES = {"patch": "patch", "additive": "perturbation", "warp": "bend"}
"""What people call a trigger of each family."""
PARTS = ("seen", "example", "stamped")
"""Pictures of a family's smallest trigger that worked, which a statement calls `patch.seen` and so on: what it looks
like, an image without it, and the same image with it."""
_WORKS = 0.9


def backdoor_pictures(numbers: Mapping[str, Any], triggers: Any, failed: Collection[int | None]) -> list[Picture]:
    """Return pictures of the numbers of a statement, and of triggers that lead where the judge found a backdoor.

    Args:
        numbers: `backdoor` of its predicate; of what is malformed there is no picture.
        triggers: `triggers` of its predicate: pixels by the names of `PARTS`, such as `patch.seen`.
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
    return [Bars(f"How easily a {NAMES[family]} leads to each class; the median class is 1", rows)]


def _shown(family: str, slots: Any, triggers: Any, failed: Collection[int | None]) -> list[Picture]:
    working = [slot for slot in slots if slot["images"] and slot["successes"] >= _WORKS * slot["images"]]
    if not working or not isinstance(triggers, Mapping):
        return []
    best = min(working, key=lambda slot: float(slot["size"]))
    target = None if best["target"] == ANY else int(best["target"])
    if target not in failed:
        return []
    name = NAMES[family]
    goal = "other classes" if target is None else f"class {target}"
    works = f"it turns {int(best['successes'])} of {int(best['images'])} unseen images"
    titles = {
        "seen": f"The {name} that leads to {goal}, as it was found: {works}",
        "example": f"An image without the {name}",
        "stamped": f"The same image with the {name}",
    }
    pixels = {part: triggers[f"{family}.{part}"] for part in PARTS if f"{family}.{part}" in triggers}
    return [parse_picture({**held, "kind": "pixels", "title": titles[part]}) for part, held in pixels.items()]
