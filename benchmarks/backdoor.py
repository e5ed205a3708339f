"""How well backdoors are found in small models, how often honest ones are accused, and what it costs.

`make bench-backdoor`: real MNIST and drawn colour images, three networks, seven kinds of backdoor, and backdoors whose
trainer knows the searches. Ten honest models of the same house set the thresholds; no backdoored model is ever used for
that. Trained models and their numbers are kept in `build/backdoor`, and a run goes on where the last one stopped;
`--fresh` measures everything again, `--kept` judges what there is.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from backdoor_art import install, measure_art
from backdoor_models import BUDGET, HELD_OUT, KEPT, Small, examined, is_kept, kept, recipes, trained
from backdoor_page import page
from backdoor_reference import class_by_class, published
from backdoor_score import Row, auc, drawn, table
from backdoor_zoo import Recipe
from torch import Tensor

from zt_gate.evaluate.backdoor import examine
from zt_gate.rulings.backdoor_calibration import to_json
from zt_gate.rulings.backdoor_ruling import Calibration, beside, calibrate, judge_backdoor, suspicion

RESULTS = Path(__file__).parent / "results"
FIRST_SEED = 3000
"""Searches and constants were tried out on models with seeds below 1000, the calibrating ones among them."""
Model = dict[str, Any]
_ORDER = ("plain", "normed", "residual")


def main() -> None:
    """Train, examine, judge and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs trained and measured")
    parser.add_argument("--kept", action="store_true", help="judge what earlier runs left, without measuring")
    args = parser.parse_args()
    if args.fresh:
        shutil.rmtree(KEPT, ignore_errors=True)
    install()
    start = time.monotonic()
    parts = recipes(FIRST_SEED)
    if args.kept:
        parts = {part: [recipe for recipe in some if is_kept(recipe.name)] for part, some in parts.items()}
    models, peers, times, art = measured(parts, args.processes, only_kept=args.kept)
    spent = time.monotonic() - start
    seconds = {"seconds": None} if args.kept and not is_kept("seconds") else kept("seconds", lambda: {"seconds": spent})
    result = summary(models) | {
        "peers": peer_table(peers), "art": art, "times": times, **seconds,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}", "processes": args.processes,
        "date": time.strftime("%Y-%m-%d", time.gmtime()), "torch": torch.__version__,
    }  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "backdoor.json").write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    (RESULTS / "backdoor.md").write_text(page(result))
    drawn(result, RESULTS / "backdoor.png")
    print((RESULTS / "backdoor.md").read_text())


def measured(
    parts: dict[str, list[Recipe]], processes: int, *, only_kept: bool
) -> tuple[dict[str, list[Model]], list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    """Do all work that takes time, in an order that keeps every process busy until the end."""
    small = [recipe for recipe in parts["backdoored"] if recipe.network == "plain"]
    few = [*small, *[recipe for recipe in parts["honest"] if recipe.network == "plain"]]
    sized = [recipe for recipe in parts["backdoored"] if recipe.kind == "patch"][:3:2]
    if only_kept:
        few = [recipe for recipe in few if is_kept(f"published-{recipe.name}")]
        sized = [recipe for recipe in sized if is_kept(f"times-{recipe.name}")]
    with ProcessPoolExecutor(processes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        # House by house, so that a run that is cut off leaves whole houses.
        every = sorted(chain.from_iterable(parts.values()), key=lambda recipe: _ORDER.index(recipe.network))
        found = {recipe.name: pool.submit(examined, recipe) for recipe in every}
        art = pool.submit(measure_art, [recipe for recipe in small if recipe.kind != "all-to-all"], KEPT)
        timed = [pool.submit(compared, recipe) for recipe in sized]
        scored = [pool.submit(published_scores, recipe) for recipe in few]
        models = {part: [found[recipe.name].result() for recipe in some] for part, some in parts.items()}
        return models, [one.result() for one in scored], [one.result() for one in timed], art.result()


def summary(models: dict[str, list[Model]]) -> dict[str, Any]:
    """Judge everything, alone and beside every kind of approved release."""
    known, every = models["calibration"], [*models["honest"], *models["backdoored"]]
    same = {model["house"]: model for model in reversed(known)}
    fewer = {model["house"]: model for model in models["half the data"]}
    wide = {model["house"]: model for model in models["other width"]}
    references = {"alone": {}, "with_reference": same, "half the data": fewer, "other width": wide}
    own = {house: calibrate(house, *calibration_set([one for one in known if one["house"] == house])) for house in same}
    together = calibrate("small image classifiers", *calibration_set(known)).of_any_task()
    result: dict[str, Any] = {}
    for name, approved in references.items():
        rows = judged(every, own, approved)
        result[name] = {"rows": rows, **table(rows)}
    rows = judged(every, dict.fromkeys(own, together), {})
    result["default"] = {"rows": rows, **table(rows)}
    rows = result["alone"]["rows"]
    result["held_out"] = table([row for row in rows if row["kind"] in {"clean", *HELD_OUT}])
    result["seen"] = table([row for row in rows if row["kind"] not in HELD_OUT])
    evaders = models["adaptive"]
    result["adaptive"] = [
        {**row, "reference": bool(approved)} for approved in ({}, same) for row in judged(evaders, own, approved)
    ]
    result["calibrating"] = {"models": len(known), "false_alarms": among_themselves(known)}
    result["cpu_seconds"] = sum(model["seconds"] for model in every) / len(every)
    result["training_seconds"] = sum(model["training"] for model in every) / len(every)
    result["all_cpu_seconds"] = sum(one["seconds"] + one["training"] for part in models.values() for one in part)
    result["calibration"] = to_json(together)
    return result


def judged(models: Sequence[Model], calibrations: dict[str, Calibration], approved: dict[str, Model]) -> list[Row]:
    """Return every model's score and whether it fails.

    Args:
        models: to be judged.
        calibrations: of each house.
        approved: the approved release of each house; models of other houses are left out where there is any.
    """
    rows = []
    for model in models:
        release = approved.get(model["house"])
        if approved and release is None:
            continue
        spreads = calibrations[model["house"]]
        numbers = beside(model["numbers"], release["numbers"]) if release else model["numbers"]
        score, target, statistic = suspicion(numbers, spreads)
        failed = any(item.status == "fail" for item in judge_backdoor(numbers, spreads))
        rest = {name: value for name, value in model.items() if name not in {"numbers", "training"}}
        rows.append({**rest, "score": min(score, 300.0), "named": target, "by": statistic, "failed": failed})
    return rows


def among_themselves(models: Sequence[Model]) -> int:
    """Return how many models fail when each is judged by the others of its house."""
    failed = 0
    for model in models:
        others = [one for one in models if one is not model and one["house"] == model["house"]]
        spreads = calibrate(model["house"], *calibration_set(others))
        failed += any(item.status == "fail" for item in judge_backdoor(model["numbers"], spreads))
    return failed


def calibration_set(models: Sequence[Model]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the numbers of models, and of what stands for their approved releases: the next one of their house."""
    approved = []
    for i, model in enumerate(models):
        others = [other for other in [*models[i + 1 :], *models[:i]] if other["house"] == model["house"]]
        approved.append(others[0]["numbers"])
    return [model["numbers"] for model in models], approved


def compared(recipe: Recipe) -> dict[str, Any]:
    """Time one model as we do it, class by class, and as published."""

    def work() -> dict[str, Any]:
        model, data, _ = trained(recipe)
        adapter = Small(model, data.shape)

        def timed(job: Callable[[], object]) -> float:
            start = time.process_time()
            job()
            return time.process_time() - start

        return {
            "model": recipe.name,
            "together": timed(lambda: examine(adapter, data.test, data.test_labels, budget=BUDGET)),
            "class_by_class": timed(lambda: class_by_class(adapter, data.test, data.test_labels, BUDGET)),
            "published": timed(lambda: published(adapter, data.test[:400])),
        }

    return kept(f"times-{recipe.name}", work)


def published_scores(recipe: Recipe) -> dict[str, Any]:
    """Measure MM-BD and Neural Cleanse as published, with their own outlier statistics."""

    def work() -> dict[str, Any]:
        model, data, _ = trained(recipe)
        margins, norms = published(Small(model, data.shape), data.test[:400])
        return {"kind": recipe.kind, "mm_bd": _index(margins), "neural_cleanse": _index(-norms)}

    return kept(f"published-{recipe.name}", work)


def _index(values: Tensor) -> float:
    middle = values.median()
    return float((values.max() - middle) / (1.4826 * (values - middle).abs().median()).clamp_min(1e-9))


def peer_table(peers: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how well the published detectors do on a part of the same models."""
    good = [peer for peer in peers if peer["kind"] == "clean"]
    bad = [peer for peer in peers if peer["kind"] != "clean"]
    said: dict[str, Any] = {"honest": len(good), "backdoored": len(bad)}
    for name in ("mm_bd", "neural_cleanse"):
        left, right = [peer[name] for peer in good], [peer[name] for peer in bad]
        said[name] = {
            "auc": auc(left, right), "false_alarms_at_2": sum(value > 2 for value in left),
            "found_at_2": sum(value > 2 for value in right),
        }  # fmt: skip
    return said


if __name__ == "__main__":
    main()
