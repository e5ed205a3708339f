"""Which format gets which bytes: one ordered list, content first and names last."""

from __future__ import annotations

from zt_gate.domain import Severity, printable
from zt_gate.scan.artifacts.compressed import COMPRESSED
from zt_gate.scan.artifacts.numpy_array import NUMPY_ARRAY
from zt_gate.scan.artifacts.others import EXECUTABLE, JPEG, LFS_POINTER, NOT_YET, NOT_YET_BY_NAME, PNG
from zt_gate.scan.artifacts.pickle_stream import PICKLE, TORCH_STACK
from zt_gate.scan.artifacts.piece import Format, Piece
from zt_gate.scan.artifacts.safetensors import SAFETENSORS
from zt_gate.scan.artifacts.text import JSON, PLAIN, YAML
from zt_gate.scan.artifacts.zip_archive import ZIP_ARCHIVE, examine_appended

FORMATS: tuple[Format, ...] = (
    LFS_POINTER,
    EXECUTABLE,
    ZIP_ARCHIVE,
    SAFETENSORS,
    NUMPY_ARRAY,
    TORCH_STACK,
    NOT_YET,
    PNG,
    JPEG,
    COMPRESSED,
    PICKLE,
    NOT_YET_BY_NAME,
    JSON,
    YAML,
    PLAIN,
)
"""In order: the first that recognises the bytes examines them."""

_PICKLES = frozenset({"pickle", "compressed", "torch-legacy", "unsupported"})
_TORCH = frozenset({"zip", "pickle", "torch-legacy", "compressed", "unsupported"})
_TEXTS = frozenset({"json", "yaml", "text"})
_EXPECTED: dict[str, frozenset[str]] = {
    ".safetensors": frozenset({"safetensors"}),
    ".npy": frozenset({"npy"}),
    ".npz": frozenset({"zip"}),
    ".zip": frozenset({"zip"}),
    ".pkl": _PICKLES,
    ".pickle": _PICKLES,
    ".joblib": _PICKLES,
    ".pt": _TORCH,
    ".pth": _TORCH,
    ".ckpt": _TORCH,
    ".bin": _TORCH,
    ".gguf": frozenset({"unsupported"}),
    ".onnx": frozenset({"unsupported"}),
    ".h5": frozenset({"unsupported"}),
    ".keras": frozenset({"zip", "unsupported"}),
    ".png": frozenset({"png"}),
    ".jpg": frozenset({"jpeg"}),
    ".jpeg": frozenset({"jpeg"}),
    **dict.fromkeys((".json", ".yaml", ".yml", ".txt", ".md", ".csv", ".toml"), _TEXTS),
}
_MAY_BE_EMPTY = frozenset({".py", ".txt", ".md", ".csv", ".gitkeep", ".yaml", ".yml", ".cfg", ".lock", ".typed"})


def examine(piece: Piece) -> None:
    """Identify a piece and have it examined; what nobody recognises is a gap."""
    head, exam = piece.head, piece.exam
    if head.source.size == 0:
        _examine_empty(piece)
        return
    found = next((form for form in FORMATS if form.matches(head)), None)
    if found is None:
        shown = printable(head.source.member or head.source.path, 120)
        exam.gap(f"no format recognises {shown}", "convert it to safetensors, or remove the file")
        return
    exam.formats.append(found.name)
    expected = _EXPECTED.get(head.suffix)
    if expected is not None and found.name not in expected | {"git-lfs", "executable"}:
        exam.finding(
            "ART-306",
            Severity.HIGH,
            f"the name says {head.suffix} and the content is {found.name}",
            member=head.source.member,
            symbol=f"{head.suffix} is {found.name}",
        )
    with exam.guarded(printable(head.source.member or found.name, 120)):
        found.examine(piece)
    if found is not ZIP_ARCHIVE:
        examine_appended(piece)


def _examine_empty(piece: Piece) -> None:
    piece.exam.formats.append("empty")
    head = piece.head
    if head.suffix in _MAY_BE_EMPTY or head.name in (".gitkeep", "py.typed"):
        return
    piece.exam.finding(
        "ART-305", Severity.HIGH, "the file is empty", member=head.source.member, symbol="empty",
        fix="copy the file again, or remove it",
    )  # fmt: skip
