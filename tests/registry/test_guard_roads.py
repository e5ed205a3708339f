"""Every road on which MLflow may load a model, with the guard on: nothing runs without a verdict, whatever names it."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
import yaml

from tests.support.mlflow_server import ENV2, ENV3, NEWEST, ROOT, demand
from tests.support.registry_site import Site
from zt_gate.registry.guard_functions import FUNCTIONS

CODE = """
import os
def ran():
    open(os.environ["CANARY"], "w").close()
ran()
class Model:
    def predict(self, data, params=None):
        return "one"
def _load_pyfunc(path):
    ran()
    return Model()
"""
MLMODEL = """\
artifact_path: model
flavors:
  python_function:
    loader_module: zt_walked
    code: code
    env: {conda: conda.yaml, virtualenv: python_env.yaml}
model_uuid: 0123456789abcdef0123456789abcdef
"""
SETUP = """
import sys
from mlflow import MlflowClient
client = MlflowClient()
place = sys.argv[1]
experiment = client.create_experiment("walk", artifact_location=f"file://{place}/artifacts")
run = client.create_run(experiment)
client.log_artifacts(run.info.run_id, f"{place}/model", "model")
client.create_registered_model("walk")
client.create_model_version("walk", f"file://{place}/model")
client.set_registered_model_alias("walk", "champion", "1")
client.transition_model_version_stage("walk", "1", "Production")
logged = ""
if hasattr(client, "create_logged_model"):
    logged = client.create_logged_model(experiment).model_id
    client.log_model_artifacts(logged, f"{place}/model")
print("@", run.info.run_id, logged or "m-none")
"""


class Walk:
    """A place with one model that is named in every way, and what a process of its own says of each."""

    def __init__(self, folder, python, database):
        self.folder, self.python = folder, str(python)
        self.site = Site(folder / "site")
        model = folder / "model"
        (model / "code").mkdir(parents=True)
        (model / "code" / "zt_walked.py").write_text(CODE)
        (model / "MLmodel").write_text(MLMODEL)
        (model / "requirements.txt").write_text("numpy\n")
        (model / "conda.yaml").write_text("dependencies: [python]\n")
        (model / "python_env.yaml").write_text("python: 3.11.7\n")
        (folder / "link").symlink_to(model)
        (folder / "evidence").mkdir()
        if database is not None:
            shutil.copy(database, folder / "mlflow.db")
        *_, self.run, self.logged = self.process("-c", SETUP, folder).split("@")[1].split()

    def process(self, *words, guard=""):
        values = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": str(ROOT), "CANARY": self.canary}
        values |= {"MLFLOW_TRACKING_URI": f"sqlite:///{self.folder}/mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true"}
        values |= {"ZT_GATE_POLICY": str(self.site.policy), "ZT_GATE_EVIDENCE": str(self.folder / "evidence")}
        values |= {"PYTHONDONTWRITEBYTECODE": "1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "ZT_GATE_GUARD": guard}
        done = subprocess.run(
            [self.python, "-W", "ignore", *words],
            env=values,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    @property
    def canary(self):
        return str(self.folder / "canary")

    @property
    def uris(self):
        path = str(self.folder / "model")
        here = {
            "name and number": "models:/walk/1", "alias": "models:/walk@champion", "stage": "models:/walk/Production",
            "latest": "models:/walk/latest", "logged": f"models:/{self.logged}", "run": f"runs:/{self.run}/model",
            "file": f"file://{path}", "one slash": f"file:{path}", "path": path, "relative": "model", "dot": "./model",
            "link": str(self.folder / "link"), "slash at the end": f"{path}/", "two slashes": f"/{path}",
            "upper FILE": f"FILE://{path}", "upper MODELS": "MODELS:/walk/1", "space": " models:/walk/1",
            "space path": f" {path}", "three slashes": "models:///walk/1", "localhost": f"file://localhost{path}",
        }  # fmt: skip
        away = (
            "s3://b/m", "S3://b/m", "http://127.0.0.1:9/m", "https://127.0.0.1:9/m", "hf:/org/m", "dbfs:/m", "gs://b/m",
            "unknown://m", "ftp://127.0.0.1:9/m", "hdfs://h/m", "uc:/a", "mlflow-artifacts:/ztgate-sealed/sha256-0",
            "mlflow-artifacts://127.0.0.1:9/m", "http://[", "r2://b@c/m", "wasbs://c@a.blob.core.windows.net/m", ":",
        )  # fmt: skip
        return here | {uri: uri for uri in away}

    def lines(self, guard):
        asked = {"uris": self.uris, "path": str(self.folder / "model"), "run": self.run}
        asked["every"] = bool(guard) and not os.listdir(self.folder / "evidence")
        asked["file"] = str(self.folder / "model" / "requirements.txt")
        (self.folder / "asked.json").write_text(json.dumps(asked))
        told = self.process(Path(ROOT) / "tests" / "support" / "guard_walk.py", self.folder / "asked.json", guard=guard)
        return [json.loads(line) for line in told.splitlines() if line.startswith("[")]


LOADED_WITHOUT = {"name and number", "alias", "stage", "latest", "run", "file", "path", "relative", "link"}
"""Roads that load the model where no guard is on: what makes the walk a test."""
UNPICKLED = {"pytorch.load_state_dict", "pytorch.load_checkpoint", "EvaluationResult.load", "a pickled evaluation"}


def check(walk):
    # Before MLflow writes `registered_model_meta` into it.
    verdict = walk.site.summary(walk.folder / "model")
    free = walk.lines("")
    loaded = {uri for kind, road, uri, _, _, ran in free if ran and road == "pyfunc.load_model"}
    assert loaded >= LOADED_WITHOUT, free
    closed = walk.lines("production")
    assert [line for line in closed if line[5]] == [], "code of a model ran"
    assert [line for line in closed if line[0] != "part" and line[3] == "done"] == []
    refused = {(line[1], line[2]) for line in closed if line[3] == "refused"}
    # Where it loads without the guard, it is the guard that refuses, and not a mistake of this test.
    assert {("pyfunc.load_model", uri) for uri in loaded - {"PathLike"}} <= refused  # MLflow stumbles over the refusal
    classes = {line[1] for line in closed if line[0] == "class" and line[3] == "refused"}
    assert classes >= {"class models", "class runs", "class local", "class http", "client of a run", *UNPICKLED}
    assert [line for line in closed if line[0] == "part" and line[3] != "done"] == []
    (walk.folder / "evidence" / "verdict.json").write_text(verdict)
    opened = walk.lines("production")
    assert {uri for _, road, uri, _, _, ran in opened if ran and road == "pyfunc.load_model"} == loaded
    assert [line for line in opened if line[0] == "class" and line[1] in UNPICKLED and line[3] != "refused"] == []
    away = {line[2] for line in opened if line[2] in ("s3://b/m", "dbfs:/m", "hf:/org/m") and line[3] == "refused"}
    assert away == {"s3://b/m", "dbfs:/m", "hf:/org/m"}


# A word that a parameter has to be called, or that the name begins with.
TAKES = {"model_uri", "artifact_uri", "state_dict_uri", "model_uri_or_path", "model_path", "local_model_path"}
LOADS = ("load", "download")
NOT_A_CLIENT = {"server", "store", "protos", "gateway", "assistant", "tracing", "telemetry"}


def public_roads(root):
    """Return the public functions and methods of an installed MLflow that may load something, by reading its source."""
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if place.parts[0] in NOT_A_CLIENT or any(part[0] == "_" and part != "__init__.py" for part in place.parts):
            continue
        text = path.read_text(errors="replace")
        if any(word in text for word in (*TAKES, "def load", "def download")):
            module = ".".join(("mlflow", *place.with_suffix("").parts)).removesuffix(".__init__")
            yield from (
                f"{module}.{name}" for name, function in functions_of(ast.parse(text)) if is_road(name, function)
            )


def functions_of(module):
    for node in module.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from (
                (f"{node.name}.{inner.name}", inner) for inner in node.body if isinstance(inner, ast.FunctionDef)
            )


def is_road(name, function):
    if any(part.startswith("_") for part in name.split(".")):
        return False
    names = function.args
    taken = {argument.arg for argument in (*names.args, *names.kwonlyargs, *names.posonlyargs)}
    return bool(taken & TAKES) or name.rpartition(".")[2].startswith(LOADS)


@pytest.mark.parametrize("env", ["this one", ENV3, ENV2, NEWEST], ids=str)
def test_somebody_looked_at_every_function_that_may_load(env):
    root = (
        Path(mlflow.__file__).parent if env == "this one" else env / "lib" / "python3.11" / "site-packages" / "mlflow"
    )
    if not root.is_dir():
        pytest.skip(f"{env} is not built: make registry, or make registry-newest")
    listed = yaml.safe_load((Path(__file__).parent / "guard_roads.yaml").read_text())
    known = [name for names in listed.values() for name in names]
    assert len(known) == len(set(known))
    found = set(public_roads(root))
    assert len(found) > 100
    assert sorted(found - set(known)) == []
    changed = {f"{module}.{name}" for module, names in FUNCTIONS.items() for name in names}
    assert set(listed["refused"]) <= changed


@pytest.mark.nightly
@pytest.mark.mlflow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("env", [ENV3, ENV2, NEWEST], ids=lambda env: env.name)
def test_no_road_of_another_mlflow_loads_without_a_verdict(tmp_path, env):
    demand(env)
    check(Walk(tmp_path, env / "bin" / "python", None))


@pytest.mark.timeout(200)
def test_no_road_loads_without_a_verdict(tmp_path, empty_database):
    check(Walk(tmp_path, sys.executable, empty_database))
