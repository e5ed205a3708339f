"""Test sets: an `.npz` with `x` and `y`, read without pickles, and checked before anything is attacked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zt_gate.domain import Digest, printable
from zt_gate.errors import EvidenceError
from zt_gate.evaluate.adapters.declaration import Declaration
from zt_gate.intake import Freeze, freeze

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
    # Surrogates are no characters: a text that holds one cannot be encoded.
    return "".join(chr(int(point)) for point in row if 0 < point <= LAST_CODE_POINT and not 0xD800 <= point <= 0xDFFF)


MAX_CHARACTERS = 2000
_ADVICE = "docs/evaluate.md says what a test set looks like"
_SLACK = 1e-6


@dataclass(frozen=True, slots=True)
class TestSet:
    """Samples and their classes."""

    digest: Digest
    """Of the file, as `zt-gate` freezes it; what tickets and statements name."""
    sha256: Digest
    """Of its bytes; what provenance names."""
    x: Array
    """`(n, channels, height, width)` or `(n, features)` of numbers, or `(n,)` of texts."""
    y: Array
    """`(n,)`, int64."""

    def __len__(self) -> int:
        return len(self.y)


def read_test_set(path: Path) -> TestSet:
    """Read a test set.

    Raises:
        TargetError: there is no such file.
        EvidenceError: it is none; the message says what is wrong.
    """
    shown = printable(path)
    with freeze([path], Freeze.HOLD) as frozen:
        if len(frozen.files) != 1:
            raise EvidenceError(f"{shown} is no single file", _ADVICE)
        try:
            # An array of objects inside an .npz is a pickle.
            with next(iter(frozen.files.values())).open() as stream, np.load(stream, allow_pickle=False) as held:
                arrays = {name: held[name] for name in ("x", "y") if name in held.files}
        except Exception:  # noqa: BLE001 - zipfile, zlib and NumPy raise a dozen kinds over a broken archive
            raise EvidenceError(f"{shown} is no .npz without pickled objects", _ADVICE) from None
        digest, sha256 = frozen.digest, Digest(frozen.subject.manifest.entries[0].sha256)
    if arrays.keys() != {"x", "y"}:
        raise EvidenceError(f"{shown} lacks x or y", _ADVICE)
    return TestSet(digest, sha256, *_checked(arrays["x"], arrays["y"], shown))


def _checked(x: Array, y: Array, shown: str) -> tuple[Array, Array]:
    if y.ndim != 1 or len(x) != len(y) or not len(y):
        raise EvidenceError(f"{shown} has {len(x)} samples and labels of shape {y.shape}", "one label for each sample")
    if y.dtype.kind not in "iu" or y.min() < 0:
        raise EvidenceError(f"{shown} has labels that are no class numbers from 0", "leave samples without a label out")
    if x.dtype.kind == "U":
        if x.ndim != 1:
            raise EvidenceError(f"{shown} has texts of shape {x.shape}", "one text for each sample")
    elif x.dtype.kind not in "fiu" or x.ndim not in (2, 3, 4) or not np.isfinite(x).all():
        raise EvidenceError(f"{shown} has samples of {x.dtype} and shape {x.shape}, or NaN among them", _ADVICE)
    if len(np.unique(y)) < 2:
        raise EvidenceError(f"{shown} has samples of one class only", "use a test set with every class")
    return x, y.astype(np.int64)


def declared_for(test: TestSet, declared: Declaration | None) -> Declaration:
    """Return what is declared, or else what the data say; a table's columns get their bounds from the data.

    Raises:
        EvidenceError: data and declaration do not fit.
    """
    classes = int(test.y.max()) + 1
    if declared is None:
        if test.x.dtype.kind == "U":
            length = max(8, min(MAX_CHARACTERS, int(np.char.str_len(test.x).max())))
            declared = Declaration("text", classes, (length,), 0.0, float(LAST_CODE_POINT))
        else:
            shape = tuple(int(n) for n in test.x.shape[1:])
            declared = Declaration("tabular" if len(shape) == 1 else "image", classes, shape)
    if classes > declared.classes:
        raise EvidenceError(f"a label is {classes - 1}, and the model has {declared.classes} classes", _ADVICE)
    if declared.task == "tabular" and not declared.least and _beyond(test.x, declared):
        least, most = test.x.min(axis=0).astype(float), test.x.max(axis=0).astype(float)
        # Columns are scaled by their range, which is zero for a constant one.
        most = np.where(most > least, most, least + 1)
        categories = list(declared.constraints.grouped)
        least[categories], most[categories] = 0, 1
        declared = replace(declared, least=tuple(least.tolist()), greatest=tuple(most.tolist()))
    return declared


def prepared(test: TestSet, declared: Declaration) -> Array:
    """Return the samples as an adapter takes them: float32, of the declared shape and within its bounds.

    Raises:
        EvidenceError: another shape or another range than declared.
    """
    texts = test.x.dtype.kind == "U"
    # A text classifier without a list of words may be given the numbers of its tokens.
    numbers = declared.task == "text" and test.x.dtype.kind in "iu" and not declared.tokens
    if (declared.task == "text") != texts and not numbers:
        raise EvidenceError(f"the model's task is {declared.task}, and the data are {test.x.dtype}", _ADVICE)
    if texts:
        return to_codes(test.x, declared.shape[0])
    if tuple(test.x.shape[1:]) != declared.shape:
        raise EvidenceError(f"samples have the shape {test.x.shape[1:]}, and {declared.shape} is declared", _ADVICE)
    x: Array = test.x.astype(np.float64)
    if declared.constraints and (unlike := declared.constraints.unlike(x)):
        raise EvidenceError(f"the data are not as the constraints say: {unlike}", "fix the data or the declaration")
    if declared.least:
        least, greatest = np.asarray(declared.least), np.asarray(declared.greatest)
        x = (x - least) / np.where(greatest > least, greatest - least, 1.0)
    if _beyond(x, declared):
        found = f"{x.min():g} to {x.max():g}"
        advice = "divide by 255 where they are bytes, or declare low and high as they are"
        raise EvidenceError(
            f"samples reach from {found}, and {declared.low:g} to {declared.high:g} is declared", advice
        )
    clipped: Array = np.clip(x, declared.low, declared.high).astype(np.float32)
    return clipped


def _beyond(x: Array, declared: Declaration) -> bool:
    slack = _SLACK * (declared.high - declared.low)
    return bool(x.min() < declared.low - slack or x.max() > declared.high + slack)
