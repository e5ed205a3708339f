"""ONNX models: onnxruntime gives the scores; PyTorch runs common graphs, where gradients are wanted."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from zt_gate.evaluate.adapters.declaration import Declaration
from zt_gate.evaluate.adapters.kinds import UnsupportedError
from zt_gate.evaluate.adapters.onnx_graph import ConversionError, convert
from zt_gate.evaluate.adapters.score_adapter import ScoreAdapter
from zt_gate.evaluate.adapters.torch_adapter import TorchAdapter

_LABELS = ("tensor(int64)", "tensor(int32)", "tensor(string)", "tensor(bool)")
"""Types of outputs that hold classes and no scores."""
_PROBES = 4
_TOLERANCE = 1e-3
_LARGEST_CONVERTED = 1 << 30


def load_onnx(path: str, declared: Declaration, device: str) -> TorchAdapter | ScoreAdapter:
    """Load a model; one whose graph cannot be converted, or converts to other scores, is a black box.

    Raises:
        UnsupportedError: it has several inputs, or not exactly one output that could be scores.
    """
    import onnxruntime  # type: ignore[import-untyped]  # it ships no types

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1:
        raise UnsupportedError(f"the graph has {len(inputs)} inputs, and a classifier has one")
    name, batch = inputs[0].name, inputs[0].shape[0] if inputs[0].shape else None
    found = [item for item in outputs if item.type not in _LABELS]
    if len(found) != 1 or "float" not in found[0].type:
        raise UnsupportedError(
            f"{len(found)} outputs of the graph could be the scores, and one tensor of floats has to be"
        )
    scores = found[0].name

    def run(raw: Any) -> Any:
        values = np.ascontiguousarray(raw, dtype=np.float32)
        if batch == 1:  # exported for one sample at a time
            return np.concatenate([session.run([scores], {name: row[None]})[0] for row in values])
        return session.run([scores], {name: values})[0]

    if len(outputs) == 1 and declared.task != "text":
        converted = _differentiable(path, declared, device, run)
        if converted is not None:
            return converted
    return ScoreAdapter(run, declared, probabilities=declared.output == "probabilities")


def _differentiable(path: str, declared: Declaration, device: str, run: Any) -> TorchAdapter | None:
    """Return the graph in PyTorch, or None where it is not converted or answers differently."""
    import onnx

    try:
        model = onnx.load(path)
        if model.ByteSize() > _LARGEST_CONVERTED:
            return None
        adapter = TorchAdapter(convert(model, device), declared, device)
        generator = np.random.default_rng(0)
        span = declared.high - declared.low
        raw = (declared.low + span * generator.random((_PROBES, *declared.shape))).astype(np.float32)
        with torch.no_grad():
            prepared = adapter.prepared(torch.from_numpy(raw).to(device))
            mine = convert(model, device)(prepared).float().cpu().numpy()
        theirs = run(prepared.cpu().numpy())
    except (ConversionError, RuntimeError, ValueError, TypeError, KeyError, IndexError):
        return None
    # The release is what onnxruntime runs; gradients of a graph that answers differently would attack another model.
    same = mine.shape == theirs.shape and np.allclose(mine, theirs, rtol=_TOLERANCE, atol=_TOLERANCE)
    return adapter if same else None
