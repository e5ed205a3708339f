"""JSON that a framework builds objects from: told by its content, wherever it lies and whatever it is called."""

from __future__ import annotations

from typing import Any

from zt_gate.scan.artifacts.format import Piece
from zt_gate.scan.artifacts.hdf5.keras_config import is_keras_object, judge_config
from zt_gate.scan.artifacts.releases.skops_schema import is_schema, judge_schema


def judge_json(piece: Piece, root: Any) -> None:
    """Look for Keras objects and skops nodes, and judge the document as what it is.

    Raises:
        ValueError: more values than the limit.
    """
    keras = skops = False
    stack = [root]
    while stack and not (keras and skops):
        value = stack.pop()
        if isinstance(value, dict):
            keras = keras or is_keras_object(value)
            skops = skops or is_schema(value)
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
    if keras:
        judge_config(piece, root)
    if skops:
        judge_schema(piece, root)
