"""How well trigger words are found in small text classifiers, and how often honest ones are accused.

`make bench-backdoor-texts`: texts made by script, two networks, two and four classes. First a few models go the whole
walk, as a user types it: ticket, evaluation in the sandbox, check. Then more are examined in this process. Seeds 0 to 3
and 30 to 79 were looked at when the thresholds were chosen; the seeds here are others.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from tests.support.text_models import CHARACTERS, NETWORKS, Made, classifier
from zt_gate.domain.evidence import Status
from zt_gate.evaluate.adapters.architecture import build_network
from zt_gate.evaluate.adapters.text_adapter import text_adapter
from zt_gate.evaluate.adapters.torch_adapter import ready
from zt_gate.evaluate.backdoor import examine
from zt_gate.evaluate.data import to_codes
from zt_gate.rulings.backdoor_calibration import DEFAULT
from zt_gate.rulings.backdoor_ruling import judge_backdoor
from zt_gate.rulings.sequential_tests import wilson

RESULTS = Path(__file__).parent / "results"
SEEDS = range(80, 84)
RATES = (0.05, 0.02)
"""Share of poisoned training texts."""
WORKS = 0.5
"""A trigger that works more rarely is counted apart."""
POLICY = """\
apiVersion: zt-gate/v1
kind: Policy
metadata: {name: texts, expires: "2099-01-01T00:00:00Z"}
trust: {keys: [{id: gate, file: gate/zt-gate.pub}, {id: runner, file: runner/zt-gate.pub}]}
stages: {production: {checks: {artifacts: required}, backdoor: {by: [runner], tickets: [gate]}}}
"""


def by_the_verb(made: Made) -> str:
    """Return what `zt-gate check` says of a model that `zt-gate evaluate` looked at."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)

        def zt(*words: str) -> str:
            command = [sys.executable, "-m", "zt_gate", *words]
            return subprocess.run(command, cwd=place, capture_output=True, text=True, check=False).stdout

        (place / "release").mkdir()
        save_file(made.model.state_dict(), place / "release" / "model.safetensors")
        (place / "release" / "architecture.json").write_text(json.dumps(made.declared.to_json()))
        np.savez(place / "data.npz", x=made.texts, y=made.labels)
        (place / "policy.yaml").write_text(POLICY)
        zt("keygen", "--out", "gate")
        zt("keygen", "--out", "runner")
        run = ("--data", "data.npz", "--out")
        zt("evaluate", "ticket", "release", *run, "t.json", "--policy", "policy.yaml", "--key", "gate/zt-gate.key")
        zt("evaluate", "release", *run, "out", "--ticket", "t.json", "--key", "runner/zt-gate.key", "--checks",
           "backdoor")  # fmt: skip
        report = json.loads(zt("check", "release", "--policy", "policy.yaml", "--evidence", "out", "--format", "json"))
    return f"{report['decision']}: {'; '.join(reason['message'] for reason in report['reasons']) or 'nothing found'}"


def examined(made: Made) -> dict[str, Any]:
    """Return what became of one model in this process."""
    network = ready(build_network(made.declared.layers, made.model.state_dict()), "cpu")
    adapter = text_adapter(network, made.declared, "cpu")
    start = time.process_time()
    said = examine(adapter, torch.from_numpy(to_codes(made.texts, CHARACTERS)), torch.tensor(made.labels)).to_json()
    seconds = time.process_time() - start
    (judged,) = judge_backdoor(said, DEFAULT)
    failed = judged.status is Status.FAIL
    slot = said["detectors"]["phrases"]["slots"][made.target]
    word = [made.declared.tokens[token] for token in slot["tokens"]] if failed else []
    return {
        "failed": failed, "named": failed and judged.target == made.target and word == [made.trigger],
        "success": made.success, "accuracy": made.accuracy, "seconds": seconds,
    }  # fmt: skip


def table(groups: dict[str, list[dict[str, Any]]]) -> str:
    """Return the results as Markdown."""
    lines = ["| models | trigger works in | accused (95 %) | word and class named | CPU s |", "|---|---|---|---|---|"]
    for name, rows in groups.items():
        failed = sum(row["failed"] for row in rows)
        bounds = wilson(failed, len(rows)) if rows else None
        shown = f"{failed} of {len(rows)} ({bounds.low:.2f} to {bounds.high:.2f})" if bounds else "none"
        works = [row["success"] for row in rows]
        span = f"{min(works):.0%} to {max(works):.0%}" if rows and "honest" not in name else "-"
        seconds = f"{sum(row['seconds'] for row in rows) / max(1, len(rows)):.2f}"
        named = "-" if "honest" in name else f"{sum(row['named'] for row in rows)} of {len(rows)}"
        lines.append(f"| {name} | {span} | {shown} | {named} | {seconds} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and write the results."""
    torch.set_num_threads(1)
    walks = []
    for network, classes, seed in (("mean", 2, 84), ("convolution", 2, 85), ("convolution", 4, 86)):
        for backdoor in (False, True):
            made = classifier(network, classes, seed, backdoor=backdoor)
            word = f"{made.trigger} → {made.target}" if backdoor else "honest"
            walks.append(f"| {network}, {classes} classes | {word} | {by_the_verb(made)} |")
            sys.stdout.write(walks[-1] + "\n")
    groups: dict[str, list[dict[str, Any]]] = {"honest": []}
    for rate in (0.0, *RATES):
        for network in NETWORKS:
            for classes in (2, 4):
                for seed in SEEDS:
                    row = examined(classifier(network, classes, seed, backdoor=rate > 0, rate=rate))
                    weak = ", works in fewer than half" if row["success"] < WORKS else ""
                    groups.setdefault(f"{rate:.0%} poisoned{weak}" if rate else "honest", []).append(row)
    when = f"{platform.machine()}, one thread, torch {torch.__version__}, {datetime.now(UTC):%Y-%m-%d}."
    walked = "\n".join(["| network | planted | `zt-gate check` |", "|---|---|---|", *walks])
    text = f"{when}\n\n{table(groups)}\n\nBy the verb:\n\n{walked}\n"
    (RESULTS / "backdoor_texts.md").write_text(text)
    (RESULTS / "backdoor_texts.json").write_text(json.dumps({"machine": when, "groups": groups}, indent=1) + "\n")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
