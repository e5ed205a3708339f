"""PaddlePaddle: the operators of an inference program, and its parameters as raw tensors one after another."""

from __future__ import annotations

import math
import re

from zt_gate.domain import printable
from zt_gate.scan.artifacts.encodings.protobuf import ProtobufMessage, Schema, Walker, note_unknowns, top_level
from zt_gate.scan.artifacts.format import Format, Input
from zt_gate.scan.interface import Head

SCHEMA: Schema = {
    "Program": {1: "Block*", 4: "Version", 5: "skip"},
    "Version": {1: "int"},
    "Block": {1: "int", 2: "int", 3: "skip*", 4: "Operator*", 5: "int"},
    "Operator": {1: "skip*", 2: "skip*", 3: "text", 4: "skip*", 5: "int"},
    "TensorDescription": {1: "int", 2: "int*"},
}
_DANGEROUS = frozenset(
    {
        "py_func",
         "pyfunc", "py_layer", "pylayer", "load", "load_combine", "save", "save_combine", "read_file", "print",
        "listen_and_serv", "send", "recv", "fetch_barrier", "send_barrier", "run_program", "checkpoint_notify",
        "distributed_lookup_table", "gen_nccl_id", "read", "create_custom_reader", "tensorrt_engine", "lite_engine",
        "custom_op",
    }
)  # fmt: skip
_ALLOWED = frozenset(
    {
        "feed",
         "fetch", "conv2d", "depthwise_conv2d", "conv2d_transpose", "depthwise_conv2d_transpose", "conv3d", "pool2d",
        "pool3d",
         "batch_norm", "sync_batch_norm", "layer_norm", "group_norm", "instance_norm", "relu", "relu6", "sigmoid",
        "tanh", "gelu",
         "silu", "swish", "mish", "leaky_relu", "prelu", "elu", "selu", "softplus", "softsign", "hard_sigmoid",
        "hard_swish", "softmax", "log_softmax", "matmul", "matmul_v2", "mul", "bmm", "fc", "elementwise_add",
        "elementwise_sub",
         "elementwise_mul", "elementwise_div", "elementwise_pow", "elementwise_max", "elementwise_min",
        "elementwise_mod",
         "elementwise_floordiv", "reduce_mean", "reduce_sum", "reduce_max", "reduce_min", "reduce_prod",
        "reduce_all", "reduce_any", "mean", "sum", "scale", "cast", "concat", "split", "stack", "unstack", "slice",
        "strided_slice",
         "reshape", "reshape2", "transpose", "transpose2", "squeeze", "squeeze2", "unsqueeze", "unsqueeze2",
        "flatten", "flatten2", "flatten_contiguous_range", "expand_v2", "expand_as_v2", "tile", "gather", "gather_nd",
        "scatter", "scatter_nd_add", "index_select", "arg_max", "arg_min", "argsort", "top_k", "top_k_v2", "where",
        "where_index", "fill_constant", "fill_constant_batch_size_like", "fill_any_like", "fill_zeros_like", "range",
        "shape", "size", "assign", "assign_value", "increment", "equal", "not_equal", "less_than", "less_equal",
        "greater_than", "greater_equal", "logical_and", "logical_or", "logical_not", "logical_xor", "abs", "exp", "log",
        "sqrt", "rsqrt", "square", "pow", "floor", "ceil", "round", "sin", "cos", "clip", "sign", "reciprocal", "erf",
        "dropout",
         "lookup_table", "lookup_table_v2", "embedding", "one_hot_v2", "pad2d", "pad3d", "pad", "bilinear_interp",
        "bilinear_interp_v2",
         "nearest_interp", "nearest_interp_v2", "bicubic_interp_v2", "linear_interp_v2", "yolo_box",
        "multiclass_nms3", "matrix_nms", "prior_box", "box_coder", "roi_align", "grid_sampler", "affine_grid",
        "affine_channel", "deformable_conv", "pixel_shuffle", "shuffle_channel", "rnn", "gru", "lstm", "gru_unit",
        "sequence_pool", "sequence_conv", "conditional_block", "conditional_block_infer", "while", "select_input",
        "write_to_array", "read_from_array", "lod_array_length", "tensor_array_to_tensor", "p_norm", "norm", "cumsum",
        "meshgrid", "roll", "flip", "tril_triu", "eye", "uniform_random", "gaussian_random", "share_data",
        "quantize_linear", "dequantize_linear", "set_value", "unbind", "unfold", "isnan_v2", "isfinite_v2", "einsum",
        "add_n", "thresholded_relu", "log2", "log1p", "maximum", "minimum", "multihead_matmul",
    }
)  # fmt: skip
_WIDTHS = {0: 1, 1: 2, 2: 4, 3: 8, 4: 2, 5: 4, 6: 8, 20: 1, 21: 1, 22: 2, 23: 8, 24: 16, 32: 1, 33: 1}
"""Bytes per element by data type."""
_MAX_TENSORS = 1_000_000


def _examine(piece: Input) -> None:
    seen: set[str] = set()

    def operator(record: ProtobufMessage) -> None:
        for name in record.all(3):
            base = re.sub(r"(_grad)+\Z", "", name)
            if name in seen or (base in _ALLOWED and base not in _DANGEROUS):
                continue
            seen.add(name)
            shown = printable(name, 80)
            rule, what = "ART-581", "is not known"
            if base in _DANGEROUS:
                rule, what = "ART-580", "reaches files, other processes or Python"
            piece.exam.finding(rule, f"the operator {shown} {what}", member=piece.source.member,
                               offset=record.start, symbol=shown)  # fmt: skip

    walker = Walker(piece.source, SCHEMA, {"Operator": operator})
    walker.walk("Program")
    note_unknowns(piece, walker, "PaddlePaddle")
    piece.exam.cover_all()


def _examine_parameters(piece: Input) -> None:
    """Walk the tensors: versions, level of detail, a small description, then the numbers."""
    source, at = piece.source, 0
    walker = Walker(source, SCHEMA, {})
    for _ in range(_MAX_TENSORS):
        if at >= source.size:
            piece.exam.cover_all()
            break
        head = source.read_at(at, 20)
        length = int.from_bytes(head[16:20], "little")
        if len(head) < 20 or head[:16].strip(b"\0") or not 2 <= length <= 4096 or at + 20 + length > source.size:
            raise ValueError(f"no tensor at {at}")
        description = walker.walk("TensorDescription", at + 20, at + 20 + length)
        kind, shape = description.number(1, -1), description.all(2)
        if kind not in _WIDTHS or not all(type(item) is int and item < 1 << 40 for item in shape):
            raise ValueError(f"a tensor of data type {kind} at {at} is not known to this version")
        at += 20 + length + math.prod(shape) * _WIDTHS[kind]
        if at > source.size:
            raise ValueError("the last tensor is cut off")
    note_unknowns(piece, walker, "PaddlePaddle")


def _matches(head: Head) -> bool:
    return head.suffix == ".pdmodel" and 1 in top_level(head.source, SCHEMA, "Program")


def _is_parameters(head: Head) -> bool:
    return head.suffix == ".pdiparams" and not head.start[:16].strip(b"\0")


PADDLE = Format("paddle", _matches, _examine)
PADDLE_PARAMETERS = Format("paddle-parameters", _is_parameters, _examine_parameters)
