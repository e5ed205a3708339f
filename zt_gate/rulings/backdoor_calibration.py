"""What honest models reach, as measured; see docs/backdoor.md for the models and the command that measured it."""

from __future__ import annotations

import math
from typing import Any

from zt_gate.errors import EvidenceError
from zt_gate.rulings.backdoor_null_model import Calibration, Spread

SCHEMA = "zt-gate/backdoor-calibration/v1"

DEFAULT = Calibration(
    "30 small image classifiers on digits and drawn colour images",
    {
        "additive": Spread(0.189, 0.201, 30, 0.144),
        "additive.moved": Spread(0.243, 0.279, 30, 0.279),
        "additive.reference": Spread(0.129, 0.172, 30, 0.093),
        "margin": Spread(0.424, 0.183, 30, 0.340),
        "margin.reference": Spread(0.359, 0.211, 30, 0.243),
        "margin_clean": Spread(0.396, 0.426, 30, 0.200),
        "margin_clean.reference": Spread(0.118, 0.122, 30, 0.092),
        "patch": Spread(0.266, 0.162, 30, 0.114),
        "patch.moved": Spread(-0.361, 0.423, 30, 0.423),
        "patch.reference": Spread(0.171, 0.124, 30, 0.105),
        "together.alone:margin+margin_clean+patch+additive+warp": Spread(3.758, 1.457, 30, 1.968),
        "together.reference:margin+margin_clean+patch+additive+warp": Spread(3.158, 2.043, 30, 1.668),
        "warp": Spread(0.073, 0.095, 30, 0.040),
        "warp.moved": Spread(-0.009, 0.223, 30, 0.223),
        "warp.reference": Spread(0.050, 0.083, 30, 0.041),
    },
)


def to_json(calibration: Calibration) -> dict[str, Any]:
    """Return a calibration for a file."""
    spreads = {name: _entry(spread) for name, spread in sorted(calibration.spreads.items())}
    return {"schema": SCHEMA, "name": calibration.name, "spreads": spreads}


def from_json(value: Any) -> Calibration:
    """Read what `to_json` wrote.

    Raises:
        EvidenceError: it is something else.
    """
    try:
        spreads = {str(name): _spread(entry) for name, entry in value["spreads"].items()}
        # A statistic without a spread accuses nobody, so a calibration that holds none would let everything pass.
        made = Calibration(str(value["name"]), spreads) if spreads and value["schema"] == SCHEMA else None
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
        made = None
    if made is None:
        message = "this is no calibration of backdoor detectors"
        raise EvidenceError(message, "make one with zt-gate evaluate calibrate")
    return made


def _entry(spread: Spread) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "mean": round(spread.mean, 6), "deviation": round(spread.deviation, 6), "models": spread.models,
        "scale": round(spread.scale, 6),
    }  # fmt: skip
    if spread.classes:
        known = spread.classes.items()
        entry["classes"] = {str(k): [round(mean, 6), round(deviation, 6)] for k, (mean, deviation) in known}
    return entry


def _spread(entry: Any) -> Spread:
    models = entry["models"]
    if type(models) is not int or models < 1:
        raise ValueError("a spread rests on a whole number of models")
    mean, deviation = _pair(entry["mean"], entry["deviation"])
    classes = {int(k): _pair(*pair) for k, pair in entry.get("classes", {}).items()}
    return Spread(mean, deviation, models, _pair(0.0, entry.get("scale", 0.0))[1], classes)


def _pair(mean: Any, deviation: Any) -> tuple[float, float]:
    pair = float(mean), float(deviation)
    if not all(map(math.isfinite, pair)) or pair[1] < 0:
        raise ValueError("a spread is a finite mean, and a deviation that is not negative")
    return pair
