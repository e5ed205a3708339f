"""Configurations of Triton (`config.pbtxt`): what they make the server load, open or run.

Source: model_config.proto of triton-inference-server/common, and the text format of protocol buffers. A field that the
message does not have is a gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from zt_gate.domain import printable
from zt_gate.scan.artifacts.format import Format, Input

_NAME = "config.pbtxt"
_MAX_SIZE = 1 << 20
_MAX_DEPTH = 32
_TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<skip>\#[^\n]*|\s+|[,;])|(?P<word>[\w.+-]+)"""
    r"""|(?P<mark>[{}<>:\[\]])""",
)
_FIELDS_TEXT = """
name platform backend runtime version_policy max_batch_size input output batch_input batch_output optimization
dynamic_batching sequence_batching ensemble_scheduling instance_group default_model_filename cc_model_filenames
metric_tags parameters model_warmup model_operations model_transaction_policy model_repository_agents response_cache
model_metrics
"""
_FIELDS = frozenset(_FIELDS_TEXT.split())
_BACKENDS_TEXT = """
onnxruntime tensorflow tensorflow1 tensorflow2 pytorch tensorrt openvino fil identity repeat square tensorrtllm vllm
dali onnxruntime_onnx tensorrt_plan tensorflow_savedmodel tensorflow_graphdef pytorch_libtorch ensemble python
"""
_BACKENDS = frozenset(_BACKENDS_TEXT.split())
"""Back ends that ship with Triton. Python runs `model.py`, which the deploy check tells (DEP-151)."""
_OPENED = ("default_model_filename", "cc_model_filenames.value", "input_data_file", "label_filename")
_RUNNING = re.compile(r"lib|plugin|custom|env|exec|cmd|command|script|module|python|entry|preload|ld_", re.IGNORECASE)
"""Parameters by which back ends load code; there is no list of them, since each back end has its own."""
_OUT = re.compile(r"[\\/~]|[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*:|.*(?:^|[\\/])\.\.(?:[\\/]|$)")
_AGENTS = frozenset({"checksum"})


def entries(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield every scalar with the names of the fields that lead to it.

    Raises:
        ValueError: it is no protobuf text.
    """
    tokens = _tokens(text)
    yield from _message(tokens, (), "")
    if next(tokens, None) is not None:
        raise ValueError("a closing brace without an opening one")


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"the character {text[at]!r} at {at}, which means nothing")
        at = match.end()
        if match.lastgroup != "skip":
            yield match[0]


def _message(tokens: Iterator[str], path: tuple[str, ...], end: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Read fields up to the mark that ends them."""
    if len(path) > _MAX_DEPTH:
        raise ValueError(f"fields nested more than {_MAX_DEPTH} deep")
    for name in tokens:
        if name == end:
            return
        if not _WORD.fullmatch(name):
            raise ValueError(f"{name!r} where the name of a field has to be")
        value = next(tokens, "")
        yield from _value(tokens, (*path, name), next(tokens, "") if value == ":" else value)
    if end:
        raise ValueError("a message that is not closed")


def _value(tokens: Iterator[str], path: tuple[str, ...], first: str) -> Iterator[tuple[tuple[str, ...], str]]:
    if first == "[":
        for item in tokens:
            if item == "]":
                return
            yield from _value(tokens, path, item)
        raise ValueError("a list that is not closed")
    if first in _CLOSED:
        yield path, ""  # a message without fields is there all the same
        yield from _message(tokens, path, _CLOSED[first])
    elif not first or first in "}>]:":
        raise ValueError(f"a field {path[-1]} without a value")
    else:
        yield path, first


_WORD = re.compile(r"[A-Za-z_]\w*")
_CLOSED = {"{": "}", "<": ">"}


def _examine(piece: Input) -> None:
    if piece.source.size > _MAX_SIZE:
        raise ValueError(f"a configuration of more than {_MAX_SIZE} bytes")
    text = piece.source.read_at(0, piece.source.size).decode("utf-8")
    key = ""
    for path, raw in entries(text):
        field, value = ".".join(path), raw[1:-1] if raw[:1] in ("'", '"') else raw
        if path[0] not in _FIELDS:
            piece.exam.gap(f"the field {printable(path[0], 60)} is not known to this version", "update zt-gate")
        key = value if path[-1] == "key" else key
        if problem := _problem(path, key, value):
            piece.exam.finding("ART-690", f"{printable(field, 80)}: {problem}", member=piece.source.member,
                               symbol=printable(f"{field} {value}", 120))  # fmt: skip
    piece.exam.cover_all()


def _problem(path: tuple[str, ...], key: str, value: str) -> str:
    """Return what a field makes the server do, or nothing."""
    field, shown = ".".join(path), printable(value, 100)
    if "\\" in value:
        return f"{shown} hides letters behind an escape"
    if path[-1] == "op_library_filename":
        return f"the server loads the library {shown}"
    if field in ("backend", "platform") and value and value not in _BACKENDS:
        return f"the server loads the back end {shown}, which does not ship with it"
    if field == "model_repository_agents.agents.name" and value not in _AGENTS:
        return f"the server loads the repository agent {shown}"
    if path[0] == "parameters" and path[-1] == "string_value" and _RUNNING.search(key):
        return f"the parameter {printable(key, 60)} has a back end load {shown}"
    opened = field in _OPENED or path[-1] in _OPENED or path[0] == "parameters" or field == "runtime"
    return f"{shown} leads out of the model's folder" if opened and _OUT.match(value) else ""


TRITON = Format("triton", lambda head: head.name == _NAME, _examine)
