"""Make honest model files with the real libraries; runs in an environment of its own.

    python benchmarks/honest_models.py FOLDER [torch]

Without `torch` it makes everything else. What a missing library would have made is left out and said so.
"""

from __future__ import annotations

import pickle
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

warnings.simplefilter("ignore")


def attempt(made: Callable[[Path], object], folder: Path) -> None:
    """Run one maker; a library that is not there or that objects leaves its files out."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        made(folder)
    except Exception as error:  # noqa: BLE001 - whatever a library objects to is left out and said so
        print(f"left out of {folder.name}: {type(error).__name__}: {str(error)[:120]}")


def dump(value: object, path: Path, protocol: int = 4) -> None:
    """Pickle a value."""
    path.write_bytes(pickle.dumps(value, protocol))


def estimators() -> dict[str, object]:
    """Return every scikit-learn estimator that fits three flowers without further arguments."""
    from sklearn.datasets import load_iris
    from sklearn.utils import all_estimators

    rows, labels = load_iris(return_X_y=True)
    rows, labels = abs(rows[::3]), labels[::3]
    fitted: dict[str, object] = {}
    for name, kind in all_estimators():
        try:
            fitted[name] = kind().fit(rows, labels)
        except Exception:  # noqa: BLE001 - many need more than three flowers
            continue
    return fitted


def sklearn_files(folder: Path) -> None:
    """Pickle each estimator in one of the ways that people do."""
    import joblib

    for number, (name, model) in enumerate(sorted(estimators().items())):
        try:
            if number % 4 == 0:
                dump(model, folder / f"{name}.pkl", 5)
            elif number % 4 == 1:
                joblib.dump(model, folder / f"{name}.joblib")
            elif number % 4 == 2:
                joblib.dump(model, folder / f"{name}-z.joblib", compress=3)
            else:
                dump(model, folder / f"{name}.pickle", 2 if number % 8 == 3 else 4)
        except Exception as error:  # noqa: BLE001 - some cannot be pickled in this protocol
            print(f"left out: {name}: {error}")


def pipelines(folder: Path) -> None:
    """Save compositions."""
    import joblib
    import numpy as np
    from sklearn.compose import ColumnTransformer
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    rows, labels = load_iris(return_X_y=True)
    joblib.dump(make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, labels), folder / "scaled.joblib")
    dump(GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}).fit(rows, labels), folder / "grid.pkl")
    columns = ColumnTransformer([("n", StandardScaler(), [0, 1]), ("c", OneHotEncoder(), [2])])
    dump(columns.fit(np.round(rows[:, :3])), folder / "columns.pkl")
    texts = ["a good film", "a bad film", "the best film", "the worst film"]
    joblib.dump(make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0]), folder / "text.joblib")
    dump(make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()).fit(rows, labels), folder / "function.pkl")
    dump(RandomForestClassifier(200).fit(rows, labels), folder / "forest.pkl", 5)


def arrays(folder: Path) -> None:
    """Save arrays, sparse matrices and frames."""
    import numpy as np
    import pandas as pd
    import scipy.sparse as sp

    for kind in ("f4", "f8", "i8", "u1", "c16", "?", "<U12", "M8[ns]"):
        np.save(
            folder / f"array-{kind.strip('<?').replace('[', '').replace(']', '') or 'bool'}.npy", np.zeros((4, 5), kind)
        )
    np.save(folder / "fortran.npy", np.asfortranarray(np.ones((3, 4))))
    np.save(folder / "structured.npy", np.zeros(4, [("a", "f4"), ("b", "i8", (2,))]))
    np.savez(folder / "several.npz", w=np.ones((64, 64)), b=np.zeros(64))
    np.savez_compressed(folder / "packed.npz", w=np.ones((64, 64)), b=np.zeros(64))
    dump({"w": np.ones((9, 9)), "scalar": np.float32(1), "rng": np.random.RandomState(0)}, folder / "arrays.pkl")
    dump(np.random.default_rng(0), folder / "generator.pkl")
    dump(np.ma.masked_array([1, 2], [True, False]), folder / "masked.pkl")
    sp.save_npz(folder / "sparse.npz", sp.random(50, 50, 0.1, "csr"))
    for kind in ("csr", "csc", "coo", "lil", "dok", "bsr"):
        dump(sp.random(20, 20, 0.2, kind), folder / f"sparse-{kind}.pkl")
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": pd.to_datetime(["2026-01-01", "2026-01-02"])})
    frame.to_pickle(folder / "frame.pkl")
    frame["b"].astype("category").to_pickle(folder / "category.pkl")
    frame.set_index("c")["a"].to_pickle(folder / "series.pkl")
    frame.to_parquet(folder / "frame.parquet")


def boosters(folder: Path) -> None:
    """Save XGBoost and LightGBM models."""
    import lightgbm
    import xgboost
    from sklearn.datasets import load_iris

    rows, labels = load_iris(return_X_y=True)
    model = xgboost.XGBClassifier(n_estimators=5).fit(rows, labels)
    model.save_model(folder / "xgb.json")
    model.save_model(folder / "xgb.ubj")
    dump(model, folder / "xgb.pkl")
    dump(model.get_booster(), folder / "xgb-booster.pkl")
    light = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(rows, labels)
    light.booster_.save_model(str(folder / "lgb.txt"))
    dump(light, folder / "lgb.pkl")
    dump(light.booster_, folder / "lgb-booster.pkl")


def catboost_files(folder: Path) -> None:
    """Save CatBoost models."""
    import catboost
    from sklearn.datasets import load_iris

    rows, labels = load_iris(return_X_y=True)
    model = catboost.CatBoostClassifier(iterations=5, verbose=False, allow_writing_files=False).fit(rows, labels)
    model.save_model(str(folder / "cat.cbm"))
    model.save_model(str(folder / "cat.json"), format="json")
    dump(model, folder / "cat.pkl")


def skops_files(folder: Path) -> None:
    """Save estimators with skops."""
    import skops.io

    fitted = estimators()
    for name in ("LogisticRegression", "SVC", "KMeans", "PCA", "StandardScaler", "DecisionTreeClassifier", "Ridge",
                 "RandomForestClassifier", "GaussianNB", "KNeighborsClassifier", "MLPClassifier"):  # fmt: skip
        skops.io.dump(fitted[name], folder / f"{name}.skops")


def onnx_files(folder: Path) -> None:
    """Convert estimators to ONNX, once with external data."""
    import numpy as np
    import onnx
    from skl2onnx import to_onnx

    fitted = estimators()
    sample = np.zeros((1, 4), np.float32)
    for name in ("LogisticRegression", "RandomForestClassifier", "SVC", "MLPClassifier", "KMeans", "PCA",
                 "StandardScaler", "GradientBoostingClassifier"):  # fmt: skip
        (folder / f"{name}.onnx").write_bytes(to_onnx(fitted[name], sample).SerializeToString())
    weight = onnx.numpy_helper.from_array(np.ones((64, 64), np.float32), "w")
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    ends = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 64]) for n in ("x", "y")]
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [weight])
    (folder / "external").mkdir(exist_ok=True)
    onnx.save(onnx.helper.make_model(graph), folder / "external" / "model.onnx", save_as_external_data=True,
              location="weights.bin", size_threshold=0)  # fmt: skip


def statistics_files(folder: Path) -> None:
    """Save statsmodels results."""
    import numpy as np
    import statsmodels.api as sm

    rows = sm.add_constant(np.arange(40.0).reshape(20, 2))
    target = np.arange(20.0) + np.sin(np.arange(20.0))
    sm.OLS(target, rows).fit().save(str(folder / "ols.pickle"))
    sm.GLM(target, rows).fit().save(str(folder / "glm.pickle"))
    sm.Logit((target > 9).astype(int), np.cos(rows)).fit(disp=0, maxiter=3).save(str(folder / "logit.pickle"))
    sm.tsa.ARIMA(target, order=(1, 0, 0)).fit().save(str(folder / "arima.pickle"))


def plain_files(folder: Path) -> None:
    """Save what needs no learning library: safetensors, HDF5, msgpack, configurations."""
    import h5py
    import msgpack
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"w": np.ones((8, 8), np.float32), "b": np.zeros(8, np.float16)}, folder / "plain.safetensors")
    save_file({"w": np.ones(3, np.int64)}, folder / "meta.safetensors", {"format": "np", "ss_tag": '{"a": 1}'})
    with h5py.File(folder / "weights.h5", "w") as file:
        file.create_dataset("layer/kernel", data=np.ones((16, 16)), compression="gzip")
        file.attrs["names"] = [b"kernel"]
    (folder / "plain.msgpack").write_bytes(msgpack.packb({"params": {"w": [1.0, 2.0], "n": "x"}}))
    dump({"vocabulary": {"a": 1}, "sizes": [1, 2], "name": "x" * 300}, folder / "plain.pkl")
    (folder / "config.json").write_text('{"model_type": "bert", "hidden_size": 64}\n')
    (folder / "config.yaml").write_text("model:\n  layers: [1, 2]\n  rate: 0.1\n")


def mlflow_folders(folder: Path) -> None:
    """Save MLflow model folders of several flavors."""
    import mlflow
    import numpy as np
    from skl2onnx import to_onnx
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    rows, labels = load_iris(return_X_y=True)
    model = LogisticRegression().fit(rows, labels)
    for kind in ("pickle", "cloudpickle", "skops"):
        attempt(lambda to, kind=kind: mlflow.sklearn.save_model(model, to / "m", serialization_format=kind,
                pip_requirements=["scikit-learn"],
                 input_example=rows[:2]), folder / f"sklearn-{kind}")  # fmt: skip
    converted = to_onnx(model, rows[:1].astype(np.float32))
    attempt(lambda to: mlflow.onnx.save_model(converted, to / "m", pip_requirements=["onnx"]), folder / "onnx")
    attempt(lambda to: _mlflow_boosters(to, rows, labels), folder / "boosters")


def _mlflow_boosters(folder: Path, rows: object, labels: object) -> None:
    import lightgbm
    import mlflow
    import xgboost

    mlflow.xgboost.save_model(xgboost.XGBClassifier(n_estimators=3).fit(rows, labels), folder / "xgboost")
    mlflow.lightgbm.save_model(
        lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(rows, labels), folder / "lightgbm"
    )


def torch_files(folder: Path) -> None:
    """Save state dicts, checkpoints and modules, in both of PyTorch's formats."""
    import torch
    from safetensors.torch import save_file
    from torch import nn

    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(8), nn.Dropout())
    net(torch.zeros(2, 1, 8, 8))
    torch.save(net.state_dict(), folder / "state.pt")
    torch.save(net.state_dict(), folder / "state-old.pth", _use_new_zipfile_serialization=False)
    torch.save(net, folder / "module.pt")
    torch.save(net, folder / "module-old.pth", _use_new_zipfile_serialization=False)
    save_file(net.state_dict(), folder / "state.safetensors")
    modules = {"lstm": nn.LSTM(4, 4, 2), "gru": nn.GRU(4, 4), "attention": nn.MultiheadAttention(8, 2),
               "transformer": nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2),
                "embedding": nn.EmbeddingBag(9, 4),
               "list": nn.ModuleList([nn.Linear(2, 2), nn.GELU()]), "dict": nn.ModuleDict({"a": nn.Linear(2, 2)}),
               "norms": nn.Sequential(nn.LayerNorm(4), nn.GroupNorm(2, 4), nn.InstanceNorm1d(4))}  # fmt: skip
    for name, module in modules.items():
        torch.save(module.state_dict(), folder / f"state-{name}.bin")
        torch.save(module, folder / f"module-{name}.pt")
    tensors = {str(kind).split(".")[1]: torch.ones(3).to(kind) for kind in (
        torch.float16,
         torch.bfloat16, torch.float64, torch.int8, torch.int64, torch.bool, torch.complex64)}  # fmt: skip
    torch.save({**tensors, "view": torch.ones(9)[2:5], "sparse": torch.eye(3).to_sparse()}, folder / "tensors.pt")
    for kind in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.LBFGS):
        torch.save(kind(net.parameters(), lr=0.1).state_dict(), folder / f"optimizer-{kind.__name__}.pt")
    optimizer = torch.optim.Adam(net.parameters())
    torch.save({"epoch": 3, "model": net.state_dict(), "optimizer": optimizer.state_dict(), "loss": 0.5,
                "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 2).state_dict(), "rng": torch.get_rng_state()},
               folder / "checkpoint.ckpt")  # fmt: skip
    torch.jit.save(torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.ReLU())), folder / "script.pt")
    torch.jit.save(torch.jit.trace(net.eval(), torch.zeros(1, 1, 8, 8)), folder / "trace.pt")
    torch.export.save(torch.export.export(nn.Linear(4, 2), (torch.zeros(1, 4),)), folder / "exported.pt2")


MAKERS: dict[str, Callable[[Path], None]] = {
    "sklearn": sklearn_files,
    "pipelines": pipelines,
    "arrays": arrays,
    "boosters": boosters,
    "catboost": catboost_files,
    "skops": skops_files,
    "onnx": onnx_files,
    "statsmodels": statistics_files,
    "plain": plain_files,
    "mlflow": mlflow_folders,
}


def main() -> None:
    """Make the files."""
    folder = Path(sys.argv[1])
    makers = {"torch": torch_files} if sys.argv[2:] == ["torch"] else MAKERS
    for name, maker in makers.items():
        attempt(maker, folder / name)


if __name__ == "__main__":
    main()
