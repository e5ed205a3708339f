"""The steps of an evaluation as a user types them: ticket, run, check."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

POLICY = """\
apiVersion: zt-gate/v1
kind: Policy
metadata: {name: robust, expires: "2099-01-01T00:00:00Z"}
trust:
  keys:
    - {id: gate, file: gate/zt-gate.pub}
    - {id: runner, file: runner/zt-gate.pub}
stages:
  production:
    checks: {artifacts: required}
    robustness:
      by: [runner]
      tickets: [gate]
      threat: {norm: Linf, eps: "0.03"}
      strength: triage
      min_samples: 100
      replay: true
      LEAST
"""


def zt(place: Path, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "zt_gate", *words], cwd=place, capture_output=True, text=True, timeout=250, check=False
    )


def write_policy(place: Path, least: str) -> None:
    (place / "policy.yaml").write_text(POLICY.replace("LEAST", least))


def ticket(place: Path, *more: str, name: str = "ticket.json") -> None:
    done = zt(place, "evaluate", "ticket", "release", "--data", "data.npz", "--policy", "policy.yaml", "--key",
              "gate/zt-gate.key", "--out", name, *more)  # fmt: skip
    assert done.returncode == 0, done.stderr


RUN = ["evaluate", "release", "--data", "data.npz", "--ticket", "ticket.json", "--key", "runner/zt-gate.key"]


def evaluate(place: Path, *more: str, out: str = "out") -> subprocess.CompletedProcess:
    return zt(place, *RUN, "--out", out, "--no-curve", "--batch", "64", *more)


def check(place: Path, *folders: str) -> dict:
    evidence = [word for folder in folders for word in ("--evidence", folder)]
    done = zt(place, "check", "release", "--policy", "policy.yaml", "--format", "json", *evidence)
    return json.loads(done.stdout)


def rules(report: dict) -> set[str]:
    return {reason["rule"] or reason["code"] for reason in report["reasons"]}


def predicate(path: Path) -> dict:
    return json.loads(base64.b64decode(json.loads(path.read_text())["payload"]))["predicate"]
