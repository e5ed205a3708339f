"""The whole walk as a user types it: ticket, run, check; killed and resumed; refused where it has to be."""

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch
from torch import nn

from tests.support import models
from tests.support.evaluate_walks import RUN, check, evaluate, predicate, rules, ticket, write_policy, zt


@pytest.fixture
def place(tmp_path):
    """A release, a test set, two key pairs and a policy."""
    (tmp_path / "release").mkdir()
    _, declared = models.save("torch-state", tmp_path / "release")
    (tmp_path / "release" / "architecture.json").write_text(json.dumps(declared.to_json()))
    x, y = models.digits()
    np.savez(tmp_path / "data.npz", x=x[:400], y=y[:400])
    write_policy(tmp_path, "least: 40%")
    for name in ("gate", "runner"):
        assert zt(tmp_path, "keygen", "--out", name).returncode == 0
    return tmp_path


def test_from_ticket_to_verdict(place):
    write_policy(place, "least: 40%\n      worst_class: 15%\n      corruption_drop: 40%")
    ticket(place)
    done = zt(place, *RUN, "--out", "out", "--batch", "64", "--smoothing", "0.1")
    assert done.returncode == 0, done.stderr
    report = check(place, "out")
    assert report["decision"] == "allow", report["reasons"]
    (evidence,) = (item for item in report["checks"] if item["id"] == "robustness")
    assert [picture["kind"] for picture in evidence["pictures"]] == ["curve", "bars", "curve", "heat", "curve"]
    for number in (1, 2, 3, 4, 5):
        assert ET.parse(place / "out" / f"robustness-{number}.svg").getroot().tag.endswith("svg")
    # Another release's bytes: the same statement says nothing about them, and the ticket is not for them.
    (place / "release" / "notes.txt").write_text("x")
    assert {"EVL-002"} <= rules(check(place, "out"))
    assert "another release" in evaluate(place).stderr


def test_a_run_that_is_killed_goes_on_with_the_same_numbers(place):
    """Near the threshold, so that what withstood the plan meets the strongest attacks."""
    x, y = models.digits()
    np.savez(place / "data.npz", x=x[:100], y=y[:100])
    write_policy(place, "least: 43%")
    policy = (place / "policy.yaml").read_text().replace('eps: "0.03"', 'eps: "0.1"')
    (place / "policy.yaml").write_text(policy)
    ticket(place)
    whole = evaluate(place, "--batch", "100", out="whole")
    assert whole.returncode == 0, whole.stderr
    assert "stronger attacks" in whole.stderr
    words = [sys.executable, "-m", "zt_gate", *RUN, "--out", "cut", "--no-curve", "--batch", "100"]
    process = subprocess.Popen(words, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = place / "cut" / "journal.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b"\n") >= 3):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with journal.open("ab") as stream:
        stream.write(b'{"key": "batch 9", "torn')
    written = journal.read_bytes().count(b"\n")
    again = evaluate(place, "--batch", "100", out="cut")
    assert again.returncode == 0, again.stderr
    assert journal.read_bytes().count(b"\n") > written
    first, second = (predicate(place / name / "robustness.dsse.json") for name in ("whole", "cut"))
    assert first["robustness"] == second["robustness"]
    assert first["robustness"]["confirmed"]["why"] == ["least"]
    (report,) = (item for item in check(place, "whole")["checks"] if item["id"] == "robustness")
    robust = first["robustness"]["counts"]["robust"]
    assert report["status"] == ("pass" if robust >= 43 else "fail")
    # Without time for them: what is already written down counts, and the rest is said to be lacking.
    (place / "late").mkdir()
    (place / "late" / "journal.jsonl").write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:3]))
    late = evaluate(place, "--batch", "100", "--budget", "0", out="late")
    assert late.returncode == 1
    assert "no time was left for the stronger attacks that least called for" in late.stderr
    assert rules(check(place, "late")) == {"check-incomplete"}
    assert first["sample"] == second["sample"]
    assert "belongs to another run" in evaluate(place, out="cut").stderr


def test_a_release_is_compared_with_the_approved_one(place):
    ticket(place)
    assert evaluate(place, out="approved").returncode == 0
    write_policy(place, "drop: 1%")
    state = models.convolutional().state_dict()
    from safetensors.torch import save_file

    shaken = {name: value + 1.2 * value.std() * torch.sign(torch.sin(1e4 * value)) for name, value in state.items()}
    save_file(shaken, place / "release" / "model.safetensors")
    ticket(place, "--against", "approved/robustness.dsse.json")
    assert evaluate(place, "--against", "approved/robustness.dsse.json").returncode == 0
    assert rules(check(place, "out")) == {"check-incomplete"}
    (place / "approved" / "ticket.dsse.json").unlink()
    assert rules(check(place, "out", "approved")) == {"ROB-006"}


def test_numbers_of_another_model_are_caught_by_the_replay(place):
    """A runner that measures a stronger model and signs the result for this release."""
    ticket(place)
    assert evaluate(place).returncode == 0
    honest = predicate(place / "out" / "robustness.dsse.json")
    import base64
    from dataclasses import replace

    from zt_gate.evaluate.sample import pack, unpack
    from zt_gate.trust.signatures.envelope import sign_statement

    sample = unpack(base64.b64decode(honest["sample"]["npz"]))
    moved = replace(sample, adversarial=sample.x, code=np.where(sample.code < 0, sample.code, 0))
    from tests.support.evaluations import stored

    envelope = json.loads((place / "out" / "robustness.dsse.json").read_text())
    payload = json.loads(base64.b64decode(envelope["payload"]))
    payload["predicate"]["sample"] = stored(pack(moved.rows(moved.code >= 0)))
    forged = sign_statement(json.dumps(payload).encode(), (place / "runner" / "zt-gate.key").read_bytes())
    (place / "out" / "robustness.dsse.json").write_bytes(forged)
    assert rules(check(place, "out")) == {"EVL-010"}


class Noisy(nn.Module):
    """The honest network with random scores on top."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = models.convolutional()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) + torch.rand(x.shape[0], 10)


def test_a_model_that_misbehaves_is_named_in_a_signed_statement(place):
    for path in (place / "release").iterdir():
        path.unlink()
    torch.jit.script(Noisy()).save(str(place / "release" / "model.pt"))
    ticket(place)
    done = evaluate(place)
    assert done.returncode == 1
    assert "EVL-104" in done.stderr
    assert "EVL-104" in rules(check(place, "out"))


def test_what_must_not_be_loaded_is_not(place):
    (place / "release" / "model.safetensors").unlink()
    (place / "release" / "architecture.json").unlink()
    import joblib
    from sklearn.linear_model import LogisticRegression

    x, y = models.digits()
    np.savez(place / "data.npz", x=x[:400].reshape(400, -1), y=y[:400])
    joblib.dump(LogisticRegression(max_iter=50).fit(x[:400].reshape(400, -1), y[:400]), place / "release/m.joblib")
    ticket(place)
    done = evaluate(place)
    assert done.returncode == 2
    assert "unpickled" in done.stderr
    (place / "release" / "m.joblib").write_bytes(models.hostile_pickle(os.system, "true"))
    ticket(place)
    done = evaluate(place)
    assert done.returncode == 2
    assert "static checks" in done.stderr
    assert not (place / "out" / "robustness.dsse.json").exists()


def test_wrong_words_are_explained(place):
    ticket(place)
    assert "no check 'speed'" in evaluate(place, "--checks", "speed").stderr
    assert "asks for no backdoor" in evaluate(place, "--checks", "backdoor").stderr
    np.savez(place / "data.npz", x=np.zeros((4, 1, 8, 8)), y=np.array([0, 1, 2, 3]))
    assert "not those that the ticket names" in evaluate(place).stderr
    (place / "ticket.json").write_text("{}")
    assert "not a DSSE envelope" in evaluate(place).stderr


def test_a_wider_range_than_the_policy_names_does_not_count(place):
    """An author who declares 0 to 255 for inputs in 0 to 1 would make any eps harmless."""
    x, y = models.digits()
    np.savez(place / "data.npz", x=x[:400] * 255, y=y[:400])
    path = place / "release" / "architecture.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"high": 255.0}))
    ticket(place)
    assert evaluate(place).returncode == 0
    assert rules(check(place, "out")) >= {"ROB-002"}
