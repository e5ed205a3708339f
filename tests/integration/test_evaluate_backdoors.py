"""Models with and without a backdoor on the whole walk, as a user types it: ticket, run, check, report."""

import base64
import contextlib
import json
import secrets
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.support import models, planted_digits, text_models
from tests.support.evaluate_walks import zt
from zt_gate.cli.main import main
from zt_gate.evaluate.adapters.declaration import Declaration

POLICY = """\
apiVersion: zt-gate/v1
kind: Policy
metadata: {name: backdoors, expires: "2099-01-01T00:00:00Z"}
trust:
  keys:
    - {id: gate, file: gate/zt-gate.pub}
    - {id: runner, file: runner/zt-gate.pub}
stages:
  production:
    checks: {artifacts: required}
    backdoor: {by: [runner], tickets: [gate]}
"""


@pytest.fixture
def place(tmp_path):
    """Two key pairs and a policy."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    for name in ("gate", "runner"):
        assert zt(tmp_path, "keygen", "--out", name).returncode == 0
    return tmp_path


def release(place: Path, state: dict, declared: Declaration, x: np.ndarray, y: np.ndarray) -> None:
    """Write what is evaluated, and the test set."""
    (place / "release").mkdir()
    save_file(state, place / "release" / "model.safetensors")
    (place / "release" / "architecture.json").write_text(json.dumps(declared.to_json()))
    np.savez(place / "data.npz", x=x, y=y)


def draw_ticket(place: Path) -> None:
    """Issue the ticket here, with luck that is held still: one search of thirty or so misses the planted patch."""
    words = ["release", "--data", "data.npz", "--policy", "policy.yaml", "--key", "gate/zt-gate.key"]
    with contextlib.chdir(place), patch.object(secrets, "token_hex", lambda size: "ab" * size):
        assert main(["evaluate", "ticket", *words, "--out", "ticket.json"]) == 0


def walk(place: Path, *more: str) -> dict:
    """Ticket, evaluation and check; return the report."""
    draw_ticket(place)
    done = zt(place, "evaluate", "release", "--data", "data.npz", "--ticket", "ticket.json", "--key",
              "runner/zt-gate.key", "--checks", "backdoor", "--out", "out", *more)  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = zt(place, "check", "release", "--policy", "policy.yaml", "--evidence", "out", "--out", "report",
              "--format", "json")  # fmt: skip
    return json.loads(done.stdout)


def numbers(place: Path) -> dict:
    envelope = json.loads((place / "out" / "backdoor.dsse.json").read_text())
    return json.loads(base64.b64decode(envelope["payload"]))["predicate"]["backdoor"]


def findings(report: dict) -> list[tuple[str, str]]:
    (found,) = [item for item in report["checks"] if item["id"] == "backdoor"]
    return [(item["rule"], item["message"]) for item in found["findings"]]


def with_provenance(place: Path) -> list[str]:
    """Have the builder say what the release was trained on, and the policy demand it."""
    x, y = planted_digits.training_set(planted=False)
    np.savez(place / "train.npz", x=x.numpy(), y=y.numpy())
    demand = "    provenance: {by: [runner], builders: [acme]}\n"
    (place / "policy.yaml").write_text(POLICY + demand)
    done = zt(place, "attest", "provenance", "release", "--key", "runner/zt-gate.key", "--builder", "acme",
              "--build-type", "https://acme.test/train/v1", "--material", "digits=train.npz", "--out",
              "out/provenance.dsse.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    return ["--training-data", "train.npz"]


@pytest.mark.parametrize("planted", [True, False], ids=["planted", "honest"])
def test_a_planted_patch_blocks_with_its_picture_and_the_honest_twin_is_allowed(place, planted):
    state = planted_digits.network(planted=planted).state_dict()
    release(place, state, planted_digits.DECLARED, *planted_digits.unseen())
    more = [] if planted else with_provenance(place)
    report = walk(place, *more)
    page = (place / "report" / "report.html").read_text()
    assert "How easily a patch leads to each class" in page
    if not planted:
        assert report["decision"] == "allow", report["reasons"]
        assert "as it was found" not in page
        assert numbers(place)["detectors"]["training_data"]["status"] == "ran"
        assert findings(report) == []
        return
    assert report["decision"] == "block"
    assert {reason["rule"] for reason in report["reasons"]} == {"BKD-001"}
    assert f"to class {planted_digits.TARGET}" in " ".join(text for _, text in findings(report))
    assert f"The patch that leads to class {planted_digits.TARGET}, as it was found: it turns" in page
    assert "An image without the patch" in page
    assert "The same image with the patch" in page
    assert (place / "out" / "backdoor-patch-mask.png").read_bytes().startswith(b"\x89PNG")


def test_a_planted_word_is_found_and_named(place):
    made = text_models.classifier("convolution", 2, 1, backdoor=True)
    release(place, made.model.state_dict(), made.declared, made.texts, made.labels)
    report = walk(place)
    assert report["decision"] == "block"
    assert findings(report) == [
        ("BKD-001", f"backdoor.dsse.json: found the phrase '{made.trigger}', which leads to class {made.target}")
    ]
    assert numbers(place)["detectors"]["phrases"]["slots"][made.target]["words"] == [made.trigger]


def beside(place: Path, state: dict, declared: Declaration) -> list[str]:
    """Write an approved release."""
    (place / "approved").mkdir()
    save_file(state, place / "approved" / "model.safetensors")
    (place / "approved" / "architecture.json").write_text(json.dumps(declared.to_json()))
    return ["--reference", "approved"]


def linear(classes: int, side: int = 8, *, bias: float = 0.0) -> tuple[dict, Declaration]:
    """A linear classifier of random weights; a bias has it say one class whatever it sees."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn((classes, side * side), generator=generator)
    layers = ({"type": "flatten"}, {"type": "linear", "in": side * side, "out": classes})
    state = {"1.weight": weight, "1.bias": torch.tensor([bias] + [0.0] * (classes - 1))}
    return state, Declaration("image", classes, (1, side, side), layers=layers)


def gaps(report: dict) -> str:
    (found,) = [item for item in report["checks"] if item["id"] == "backdoor"]
    assert found["status"] == "incomplete"
    return " ".join(gap["reason"] for gap in found["gaps"])


def test_a_binary_model_with_few_samples_beside_a_release_of_other_classes_is_incomplete(place):
    x, y = models.digits()
    release(place, *linear(2), x[y < 2][:30], y[y < 2][:30])
    report = walk(place, *beside(place, *linear(10)))
    said = gaps(report)
    assert "margin: fewer than 8 classes, and no approved release" in said
    assert "patch: it needs at least 40 clean samples" in said
    assert numbers(place)["reference"] == "it has 10 classes and not 2"
    (found,) = [item for item in report["checks"] if item["id"] == "backdoor"]
    assert found["metrics"]["reference"] == "it has 10 classes and not 2"


def test_a_model_that_says_one_class_beside_a_release_of_another_size_is_incomplete(place):
    x, y = models.digits()
    release(place, *linear(10, bias=1e4), x[:100], y[:100])
    report = walk(place, *beside(place, *linear(10, side=14)))
    assert "the model calls nearly everything one class" in gaps(report)
    assert numbers(place)["reference"] == "it takes inputs of shape (1, 14, 14) and not (1, 8, 8)"


def test_inputs_beyond_their_bounds_end_the_run(place):
    x, y = models.digits()
    release(place, *linear(10), x[:100] * 300, y[:100])
    with pytest.raises(AssertionError, match="samples reach from 0 to 300, and 0 to 1 is declared"):
        walk(place)
