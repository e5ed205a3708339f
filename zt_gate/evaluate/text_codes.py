"""Texts as rows of code points, so that one kind of array carries every input; float32 holds each of them exactly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from zt_gate.evaluate.sandbox.wire import Array

LAST_CODE_POINT = 0x10FFFF


def to_codes(texts: Sequence[str] | Array, length: int) -> Array:
    """Return texts as rows of code points, cut or filled up with 0."""
    rows = np.zeros((len(texts), length), np.float32)
    for row, text in zip(rows, texts, strict=True):
        points = [ord(letter) for letter in str(text)[:length]]
        row[: len(points)] = points
    return rows


def to_text(row: Iterable[float]) -> str:
    """Return the text that a row of code points stands for; 0 stands for no character."""
    return "".join(chr(int(point)) for point in row if 0 < point <= LAST_CODE_POINT and not 0xD800 <= point <= 0xDFFF)
