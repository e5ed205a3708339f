"""Bad models and bad data by the verb: each is named, in a signed statement where there is one, and none passes."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.support import models
from tests.support.evaluate_walks import check, evaluate, rules, ticket, write_policy, zt


class Odd(nn.Module):
    """The honest network, with something done to its scores."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.inner, self.how = models.convolutional(), how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.inner(x)
        # The digits are made of sixteenths, and what an attack tries is not.
        off = (x * 16 - torch.round(x * 16)).abs().max() > 1e-3
        if self.how == "nan":
            scores = scores / (scores - scores)
        if self.how == "nan under attack" and bool(off):
            scores = scores / (scores - scores)
        if self.how == "narrow":
            scores = scores[:, :7]
        if self.how == "probabilities":
            scores = torch.softmax(scores, dim=1)
        if self.how == "hungry" and bool(off):
            scores = scores + torch.zeros(1 << 36).sum()
        if self.how == "raises":
            assert x.shape[0] < 0, "no such layer"
        return scores


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    place = tmp_path_factory.mktemp("bad")
    (place / "release").mkdir()
    for name in ("gate", "runner"):
        assert zt(place, "keygen", "--out", name).returncode == 0
    return place


@pytest.fixture
def place(keys):
    """A folder with keys, a policy and a test set; what is in its release is the test's own."""
    for path in (*(keys / "release").iterdir(), *(keys / "out").glob("*")):
        path.unlink()
    x, y = models.digits()
    np.savez(keys / "data.npz", x=x[:100], y=y[:100])
    write_policy(keys, "least: 1%")
    (keys / "policy.yaml").write_text((keys / "policy.yaml").read_text().replace("replay: true", ""))
    return keys


@pytest.mark.parametrize(
    ("how", "rule", "said"),
    [
        ("nan", "EVL-101", "NaN or infinity"),
        ("nan under attack", "EVL-106", "no finite numbers"),
        ("narrow", "EVL-102", "shape"),
        ("probabilities", "EVL-103", "probabilities"),
        ("raises", "EVL-106", "no such layer"),
        ("hungry", "check-incomplete", "not enough memory"),
    ],
    ids=lambda value: value if " " not in value else value.replace(" ", "-"),
)
def test_a_model_that_misbehaves_is_named_and_never_passes(place, how, rule, said):
    torch.jit.script(Odd(how)).save(str(place / "release" / "model.pt"))
    ticket(place)
    done = evaluate(place, "--batch", "100")
    assert done.returncode == 1, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    report = check(place, "out")
    assert report["decision"] == "block"
    assert rule in rules(report)


def refused(place, said):
    """Whether ticket or run say what is wrong with the data, and nothing is signed."""
    words = ["release", "--data", "data.npz", "--policy", "policy.yaml", "--key", "gate/zt-gate.key"]
    done = zt(place, "evaluate", "ticket", *words, "--out", "ticket.json")
    if done.returncode == 0:
        done = evaluate(place)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (place / "out" / "robustness.dsse.json").exists()


def test_data_that_cannot_be_used_are_named(place):
    torch.jit.script(Odd("")).save(str(place / "release" / "model.pt"))
    x, y = (part[:100] for part in models.digits())
    np.savez(place / "data.npz", x=x, y=np.where(y == 3, -1, y))
    refused(place, "no class numbers")
    np.savez(place / "data.npz", x=x, y=y * 0)
    refused(place, "one class only")
    np.savez(place / "data.npz", x=x[:90], y=y)
    refused(place, "90 samples and labels")
    np.savez(place / "data.npz", x=x * 255, y=y)
    refused(place, "divide by 255")
    np.savez(place / "data.npz", x=x, y=y)
    (place / "ticket.json").unlink()
    ticket(place)
    done = evaluate(place, "--device", "cuda")
    if not torch.cuda.is_available():
        assert done.returncode == 2
        assert "there is no GPU" in done.stderr


def test_fewer_samples_than_the_policy_asks_for_are_incomplete(place):
    torch.jit.script(Odd("")).save(str(place / "release" / "model.pt"))
    x, y = models.digits()
    np.savez(place / "data.npz", x=x[:60], y=y[:60])
    ticket(place)
    assert evaluate(place).returncode == 0
    report = check(place, "out")
    assert rules(report) == {"check-incomplete"}
    assert any("holds 60 samples; the policy asks for 100" in reason["message"] for reason in report["reasons"])
