"""How well backdoors are found in small models, how often honest ones are accused, and what it costs.

`make bench-backdoor`: real MNIST and drawn colour images, three networks, seven kinds of backdoor. Honest models set
the thresholds, each judged by all the others; no backdoored model is ever used for that. Trained models and their
numbers are kept in `build/backdoor`, so that a second run only judges; `--fresh` measures again.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from backdoor_adaptive import train_against_us
from backdoor_art import measure_art
from backdoor_reference import class_by_class, published
from backdoor_score import Row, auc, drawn, table
from backdoor_zoo import CLASSES, Data, Recipe, build, colours, mnist, quality, train
from torch import Tensor, nn

from zt_gate.domain.backdoor import Calibration, beside, calibrate, judge_backdoor, suspicion
from zt_gate.evaluate.adapters.adapter import InputSpec
from zt_gate.evaluate.backdoor import Budget, examine

HERE = Path(__file__).parent
KEPT = HERE.parent / "build" / "backdoor"
RESULTS = HERE / "results"
BUDGET = Budget()
HOUSES = (("mnist", "plain"), ("mnist", "normed"), ("colours", "normed"), ("mnist", "residual"))
"""Data and network of every fourth model."""
HELD_OUT = ("clean-label", "dynamic")
"""Kinds for which no detector was built or changed."""
RATES = {
    "patch": (0.01, 0.01, 0.03, 0.02),
    "blended": (0.02, 0.05, 0.1),
    "sinusoidal": (0.05, 0.02, 0.05),
    "warp": (0.2, 0.15, 0.25, 0.15),
    "all-to-all": (0.3, 0.3, 0.4, 0.2),
    "clean-label": (0.085, 0.085, 0.085),
    "dynamic": (0.4, 0.15, 0.1),
}
"""Share of poisoned training images, for one model of each house, as far as they go."""


class Small:
    """A network behind the one interface."""

    task, differentiable, device, classes = "image", True, "cpu", CLASSES

    def __init__(self, model: nn.Sequential, shape: tuple[int, ...]) -> None:
        self.module, self.inputs = model, InputSpec(shape, 0.0, 1.0)

    def logits(self, batch: Tensor) -> Tensor:
        """Return scores."""
        return self.module(batch)

    def features(self, batch: Tensor) -> Tensor:
        """Return what the last layer sees."""
        return self.module[:-1](batch)

    def final_linear(self) -> tuple[Tensor, Tensor]:
        """Return the last layer."""
        return self.module[-1].weight, self.module[-1].bias


def recipes() -> dict[str, list[Recipe]]:
    """Return what is trained, by the part it plays."""

    def honest(first: int, count: int, **more: Any) -> list[Recipe]:
        made = []
        for i in range(count):
            data, network = HOUSES[i % len(HOUSES)]
            made.append(_recipe(data, network, "clean", first + i, 0.0, **more))
        return made

    bad = [
        _recipe(*HOUSES[i], kind, 10 * j + i + 1, rates[i])
        for j, (kind, rates) in enumerate(RATES.items())
        for i in range(len(rates))
    ]
    return {
        "honest": [*honest(900, 12), *honest(300, 12)],
        "backdoored": bad,
        "half the data": honest(700, 4, share=0.5),
        "adaptive": [Recipe("mnist", "normed", "adaptive", 60 + i, 0.1, 6) for i in range(2)],
        "other width": [replace(recipe, width=20) for recipe in honest(720, 4)],
    }


def _recipe(data: str, network: str, kind: str, seed: int, rate: float, **more: Any) -> Recipe:
    return Recipe(data, network, kind, seed, rate, 6, **{"width": 8 if network == "residual" else 0, **more})


def data_named(name: str) -> Data:
    """Return one of the two data sets."""
    return mnist() if name == "mnist" else colours()


def kept(name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what an earlier run found, or find it."""
    path = KEPT / f"{name}.json"
    if path.exists():
        return json.loads(path.read_text())  # type: ignore[no-any-return]
    said = make()
    KEPT.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".part").write_text(json.dumps(said))
    path.with_suffix(".part").replace(path)
    return said


def trained(recipe: Recipe, make: Callable[[Recipe, Data], nn.Sequential] = train) -> tuple[nn.Sequential, Data, float]:
    """Return a model from the store, or train it; with the CPU seconds that training took."""
    data = data_named(recipe.data)
    path = KEPT / f"{recipe.name}.pt"
    if path.exists():
        model = build(recipe, data.shape)
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval().requires_grad_(requires_grad=False), data, 0.0
    start = time.process_time()
    model = make(recipe, data)
    spent = time.process_time() - start
    KEPT.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), path)
    return model, data, spent


def examined(recipe: Recipe) -> dict[str, Any]:
    """Train and examine one model."""
    torch.set_num_threads(1)

    def work() -> dict[str, Any]:
        model, data, training = trained(recipe, train_against_us if recipe.kind == "adaptive" else train)
        accuracy, success = quality(model, data, recipe)
        start = time.process_time()
        report = examine(Small(model, data.shape), data.test, data.test_labels, budget=BUDGET)
        seconds = time.process_time() - start
        return {
            "kind": recipe.kind, "house": f"{recipe.data} {recipe.network}", "seed": recipe.seed, "rate": recipe.rate,
            "target": recipe.target, "accuracy": accuracy, "success": None if math.isnan(success) else success,
            "training": training, "seconds": seconds, "numbers": report.to_json(),
        }  # fmt: skip

    return kept(recipe.name, work)


def judged(models: Sequence[dict[str, Any]], spreads: Calibration, approved: dict[str, dict[str, Any]]) -> list[Row]:
    """Return every model's score and whether it fails, beside the approved release of its house where there is one."""
    rows = []
    for model in models:
        known = approved.get(model["house"])
        numbers = beside(model["numbers"], known["numbers"]) if known else model["numbers"]
        score, target, statistic = suspicion(numbers, spreads)
        failed = [item.detector for item in judge_backdoor(numbers, spreads) if item.status == "fail"]
        rest = {key: value for key, value in model.items() if key not in {"numbers", "training"}}
        rows.append({**rest, "score": min(score, 300.0), "named": target, "by": statistic, "failed": bool(failed)})
    return rows


def compared(recipe: Recipe) -> dict[str, Any]:
    """Time one model as we do it, class by class, and as published."""
    torch.set_num_threads(1)
    model, data, _ = trained(recipe)
    adapter = Small(model, data.shape)

    def timed(work: Callable[[], object]) -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    return {
        "model": recipe.name,
        "together": timed(lambda: examine(adapter, data.test, data.test_labels, budget=BUDGET)),
        "class_by_class": timed(lambda: class_by_class(adapter, data.test, data.test_labels, BUDGET)),
        "published": timed(lambda: published(adapter, data.test[:400])),
    }


def published_scores(recipe: Recipe) -> dict[str, Any]:
    """Measure MM-BD and Neural Cleanse as published, with their own outlier statistics."""
    torch.set_num_threads(1)

    def work() -> dict[str, Any]:
        model, data, _ = trained(recipe)
        margins, norms = published(Small(model, data.shape), data.test[:400])
        return {"kind": recipe.kind, "mm_bd": _index(margins), "neural_cleanse": _index(-norms)}

    return kept(f"published-{recipe.name}", work)


def _index(values: Tensor) -> float:
    middle = values.median()
    return float((values.max() - middle) / (1.4826 * (values - middle).abs().median()).clamp_min(1e-9))


def main() -> None:
    """Train, examine, judge and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs trained and measured")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--kept", action="store_true", help="train and examine nothing: judge what earlier runs left")
    args = parser.parse_args()
    if args.fresh:
        shutil.rmtree(KEPT, ignore_errors=True)
    start = time.monotonic()
    parts = recipes()
    wanted = [recipe for part in parts.values() for recipe in part]
    few = [*parts["honest"][:6], *[recipe for recipe in parts["backdoored"] if recipe.network != "residual"][:8]]
    if args.kept:
        wanted = [recipe for recipe in wanted if (KEPT / f"{recipe.name}.json").exists()]
        few = [recipe for recipe in few if (KEPT / f"published-{recipe.name}.json").exists()]
    with ProcessPoolExecutor(args.processes) as pool:
        found = dict(zip([r.name for r in wanted], pool.map(examined, wanted), strict=True))
        peers = list(pool.map(published_scores, few))
        times = [pool.submit(compared, parts["backdoored"][0]).result()]
    models = {part: [found[r.name] for r in some if r.name in found] for part, some in parts.items()}
    poisoned_ones = [recipe for recipe in few if recipe.kind != "clean"]
    result = summary(models) | {
        "peers": peer_table(peers), "art": measure_art(poisoned_ones[:6], KEPT), "times": times,
        "seconds": time.monotonic() - start, "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "date": time.strftime("%Y-%m-%d", time.gmtime()), "torch": torch.__version__,
    }  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "backdoor.json").write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    (RESULTS / "backdoor.md").write_text(page(result))
    drawn(result, RESULTS / "backdoor.png")
    print((RESULTS / "backdoor.md").read_text())


def summary(models: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Judge everything, alone and beside every kind of approved release."""
    honest, bad = models["honest"], models["backdoored"]
    same = {model["house"]: model for model in reversed(honest)}
    fewer = {model["house"]: model for model in models["half the data"]}
    wide = {model["house"]: model for model in models["other width"]}
    foreign = {"mnist plain": same["mnist normed"], "mnist normed": same["mnist residual"]}
    foreign |= {"mnist residual": same["mnist plain"]}
    spreads = calibrated(honest)
    result: dict[str, Any] = {"calibration": {key: vars_of(spread) for key, spread in spreads.spreads.items()}}
    references = {
        "alone": {}, "with_reference": same, "half the data": fewer, "other width": wide, "other network": foreign,
    }  # fmt: skip
    for name, approved in references.items():
        rows = []
        for i, model in enumerate(honest):
            # An honest model is judged by the others, and never beside itself.
            others = calibrated([*honest[:i], *honest[i + 1 :]])
            known = approved.get(model["house"])
            if not approved or (known is not None and known is not model):
                rows += judged([model], others, approved)
        rows += judged([model for model in bad if not approved or model["house"] in approved], spreads, approved)
        result[name] = {"rows": rows, **table(rows)}
    rows = result["alone"]["rows"]
    result["held_out"] = table([row for row in rows if row["kind"] in {"clean", *HELD_OUT}])
    result["seen"] = table([row for row in rows if row["kind"] not in HELD_OUT])
    evaders = models["adaptive"]
    result["adaptive"] = judged(evaders, spreads, {}) + judged(evaders, spreads, same)
    result["cpu_seconds"] = sum(model["seconds"] for model in [*honest, *bad]) / len([*honest, *bad])
    return result


def calibrated(models: list[dict[str, Any]]) -> Calibration:
    """Calibrate; the approved release of each model is the next one of its house."""
    alone: dict[str, Any] = {"numbers": {"detectors": {}}}
    approved = []
    for i, model in enumerate(models):
        others = [other for other in [*models[i + 1 :], *models[:i]] if other["house"] == model["house"]]
        approved.append((others or [alone])[0]["numbers"])
    return calibrate("small image classifiers", [model["numbers"] for model in models], approved)


def vars_of(spread: Any) -> dict[str, float]:
    """Return a spread's numbers."""
    return {"mean": spread.mean, "deviation": spread.deviation, "models": spread.models}


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


def page(result: dict[str, Any]) -> str:
    """Return the tables as Markdown."""
    where = f"{result['machine']}, torch {result['torch']}, {result['date']}"
    lines = [f"{where}; {result['cpu_seconds']:.1f} CPU seconds to examine a model, on one thread.", ""]
    titles = {
        "alone": "By itself", "held_out": "By itself, kinds that nothing was built for",
        "seen": "By itself, the others",
        "with_reference": "Beside an approved release of another seed",
        "half the data": "Beside one trained on half the data", "other width": "Beside one of another width",
        "other network": "Beside one of another network",
    }  # fmt: skip
    for name, title in titles.items():
        lines += [f"**{title}**", "", result[name]["markdown"], ""]
    peers = result["peers"]
    lines += [f"**As published**, on {peers['honest']} honest and {peers['backdoored']} backdoored models", ""]
    lines += ["| detector | AUC | honest above 2 | backdoored above 2 |", "|---|---|---|---|"]
    for name in ("mm_bd", "neural_cleanse"):
        said = peers[name]
        lines.append(f"| {name} | {said['auc']:.3f} | {said['false_alarms_at_2']} | {said['found_at_2']} |")
    lines += ["", "**ART 1.20**, per training image", "", result["art"]["markdown"], ""]
    for said in result["times"]:
        slow, plain, quick = said["class_by_class"], said["published"], said["together"]
        lines.append(
            f"`{said['model']}`: {quick:.1f} CPU s together, {slow:.1f} class by class ({slow / quick:.1f} times), "
            f"{plain:.1f} for MM-BD and Neural Cleanse alone as published ({plain / quick:.1f} times).  "
        )
    lines += [
        "",
        "**Trained against these searches**",
        "",
        "| seed | success | score | fails | by |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['seed']} | {row['success']:.2f} | {row['score']:.1f} | {row['failed']} | {row['by']} |"
        for row in result["adaptive"]
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
