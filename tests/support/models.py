"""Small honest models of every kind, and hostile ones that are inert outside a sandbox."""

from __future__ import annotations

import pickle
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from zt_gate.evaluate.adapters.declaration import Declaration

IMAGE = Declaration("image", 10, (1, 8, 8))
TABLE = Declaration("tabular", 10, (64,))
TEXT = Declaration("text", 2, (24,), 0.0, float(0x10FFFF))
LAYERS = (
    {"type": "conv", "in": 1, "out": 8, "kernel": 3},
    {"type": "relu"},
    {"type": "max_pool", "kernel": 2},
    {"type": "flatten"},
    {"type": "linear", "in": 72, "out": 10},
)
TEXTS = (("good film", 1), ("a good good film", 1), ("bad film", 0), ("an awful bad film", 0))


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits: 1797 images of 8 by 8 in 0…1, and their labels."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return (x / 16).astype(np.float32).reshape(-1, 1, 8, 8), y.astype(np.int64)


@cache
def convolutional() -> nn.Sequential:
    """A small convolutional network, trained on digits for a second."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 10))
    x, y = (torch.from_numpy(part) for part in digits())
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(150):
        batch = slice(step * 64 % 1600, step * 64 % 1600 + 64)
        loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def codes(texts: list[str], length: int = TEXT.shape[0]) -> np.ndarray:
    """Texts as rows of code points, filled up with 0."""
    rows = np.zeros((len(texts), length), np.float32)
    for row, text in zip(rows, texts, strict=True):
        row[: len(text)] = [ord(letter) for letter in text[:length]]
    return rows


def save(kind: str, folder: Path) -> tuple[Path, Declaration]:
    """Save an honest model of a kind, and return its file and declaration."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _SAVERS[kind](folder)


def _state(folder: Path) -> tuple[Path, Declaration]:
    from dataclasses import replace

    from safetensors.torch import save_file

    save_file(convolutional().state_dict(), folder / "model.safetensors")
    return folder / "model.safetensors", replace(IMAGE, layers=LAYERS)


def _checkpoint(folder: Path) -> tuple[Path, Declaration]:
    from dataclasses import replace

    torch.save(convolutional().state_dict(), folder / "model.pt")
    return folder / "model.pt", replace(IMAGE, layers=LAYERS)


class Reviews(nn.Module):
    """Good words against bad ones, by numbers of tokens."""

    words = ("<fill>", "<other>", "good", "bad", "awful", "film", "a", "an")

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.last = nn.Embedding(len(self.words), 1), nn.Linear(1, 2, bias=False)
        self.embedding.weight.data = torch.tensor([0.0, 0.0, 2.0, -2.0, -2.0, 0.1, 0.1, 0.1]).unsqueeze(1)
        self.last.weight.data = torch.tensor([[-4.0], [4.0]])

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.last(self.embedding(batch).mean(1))


def _words(folder: Path) -> tuple[Path, Declaration]:
    from dataclasses import replace

    from safetensors.torch import save_file

    save_file(Reviews().state_dict(), folder / "model.safetensors")
    layers = (
        {"type": "embedding", "name": "embedding", "tokens": len(Reviews.words), "width": 1},
        {"type": "mean_of_tokens"},
        {"type": "linear", "name": "last", "in": 1, "out": 2, "bias": False},
    )
    return folder / "model.safetensors", replace(TEXT, tokens=Reviews.words, length=6, layers=layers)


def _scripted_words(folder: Path) -> tuple[Path, Declaration]:
    from dataclasses import replace

    torch.jit.script(Reviews()).save(str(folder / "model.pt"))
    return folder / "model.pt", replace(TEXT, tokens=Reviews.words, length=6)


def _script(folder: Path) -> tuple[Path, Declaration]:
    torch.jit.script(convolutional()).save(str(folder / "model.pt"))
    return folder / "model.pt", IMAGE


def _export(folder: Path) -> tuple[Path, Declaration]:
    program = torch.export.export(
        convolutional(), (torch.zeros(4, 1, 8, 8),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    )
    torch.export.save(program, str(folder / "model.pt2"))
    return folder / "model.pt2", IMAGE


def _whole(folder: Path) -> tuple[Path, Declaration]:
    torch.save(convolutional(), folder / "model.pt")
    return folder / "model.pt", IMAGE


def onnx_model(*, unknown: bool = False):
    """The convolutional network as an ONNX graph; with an operator that is not converted, where that is wanted."""
    from onnx import TensorProto, helper, numpy_helper

    weights = [numpy_helper.from_array(value.numpy(), name) for name, value in convolutional().state_dict().items()]
    nodes = [
        helper.make_node("Conv", ["x", "0.weight", "0.bias"], ["a"], kernel_shape=[3, 3]),
        helper.make_node("Softsign" if unknown else "Relu", ["a"], ["b"]),
        helper.make_node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("Gemm", ["d", "4.weight", "4.bias"], ["scores"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 10])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _onnx(folder: Path) -> tuple[Path, Declaration]:
    (folder / "model.onnx").write_bytes(onnx_model().SerializeToString())
    return folder / "model.onnx", IMAGE


@cache
def _forest():
    from sklearn.ensemble import RandomForestClassifier

    x, y = digits()
    return RandomForestClassifier(12, random_state=0).fit(x.reshape(len(x), -1), y)


@cache
def _pipeline():
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(CountVectorizer(), LogisticRegression()).fit(*zip(*TEXTS, strict=True))


def _skops(folder: Path) -> tuple[Path, Declaration]:
    import skops.io

    skops.io.dump(_forest(), folder / "model.skops")
    return folder / "model.skops", TABLE


def _text(folder: Path) -> tuple[Path, Declaration]:
    import skops.io

    skops.io.dump(_pipeline(), folder / "model.skops")
    return folder / "model.skops", TEXT


def _joblib(folder: Path) -> tuple[Path, Declaration]:
    import joblib

    joblib.dump(_forest(), folder / "model.joblib")
    return folder / "model.joblib", TABLE


def _xgboost(folder: Path) -> tuple[Path, Declaration]:
    import xgboost

    x, y = digits()
    data = xgboost.DMatrix(x.reshape(len(x), -1), y)
    xgboost.train({"objective": "multi:softprob", "num_class": 10, "nthread": 1}, data, 3).save_model(
        folder / "model.ubj"
    )
    return folder / "model.ubj", TABLE


def _lightgbm(folder: Path) -> tuple[Path, Declaration]:
    import lightgbm

    x, y = digits()
    settings = {"objective": "multiclass", "num_class": 10, "num_threads": 1, "verbose": -1}
    lightgbm.train(settings, lightgbm.Dataset(x.reshape(len(x), -1), y), 3).save_model(folder / "model.txt")
    return folder / "model.txt", TABLE


_SAVERS = {
    "torch-state": _state,
    "torch-state, checkpoint": _checkpoint,
    "torch-state, text": _words,
    "torchscript, text": _scripted_words,
    "torchscript": _script,
    "torch-export": _export,
    "torch-pickle": _whole,
    "onnx": _onnx,
    "skops": _skops,
    "skops, text": _text,
    "sklearn-pickle": _joblib,
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
}
KINDS = tuple(_SAVERS)


class Reduced:
    """An object whose pickle calls a function with arguments when it is loaded; nothing happens before."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def hostile_pickle(function, *arguments) -> bytes:
    """A pickle that calls a function when it is loaded."""
    return pickle.dumps(Reduced(function, *arguments))
