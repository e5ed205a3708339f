"""Files that the real libraries write pass, with every byte claimed."""

import collections
import datetime as dt
import pickle
import warnings

import joblib
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from zt_gate.domain import Status

X = np.random.RandomState(0).rand(30, 3)
Y = np.arange(30) % 2


def write_torch(folder):
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.ReLU())
    torch.save(net.state_dict(), folder / "state.pt")
    torch.save(net, folder / "whole.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer versions of torch call scripting old
        torch.jit.script(net)
    assert "__overloads__" in vars(net)
    torch.save(net, folder / "scripted.pth")
    torch.save(torch.nn.TransformerEncoderLayer(4, 2), folder / "layer.pt")
    torch.save(net.state_dict(), folder / "old.bin", _use_new_zipfile_serialization=False)
    torch.save({"opt": torch.optim.Adam(net.parameters()).state_dict(), "epoch": 3}, folder / "run.ckpt")
    torch.save({"half": torch.zeros(3, dtype=torch.bfloat16)}, folder / "half.pt")
    (folder / "tensor.pkl").write_bytes(pickle.dumps({"t": torch.ones(3)}))


def write_numpy(folder):
    np.save(folder / "a.npy", X)
    np.save(folder / "objects.npy", np.array([1, "a", None], dtype=object), allow_pickle=True)
    np.save(folder / "fields.npy", np.zeros(3, dtype=[("a", "i4"), ("b", "f8", (2,))]))
    np.savez(folder / "plain.npz", a=X, b=Y)
    np.savez_compressed(folder / "packed.npz", a=np.zeros(1000))


def write_joblib(folder):
    forest = RandomForestClassifier(3).fit(X, Y)
    joblib.dump(forest, folder / "forest.joblib")
    joblib.dump({"o": np.array(["a", None], dtype=object), "x": X, "u": np.array(["xy"])}, folder / "mixed.joblib")
    for method in ("zlib", "gzip", "bz2", "xz", "lzma"):
        joblib.dump(forest, folder / f"{method}.joblib", compress=(method, 3))


def write_values(folder):
    values = [
        np.random.RandomState(1), np.random.default_rng(2), np.float32(1), np.datetime64("2020"), np.ma.array([1, 2]),
        dt.datetime(2026, 1, 1, tzinfo=dt.UTC), collections.deque([1]), collections.Counter("ab"),
        collections.defaultdict(list, a=[1]), collections.OrderedDict(a=1), {1, 2}, frozenset([1]), 1 << 80, 1.5j,
    ]  # fmt: skip
    for protocol in range(6):
        (folder / f"values{protocol}.pkl").write_bytes(pickle.dumps(values, protocol))


def write_texts(folder):
    save_file({"a": X.astype("f4"), "b": Y}, folder / "m.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text('{"hidden": 3, "nan": NaN}')
    (folder / "params.yaml").write_text("a: 1\nb: [1, 2]\n")
    (folder / "README.md").write_text("# Model\nconfig\nPython\n.gitignore\n")
    (folder / "requirements.txt").write_text("numpy==2.4.6\n")


@pytest.mark.parametrize("write", [write_torch, write_numpy, write_joblib, write_values, write_texts])
def test_real_files_pass_with_every_byte_claimed(write, tmp_path, scan):
    write(tmp_path)
    evidence = scan(tmp_path)
    assert (evidence.status, evidence.findings, evidence.gaps) == (Status.PASS, (), ())
    assert {claim.path for claim in evidence.claims} == {file.name for file in tmp_path.iterdir()}


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(), SVC(), KNeighborsClassifier(), GradientBoostingClassifier(n_estimators=2),
        HistGradientBoostingClassifier(max_iter=2), SGDClassifier(),
        make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), RandomForestClassifier(2)),
    ],
    ids=lambda model: type(model).__name__,
)  # fmt: skip
def test_scikit_learn_models_pass_in_every_protocol(model, tmp_path, scan):
    model.fit(X, Y)
    for protocol in range(6):
        (tmp_path / f"model{protocol}.pkl").write_bytes(pickle.dumps(model, protocol))
    joblib.dump(model, tmp_path / "model.joblib")
    assert scan(tmp_path).status is Status.PASS


def test_source_code_is_left_to_the_code_check(tmp_path, scan):
    (tmp_path / "train.py").write_text("import os\n")
    evidence = scan(tmp_path)
    assert evidence.gaps == ()
    assert evidence.claims == ()


def test_the_verdict_does_not_depend_on_which_libraries_are_loaded(tmp_path):
    import subprocess
    import sys

    (tmp_path / "m.pkl").write_bytes(pickle.dumps(LogisticRegression().fit(X, Y)))
    code = (
        "import sys\nfrom zt_gate.intake import freeze, Freeze\nfrom zt_gate.scan.artifacts import ArtifactCheck\n"
        f"with freeze([{str(tmp_path)!r}], Freeze.HOLD) as f: status = ArtifactCheck().run(f).status\n"
        "assert not {'numpy', 'torch', 'sklearn', 'joblib'} & set(sys.modules), 'a framework was imported'\n"
        "assert str(status) == 'pass', status\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
