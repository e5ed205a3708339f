"""ART's detectors of poisoned training data on the same models, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backdoor_zoo import Recipe

HOME = Path(__file__).parent.parent / "build" / "peers" / "art"
WHAT = ("adversarial-robustness-toolbox==1.20.1", "six", "tqdm", "setuptools<81")


def measure_art(recipes: Sequence[Recipe], kept: Path) -> dict[str, Any]:
    """Return how many poisoned and honest training images ART's two detectors accuse; empty where it cannot be had."""
    path = kept / "art.json"
    if not path.exists() and install():
        words = [json.dumps([recipe.name for recipe in recipes]), str(kept), str(path)]
        subprocess.run([sys.executable, __file__, *words], check=True, timeout=600)
    rows = json.loads(path.read_text()) if path.exists() else []
    lines = ["| model | detector | poisoned accused | honest accused | CPU s |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['model']} | {row['detector']} | {row['caught']:.2f} | {row['false']:.2f} | {row['seconds']:.1f} |"
        for row in rows
    ]
    return {"rows": rows, "markdown": "\n".join(lines)}


def install() -> bool:
    """Install ART beside our own torch and scikit-learn; returns whether it is there."""
    if not (HOME / "art").exists():
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps"]
        done = subprocess.run([*pip, "--target", str(HOME), *WHAT], check=False, capture_output=True, timeout=600)
        return done.returncode == 0
    return True


def _measure(names: Sequence[str], kept: Path) -> list[dict[str, Any]]:
    import time

    import numpy as np
    import torch
    from art.defences.detector.poison import ActivationDefence, SpectralSignatureDefense
    from art.estimators.classification import PyTorchClassifier
    from backdoor_zoo import build, colours, mnist, poisoned

    torch.set_num_threads(1)
    rows = []
    for name in names:
        data_name, network, kind, rest = _parsed(name)
        recipe = Recipe(data_name, network, kind, int(rest[0]), float(rest[1]), int(rest[2]))
        data = mnist() if data_name == "mnist" else colours()
        model = build(recipe, data.shape)
        model.load_state_dict(torch.load(kept / f"{name}.pt", weights_only=True))
        images, labels, marked = poisoned(data, recipe)
        classifier = PyTorchClassifier(model.eval(), torch.nn.CrossEntropyLoss(), data.shape, 10, device_type="cpu")
        answers = np.eye(10)[labels.numpy()]
        for label, kind_of in (
            ("ActivationDefence", ActivationDefence),
            ("SpectralSignature", SpectralSignatureDefense),
        ):
            start = time.process_time()
            defence = kind_of(classifier, images.numpy(), answers)
            _, honest = defence.detect_poison(
                **({"nb_clusters": 2, "nb_dims": 10, "reduce": "PCA"} if "Act" in label else {})
            )
            accused = 1 - np.asarray(honest)
            poison = marked.numpy()
            rows.append({
                "model": name, "detector": label, "caught": float(accused[poison].mean()),
                "false": float(accused[~poison].mean()), "seconds": time.process_time() - start,
            })  # fmt: skip
    return rows


def _parsed(name: str) -> tuple[str, str, str, list[str]]:
    for kind in ("all-to-all", "clean-label"):
        if f"-{kind}-" in name:
            first, rest = name.split(f"-{kind}-")
            data, network = first.split("-")
            return data, network, kind, rest.split("-")
    data, network, kind, *rest = name.split("-")
    return data, network, kind, rest


if __name__ == "__main__":
    sys.path.append(str(HOME))
    Path(sys.argv[3]).write_text(json.dumps(_measure(json.loads(sys.argv[1]), Path(sys.argv[2]))))
