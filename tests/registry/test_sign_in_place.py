"""The verbs that sign, on what lies in MLflow: the digest is that of the bytes in the registry."""

import json
import os
import sqlite3

import pytest

from tests.support.registry_site import write_model
from zt_gate.cli.main import main
from zt_gate.errors import TargetError
from zt_gate.intake import Freeze, freeze, remote
from zt_gate.trust.evidence_folder import evidence_folder
from zt_gate.trust.signatures.keys import generate, write_pair

BUILT = ("--builder", "https://b.test", "--build-type", "https://t.test")
STAGE = "staging: {checks: {artifacts: required}, signature: {by: [gate]}, approvals: {by: [gate]}}"


@pytest.fixture
def place(shop, tmp_path):
    """Return a folder with a policy that asks for a signature and an approval; `models:/x/1` has the bytes `1`."""
    policy = tmp_path / "site" / "policy.yaml"
    policy.write_text(policy.read_text().replace("staging: {checks: {artifacts: required}}", STAGE))
    return tmp_path


def run(place, verb, target, *more):
    return main([*verb.split(), target, "--key", str(place / "keys" / "gate.key"), *map(str, more)])


def digest_of(folder):
    with freeze([folder], Freeze.HOLD) as frozen:
        return frozen.digest


def test_sign_approve_check_and_promote_without_naming_a_folder(place, capsys):
    policy = ("--policy", place / "site" / "policy.yaml", "--stage", "staging")
    assert run(place, "sign", "models:/x/1") == 0
    said = capsys.readouterr()
    assert str(place / "x-1.evidence" / "manifest.") in said.out
    assert f"{digest_of(place / 'artifacts' / '0' / 'model-1')}" in said.err
    assert "models:/x/1" in said.err
    assert run(place, "approve", "models:/x/1", *policy, "--reason", "I looked at its errors") == 0
    assert run(place, "attest provenance", "models:/x/1", *BUILT) == 0
    assert main(["check", "models:/x/1", *map(str, policy)]) == 0
    words = ["--alias", "staging", "--summary-key", str(place / "keys" / "gate.key")]
    assert main(["promote", "models:/x/1", *map(str, policy), *words]) == 0
    assert main(["verify", "models:/x@staging", "--key", str(place / "keys" / "gate.pub")]) == 0
    assert "VERIFIED" in capsys.readouterr().out
    # Under its alias the version has the same evidence.
    assert main(["check", "models:/x@staging", *map(str, policy)]) == 0
    assert sorted(path.name for path in place.glob("*.evidence")) == ["x-1.evidence"]


def test_an_alias_is_signed_as_the_version_that_it_is_now(shop, place, capsys):
    store = shop._client._get_registry_client().store
    store.set_registered_model_alias("x", "candidate", 2)
    assert run(place, "sign", "models:/x@candidate") == 0
    assert str(place / "x-2.evidence") in capsys.readouterr().out
    assert main(["verify", "models:/x/2", "--key", str(place / "keys" / "gate.pub")]) == 0
    (place / "x-1.evidence").mkdir()
    assert main(["verify", "models:/x/1", "--key", str(place / "keys" / "gate.pub")]) == 1


def test_other_bytes_are_not_verified(place, capsys):
    assert run(place, "sign", "models:/x/1", "--out", place / "e" / "s.json") == 0
    words = ["--key", str(place / "keys" / "gate.pub"), "--evidence", str(place / "e")]
    assert main(["verify", "models:/x/1", *words]) == 0
    (place / "artifacts" / "0" / "model-1" / "weights.txt").write_bytes(b"changed")
    assert main(["verify", "models:/x/1", *words]) == 1
    assert main(["verify", "models:/x/2", *words]) == 1
    assert "NOT VERIFIED" in capsys.readouterr().out


def test_the_files_of_a_run_and_a_single_one(place, monkeypatch, capsys):
    import mlflow

    monkeypatch.delenv("MLFLOW_REGISTRY_URI")
    with sqlite3.connect(place / "mlflow.db") as connection:
        connection.execute("UPDATE experiments SET artifact_location = ?", (str(place / "artifacts" / "0"),))
    connection.close()
    with mlflow.start_run() as made:
        mlflow.log_artifacts(str(write_model(place / "m", b"run")), "model")
    name, keys = f"runs:/{made.info.run_id}/model", place / "ec"
    assert main(["keygen", "--type", "ecdsa", "--out", str(keys), "--name", "ec"]) == 0
    for target, form, about in (
        (f"{name}/weights.txt", "oms", "model-weights.txt"),
        (name, "oms", "model"),
        (name, "dsse", "model"),
    ):
        assert main(["sign", target, "--format", form, "--key", str(keys / "ec.key")]) == 0
        assert f"{made.info.run_id}-{about}.evidence" in capsys.readouterr().out
        assert main(["verify", target, "--key", str(keys / "ec.pub")]) == 0
    assert f"sha256:{digest_of(place / 'm').hex}" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["sign", "attest provenance", "verify"])
@pytest.mark.parametrize("target", ["models:/x/9", "models:/x@nobody", "models:/nothing/1", "models:/m-0", "runs:/1/m"])
def test_what_is_not_there_is_said_in_a_sentence(place, verb, target, capsys):
    more = BUILT if verb.startswith("attest") else ()
    key = "gate.pub" if verb == "verify" else "gate.key"
    (place / "e").mkdir()
    more += ("--evidence", str(place / "e")) if verb == "verify" else ("--out", str(place / "e" / "s.json"))
    assert main([*verb.split(), target, "--key", str(place / "keys" / key), *more]) == 2
    said = capsys.readouterr().err
    assert "cannot fetch" in said
    assert "Traceback" not in said
    assert not list((place / "e").iterdir())


def test_nothing_of_the_signer_lies_in_a_folder_of_the_registry(place, capsys):
    inside = place / "artifacts" / "0" / "model-1"
    assert run(place, "sign", "models:/x/1", "--out", inside / "s.json") == 2
    assert "lies inside the target" in capsys.readouterr().err
    (inside / "policy.yaml").write_bytes((place / "site" / "policy.yaml").read_bytes())
    policy = ("--policy", inside / "policy.yaml", "--stage", "staging")
    assert run(place, "approve", "models:/x/1", *policy, "--reason", "I looked at its errors") == 2
    assert main(["check", "models:/x/1", *map(str, policy)]) == 2
    assert capsys.readouterr().err.count("lies inside the target") == 2
    (inside / "k.pub").write_bytes((place / "keys" / "gate.pub").read_bytes())
    assert main(["verify", "models:/x/1", "--key", str(inside / "k.pub")]) == 2


def test_no_secret_of_the_uri_or_the_environment_is_printed(place, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:hunter2hunter2@127.0.0.1:9")
    monkeypatch.delenv("MLFLOW_REGISTRY_URI")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "tok-0123456789")
    for target in ("models:/x@a", "models:/x/1", "models:/ann:hunter2hunter2@x/1", "runs:/1/m?sig=hunter2hunter2"):
        for verb in ("sign", "attest provenance"):
            assert run(place, verb, target, *(BUILT if verb != "sign" else ())) == 2
    said = "".join(capsys.readouterr())
    assert "cannot fetch" in said
    assert "hunter2" not in said
    assert "tok-0123" not in said


def test_whatever_a_store_raises_is_a_sentence_without_secrets(place, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "aws-secret-0123456789")

    def fail(*_):
        raise RuntimeError("denied for aws-secret-0123456789 at https://a:secret-word@host/x")

    monkeypatch.setattr(remote, "_mlflow", fail)
    with pytest.raises(TargetError) as caught, remote.downloaded(["models:/x/1"]):
        pass
    assert "denied for [redacted]" in caught.value.message
    assert "secret-word" not in caught.value.message


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("models:/credit/3", "credit-3"),
        ("models:/Two words/12", "Two words-12"),
        ("models:/m-0123abcd", "m-0123abcd"),
        ("runs:/ab12/model/a", "ab12-model-a"),
        ("models:/../3", "..-3"),
        ("runs:/../../etc/passwd", "..-..-etc-passwd"),
        ("models:/a\nb/1", "a-b-1"),
    ],
)
def test_where_evidence_about_mlflow_lies(tmp_path, monkeypatch, uri, name):
    monkeypatch.chdir(tmp_path)
    assert evidence_folder(type(tmp_path)(uri)) == tmp_path / f"{name}.evidence"


@pytest.mark.parametrize("uri", ["models:/..", "models:/...", "runs:/" + "x" * 300, "models:/" + "ü" * 100 + "/1"])
def test_evidence_lies_in_the_working_folder_whatever_the_name(tmp_path, monkeypatch, uri):
    monkeypatch.chdir(tmp_path)
    folder = evidence_folder(type(tmp_path)(uri))
    folder.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_a_fresh_key_signs_too(place):
    write_pair(place / "other", "team", generate())
    assert main(["sign", "models:/x/1", "--key", str(place / "other" / "team.key")]) == 0
    made = json.loads(next((place / "x-1.evidence").iterdir()).read_text())
    assert made["payloadType"]
    assert oct(os.stat(place / "x-1.evidence").st_mode & 0o777) in ("0o755", "0o700", "0o775")
