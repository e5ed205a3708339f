"""Which format gets which bytes: one ordered list, content first and names last."""

from __future__ import annotations

from zt_gate.domain import Severity, printable
from zt_gate.scan.artifacts.boosters import LIGHTGBM, R_DATA, SENTENCEPIECE, TENSORRT
from zt_gate.scan.artifacts.compressed import COMPRESSED
from zt_gate.scan.artifacts.coreml import COREML, COREML_WEIGHTS
from zt_gate.scan.artifacts.external_data import UNRECOGNISED
from zt_gate.scan.artifacts.gguf import GGUF
from zt_gate.scan.artifacts.jinja_template import JINJA
from zt_gate.scan.artifacts.keras_h5 import HDF5
from zt_gate.scan.artifacts.message_pack import MESSAGE_PACK
from zt_gate.scan.artifacts.numpy_array import NUMPY_ARRAY
from zt_gate.scan.artifacts.onnx_graph import ONNX, ONNX_REFERRER
from zt_gate.scan.artifacts.openvino import OPENVINO, OPENVINO_REFERRER
from zt_gate.scan.artifacts.others import EXECUTABLE, JPEG, LFS_POINTER, NOT_YET, NOT_YET_BY_NAME, PNG
from zt_gate.scan.artifacts.paddle import PADDLE, PADDLE_PARAMETERS
from zt_gate.scan.artifacts.pickle_stream import PICKLE, TORCH_STACK
from zt_gate.scan.artifacts.piece import Format, Piece
from zt_gate.scan.artifacts.pmml import PMML
from zt_gate.scan.artifacts.safetensors import SAFETENSORS
from zt_gate.scan.artifacts.tar_archive import TAR_ARCHIVE
from zt_gate.scan.artifacts.tensorflow_bundle import CHECKPOINT_INDEX, CHECKPOINT_REFERRER
from zt_gate.scan.artifacts.tensorflow_graph import TENSORFLOW
from zt_gate.scan.artifacts.text import JSON, PLAIN, YAML
from zt_gate.scan.artifacts.tflite import TFLITE
from zt_gate.scan.artifacts.ubjson import UBJSON
from zt_gate.scan.artifacts.zip_archive import ZIP_ARCHIVE, examine_appended
from zt_gate.scan.interface import Head

FORMATS: tuple[Format, ...] = (
    LFS_POINTER,
    EXECUTABLE,
    ZIP_ARCHIVE,
    SAFETENSORS,
    NUMPY_ARRAY,
    TORCH_STACK,
    HDF5,
    TAR_ARCHIVE,
    LIGHTGBM,
    R_DATA,
    GGUF,
    TFLITE,
    CHECKPOINT_INDEX,
    NOT_YET,
    PNG,
    JPEG,
    COMPRESSED,
    PICKLE,
    TENSORRT,
    SENTENCEPIECE,
    MESSAGE_PACK,
    UBJSON,
    PMML,
    OPENVINO,
    COREML_WEIGHTS,
    COREML,
    PADDLE,
    PADDLE_PARAMETERS,
    ONNX,
    TENSORFLOW,
    JINJA,
    NOT_YET_BY_NAME,
    JSON,
    YAML,
    PLAIN,
)
"""In order: the first that recognises the bytes examines them."""

REFERRERS = (ONNX_REFERRER, CHECKPOINT_REFERRER, OPENVINO_REFERRER)
"""Formats whose files keep numbers in other files."""

_PICKLES = frozenset({"pickle", "compressed", "torch-legacy", "unsupported"})
_TORCH = frozenset({"zip", "tar", "pickle", "torch-legacy", "compressed", "unsupported"})
_BIN = _TORCH | {"coreml-weights"}
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
    ".bin": _BIN,
    ".gguf": frozenset({"gguf"}),
    ".onnx": frozenset({"onnx"}),
    ".tflite": frozenset({"tflite"}),
    ".pb": frozenset({"tensorflow", "unsupported"}),
    ".mlmodel": frozenset({"coreml"}),
    ".h5": frozenset({"hdf5"}),
    ".hdf5": frozenset({"hdf5"}),
    ".keras": frozenset({"zip", "hdf5"}),
    ".skops": frozenset({"zip"}),
    ".mar": frozenset({"zip"}),
    ".nemo": frozenset({"tar", "compressed"}),
    ".tar": frozenset({"tar"}),
    ".msgpack": frozenset({"msgpack"}),
    ".ubj": frozenset({"ubjson"}),
    ".pmml": frozenset({"pmml"}),
    ".png": frozenset({"png"}),
    ".jpg": frozenset({"jpeg"}),
    ".jpeg": frozenset({"jpeg"}),
    **dict.fromkeys((".json", ".yaml", ".yml", ".txt", ".md", ".csv", ".toml"), _TEXTS),
    ".txt": _TEXTS | {"lightgbm"},
}
_MAY_BE_EMPTY = frozenset({".py", ".txt", ".md", ".csv", ".gitkeep", ".yaml", ".yml", ".cfg", ".lock", ".typed"})


def identify(head: Head) -> Format | None:
    """Return the format that examines these bytes."""
    return next((form for form in FORMATS if form.matches(head)), None)


def examine(piece: Piece) -> None:
    """Identify a piece and have it examined; what nobody recognises is a gap."""
    head, exam = piece.head, piece.exam
    if head.source.size == 0:
        _examine_empty(piece)
        return
    found = identify(head)
    if found is None:
        shown = printable(head.source.member or head.source.path, 120)
        exam.gap(f"{UNRECOGNISED}{shown}", "convert it to safetensors, or remove the file")
        return
    exam.formats.append(found.name)
    # `.pth.tar` is what many training scripts call the zip that torch.save writes.
    expected = _EXPECTED.get(".pth" if head.name.endswith((".pth.tar", ".pt.tar")) else head.suffix)
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
    # A tar is walked to its end, and a member may well be a zip; TensorFlow Lite has its metadata in one.
    if found not in (ZIP_ARCHIVE, TAR_ARCHIVE, TFLITE):
        examine_appended(piece)


def _examine_empty(piece: Piece) -> None:
    piece.exam.formats.append("empty")
    head = piece.head
    # The exporter of PyTorch leaves the data file empty where every tensor went into the model itself.
    if head.suffix in _MAY_BE_EMPTY or head.name in (".gitkeep", "py.typed") or head.name.endswith(".onnx.data"):
        return
    piece.exam.finding(
        "ART-305", Severity.HIGH, "the file is empty", member=head.source.member, symbol="empty",
        fix="copy the file again, or remove it",
    )  # fmt: skip
