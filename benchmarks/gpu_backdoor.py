"""Train and examine 72 ResNet-18s on one GPU: how well backdoors are found there, and how fast.

`python benchmarks/gpu_backdoor.py --out DIR [--tiny] [--budget SECONDS]` needs torch, numpy and this package on
PYTHONPATH; matplotlib draws the picture where it is there. 12 honest models set the thresholds, 20 other honest ones
and 40 with backdoors are judged. Everything is seeded; on a GPU the backward pass of `grid_sample` sums in no fixed
order. Results are written as they come, so that a run that is cut off leaves what it has.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from backdoor_reference import class_by_class
from backdoor_score import drawn, table
from backdoor_zoo import ATTACKS, CLASSES, Data, Recipe, build, colours, poisoned, quality
from torch import Tensor, nn
from torch.nn import functional

from zt_gate.evaluate.adapters.adapter import InputSpec
from zt_gate.evaluate.backdoor import SearchBudget, examine
from zt_gate.rulings.backdoor_ruling import beside, calibrate, judge_backdoor, suspicion

RATES = {
    "patch": 0.02,
    "blended": 0.08,
    "sinusoidal": 0.08,
    "warp": 0.2,
    "all-to-all": 0.3,
    "clean-label": 0.095,
    "dynamic": 0.1,
}
"""Shares of poisoned training images; the first three kinds have one model with a fifth of it, at least 1 %."""
EXAMINATION = SearchBudget(
    margin_images=12, margin_steps=100, trigger_steps=90, trigger_batch=32, clean_images=512, clean_margin_steps=0
)
TINY = SearchBudget(margin_images=3, margin_steps=15, trigger_steps=30, trigger_batch=8, clean_images=120)


class OnDevice:
    """A network behind the one interface: bfloat16 for searches, float32 for whatever is counted."""

    task, differentiable, classes = "image", True, CLASSES

    def __init__(self, model: nn.Sequential, shape: tuple[int, ...], device: str) -> None:
        self.device, self.inputs = device, InputSpec(shape, 0.0, 1.0)
        self._exact = model
        self._quick = model
        if device == "cuda":
            half = build(Recipe("", "residual", "clean", 0, width=model[0].out_channels), shape, depth=_depth(model))
            half.load_state_dict(model.state_dict())
            self._quick = half.to(device, torch.bfloat16, memory_format=torch.channels_last).eval()
            self._quick.requires_grad_(requires_grad=False)

    def logits(self, batch: Tensor) -> Tensor:
        """Return scores in float32."""
        if self._quick is self._exact or not torch.is_grad_enabled():
            return self._exact(batch)
        return self._quick(batch.to(torch.bfloat16, memory_format=torch.channels_last)).float()

    def features(self, batch: Tensor) -> Tensor:
        """Return what the last layer sees."""
        return self._exact[:-1](batch)

    def final_linear(self) -> tuple[Tensor, Tensor]:
        """Return the last layer."""
        return self._exact[-1].weight, self._exact[-1].bias


def _depth(model: nn.Sequential) -> int:
    return 2 if len(model) > 9 else 1


def plan(seeds: dict[str, int]) -> list[tuple[str, Recipe]]:
    """Return which models are made, in an order that leaves a useful table wherever it is cut off."""
    jobs = [("calibration", Recipe("colours", "residual", "clean", 900 + i)) for i in range(seeds["calibration"])]
    honest = [("judged", Recipe("colours", "residual", "clean", i)) for i in range(seeds["honest"])]
    bad = []
    for i in range(seeds["backdoored"]):
        kind = list(ATTACKS)[i % len(ATTACKS)]
        rate = max(0.01, RATES[kind] / 5) if i < 3 else RATES[kind]
        bad.append(("judged", Recipe("colours", "residual", kind, 100 + i, rate)))
    while honest or bad:
        jobs += honest[:1] + bad[:2]
        del honest[:1], bad[:2]
    return jobs


def train(recipe: Recipe, data: Data, device: str, *, tiny: bool) -> nn.Sequential:
    """Train one model in bfloat16 with a one-cycle schedule; it is returned frozen."""
    sized = Recipe(recipe.data, recipe.network, recipe.kind, recipe.seed, recipe.rate, width=6 if tiny else 64)
    model = build(sized, data.shape, depth=1 if tiny else 2).to(device, memory_format=torch.channels_last)
    images, labels, _ = poisoned(data, recipe)
    batch, epochs = (128, 3) if tiny else (512, 5)
    steps = epochs * (len(images) // batch)
    optimiser = torch.optim.SGD(model.parameters(), 0.2, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.2, total_steps=steps, pct_start=0.3)
    mixed = torch.autocast(device, torch.bfloat16) if device == "cuda" else nullcontext()
    generator = torch.Generator(device=device).manual_seed(recipe.seed)
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=generator, device=device)
        for i in range(len(images) // batch):
            rows = order[batch * i : batch * (i + 1)]
            with mixed:
                loss = functional.cross_entropy(
                    model(images[rows].contiguous(memory_format=torch.channels_last)), labels[rows]
                )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return model.eval().requires_grad_(requires_grad=False)


class Bench:
    """The run: what is known so far, and the file that it stands in."""

    def __init__(self, out: Path, device: str, budget: float, *, tiny: bool) -> None:
        self.out, self.device, self.tiny, self.end = out, device, tiny, time.monotonic() + budget
        self.data = colours(16, 2000, device) if tiny else colours(32, 20000, device)
        self.budget = TINY if tiny else EXAMINATION
        self.models: list[dict[str, Any]] = []
        self.result: dict[str, Any] = {"machine": _machine(device), "examination": self.budget.to_json(), "tiny": tiny}
        self.started = time.monotonic()

    def left(self) -> float:
        """Seconds until it has to stop."""
        return self.end - time.monotonic()

    def run(self, jobs: list[tuple[str, Recipe]], compared: int) -> None:
        """Make and examine models until all are done or the time is up."""
        slowest = 0.0
        for part, recipe in jobs:
            if self.left() < 2 * slowest + (20 if self.device == "cuda" else 5):
                self.result["stopped"] = f"the budget was spent after {len(self.models)} of {len(jobs)} models"
                break
            start = time.monotonic()
            model = self._one(part, recipe)
            slowest = max(slowest, time.monotonic() - start) if self.models[1:] else 0.0
            if recipe.kind == "patch" and len(self.result.get("compared", [])) < compared:
                self._compare(model, recipe)
            if len(self.models) % 8 == 0:
                self.write()
        self.write()

    def _one(self, part: str, recipe: Recipe) -> nn.Sequential:
        start = time.monotonic()
        model = train(recipe, self.data, self.device, tiny=self.tiny)
        accuracy, success = quality(model, self.data, recipe)
        trained = time.monotonic() - start
        start = time.monotonic()
        report = self._examined(model)
        _finish(self.device)
        self.models.append({
            "part": part, "kind": recipe.kind, "seed": recipe.seed, "rate": recipe.rate, "target": recipe.target,
            "accuracy": accuracy, "success": None if math.isnan(success) else success, "train_seconds": trained,
            "seconds": time.monotonic() - start, "numbers": report,
        })  # fmt: skip
        return model

    def _examined(self, model: nn.Sequential) -> dict[str, Any]:
        adapter = OnDevice(model, self.data.shape, self.device)
        report = examine(adapter, self.data.test, self.data.test_labels, budget=self.budget)
        return report.to_json()

    def _compare(self, model: nn.Sequential, recipe: Recipe) -> None:
        """Time the same searches class by class, in float32, as reference code does."""
        adapter = OnDevice(model, self.data.shape, "cpu" if self.device == "cpu" else "cuda")
        adapter._quick = adapter._exact  # noqa: SLF001 - this is what the comparison is about
        start = time.monotonic()
        class_by_class(adapter, self.data.test, self.data.test_labels, self.budget)
        _finish(self.device)
        one_by_one = time.monotonic() - start
        start = time.monotonic()
        self._examined(model)
        _finish(self.device)
        together = time.monotonic() - start
        said = {"seed": recipe.seed, "class_by_class": one_by_one, "together": together, "times": one_by_one / together}
        self.result.setdefault("compared", []).append(said)

    def write(self, seconds: float | None = None) -> None:
        """Judge what there is and write it; raw numbers come first, so that no mistake in a table loses them."""
        self.result["seconds"] = seconds or time.monotonic() - self.started
        self.result["models"] = self.models
        self._keep()
        self.result |= judged(self.models)
        self._keep()
        (self.out / "gpu_backdoor.md").write_text(_page(self.result))

    def _keep(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / "gpu_backdoor.json").write_text(json.dumps(self.result, allow_nan=False) + "\n")


def judged(models: list[dict[str, Any]]) -> dict[str, Any]:
    """Judge by the twelve honest models that are there for it, and by all honest ones, each by the others."""
    calibrating = [model for model in models if model["part"] == "calibration"]
    honest = [model for model in models if model["kind"] == "clean"]
    others = [model for model in models if model["part"] == "judged"]
    if len(calibrating) <= 3 or not others:
        return {}
    result: dict[str, Any] = {}
    spreads = calibrate("ResNet-18", [model["numbers"] for model in calibrating])
    every = calibrate("ResNet-18", [model["numbers"] for model in honest])
    for name, approved in (("alone", None), ("with_reference", calibrating[0]["numbers"])):
        rows = [_row(model, spreads, approved) for model in others]
        result[name] = {"rows": rows, **table(rows)}
    rows = []
    for model in models:
        known = every
        if model in honest:
            known = calibrate("ResNet-18", [other["numbers"] for other in honest if other is not model])
        rows.append(_row(model, known, None))
    result["by_all"] = {"rows": rows, **table(rows)}
    return result


def _row(model: dict[str, Any], spreads: Any, approved: dict[str, Any] | None) -> dict[str, Any]:
    numbers = beside(model["numbers"], approved) if approved else model["numbers"]
    score, target, statistic = suspicion(numbers, spreads)
    failed = [item for item in judge_backdoor(numbers, spreads) if item.status == "fail"]
    kept = {key: model[key] for key in ("kind", "seed", "rate", "target", "accuracy", "success", "seconds")}
    return {**kept, "score": min(score, 300.0), "named": target, "by": statistic, "failed": bool(failed)}


def _finish(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _machine(device: str) -> dict[str, str]:
    card = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    now = time.strftime("%Y-%m-%d", time.gmtime())
    return {"card": card, "torch": torch.__version__, "python": platform.python_version(), "date": now}


def _page(result: dict[str, Any]) -> str:
    machine = result["machine"]
    seconds = [model["seconds"] for model in result["models"]]
    count = max(1, len(seconds))
    examining, training = sum(seconds) / count, sum(model["train_seconds"] for model in result["models"]) / count
    where = f"{machine['card']}, torch {machine['torch']}, Python {machine['python']}, {machine['date']}"
    lines = [f"{where}: {len(seconds)} models in {result['seconds']:.0f} s; {examining:.2f} s to examine one, "]
    lines = [lines[0] + f"{training:.2f} s to train one.", ""]
    lines += [result["stopped"] + ".", ""] if "stopped" in result else []
    titles = {
        "alone": "By itself", "with_reference": "Beside an approved release (another seed)",
        "by_all": "By itself, calibrated with all honest models but the one that is judged",
    }  # fmt: skip
    for name, title in titles.items():
        if name in result:
            lines += [f"{title}:", "", result[name]["markdown"], ""]
    for said in result.get("compared", []):
        slow, fast, times = said["class_by_class"], said["together"], said["times"]
        lines += [f"Class by class, float32: {slow:.1f} s; together: {fast:.2f} s; {times:.1f} times faster.", ""]
    return "\n".join(lines)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tiny", action="store_true", help="few small models, for trying this on a CPU")
    parser.add_argument("--judge", type=Path, metavar="FILE", help="judge what an earlier run measured; needs no GPU")
    parser.add_argument("--budget", type=float, default=440.0, metavar="SECONDS")
    args = parser.parse_args()
    if args.judge:
        result = json.loads(args.judge.read_text())
        bench = Bench(args.out, "cpu", 0.0, tiny=True)
        bench.models, bench.result = result["models"], result
        bench.write(result["seconds"])
        drawn(bench.result, args.out / "gpu_backdoor.png")
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        torch.set_num_threads(1)
    torch.manual_seed(0)
    bench = Bench(args.out, device, args.budget, tiny=args.tiny)
    counts = (
        {"calibration": 4, "honest": 2, "backdoored": 4}
        if args.tiny
        else {"calibration": 12, "honest": 20, "backdoored": 40}
    )
    bench.run(plan(counts), 1)
    drawn(bench.result, args.out / "gpu_backdoor.png")
    print((args.out / "gpu_backdoor.md").read_text())


if __name__ == "__main__":
    main()
