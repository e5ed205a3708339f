"""MLflow's own client in a process of its own, which a test asks one thing after another."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any, Self

from tests.support.mlflow_server import Server

PROGRAM = """
import json, logging, sys, tempfile, types
from pathlib import Path
logging.disable(logging.CRITICAL)
import mlflow
from mlflow import MlflowClient

# The loader that the MLmodel file of `write_loadable` names.
loader = types.ModuleType("loader_of_texts")
loader._load_pyfunc = lambda path: types.SimpleNamespace(text=Path(path).read_text(), predict=lambda *_: None)
sys.modules["loader_of_texts"] = loader

def copy(source, name):
    name_of_source, number = source.removeprefix("models:/").split("/")
    client = MlflowClient()
    return client.copy_model_version(f"models:/{name_of_source}/{number}", name).version

def prompt(name, alias):
    api = mlflow.genai if hasattr(getattr(mlflow, "genai", None), "register_prompt") else mlflow
    made = api.register_prompt(name=name, template="Say {{x}}")
    MlflowClient().set_prompt_alias(name, alias, int(made.version))
    return api.load_prompt(f"prompts:/{name}@{alias}").template

def weights(folder):
    return Path(folder, "weights.txt").read_text()

ACTS = {
    "download": lambda uri: weights(mlflow.artifacts.download_artifacts(uri)),
    "download into": lambda uri: weights(mlflow.artifacts.download_artifacts(uri, dst_path=tempfile.mkdtemp())),
    "load": lambda uri: mlflow.pyfunc.load_model(uri)._model_impl.text,
    "load into": lambda uri: mlflow.pyfunc.load_model(uri, dst_path=tempfile.mkdtemp())._model_impl.text,
    "copy": copy,
    "prompt": prompt,
    "version": lambda: mlflow.__version__,
}
out, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    act, words = json.loads(line)
    try:
        answer = [True, str(ACTS[act](*words))]
    except Exception as error:
        answer = [False, f"{type(error).__name__}: {error}"[:300]]
    print(json.dumps(answer), file=out, flush=True)
"""
LOADABLE = "python_function:\n    loader_module: loader_of_texts\n    data: weights.txt\n"


class Client:
    """MLflow of the server's own version, as one user of it.

    Args:
        server: whose client it is.
        more: environment variables, such as credentials.
    """

    def __init__(self, server: Server, more: dict[str, str]) -> None:
        values = {"PATH": os.environ["PATH"], "HOME": str(server.folder), "MLFLOW_TRACKING_URI": server.url}
        values |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
        values |= {"GIT_PYTHON_REFRESH": "quiet", "PYTHONPATH": server.environment()["PYTHONPATH"]}
        words = [*server.user(), str(server.env / "bin" / "python"), "-c", PROGRAM]
        pipe = subprocess.PIPE
        self._log = (server.folder / "client.log").open("ab")
        self._process = subprocess.Popen(
            words, env=values | more, stdin=pipe, stdout=pipe, stderr=self._log, text=True, cwd=server.folder
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def ask(self, act: str, *words: Any) -> tuple[bool, str]:
        """Return whether an act worked, and what it gave or how it failed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([act, words]), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, f"MLflow's client ended: {self._log.name}"
        done, told = json.loads(line)
        return done, told
