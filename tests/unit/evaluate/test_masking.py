"""Each way of hiding a weakness raises its flag, and an honest model raises none."""

import pytest
import torch

from tests.support.small_models import CLASSES, Shown, labelled, small_net
from zt_gate.evaluate.robustness import MEANING, ThreatModel, masking_flags

NET = small_net()
THREAT = ThreatModel("Linf", 0.02)


def flags(scores, differentiable=True, threat=THREAT):
    x, y = labelled(NET, 100)
    return masking_flags(Shown(scores, differentiable=differentiable), x, y, threat, 0)


@pytest.mark.parametrize("threat", [THREAT, ThreatModel("L2", 0.12), ThreatModel("L1", 0.8)], ids=["Linf", "L2", "L1"])
def test_an_honest_model_raises_no_flag(threat):
    seen = flags(NET, threat=threat)
    assert seen.raised == ()
    assert seen.samples == 100
    assert seen.forwards > 1000


def straight_through(x):
    """Quantise, and claim the gradient of the identity."""
    return NET(x + (torch.round(x * 3) / 3 - x).detach())


def curious(x):
    """Look at gradients of its own before answering."""
    with torch.enable_grad():
        probe = x.detach().clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(NET(probe).sum(), probe)
    return NET(x + 0 * slope)


def probabilities(x):
    return NET(x).softmax(1)


@pytest.mark.parametrize(
    ("scores", "flag"),
    [
        (lambda x: NET(torch.round(x * 3) / 3), "zero_gradients"),
        (lambda x: NET(x) * 1e5, "zero_gradients"),
        (lambda x: NET(x.detach()), "zero_gradients"),
        (lambda x: NET(x + 0.1 * torch.randn_like(x)), "randomised"),
        (probabilities, "probabilities"),
        (straight_through, "false_gradients"),
        (curious, "optimises"),
    ],
    ids=["quantised", "saturated", "detached", "stochastic", "softmax", "straight-through", "own gradients"],
)
def test_a_masked_model_raises_its_flag(scores, flag):
    assert flag in flags(scores).raised


def test_search_by_scores_beats_gradients_that_lead_nowhere():
    seen = flags(lambda x: NET(x.detach()), threat=ThreatModel("Linf", 0.1))
    assert {"black_box_wins", "unbounded_survives"} <= set(seen.raised)
    assert seen.measures["only_fooled_by_square"] > 0.3


def test_chance_beats_gradients_that_lead_nowhere():
    many = small_net(1, classes=40)
    x, y = labelled(many, 100)
    seen = masking_flags(Shown(lambda batch: many(batch.detach()), classes=40), x, y, ThreatModel("Linf", 0.06), 0)
    assert "noise_wins" in seen.raised


def test_an_attack_that_may_do_more_finds_less_where_a_model_goes_numb_far_from_its_data():
    """Beyond a small distance from the grid on which its data lie, this model answers a rounded input, and flatly."""

    def numb(x):
        grid = torch.round(x * 4) / 4
        near = (x - grid).abs().flatten(1).amax(1) <= 0.06
        return torch.where(near[:, None], NET(x), 10 * NET(grid).detach())

    x = torch.round(labelled(NET, 100)[0] * 4) / 4
    y = NET(x).argmax(1)
    seen = masking_flags(Shown(numb), x, y, ThreatModel("Linf", 0.05), 0)
    assert "larger_eps_is_safer" in seen.raised
    assert seen.measures["withstands_twice_eps"] > seen.measures["withstands_eps"]


def test_a_model_without_gradients_is_said_to_have_none():
    seen = flags(NET, differentiable=False)
    assert seen.raised == ("no_gradients",)
    assert seen.measures["fooled_by_square_500"] > 0


def test_nothing_correct_means_nothing_looked_at():
    x, y = labelled(NET, 20)
    seen = masking_flags(Shown(NET), x, (y + 1) % CLASSES, THREAT, 0)
    assert (seen.samples, seen.raised) == (0, ())


def test_every_flag_says_what_it_means():
    assert all(len(words.split()) > 5 for words in MEANING.values())
