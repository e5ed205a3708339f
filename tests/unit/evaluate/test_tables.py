"""The search in tables: it finds what a forest gets wrong, and never leaves what is feasible."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

from tests.support.small_models import Shown
from zt_gate.evaluate.robustness import Feasible, ThreatModel, attack_table


@pytest.fixture(scope="module")
def forest():
    x, y = load_breast_cancer(return_X_y=True)
    model = RandomForestClassifier(30, random_state=0, n_jobs=1).fit(x[:400].astype(np.float32), y[:400])

    def scores(batch):
        return torch.from_numpy(model.predict_proba(batch.numpy())).float()

    spread = x.std(0).astype(np.float32).tolist()
    feasible = Feasible(tuple(x.min(0).tolist()), tuple(x.max(0).tolist()), tuple(spread))
    adapter = Shown(scores, (30,), 2, differentiable=False)
    return adapter, torch.from_numpy(x[400:460].astype(np.float32)), torch.from_numpy(y[400:460]).long(), feasible


def test_a_forest_is_fooled_by_its_scores_alone(forest):
    adapter, x, y, feasible = forest
    result = attack_table(adapter, x, y, ThreatModel("Linf", 0.4), feasible, 200, 0)
    fooled = result.fooled_by >= 0
    assert int(fooled.sum()) >= 5
    assert bool((adapter.logits(result.adversarial).argmax(1) != y)[fooled].all())
    distance = ((result.adversarial - x).abs() / torch.tensor(feasible.scale)).amax(1)
    assert float(distance.max()) <= 0.4 * 1.001
    assert not result.autoattack_equivalent
    again = attack_table(adapter, x, y, ThreatModel("Linf", 0.4), feasible, 200, 0)
    assert torch.equal(again.adversarial, result.adversarial)


def test_what_cannot_change_does_not(forest):
    adapter, x, y, feasible = forest
    held = Feasible(feasible.low, feasible.high, feasible.scale, immutable=tuple(range(30)))
    result = attack_table(adapter, x, y, ThreatModel("Linf", 5.0), held, 30, 0)
    assert torch.equal(result.adversarial, x)


WEIGHTS = torch.tensor([1.0, -1.0, 0.5, -0.7, 0.9, 2.0, -2.0, 1.0, 0.3])


def linear(batch):
    lead = (batch * WEIGHTS).sum(1, keepdim=True)
    return torch.cat((lead, -lead), 1)


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.sampled_from(["Linf", "L2", "L1"]), st.integers(0, 2))
def test_every_row_that_is_found_is_feasible(seed, norm, switches):
    luck = torch.Generator().manual_seed(seed)
    x = 4 * torch.rand((20, 9), generator=luck) - 2
    x[:, 2] = x[:, 2].round()
    for group in ([4, 5], [6, 7, 8]):
        x[:, group] = torch.nn.functional.one_hot(torch.randint(len(group), (20,), generator=luck), len(group)).float()
    feasible = Feasible(
        low=(-2.0,) * 9, high=(2.0,) * 9, scale=(1.0, 0.5, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
        integer=(2,), growing=(0,), shrinking=(1,), one_hot=((4, 5), (6, 7, 8)), switches=switches,
    )  # fmt: skip
    threat = ThreatModel(norm, 1.5)
    adapter = Shown(linear, (9,), 2, differentiable=False)
    result = attack_table(adapter, x, linear(x).argmax(1), threat, feasible, 25, seed)
    found, moved = result.adversarial, result.adversarial - x
    numeric = (moved / torch.tensor(feasible.scale))[:, :4]
    assert float(threat.distance(torch.zeros_like(numeric), numeric).max()) <= 1.5 * 1.001
    assert float(moved[:, 0].min()) >= -1e-5
    assert float(moved[:, 1].max()) <= 1e-5
    assert torch.equal(found[:, 2], found[:, 2].round())
    assert float(found.abs().max()) <= 2 + 1e-5
    switched = torch.stack([(moved[:, group] != 0).any(1) for group in ([4, 5], [6, 7, 8])], 1).sum(1)
    assert int(switched.max()) <= switches
    for group in ([4, 5], [6, 7, 8]):
        assert bool((found[:, group].sum(1) == 1).all())
        assert set(found[:, group].unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(
    "make",
    [
        lambda: Feasible((0.0,), (1.0, 1.0)),
        lambda: Feasible((0.0,), (1.0,), immutable=(1,)),
        lambda: Feasible((2.0,), (1.0,)),
        lambda: Feasible((0.0,) * 3, (1.0,) * 3, one_hot=((0, 1), (1, 2))),
        lambda: attack_table(
            Shown(linear, (9,), 2),
            torch.zeros(2, 9),
            torch.zeros(2).long(),
            ThreatModel("L2", 1),
            Feasible((), ()),
            1,
            0,
        ),
    ],
    ids=["lengths", "no such column", "upside down", "two groups", "other rows"],
)
def test_constraints_that_mean_nothing_are_refused(make):
    with pytest.raises(ValueError, match="column"):
        make()
