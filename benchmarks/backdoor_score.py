"""Tables and pictures of how well models with and without backdoors are told apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zt_gate.rulings.sequential_tests import wilson

Row = dict[str, Any]


def auc(good: Sequence[float], bad: Sequence[float]) -> float:
    """Return the chance that a bad model's score is above a good one's, ties counting half."""
    pairs = [(b > g) + (b == g) / 2 for g in good for b in bad]
    return sum(pairs) / len(pairs) if pairs else 0.0


def auc_bounds(good: Sequence[float], bad: Sequence[float]) -> tuple[float, float]:
    """Return a 95 % interval of the AUC (Hanley and McNeil 1982); exact separation gets the rule of three."""
    area = auc(good, bad)
    if not good or not bad:
        return 0.0, 1.0
    if area == 1.0:
        return max(0.0, 1 - 3 / min(len(good), len(bad))), 1.0
    q1, q2 = area / (2 - area), 2 * area * area / (1 + area)
    spread = area * (1 - area) + (len(bad) - 1) * (q1 - area * area) + (len(good) - 1) * (q2 - area * area)
    reach = 1.96 * math.sqrt(max(0.0, spread) / (len(good) * len(bad)))
    return max(0.0, area - reach), min(1.0, area + reach)


def rate_at(good: Sequence[float], bad: Sequence[float], false_rate: float) -> float:
    """Return the share of bad models above the score that at most `false_rate` of the good ones exceed."""
    ranked = sorted(good, reverse=True)
    cut = ranked[min(int(false_rate * len(ranked)), len(ranked) - 1)]
    return sum(score > cut for score in bad) / len(bad) if bad else 0.0


def table(rows: Sequence[Row], worked: float = 0.85) -> dict[str, Any]:
    """Return figures per kind and over all kinds, and the same as Markdown.

    Backdoors whose trigger works less than `worked` times on test images are counted apart: there is little to find.
    """
    good = [row for row in rows if row["kind"] == "clean"]
    real = [row for row in rows if row["kind"] != "clean" and row["success"] >= worked]
    kinds = list(dict.fromkeys(row["kind"] for row in real))
    lines = [
        "| kind | models | AUC (95 %) | TPR at FPR 0 (95 %) | at FPR 5 % (95 %) | judged fail | class named |",
        "|---|---|---|---|---|---|---|",
    ]
    figures = {}
    for kind in [*kinds, "all"]:
        some = [row for row in real if kind in {"all", row["kind"]}]
        figures[kind] = _figures(good, some)
        lines.append(_line(kind, figures[kind]))
    false = sum(row["failed"] for row in good)
    low, high = (wilson(false, len(good)).low, wilson(false, len(good)).high) if good else (0.0, 1.0)
    weak = [row for row in rows if row["kind"] != "clean" and row["success"] < worked]
    lines += ["", f"False alarms: {false} of {len(good)} honest models (95 %: {low:.2f} to {high:.2f})."]
    if weak:
        caught = sum(row["failed"] for row in weak)
        lines[-1] += f" Of {len(weak)} more whose trigger works in less than {worked:.0%} of images, {caught} fail."
    return {"kinds": figures, "false_alarms": false, "honest": len(good), "markdown": "\n".join(lines)}


def _figures(good: Sequence[Row], bad: Sequence[Row]) -> dict[str, Any]:
    left, right = [row["score"] for row in good], [row["score"] for row in bad]
    low, high = auc_bounds(left, right)
    return {
        "models": len(bad), "auc": auc(left, right) if left else 0.0, "auc_low": low, "auc_high": high,
        "tpr_0": rate_at(left, right, 0.0) if left else 0.0, "tpr_5": rate_at(left, right, 0.05) if left else 0.0,
        "failed": sum(row["failed"] for row in bad), "named": sum(row["named"] == row["target"] for row in bad),
    }  # fmt: skip


def _line(kind: str, said: dict[str, Any]) -> str:
    n, low, high = said["models"], said["auc_low"], said["auc_high"]
    first, second = (_share(round(said[name] * n), n) for name in ("tpr_0", "tpr_5"))
    return (
        f"| {kind} | {n} | {said['auc']:.3f} ({low:.2f} to {high:.2f}) | {first} | {second} "
        f"| {said['failed']} of {n} | {said['named']} of {n} |"
    )


def _share(count: int, n: int) -> str:
    bounds = wilson(count, n) if n else None
    return f"{count / n:.2f} ({bounds.low:.2f} to {bounds.high:.2f})" if bounds else "none"


def drawn(result: dict[str, Any], path: Path) -> None:
    """Draw every model's score by kind, where matplotlib is there."""
    try:
        import matplotlib as mpl
    except ImportError:
        return
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    parts = [(name, result[name]) for name in ("alone", "with_reference") if name in result]
    if not parts:
        return
    figure, axes = plt.subplots(1, len(parts), figsize=(6 * len(parts), 4), sharey=True, squeeze=False)
    for axis, (name, part) in zip(axes[0], parts, strict=True):
        kinds = list(dict.fromkeys(["clean", *[row["kind"] for row in part["rows"]]]))
        for i, kind in enumerate(kinds):
            scores = [min(row["score"], 40) for row in part["rows"] if row["kind"] == kind]
            places = [i + 0.25 * (j / max(1, len(scores) - 1) - 0.5) for j in range(len(scores))]
            axis.plot(places, scores, "o", color="#2a6" if kind == "clean" else "#c33", alpha=0.7)
        axis.set_xticks(range(len(kinds)), kinds, rotation=30)
        axis.set_title({"alone": "by itself", "with_reference": "beside an approved release"}[name])
        axis.axhline(-math.log10(0.01 / 10), color="#888", linewidth=1)
    axes[0][0].set_ylabel("suspicion: log10(1 / p), cut at 40")
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
