"""What is measured is what is served: one model a release, chosen by nobody but the operator, and no forged journal."""

import base64
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.support import models
from tests.support.evaluate_walks import check, evaluate, predicate, rules, ticket, write_policy, zt
from zt_gate.evaluate.journal import Journal
from zt_gate.evaluate.sample import pack, unpack

GOOD, BAD = "good.safetensors", "model.safetensors"
DECLARED = replace(models.IMAGE, layers=models.LAYERS)


def bad_state():
    torch.manual_seed(1)
    return {name: torch.randn_like(value) for name, value in models.convolutional().state_dict().items()}


def declare(path, **other):
    path.write_text(json.dumps(DECLARED.to_json() | other))


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    place = tmp_path_factory.mktemp("keys")
    for name in ("gate", "runner"):
        assert zt(place, "keygen", "--out", name).returncode == 0
    return place


@pytest.fixture
def place(tmp_path, keys):
    """An honest release, a test set, keys and a policy."""
    for name in ("gate", "runner"):
        shutil.copytree(keys / name, tmp_path / name)
    (tmp_path / "release").mkdir()
    save_file(models.convolutional().state_dict(), tmp_path / "release" / GOOD)
    declare(tmp_path / "release" / "architecture.json")
    x, y = models.digits()
    np.savez(tmp_path / "data.npz", x=x[:100], y=y[:100])
    write_policy(tmp_path, "least: 1%")
    return tmp_path


def refused(place, *more, said, anew=True):
    if anew:
        ticket(place)
    done = evaluate(place, *more)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (place / "out" / "robustness.dsse.json").exists()


def test_a_release_does_not_say_which_of_its_files_is_measured(place):
    save_file(bad_state(), place / "release" / BAD)
    refused(place, said=f"2 files that could be the model: {GOOD}, {BAD}")
    declare(place / "release" / "architecture.json", file=GOOD)
    refused(place, said="only the operator may")
    refused(place, "--architecture", "release/architecture.json", said="lies inside the target")


def test_what_the_operator_names_is_measured_and_clears_no_other_weights(place):
    save_file(bad_state(), place / "release" / BAD)
    declare(place / "mine.json", file=GOOD)
    ticket(place)
    done = evaluate(place, "--architecture", "mine.json")
    assert done.returncode == 1, done.stderr
    assert f"{GOOD} alone was measured, and the release also holds {BAD}" in done.stderr
    assert predicate(place / "out" / "robustness.dsse.json")["model"]["path"] == GOOD
    report = check(place, "out")
    assert report["decision"] == "block"
    assert rules(report) == {"check-incomplete"}


def test_a_checkpoint_with_two_models_is_incomplete(place):
    (place / "release" / GOOD).unlink()
    honest = models.convolutional().state_dict()
    torch.save({"state_dict": honest, "model": bad_state()}, place / "release" / "model.pt")
    ticket(place)
    done = evaluate(place)
    assert done.returncode == 1, done.stderr
    assert "the checkpoint has 2 entries that could be the model (model, state_dict)" in done.stderr
    assert rules(check(place, "out")) == {"check-incomplete"}
    torch.save({"state_dict": honest, "epoch": 3}, place / "release" / "model.pt")
    ticket(place)
    assert evaluate(place).returncode == 0
    assert check(place, "out")["decision"] == "allow"


def test_a_forged_journal_is_not_signed(place):
    """The forger has the honest journal and writes what a robust model would have left, with a key of their own."""
    ticket(place)
    assert evaluate(place).returncode == 0
    path = place / "out" / "journal.jsonl"
    honest = path.read_bytes()
    (place / "out" / "robustness.dsse.json").unlink()
    lines = [json.loads(line) for line in honest.splitlines()]
    for line in lines:
        if "sample" in line:
            sample = unpack(base64.b64decode(line["sample"]))
            robust = replace(sample, code=np.full_like(sample.code, -1), adversarial=sample.x)
            line["sample"] = base64.b64encode(pack(robust)).decode()
    forged = ["".join(json.dumps(line) + "\n" for line in lines)]
    path.unlink()
    journal = Journal(path, lines[0]["run"], bytes(32))
    for line in lines[1:]:
        journal.note(line["key"], {name: value for name, value in line.items() if name not in ("key", "mac")})
    journal.close()
    forged.append(path.read_text())
    for text in forged:
        path.write_text(text)
        refused(place, said="was not written by this runner", anew=False)
    # The key lies elsewhere, and other bytes or another declaration are another run.
    assert not any("key" in item.name for item in (place / "out").iterdir())
    path.write_bytes(honest)
    declare(place / "mine.json", mean=[0.5], std=[0.5])
    assert "belongs to another run" in evaluate(place, "--architecture", "mine.json").stderr


def test_the_key_of_the_journal_lies_in_a_private_folder_elsewhere(place):
    ticket(place)
    done = evaluate(place, "--journal-key", "out/key")
    assert done.returncode == 2
    assert "lies in --out" in done.stderr
    (place / "open").mkdir()
    (place / "open").chmod(0o777)
    done = evaluate(place, "--journal-key", "open")
    assert done.returncode == 2
    assert "the folder of the journal's key" in done.stderr
    assert evaluate(place, "--journal-key", "mine").returncode == 0
    assert (place / "mine").stat().st_mode & 0o777 == 0o700
    assert evaluate(place, "--journal-key", "mine").returncode == 0
    assert "was not written by this runner" in evaluate(place, "--journal-key", "theirs").stderr


def test_what_lies_in_mlflow_is_evaluated_where_it_is(place, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place / 'mlflow.db'}")
    monkeypatch.chdir(place)
    mlflow.set_tracking_uri(None)
    with mlflow.start_run() as made:
        mlflow.log_artifacts(str(place / "release"), "model")
    target = f"runs:/{made.info.run_id}/model"
    words = ["--data", "data.npz", "--policy", "policy.yaml", "--key", "gate/zt-gate.key", "--out", "ticket.json"]
    assert zt(place, "evaluate", "ticket", target, *words).returncode == 0
    words = ["--data", "data.npz", "--ticket", "ticket.json", "--key", "runner/zt-gate.key", "--out", "out"]
    done = zt(place, "evaluate", target, *words, "--no-curve", "--batch", "64")
    assert done.returncode == 0, done.stderr
    # The release in the folder has the same bytes, so the statement is about it, too.
    assert check(place, "out")["decision"] == "allow"
