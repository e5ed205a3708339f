"""ONNX graphs of common layers, run by PyTorch, so that gradients come out of them.

A graph with any operator that is not in the table stays a black box. What is converted is compared with onnxruntime
before it is used.

Source: https://onnx.ai/onnx/operators/
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as f

Attributes = dict[str, Any]
Operator = Callable[[list[Any], Attributes], Tensor]


class ConversionError(Exception):
    """The graph has something that is not converted."""


class Graph:
    """A graph as a list of steps over named tensors."""

    def __init__(self, model: Any, device: str) -> None:
        """Convert a model.

        Args:
            model: an `onnx.ModelProto`, its weights inside.
            device: where the weights go.

        Raises:
            ConversionError: an operator or attribute that is not in the table, or several inputs or outputs.
        """
        from onnx import helper, numpy_helper

        graph = model.graph
        self._weights = {
            item.name: torch.from_numpy(numpy_helper.to_array(item).copy()).to(device) for item in graph.initializer
        }
        # Before version 4 of the format, weights are listed among the inputs as well.
        inputs = [item.name for item in graph.input if item.name not in self._weights]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise ConversionError("the graph has several inputs or outputs")
        self._input, self._output = inputs[0], graph.output[0].name
        self._steps: list[tuple[Operator, list[str], str, Attributes]] = []
        for node in graph.node:
            attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
            if node.op_type == "Constant" and "value" in attributes:
                value = torch.from_numpy(numpy_helper.to_array(attributes["value"]).copy())
                self._weights[node.output[0]] = value.to(device)
            elif node.op_type in OPERATORS and node.domain in ("", "ai.onnx"):
                self._steps.append((OPERATORS[node.op_type], list(node.input), node.output[0], attributes))
            else:
                raise ConversionError(f"the operator {node.op_type} is not converted")
        self.kinds = tuple(str(node.op_type) for node in graph.node if node.op_type != "Constant")

    def __call__(self, batch: Tensor) -> Tensor:
        """Run the graph."""
        # The empty name stands for an optional input that is left out.
        values: dict[str, Any] = {"": None, self._input: batch, **self._weights}
        for run, inputs, output, attributes in self._steps:
            values[output] = run([values[name] for name in inputs], attributes)
        result = values[self._output]
        if not isinstance(result, Tensor):
            raise ConversionError("the graph has no output")
        return result


def _conv(x: list[Any], a: Attributes) -> Tensor:
    data, begin = _padded(x[0], a, 0.0)
    if x[1].dim() != 4:
        raise ConversionError("only convolutions over two dimensions are converted")
    bias = x[2] if len(x) > 2 else None
    return f.conv2d(
        data, x[1], bias, a.get("strides", [1, 1]), begin, a.get("dilations", [1, 1]), int(a.get("group", 1))
    )


def _padded(data: Tensor, a: Attributes, fill: float) -> tuple[Tensor, list[int]]:
    """Return data and the padding that a layer can do itself: equal at both ends. Other padding is done here."""
    if a.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise ConversionError("automatic padding is not converted")
    top, left, bottom, right = a.get("pads", [0, 0, 0, 0])
    if (top, left) == (bottom, right):
        return data, [top, left]
    # PyTorch pads the last dimension first.
    return f.pad(data, (left, right, top, bottom), value=fill), [0, 0]


def _max_pool(x: list[Any], a: Attributes) -> Tensor:
    # Zeros would win over negative values.
    data, padding = _padded(x[0], a, float("-inf"))
    strides, dilations = a.get("strides", [1, 1]), a.get("dilations", [1, 1])
    return f.max_pool2d(data, a["kernel_shape"], strides, padding, dilations, bool(a.get("ceil_mode", 0)))


def _average_pool(x: list[Any], a: Attributes) -> Tensor:
    data, padding = _padded(x[0], a, 0.0)
    included = bool(a.get("count_include_pad", 0))
    # What `_padded` added counts as values by now, and cannot be left out of the average.
    if data is not x[0] and not included:
        raise ConversionError("an average that leaves out uneven padding is not converted")
    ceiling = bool(a.get("ceil_mode", 0))
    return f.avg_pool2d(data, a["kernel_shape"], a.get("strides", [1, 1]), padding, ceiling, included)


def _gemm(x: list[Any], a: Attributes) -> Tensor:
    left = x[0].T if a.get("transA", 0) else x[0]
    right = x[1].T if a.get("transB", 0) else x[1]
    product = a.get("alpha", 1.0) * (left @ right)
    if len(x) > 2 and x[2] is not None:
        product = product + a.get("beta", 1.0) * x[2]
    return product  # type: ignore[no-any-return]  # a list of Any


def _batch_norm(x: list[Any], a: Attributes) -> Tensor:
    data, scale, bias, mean, variance = x[:5]
    return f.batch_norm(data, mean, variance, scale, bias, training=False, eps=a.get("epsilon", 1e-5))


def _reshape(x: list[Any], a: Attributes) -> Tensor:
    data, shape = x[0], [int(n) for n in x[1]]
    # By default 0 keeps the dimension of the input.
    if not a.get("allowzero", 0):
        shape = [data.shape[index] if n == 0 else n for index, n in enumerate(shape)]
    if shape[:1] == [1] and data.shape[0] != 1:
        shape[0] = -1 if -1 not in shape else data.shape[0]  # exported for one sample, asked about a batch
    return data.reshape(shape)  # type: ignore[no-any-return]  # a list of Any


def _flatten(x: list[Any], a: Attributes) -> Tensor:
    axis = a.get("axis", 1)
    if axis != 1:
        raise ConversionError("only flattening behind the batch is converted")
    return x[0].flatten(1)  # type: ignore[no-any-return]  # a list of Any


def _axes(x: list[Any], a: Attributes) -> list[int]:
    axes = a.get("axes") if "axes" in a else (x[1].tolist() if len(x) > 1 and x[1] is not None else None)
    if axes is None:
        raise ConversionError("a reduction over everything is not converted")
    return [int(axis) for axis in axes]


def _clip(x: list[Any], a: Attributes) -> Tensor:
    low = x[1] if len(x) > 1 else a.get("min")
    high = x[2] if len(x) > 2 else a.get("max")
    return torch.clamp(x[0], None if low is None else float(low), None if high is None else float(high))


def _each(function: Callable[..., Tensor]) -> Operator:
    return lambda x, _: function(*x)


OPERATORS: dict[str, Operator] = {
    "Add": _each(torch.add),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Concat": lambda x, a: torch.cat(x, dim=int(a["axis"])),
    "Conv": _conv,
    "Div": _each(torch.div),
    "Dropout": lambda x, _: x[0],
    "Elu": lambda x, a: f.elu(x[0], a.get("alpha", 1.0)),
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda x, _: x[0].mean(dim=(2, 3), keepdim=True),
    "Identity": lambda x, _: x[0],
    "LeakyRelu": lambda x, a: f.leaky_relu(x[0], a.get("alpha", 0.01)),
    "LogSoftmax": lambda x, a: f.log_softmax(x[0], dim=int(a.get("axis", -1))),
    "MatMul": _each(torch.matmul),
    "MaxPool": _max_pool,
    "Mul": _each(torch.mul),
    "ReduceMean": lambda x, a: x[0].mean(dim=_axes(x, a), keepdim=bool(a.get("keepdims", 1))),
    "Relu": _each(torch.relu),
    "Reshape": _reshape,
    "Sigmoid": _each(torch.sigmoid),
    "Softmax": lambda x, a: f.softmax(x[0], dim=int(a.get("axis", -1))),
    "Sub": _each(torch.sub),
    "Tanh": _each(torch.tanh),
    "Transpose": lambda x, a: x[0].permute(*a["perm"]),
}
"""Operators with the semantics of opset 13 and later."""
LEAST_OPSET = 13


def convert(model: Any, device: str) -> Graph:
    """Convert a model.

    Raises:
        ConversionError: something in it is not converted.
    """
    versions: Sequence[int] = [item.version for item in model.opset_import if item.domain in ("", "ai.onnx")]
    # Before opset 13 Softmax, for instance, took all axes from the given one on as one.
    if not versions or min(versions) < LEAST_OPSET:
        raise ConversionError(f"operators of an opset before {LEAST_OPSET} mean other things")
    return Graph(model, device)
