"""Shows a consumer that loads the example release safely and recognises its input example.

    python examples/digits/load.py build/digits

The architecture is this program's own; the release brings numbers and a description, and both are checked against
it. Run `zt-gate admit` on the folder first: it answers whether these bytes are the approved ones, this program
does not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import train
from safetensors.torch import load_file


def load(release: Path) -> torch.nn.Module:
    """Return the network with the release's weights.

    Raises:
        ValueError: the release describes another architecture.
        RuntimeError: the weights do not fit it.
    """
    described = json.loads((release / "config.json").read_text(encoding="utf-8"))
    config = train.Config()
    if described != train.describe(config):
        raise ValueError(f"{release / 'config.json'} describes another architecture than this program has")
    model = train.build_model(config)
    model.load_state_dict(load_file(release / "model.safetensors"), strict=True)
    model.train(False)
    return model


def main() -> None:
    """Load the release that is named and say which digit its input example shows."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: load.py RELEASE")
    release = Path(sys.argv[1])
    example = json.loads((release / "input_example.json").read_text(encoding="utf-8"))
    with torch.no_grad():
        logits = load(release)(torch.tensor(example["inputs"], dtype=torch.float32))
    print(f"the input example shows a {int(logits.argmax())}")


if __name__ == "__main__":
    main()
