"""Small real files and whole releases, written without any framework."""

from __future__ import annotations

import json
import struct
from pathlib import Path

HOSTILE_PICKLE = b"cos\nsystem\n(S'true'\ntR."
"""Imports os.system; inert as long as nobody loads it, and nobody does."""


def safetensors(values: int = 4) -> bytes:
    """Return a safetensors file with one F32 tensor."""
    data = struct.pack(f"<{values}f", *range(values))
    header = json.dumps({"weight": {"dtype": "F32", "shape": [values], "data_offsets": [0, len(data)]}}).encode()
    return struct.pack("<Q", len(header)) + header + data


def write_release(folder: Path) -> Path:
    """Write an honest release of four files."""
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(safetensors())
    (folder / "config.json").write_text('{"architecture": "linear"}\n')
    (folder / "README.md").write_text("# A linear layer\n")
    (folder / "MLmodel").write_text("flavors:\n  linear:\n    weights: model.safetensors\nmodel_uuid: tiny\n")
    return folder
