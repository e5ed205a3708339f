"""The ladder on an adversarially trained net, beside what AutoAttack counted there.

`tests/golden/robustness/digits.npz` holds a small CNN and 80 real MNIST digits at 14 x 14. AutoAttack (pyautoattack
0.2.0, seed 0) left 32 of them standing in Linf at 0.12 with its standard version, 29 in L2 at 0.8 and none in L1 at 5
without Square, which fails on images of this size in those norms.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.small_models import Shown
from zt_gate.evaluate.robustness import STANDARD, TRIAGE, ThreatModel, attack_batch, masking_flags

AUTOATTACK = {"Linf": (0.12, 32), "L2": (0.8, 29), "L1": (5.0, 0)}
CLEAN = 65


@pytest.fixture(scope="module")
def held():
    archive = np.load(Path(__file__).parents[1] / "golden" / "robustness" / "digits.npz", allow_pickle=False)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(72, 48), nn.ReLU(), nn.Linear(48, 10),
    )  # fmt: skip
    net.load_state_dict({name: torch.from_numpy(archive[name]) for name in archive.files if name not in ("x", "y")})
    x = torch.from_numpy(archive["x"]).float() / 255
    return net.eval().requires_grad_(False), x, torch.from_numpy(archive["y"]).long()


@pytest.mark.parametrize(("norm", "slack"), [("Linf", 1), ("L2", 2), ("L1", 2)])
def test_the_standard_ladder_is_as_strong_as_autoattack(held, norm, slack):
    net, x, y = held
    eps, theirs = AUTOATTACK[norm]
    result = attack_batch(Shown(net, (1, 14, 14), 10), x, y, ThreatModel(norm, eps), STANDARD, 0)
    assert int(result.correct.sum()) == CLEAN
    # Rounding differs between machines: a sample or two may stand on one and fall on the other.
    assert theirs - 3 <= int(result.robust.sum()) <= theirs + slack
    assert result.unconfirmed == 0


def test_triage_comes_near_for_a_fraction_of_the_passes(held):
    net, x, y = held
    eps, theirs = AUTOATTACK["Linf"]
    result = attack_batch(Shown(net, (1, 14, 14), 10), x, y, ThreatModel("Linf", eps), TRIAGE, 0)
    assert theirs - 3 <= int(result.robust.sum()) <= theirs + 2
    assert result.forwards / len(x) < 80  # AutoAttack: more than 3,000


def test_an_adversarially_trained_net_raises_no_flag(held):
    net, x, y = held
    assert masking_flags(Shown(net, (1, 14, 14), 10), x, y, ThreatModel("Linf", 0.12), 0).raised == ()


@pytest.mark.parametrize(
    "mask",
    [
        lambda net: lambda x: net(torch.round(x * 7) / 7),
        lambda net: lambda x: net(x) * 1000,
        lambda net: lambda x: net((x + 0.1 * torch.randn_like(x)).clamp(0, 1)),
        lambda net: lambda x: net(x).softmax(1),
    ],
    ids=["quantised", "saturated", "stochastic", "softmax"],
)
def test_the_same_net_behind_a_mask_is_flagged(held, mask):
    net, x, y = held
    assert masking_flags(Shown(mask(net), (1, 14, 14), 10), x, y, ThreatModel("Linf", 0.12), 0).raised != ()
