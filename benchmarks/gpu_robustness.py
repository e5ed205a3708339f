"""The ladder beside AutoAttack on a GPU: robust accuracy, images per second, utilisation, in one run.

    python benchmarks/gpu_robustness.py --out DIR [--tiny] [--budget SECONDS]

Trains a ResNet-18 and a WideResNet-28-10 adversarially on images made by formula, chooses the radius at which a short
PGD leaves about half of them standing, then attacks the same images with both. Writes gpu_robustness.json after every
step, and .md and .png at the end. AutoAttack is `pyautoattack`, where Python finds it; otherwise a plain loop over our
own attacks in which nobody leaves early. Without a GPU it says so and does nothing, unless `--tiny` asks for a dry run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from robust_models import Shown, colour_classes, perturbed, resnet18, train, wide_resnet
from torch import Tensor, nn

from zt_gate.evaluate.robustness import CONFIRM, STANDARD, TRIAGE, Plan, ThreatModel, attack_batch, stage_counts
from zt_gate.evaluate.robustness.apgd import Prey, apgd
from zt_gate.evaluate.robustness.ladder import run_stage
from zt_gate.evaluate.robustness.objectives import spread
from zt_gate.evaluate.robustness.oracle import Oracle
from zt_gate.evaluate.robustness.plan import AUTOATTACK
from zt_gate.evaluate.robustness.threat import Ball, noise_like

RADII = [k / 255 for k in (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32)]


class Late(Exception):  # noqa: N818 - it is no error, it is late
    """The time for a reference run is over."""


class Bench:
    """What was measured, on disk after every step."""

    def __init__(self, out: Path, budget: float, device: str) -> None:
        self.out, self.device, self.end = out, device, time.perf_counter() + budget
        self.result: dict[str, Any] = {"models": {}, "errors": [], "finished": False}

    @property
    def left(self) -> float:
        """Seconds until the budget is spent."""
        return self.end - time.perf_counter()

    def save(self) -> None:
        """Write what there is."""
        (self.out / "gpu_robustness.json").write_text(json.dumps(self.result, indent=1) + "\n")

    def step(self, name: str, act: Callable[[], Any]) -> Any:
        """Run one step; what goes wrong is written down, and the next step runs."""
        print(f"{name} ({self.left:.0f} s left)", flush=True)
        try:
            return act()
        except Exception as error:  # noqa: BLE001 - one broken step must not take the others' numbers with it
            self.result["errors"].append({"step": name, "error": repr(error), "trace": traceback.format_exc()[-1500:]})
            print(f"  failed: {error!r}", flush=True)
            return None
        finally:
            self.save()


@contextmanager
def watched(device: str) -> Iterator[dict[str, float]]:
    """Time a block, and ask the card how busy it is meanwhile."""
    seen: dict[str, float] = {}
    busy: list[float] = []
    process = None
    if device == "cuda":
        command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
        try:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            threading.Thread(target=_collect, args=(process, busy), daemon=True).start()
        except OSError:
            process = None
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    try:
        yield seen
    finally:
        if device == "cuda":
            torch.cuda.synchronize()
            seen["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        seen["seconds"] = round(time.perf_counter() - start, 3)
        if process is not None:
            process.terminate()
            process.wait()
        if busy:
            seen["utilisation"] = round(sum(busy) / len(busy), 1)


def _collect(process: subprocess.Popen[str], busy: list[float]) -> None:
    assert process.stdout is not None
    busy.extend(float(line) for line in process.stdout if line.strip().isdigit())


def ladder(net: nn.Module, x: Tensor, y: Tensor, eps: float, plan: Plan, device: str) -> dict[str, Any]:
    """Climb the ladder."""
    adapter = Shown(net, tuple(x.shape[1:]), device)
    with watched(device) as seen:
        result = attack_batch(adapter, x, y, ThreatModel("Linf", eps), plan, 0)
    robust = int(result.robust.sum())
    return {
        "n": len(x), "robust": robust, "robust_accuracy": robust / len(x),
        "images_per_second": len(x) / seen["seconds"], "forwards_per_image": result.forwards / len(x),
        "stages": dict(stage_counts(result)), "unconfirmed": result.unconfirmed,
        "autoattack_equivalent": result.autoattack_equivalent,
        "notes": list(result.notes), **seen,
    }  # fmt: skip


def peer(net: nn.Module, x: Tensor, y: Tensor, eps: float, device: str, seconds: float) -> dict[str, Any]:
    """Run AutoAttack's standard version, or its plain stand-in, until the time is over."""
    end = time.perf_counter() + seconds
    count = [0]

    def asked(batch: Tensor) -> Tensor:
        if time.perf_counter() > end:
            raise Late
        count[0] += len(batch)
        return net(batch)

    found = importlib.util.find_spec("pyautoattack") is not None
    with watched(device) as seen:
        try:
            adversarial = _pyautoattack(asked, x, y, eps, device) if found else _plain(asked, x, y, eps, device)
        except Late:
            adversarial = None
    base = {"implementation": "pyautoattack 0.2.0" if found else "plain loop", "n": len(x), **seen}
    if adversarial is None:
        return {**base, "finished": False}
    with torch.no_grad():
        robust = int((net(adversarial).argmax(1) == y).sum())
    return {
        **base, "finished": True, "robust": robust, "robust_accuracy": robust / len(x),
        "images_per_second": len(x) / seen["seconds"], "forwards_per_image": count[0] / len(x),
        "greatest_distance": float((adversarial - x).abs().max()),
    }  # fmt: skip


def _pyautoattack(asked: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, eps: float, device: str) -> Tensor:
    from pyautoattack import AutoAttack

    class Asked(nn.Module):
        def forward(self, batch: Tensor) -> Tensor:
            return asked(batch)

    attack = AutoAttack(Asked().eval(), norm="Linf", eps=eps, version="standard", device=device, seed=0)
    return attack.run_standard_evaluation(x, y, batch_size=512)[0].detach()


def _plain(asked: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, eps: float, device: str) -> Tensor:
    """Run AutoAttack's four attacks plainly: in float32, and with every sample to the end of each climb."""
    adapter = Shown(asked, tuple(x.shape[1:]), device)
    oracle = Oracle(adapter, fast=False)
    logits = oracle.scores(x)
    order = logits.scatter(1, y[:, None], -torch.inf).argsort(1, descending=True)
    adversarial, luck = x.clone(), torch.Generator().manual_seed(0)
    holds = logits.argmax(1) == y
    for stage in AUTOATTACK:
        for target in range(stage.targets if stage.family == "apgd-t" else 1):
            rows = holds.nonzero()[:, 0]
            ball = Ball.around(x[rows], ThreatModel("Linf", eps), adapter.inputs)
            prey = Prey(ball, y[rows], spread(logits[rows]), order[rows, target])
            if stage.family.startswith("apgd"):
                noise = noise_like(ball.x, ball.threat, luck)
                catch = apgd(oracle, prey, stage.objective, stage.steps, noise, compact=False)
            else:
                catch = run_stage(oracle, prey, stage, order[rows], luck)
            adversarial[rows[catch.fooled]] = catch.adversarial[catch.fooled]
            holds[rows[catch.fooled]] = False
    return adversarial


def choose_radius(net: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Return the radius at which a short PGD leaves the share nearest to one half, and that share."""
    shares = []
    for eps in RADII:
        point = perturbed(net, x, y, eps, 10)
        with torch.no_grad():
            shares.append(float((net(point).argmax(1) == y).float().mean()))
    place = min(range(len(RADII)), key=lambda index: abs(shares[index] - 0.5))
    return RADII[place], shares[place]


def peer_seconds(net: nn.Module, x: Tensor, robust: float, device: str) -> dict[int, float]:
    """Foresee how long AutoAttack takes for several numbers of images."""
    foreseen = {}
    for n in (512, 384, 256, 192, 128, 96, 64, 48, 32, 16):
        part = x[: max(1, round(n * robust))]
        forward, both = [], []
        for _ in range(4):
            start = _now(device)
            with torch.no_grad():
                net(part)
            middle = _now(device)
            asked = part.detach().requires_grad_(True)
            torch.autograd.grad(net(asked).sum(), asked)
            forward.append(middle - start)
            both.append(_now(device) - middle)
        # 101 + 9 x 101 gradients of APGD, 9 x 100 of FAB with a forward pass each and its sorting, 5000 queries.
        foreseen[n] = 1.25 * (
            1010 * min(both) + 900 * (min(both) + min(forward) + 0.004) + 5000 * (min(forward) + 5e-4)
        )
    return foreseen


def _now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def measure(bench: Bench, name: str, net: nn.Module, steps: int, share: float, tiny: bool) -> None:
    """Train one net and attack it; `share` of the time that is left may be spent on all of it."""
    device, end = bench.device, time.perf_counter() + share * bench.left
    entry: dict[str, Any] = {"parameters": sum(p.numel() for p in net.parameters())}
    bench.result["models"][name] = entry
    batch = 32 if tiny else 256
    begun = time.perf_counter()
    net = net.to(device, memory_format=torch.channels_last)
    limit = 0.33 * (end - begun)
    net, done = train(net, lambda step: colour_classes(batch, 1000 + step, device), steps, 8 / 255, seconds=limit)
    x, y = colour_classes(64 if tiny else 1024, 7, device)
    with torch.no_grad():
        clean = float((torch.cat([net(part) for part in x.split(256)]).argmax(1) == y).float().mean())
    eps, share_left = choose_radius(net, x[:256], y[:256])
    entry |= {
        "training": {"steps": done, "of": steps, "batch": batch, "seconds": round(time.perf_counter() - begun, 1)},
        "clean_accuracy": clean, "eps": eps, "eps_255": round(eps * 255, 2), "pgd_10": share_left,
    }  # fmt: skip
    bench.save()

    def climb(label: str, plan: Plan, n: int) -> Any:
        entry[label] = bench.step(f"{name}: {label}", lambda: ladder(net, x[:n], y[:n], eps, plan, device))
        return entry[label]

    warm = climb("warm_up", TRIAGE, min(len(x), 64))
    foreseen = bench.step(
        f"{name}: foresee", lambda: peer_seconds(net, x, (warm or {}).get("robust_accuracy", 0.5), device)
    )
    room = end - time.perf_counter()
    sizes = [n for n, seconds in (foreseen or {}).items() if seconds < 0.7 * room and n <= len(x)]
    n = 12 if tiny else max(sizes, default=16)
    entry["foreseen_seconds"] = {str(key): round(value, 1) for key, value in (foreseen or {}).items()}
    climb("ladder_standard", STANDARD, n)
    climb("ladder_triage", TRIAGE, n)
    limit = end - time.perf_counter()
    entry["autoattack"] = bench.step(f"{name}: AutoAttack on {n}", lambda: peer(net, x[:n], y[:n], eps, device, limit))
    compare(entry)
    bench.save()
    if end - time.perf_counter() > 12:
        climb("ladder_standard_exact", Plan("standard", STANDARD.stages, fast=False), n)
    if end - time.perf_counter() > 12:
        climb("ladder_standard_large", STANDARD, len(x))
    if end - time.perf_counter() > 100 or tiny:
        climb("ladder_confirm", CONFIRM, n if not tiny else 4)


def compare(entry: dict[str, Any]) -> None:
    """Put the two side by side."""
    peers, ours, quick = entry.get("autoattack"), entry.get("ladder_standard"), entry.get("ladder_triage")
    if not peers or not peers.get("finished") or not ours:
        return
    entry["ratio_standard"] = round(peers["seconds"] / ours["seconds"], 2)
    entry["points_above_autoattack"] = round(100 * (ours["robust_accuracy"] - peers["robust_accuracy"]), 2)
    if quick:
        entry["ratio_triage"] = round(peers["seconds"] / quick["seconds"], 2)
        entry["triage_points_above"] = round(100 * (quick["robust_accuracy"] - peers["robust_accuracy"]), 2)


ROWS = (
    ("AutoAttack", "autoattack"), ("ladder, standard", "ladder_standard"), ("ladder, triage", "ladder_triage"),
    ("standard, without bfloat16 and graphs", "ladder_standard_exact"),
    ("standard, more images", "ladder_standard_large"),
    ("ladder, confirm", "ladder_confirm"),
)  # fmt: skip


def table(result: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = [
        "| model | attack | images | robust accuracy | seconds | images/s | GPU busy | AutoAttack's time over it |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    for name, entry in result["models"].items():
        peers = entry.get("autoattack") or {}
        for label, key in ROWS:
            row = entry.get(key)
            if not row:
                continue
            same = peers.get("finished") and row["n"] == peers["n"]
            ratio = f"{peers['seconds'] / row['seconds']:.1f}" if same else ""
            accuracy = f"{100 * row['robust_accuracy']:.1f} %" if "robust_accuracy" in row else "did not finish"
            speed = f"{row['images_per_second']:.1f}" if "images_per_second" in row else ""
            busy = f"{row['utilisation']:.0f} %" if "utilisation" in row else ""
            lines.append(
                f"| {name} | {label} | {row['n']} | {accuracy} | {row['seconds']:.1f} | {speed} | {busy} | {ratio} |"
            )
    for name, entry in result["models"].items():
        if "eps_255" in entry:
            lines.append(
                f"\n{name}: {entry['parameters'] / 1e6:.1f} million parameters, clean accuracy "
                f"{100 * entry['clean_accuracy']:.1f} %, eps {entry['eps_255']:g}/255 in Linf, trained for "
                f"{entry['training']['steps']} steps in {entry['training']['seconds']:.0f} s."
            )
    about = result["machine"]
    lines.append(f"\n{about['card']}, torch {about['torch']}, {about['date']}; {about['seconds']:.0f} s in all.")
    return "\n".join(lines) + "\n"


def picture(result: dict[str, Any], path: Path) -> None:
    """Draw images per second and robust accuracy."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, max(1, len(result["models"])), figsize=(11, 6), squeeze=False)
    for column, (name, entry) in enumerate(result["models"].items()):
        rows = [(label, entry[key]) for label, key in ROWS if entry.get(key) and "robust_accuracy" in entry[key]]
        labels = [f"{label} (n={row['n']})" for label, row in rows]
        speeds, shares = (
            [row["images_per_second"] for _, row in rows],
            [100 * row["robust_accuracy"] for _, row in rows],
        )
        for axis, values, title in zip(
            axes[:, column], (speeds, shares), ("images/s", "robust accuracy, %"), strict=True
        ):
            bars = axis.barh(labels[::-1], values[::-1], color="#4878a8")
            axis.bar_label(bars, fmt="%.1f", padding=3)
            axis.set_title(f"{name}: {title}", fontsize=10)
            axis.margins(x=0.2)
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tiny", action="store_true", help="a dry run with small nets, on whatever there is")
    parser.add_argument("--budget", type=float, default=270, help="seconds for everything")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not args.tiny:
        print("no GPU here: nothing measured (--tiny makes a dry run on the CPU)")
        return 0
    torch.manual_seed(0)
    begun = time.perf_counter()
    bench = Bench(args.out, args.budget, device)
    card = torch.cuda.get_device_name(0) if device == "cuda" else f"no GPU ({platform.machine()})"
    now = datetime.now(UTC).strftime("%Y-%m-%d")
    bench.result["machine"] = {
        "card": card, "torch": torch.__version__, "python": sys.version.split()[0], "date": now, "tiny": args.tiny,
        "seconds": 0.0,
    }  # fmt: skip
    if args.tiny:
        torch.set_num_threads(1)
        plans = (("small ResNet", resnet18(4), 60, 0.45), ("small WideResNet", wide_resnet(1, 1), 60, 0.9))
    else:
        plans = (("ResNet-18", resnet18(), 300, 0.42), ("WideResNet-28-10", wide_resnet(), 130, 0.95))
    for name, net, steps, share in plans:
        bench.step(name, lambda n=name, m=net, s=steps, p=share: measure(bench, n, m, s, p, args.tiny))
    bench.result["finished"] = True
    bench.result["machine"]["seconds"] = round(time.perf_counter() - begun, 1)
    bench.save()
    (args.out / "gpu_robustness.md").write_text(table(bench.result))
    bench.step("picture", lambda: picture(bench.result, args.out / "gpu_robustness.png"))
    print(table(bench.result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
