"""The inputs that a statement keeps: enough for a gate to ask the model about them again."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zt_gate.rulings.attacks import MAX_SAMPLE

if TYPE_CHECKING:
    from zt_gate.evaluate.sandbox.wire import Array

KEPT = 48
"""Most inputs that are kept; two thirds of them adversarial, where there are as many."""
FIELDS = ("index", "label", "code", "x", "adversarial")
# The earliest time that ZIP knows; the real one would give other bytes for the same content.
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Sample:
    """Inputs with what became of them."""

    index: Array
    label: Array
    code: Array
    x: Array
    adversarial: Array

    def __len__(self) -> int:
        return len(self.index)

    def rows(self, keep: Array) -> Sample:
        """Return some of them."""
        return Sample(*(getattr(self, name)[keep] for name in FIELDS))


def select(parts: list[Sample]) -> Sample | None:
    """Return what is kept of all parts, in their order; None where there is nothing."""
    if not parts:
        return None
    whole = Sample(*(np.concatenate([getattr(part, name) for part in parts]) for name in FIELDS))
    # Twice the size, since a clean input and its adversarial one are both kept.
    room = int(max(1, min(KEPT, (MAX_SAMPLE * 3 // 4) // max(1, 2 * whole.x[:1].nbytes))))
    fooled, others = np.flatnonzero(whole.code >= 0), np.flatnonzero(whole.code < 0)
    most = max(room - len(others), -(-room * 2 // 3))
    return whole.rows(np.sort(np.concatenate([fooled[:most], others[: max(0, room - min(len(fooled), most))]])))


def pack(sample: Sample) -> bytes:
    """Return them as an `.npz`, the same bytes for the same content."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in FIELDS:
            body = io.BytesIO()
            np.lib.format.write_array(body, np.ascontiguousarray(getattr(sample, name)), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), body.getvalue(), zipfile.ZIP_DEFLATED)
    return held.getvalue()


def unpack(data: bytes) -> Sample:
    """Read what `pack` wrote.

    Raises:
        ValueError: it is something else.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            # Sizes are looked at before anything is unpacked: a statement may carry a bomb.
            sound = set(held.files) == set(FIELDS) and all(info.file_size < 64 << 20 for info in held.zip.infolist())
            arrays = [held[name] for name in FIELDS] if sound else []
    except Exception as error:  # noqa: BLE001 - zipfile, zlib and NumPy raise a dozen kinds over a broken archive
        raise ValueError(f"no readable .npz: {type(error).__name__}: {error}") from None
    if not arrays or not all(array.ndim for array in arrays):
        raise ValueError("other fields than expected, or far too large")
    sample = Sample(*arrays)
    count = len(sample.index)
    flat = all(part.shape == (count,) and part.dtype == np.int64 for part in (sample.index, sample.label, sample.code))
    if not flat or not sample.x.shape == sample.adversarial.shape or sample.x.shape[:1] != (count,):
        raise ValueError("its arrays do not fit together")
    if sample.x.dtype != np.float32 or sample.adversarial.dtype != np.float32:
        raise ValueError("its inputs are not float32")
    return sample
