"""Tries roads on which MLflow may load a model, in a process of its own: `python guard_walk.py FILE`, one JSON a line.

FILE is JSON: `uris` by name, `path` of a model, `run`, `file` of a single file, and `every`, whether to try everything.
The model is inert: its code writes the empty file that the environment variable CANARY names, and nothing else.
"""

import contextlib
import importlib
import io
import json
import os
import pkgutil
import sys
import tempfile
from pathlib import Path

import mlflow


def flavors():
    """Return every public `load_model` of the installed MLflow, by the name of its module."""
    for found in pkgutil.iter_modules(mlflow.__path__):
        if found.name.startswith("_") or found.name in ("cli", "server", "assistant"):
            continue
        with contextlib.suppress(Exception):  # the library of the flavor is not installed
            load = getattr(importlib.import_module(f"mlflow.{found.name}"), "load_model", None)
            if callable(load):
                yield f"{found.name}.load_model", load


def functions():
    """Return the functions that take the URI of a whole model, by name."""
    from mlflow.models.flavor_backend_registry import get_flavor_backend
    from mlflow.tracking.artifact_utils import _download_artifact_from_uri
    from mlflow.utils.model_utils import _get_flavor_configuration_from_uri

    found = dict(flavors())
    found["pyfunc.load_pyfunc"] = mlflow.pyfunc.load_pyfunc
    found["pyfunc.load_model to a place"] = lambda uri: mlflow.pyfunc.load_model(uri, dst_path=tempfile.mkdtemp())
    found["artifacts.download_artifacts"] = lambda uri: mlflow.artifacts.download_artifacts(artifact_uri=uri)
    found["artifact_utils.download"] = _download_artifact_from_uri
    found["get_flavor_backend"] = lambda uri: get_flavor_backend(uri, build_docker=False)
    found["flavor configuration"] = lambda uri: _get_flavor_configuration_from_uri(uri, "python_function", None)
    found["infer_pip_requirements"] = lambda uri: mlflow.models.infer_pip_requirements(uri, "python_function")
    found["shap.load_explainer"] = lambda uri: importlib.import_module("mlflow.shap").load_explainer(uri)
    found["get_model_dependencies"] = mlflow.pyfunc.get_model_dependencies
    found["models.predict"] = lambda uri: mlflow.models.predict(uri, input_data=[1], env_manager="local")
    return found


def classes(path, run):
    """Return direct uses of MLflow's classes, and what is no model to MLflow and is unpickled all the same."""
    from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
    from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
    from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository

    pickled = tempfile.mkdtemp()
    Path(pickled, "x.pickle").write_bytes(b"N.")
    base = importlib.import_module("mlflow.models.evaluation.base")
    artifacts = importlib.import_module("mlflow.models.evaluation.artifacts")
    return {
        "class models": lambda: ModelsArtifactRepository("models:/walk/1").download_artifacts(""),
        "class runs": lambda: RunsArtifactRepository(f"runs:/{run}").download_artifacts("model"),
        "class local": lambda: LocalArtifactRepository(path).download_artifacts(""),
        "class http": lambda: HttpArtifactRepository("http://127.0.0.1:9/x").download_artifacts(""),
        "client of a run": lambda: mlflow.MlflowClient().download_artifacts(run, "model"),
        "pytorch.load_state_dict": lambda: importlib.import_module("mlflow.pytorch").load_state_dict(path),
        "pytorch.load_checkpoint": lambda: importlib.import_module("mlflow.pytorch").load_checkpoint(dict, run),
        "EvaluationResult.load": lambda: base.EvaluationResult.load(path),
        "a pickled evaluation": lambda: artifacts.PickleEvaluationArtifact(f"{pickled}/x.pickle").content,
    }


def parts(uri, file):
    """Return what reads a part and executes nothing."""
    return {
        "get_model_info": lambda: mlflow.models.get_model_info(uri),
        "Model.load": lambda: mlflow.models.Model.load(uri),
        "list_artifacts": lambda: mlflow.artifacts.list_artifacts(uri),
        "load_text": lambda: mlflow.artifacts.load_text(file),
    }


def tried(act):
    """Return how a call ended, and what it said."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            act()
    except BaseException as error:  # noqa: BLE001 - whatever MLflow raises is an answer
        return "refused" if "zt-gate: " in str(error) else "failed", f"{type(error).__name__}: {error}"[:200]
    return "done", ""


def main(asked):
    """Try everything, and print one line for each."""
    canary = Path(os.environ["CANARY"])

    def tell(kind, road, uri, act):
        end, told = tried(act)
        print(json.dumps([kind, road, uri, end, told, canary.exists()]), file=out, flush=True)
        canary.unlink(missing_ok=True)

    out = sys.stdout
    roads = functions() if asked["every"] else {"pyfunc.load_model": mlflow.pyfunc.load_model}
    for name, uri in asked["uris"].items():
        for road in roads:
            if name != "name and number" and road not in ("pyfunc.load_model", "artifacts.download_artifacts"):
                continue
            tell("uri", road, name, lambda road=road, uri=uri: roads[road](uri))
    path = Path(asked["path"])
    tell("uri", "pyfunc.load_model", "PathLike", lambda: mlflow.pyfunc.load_model(path))
    tell("uri", "pyfunc.load_model", "bytes", lambda: mlflow.pyfunc.load_model(str(path).encode()))
    for road, act in classes(asked["path"], asked["run"]).items():
        tell("class", road, "", act)
    for road, act in parts(asked["uris"]["name and number"], asked["file"]).items():
        tell("part", road, "", act)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
