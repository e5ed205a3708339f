"""The example release: built for real, loaded safely, and clean in the eyes of the checks of this house."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("mlxtend")
pytest.importorskip("mlflow")
safetensors = pytest.importorskip("safetensors")

from zt_gate.domain import Digest, Severity, Status  # noqa: E402
from zt_gate.intake import freeze  # noqa: E402
from zt_gate.scan.code.check import CodeCheck  # noqa: E402
from zt_gate.scan.engines.table import ModelscanCheck  # noqa: E402

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits"


def run(script, *arguments):
    command = [sys.executable, "-B", str(EXAMPLE / script), *map(str, arguments)]
    # Offline: a proxy that refuses every connection shows that nothing is fetched or sent.
    refusing = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    environment = {key: value for key, value in os.environ.items() if key.lower() != "no_proxy"} | refusing
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=environment)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    base = tmp_path_factory.mktemp("example")
    done = run("build_release.py", "--out", base / "digits", "--finished-on", "2027-01-31T00:00:00Z")
    assert done.returncode == 0, done.stderr
    return base


def test_the_release_holds_what_it_should(built):
    with freeze([built / "digits"]) as frozen:
        assert frozen.refusals == ()
        assert sorted(frozen.files) == [
            "MLmodel",
            "README.md",
            "conda.yaml",
            "config.json",
            "data/digests.json",
            "input_example.json",
            "model.safetensors",
            "python_env.yaml",
            "requirements.txt",
            "training/train.py",
        ]


def test_mlflow_reads_the_model_back(built):
    from mlflow.models import Model

    model = Model.load(str(built / "digits"))
    assert set(model.flavors) == {"digits_safetensors"}
    assert "loader_module" not in model.flavors["digits_safetensors"]
    assert model.signature.inputs.input_names() == ["pixels"]
    assert model.utc_time_created == "1970-01-01 00:00:00.000000"


def test_the_statements_speak_about_these_files(built):
    release, statements = built / "digits", built / "statements"
    result = json.loads((statements / "test-result.json").read_text())
    assert result["result"] == "PASSED"
    assert result["passedTests"] == ["accuracy>=0.95", "per-class-recall>=0.85"]
    assert result["finishedOn"] == "2027-01-31T00:00:00Z"
    digests = {item["name"]: item["digest"]["sha256"] for item in result["configuration"]}
    assert digests["model.safetensors"] == Digest.of((release / "model.safetensors").read_bytes()).hex
    provenance = json.loads((statements / "provenance.json").read_text())
    assert provenance["runDetails"]["builder"]["id"] == "https://zt-gate.dev/examples/digits-builder"
    materials = {
        item["name"]: item["digest"]["sha256"] for item in provenance["buildDefinition"]["resolvedDependencies"]
    }
    assert materials["training/train.py"] == Digest.of((release / "training" / "train.py").read_bytes()).hex
    arrays = json.loads((release / "data" / "digests.json").read_text())["arrays"]
    assert {name: materials[f"data/{name}"] for name in arrays} == arrays


def test_a_consumer_loads_it_and_refuses_another_architecture(built, tmp_path):
    done = run("load.py", built / "digits")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "the input example shows a 1\n"
    for name in ("config.json", "model.safetensors", "input_example.json"):
        (tmp_path / name).write_bytes((built / "digits" / name).read_bytes())
    (tmp_path / "config.json").write_text((tmp_path / "config.json").read_text().replace("32", "33"))
    refused = run("load.py", tmp_path)
    assert refused.returncode != 0
    assert "describes another architecture" in refused.stderr


def test_the_code_and_modelscan_checks_have_nothing_to_say(built):
    with freeze([built / "digits"]) as frozen:
        code = CodeCheck().run(frozen)
        engine = ModelscanCheck().run(frozen)
    assert code.status is Status.PASS, [finding.message for finding in code.findings]
    assert all(finding.severity is Severity.INFO for finding in code.findings)
    assert [claim.path for claim in code.claims] == ["training/train.py"]
    assert engine.status in (Status.NOT_APPLICABLE, Status.MISSING)


def test_a_folder_that_is_not_empty_is_left_alone(built):
    done = run("build_release.py", "--out", built / "digits")
    assert done.returncode == 2
    assert "is not empty" in done.stderr


def test_a_second_build_gives_the_same_bytes(built, tmp_path):
    done = run("build_release.py", "--out", tmp_path / "digits", "--finished-on", "2027-01-31T00:00:00Z")
    assert done.returncode == 0, done.stderr
    with freeze([built / "digits"]) as first, freeze([tmp_path / "digits"]) as second:
        assert second.subject.manifest.differences(first.subject.manifest) == []
        assert first.subject.digest == second.subject.digest
