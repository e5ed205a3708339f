"""MLflow's own client and the verbs of zt-gate, over HTTP, against the server with everything."""

import os
import subprocess

import pytest
from mlflow.exceptions import MlflowException

from tests.support.mlflow_server import ENV3
from tests.support.registry_site import GATE, write_model
from zt_gate.cli.main import main
from zt_gate.trust.signatures.keys import write_pair


def test_the_client_hears_the_sentence_on_every_road(client, admin, tmp_path):
    version = admin.register(write_model(tmp_path / "m", b"client"), "client")
    for act in (
        lambda: client.set_registered_model_alias("client", "champion", version),
        lambda: client.transition_model_version_stage("client", version, "Production"),
        lambda: client.set_model_version_tag("client", version, "validation_status", "approved"),
        lambda: client.copy_model_version(f"models:/client/{version}", "prod.client"),
        lambda: client.rename_registered_model("client", "prod.client2"),
    ):
        with pytest.raises(MlflowException, match="zt-gate: "):
            act()


def test_promote_watch_and_doctor(client, admin, server, site, tmp_path, capsys):
    write_pair(tmp_path / "keys", "gate", GATE)
    key = str(tmp_path / "keys" / "gate.key")
    version = admin.register(write_model(tmp_path / "m", b"verbs"), "verbs")
    log = ["--audit-log", str(tmp_path / "ci.jsonl")]
    words = ["promote", f"models:/verbs/{version}", "--alias", "champion", "--policy", str(site.policy)]
    assert main([*words, "--summary-key", key, *log]) == 0
    assert client.get_model_version_by_alias("verbs", "champion").version == version
    assert "promotion.done" in (tmp_path / "ci.jsonl").read_text()
    assert main(["check", "models:/verbs@champion", "--policy", str(site.policy), "--stage", "staging"]) == 0
    assert main(["watch", "--once", "--policy", str(site.policy)]) in (0, 1)
    assert f"models:/verbs/{version} @champion holds" in capsys.readouterr().out
    assert main(["doctor", "mlflow"]) == 0
    told = capsys.readouterr().out
    running = admin.http.get(f"{server.url}/version", timeout=30).text
    for line in (running, "demanded", "zt-gate ", "trouble: none", "sealed copies cannot be written to"):
        assert line in told


LOAD = """
import sys
import mlflow
for uri in sys.argv[1:]:
    try:
        print("LOADED", mlflow.pyfunc.load_model(uri).predict(None))
    except Exception as error:
        print("REFUSED", error)
"""
CODE = """
class Model:
    def predict(self, data):
        return "one"

def _load_pyfunc(path):
    return Model()
"""


def test_a_serving_image_loads_what_has_a_verdict_and_nothing_else(client, admin, server, site, tmp_path):
    folder = tmp_path / "loadable"
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "zt_loadable.py").write_text(CODE)
    (folder / "MLmodel").write_text(
        "artifact_path: model\nflavors:\n  python_function:\n    loader_module: zt_loadable\n    code: code\n"
        "model_uuid: 0123456789abcdef0123456789abcdef\n"
    )
    model, location = admin.logged(folder)
    version = admin.version("loadable", f"models:/{model}", model_id=model)
    roads = [f"models:/loadable/{version}", f"models:/{model}", location, str(folder)]
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    values = {"ZT_GATE_GUARD": "production", "ZT_GATE_EVIDENCE": str(evidence), "ZT_GATE_POLICY": str(site.policy)}

    def load():
        done = subprocess.run(
            [ENV3 / "bin" / "python", "-c", LOAD, *roads],
            env={**os.environ, **values, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return [line for line in done.stdout.splitlines() if line.startswith(("LOADED", "REFUSED"))], done.stderr

    told, errors = load()
    assert [line.split()[0] for line in told] == ["REFUSED"] * 4, told
    assert errors.count("no verdict for the stage production") >= 4
    (evidence / "verdict.json").write_text(site.summary(folder))
    told, errors = load()
    assert told == ["LOADED one"] * 4, (told, errors[-3000:])
