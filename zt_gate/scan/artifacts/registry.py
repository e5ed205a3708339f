"""Which format gets which bytes: one ordered list, content first and names last."""

from __future__ import annotations

from zt_gate.domain import printable
from zt_gate.scan.artifacts.archives.compressed import COMPRESSED
from zt_gate.scan.artifacts.archives.python_member import PYTHON_MEMBER
from zt_gate.scan.artifacts.archives.tar_archive import TAR_ARCHIVE
from zt_gate.scan.artifacts.archives.zip_archive import ZIP_ARCHIVE, examine_appended
from zt_gate.scan.artifacts.foreign import (
    DOCUMENT,
    EXECUTABLE,
    FOREIGN,
    JPEG,
    LFS_POINTER,
    NOT_YET,
    NOT_YET_BY_NAME,
    PNG,
    PROGRAM,
    TORCH7,
)
from zt_gate.scan.artifacts.format import Format, Input
from zt_gate.scan.artifacts.graphs.coreml import COREML, COREML_WEIGHTS
from zt_gate.scan.artifacts.graphs.executorch import EXECUTORCH
from zt_gate.scan.artifacts.graphs.external_data import UNRECOGNISED
from zt_gate.scan.artifacts.graphs.onnx_graph import ONNX, ONNX_REFERRER
from zt_gate.scan.artifacts.graphs.openvino import OPENVINO, OPENVINO_REFERRER
from zt_gate.scan.artifacts.graphs.paddle import PADDLE, PADDLE_PARAMETERS
from zt_gate.scan.artifacts.graphs.pmml import PMML
from zt_gate.scan.artifacts.graphs.tensorflow_bundle import CHECKPOINT_INDEX, CHECKPOINT_REFERRER
from zt_gate.scan.artifacts.graphs.tensorflow_graph import TENSORFLOW, TEXT_GRAPH
from zt_gate.scan.artifacts.graphs.tflite import TFLITE
from zt_gate.scan.artifacts.hdf5.keras_h5 import HDF5
from zt_gate.scan.artifacts.pickles.stream import PICKLE, TORCH_STACK, is_also_pickle
from zt_gate.scan.artifacts.tensors.boosters import LIGHTGBM, R_DATA, SENTENCEPIECE, TENSORRT
from zt_gate.scan.artifacts.tensors.catboost import CATBOOST
from zt_gate.scan.artifacts.tensors.crfsuite import CRFSUITE
from zt_gate.scan.artifacts.tensors.gguf import GGUF
from zt_gate.scan.artifacts.tensors.message_pack import MESSAGE_PACK
from zt_gate.scan.artifacts.tensors.numpy_array import NUMPY_ARRAY
from zt_gate.scan.artifacts.tensors.safetensors import SAFETENSORS
from zt_gate.scan.artifacts.tensors.tables import ARROW, PARQUET
from zt_gate.scan.artifacts.tensors.ubjson import UBJSON
from zt_gate.scan.artifacts.texts.jinja_template import JINJA
from zt_gate.scan.artifacts.texts.text import JSON, PLAIN, YAML
from zt_gate.scan.artifacts.texts.triton import TRITON
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
    CATBOOST,
    CRFSUITE,
    PARQUET,
    ARROW,
    EXECUTORCH,
    FOREIGN,
    NOT_YET,
    PNG,
    JPEG,
    COMPRESSED,
    # After everything with a magic number: a pickle may begin with nearly any byte.
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
    TORCH7,
    DOCUMENT,
    TRITON,
    TEXT_GRAPH,
    PYTHON_MEMBER,
    PROGRAM,
    NOT_YET_BY_NAME,
    # Text formats come last, since nearly any text is YAML or plain.
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
    **dict.fromkeys((".sav", ".dill", ".p", ".pk", ".cloudpickle"), _PICKLES | {"zip"}),
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
_RAW_NUMBERS = frozenset({".bin", ".pb"})
"""Names that numbers without a format have, where another file of the release describes them."""
_MAY_BE_EMPTY = frozenset({".py", ".txt", ".md", ".csv", ".gitkeep", ".yaml", ".yml", ".cfg", ".lock", ".typed"})


def identify(head: Head) -> Format | None:
    """Return the format that examines these bytes."""
    return next((form for form in FORMATS if form.matches(head)), None)


def examine(piece: Input) -> None:
    """Identify a piece and have it examined; what nobody recognises is a gap."""
    head, exam = piece.head, piece.exam
    if head.source.size == 0:
        _examine_empty(piece)
        return
    found = identify(head)
    if found is None:
        shown = printable(head.source.member or head.source.path, 120)
        exam.gap(f"{UNRECOGNISED}{shown}", "convert it to safetensors, or remove the file")
        if head.suffix in _EXPECTED and head.suffix not in _RAW_NUMBERS:
            _misnamed(piece, "nothing known")
        examine_appended(piece)
        return
    exam.formats.append(found.name)
    # `.pth.tar` is what many training scripts call the zip that torch.save writes.
    expected = _EXPECTED.get(".pth" if head.name.endswith((".pth.tar", ".pt.tar")) else head.suffix)
    if expected is not None and found.name not in expected | {"git-lfs", "executable"}:
        _misnamed(piece, found.name)
    with exam.guarded(printable(head.source.member or found.name, 120)):
        found.examine(piece)
    if found.name not in _PICKLES | _TEXTS:
        _ask_for_pickle(piece, found)
    # A tar is walked to its end, and a member may well be a zip; TensorFlow Lite has its metadata in one.
    if found not in (ZIP_ARCHIVE, TAR_ARCHIVE, TFLITE):
        examine_appended(piece)


def _ask_for_pickle(piece: Input, found: Format) -> None:
    """Examine the bytes of another format as a pickle as well, where they are one from the first byte."""
    with piece.exam.guarded("the bytes as a pickle"):
        if is_also_pickle(piece.head):
            piece.exam.finding(
                "ART-314", f"the bytes are {found.name} and a pickle at once",
                member=piece.head.source.member, symbol=f"{found.name} and pickle",
            )  # fmt: skip
            PICKLE.examine(piece)


def _misnamed(piece: Input, content: str) -> None:
    head = piece.head
    piece.exam.finding(
        "ART-306", f"the name says {head.suffix} and the content is {content}",
        member=head.source.member, symbol=f"{head.suffix} is {content}",
    )  # fmt: skip


def _examine_empty(piece: Input) -> None:
    piece.exam.formats.append("empty")
    head = piece.head
    # The exporter of PyTorch leaves the data file empty where every tensor went into the model itself.
    if head.suffix in _MAY_BE_EMPTY or head.name in (".gitkeep", "py.typed") or head.name.endswith(".onnx.data"):
        return
    piece.exam.finding(
        "ART-305", "the file is empty", member=head.source.member, symbol="empty",
        fix="copy the file again, or remove it",
    )  # fmt: skip
