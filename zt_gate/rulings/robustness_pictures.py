"""What a measurement of robustness looks like: accuracy over eps, who fooled whom, and how the answer became clear."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from zt_gate.domain.picture import Bars, Curve, Heat, Picture
from zt_gate.rulings.attacks import CORRUPTIONS, MISCLASSIFIED, ROBUST, SEVERITIES
from zt_gate.rulings.sequential_tests import confidence_sequence, wilson

_MAX_POINTS = 100


def robustness_pictures(value: Mapping[str, Any], *, least: float | None, alpha: float) -> list[Picture]:
    """Return pictures of the numbers of a statement.

    Args:
        value: `robustness` of its predicate; of what is malformed there is no picture.
        least: the robust accuracy that is asked for.
        alpha: the error of the band around the sequential path.
    """
    found: list[Picture] = []
    for make in (_curve, _ladder, _path, _corruptions, _smoothing):
        try:
            found += make(value, least, alpha)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, ZeroDivisionError):
            continue
    return found


def _curve(value: Mapping[str, Any], least: float | None, alpha: float) -> list[Picture]:
    del alpha
    points = []
    for item in value["curve"][:_MAX_POINTS]:
        robust, tried = item["robust"], item["tried"]
        band = wilson(robust, tried)
        share = robust / tried
        points.append((float(Fraction(item["eps"])), share, min(band.low, share), max(band.high, share)))
    axis = f"eps ({str(value['threat']['norm'])[:10]}); quick attack, few samples"
    return [Curve("Robust accuracy over the strength of the attack", axis, tuple(points), least)] if points else []


def _ladder(value: Mapping[str, Any], least: float | None, alpha: float) -> list[Picture]:
    del least, alpha
    codes, stages = list(value["codes"]), list(value["stages"])
    rows = [("misclassified before", float(codes.count(MISCLASSIFIED)))]
    rows += [(str(stage)[:60], float(codes.count(number))) for number, stage in enumerate(stages)]
    rows.append(("withstood everything", float(codes.count(ROBUST))))
    return [Bars("What became of the samples, by the attack that fooled them", tuple(rows))]


def _path(value: Mapping[str, Any], least: float | None, alpha: float) -> list[Picture]:
    points = []
    path = list(value["path"])
    every = -(-len(path) // _MAX_POINTS) or 1
    for tried, robust in path[every - 1 :: every]:
        band, share = confidence_sequence(int(robust), int(tried), alpha), int(robust) / int(tried)
        points.append((float(tried), share, min(band.low, share), max(band.high, share)))
    title = "How the answer became clear: robust accuracy with its confidence sequence"
    return [Curve(title, "samples", tuple(points), least)] if points else []


def _corruptions(value: Mapping[str, Any], least: float | None, alpha: float) -> list[Picture]:
    del least, alpha
    if value.get("corruptions") is None:
        return []
    tried, counts = len(value["codes"]), value["corruptions"]["counts"]
    clean = tried - list(value["codes"]).count(MISCLASSIFIED)
    columns = ("none", *(str(level) for level in range(1, SEVERITIES + 1)))
    rows = []
    for kind in CORRUPTIONS:
        shares = [clean / tried, *(int(count) / tried for count in counts[kind])]
        if len(shares) != len(columns) or not all(0 <= share <= 1 for share in shares):
            return []
        rows.append((kind.replace("_", " "), tuple(shares)))
    return [Heat("Accuracy under common corruptions", "severity", columns, tuple(rows))]


def _smoothing(value: Mapping[str, Any], least: float | None, alpha: float) -> list[Picture]:
    del least, alpha
    if value.get("smoothing") is None:
        return []
    radii = [float(radius) for radius in value["smoothing"]["radii"][:_MAX_POINTS]]
    points = []
    for radius in sorted({0.0, *(radius for radius in radii if radius > 0)}):
        count = sum(held >= radius for held in radii)
        band = wilson(count, len(radii))
        points.append((radius, count / len(radii), min(band.low, count / len(radii)), band.high))
    title = "Certified accuracy of the model with noise and vote, not of the one that is shipped"
    return [Curve(title, f"radius (L2), noise {value['smoothing']['sigma']}"[:60], tuple(points))]
