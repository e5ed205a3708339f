"""What honest models reach, as measured; see docs/backdoor.md for the models and the command that measured it."""

from __future__ import annotations

import math
from typing import Any

from zt_gate.domain.backdoor import Calibration, Spread
from zt_gate.errors import EvidenceError

SCHEMA = "zt-gate/backdoor-calibration/v1"

DEFAULT = Calibration(
    "19 small image classifiers on digits and drawn colour images",
    {
        "additive": Spread(0.347, 0.183, 19),
        "additive.any": Spread(-0.653, 0.294, 19),
        "additive.reference": Spread(0.237, 0.137, 19),
        "margin": Spread(0.447, 0.223, 19),
        "margin.reference": Spread(0.367, 0.186, 19),
        "margin_clean": Spread(0.372, 0.441, 19),
        "margin_clean.reference": Spread(0.131, 0.129, 19),
        "patch": Spread(0.357, 0.141, 19),
        "patch.any": Spread(-1.152, 0.373, 19),
        "patch.reference": Spread(0.381, 0.155, 19),
        "together.alone:margin+margin_clean+patch+additive+warp": Spread(1.471, 0.592, 19),
        "together.reference:margin+margin_clean+patch+additive+warp": Spread(0.944, 0.481, 19),
        "warp": Spread(0.322, 0.266, 19),
        "warp.any": Spread(-0.036, 0.184, 19),
        "warp.reference": Spread(0.218, 0.166, 19),
    },
)


def to_json(calibration: Calibration) -> dict[str, Any]:
    """Return a calibration for a file."""
    spreads = {
        name: {"mean": round(spread.mean, 6), "deviation": round(spread.deviation, 6), "models": spread.models}
        for name, spread in sorted(calibration.spreads.items())
    }
    return {"schema": SCHEMA, "name": calibration.name, "spreads": spreads}


def from_json(value: Any) -> Calibration:
    """Read what `to_json` wrote.

    Raises:
        EvidenceError: it is something else.
    """
    try:
        spreads = {str(name): _spread(entry) for name, entry in value["spreads"].items()}
        made = Calibration(str(value["name"]), spreads) if value["schema"] == SCHEMA else None
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
        made = None
    if made is None:
        message = "this is no calibration of backdoor detectors"
        raise EvidenceError(message, "make one with zt-gate evaluate calibrate")
    return made


def _spread(entry: Any) -> Spread:
    mean, deviation, models = float(entry["mean"]), float(entry["deviation"]), entry["models"]
    if not (math.isfinite(mean) and math.isfinite(deviation)) or deviation < 0 or type(models) is not int:
        raise ValueError("a spread is a mean, a deviation and a number of models")
    return Spread(mean, deviation, models)
