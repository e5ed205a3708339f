"""The ladder on nets with random weights: what it may do, what it finds, and what it does not depend on."""

import itertools
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.small_models import CLASSES, SHAPE, Shown, labelled, small_net
from zt_gate.errors import TargetError
from zt_gate.evaluate.robustness import (
    CONFIRM,
    STANDARD,
    TRIAGE,
    AttackStage,
    Plan,
    ThreatModel,
    attack_batch,
    masking_flags,
    stage_counts,
)
from zt_gate.evaluate.robustness.apgd import Prey, apgd
from zt_gate.evaluate.robustness.fab import fab, to_border
from zt_gate.evaluate.robustness.ladder import _all_targets, _one_by_one
from zt_gate.evaluate.robustness.objectives import spread
from zt_gate.evaluate.robustness.oracle import Oracle
from zt_gate.evaluate.robustness.threat import Ball, length, noise_like

RADII = {"Linf": 0.02, "L2": 0.12, "L1": 0.8}
SHORT = Plan(
    "short",
    (
        AttackStage("apgd", 8, "ce"),
        AttackStage("apgd", 8, "margin"),
        AttackStage("apgd", 8, "pm"),
        AttackStage("apgd-t", 8, "dlr-t", 2),
        AttackStage("apgd-t", 8, "margin-t", 2),
        AttackStage("fab-t", 8, targets=2),
        AttackStage("square", 100),
    ),
)


def alone(stage):
    return Plan("alone", (stage,))


@pytest.mark.parametrize("norm", list(RADII))
@pytest.mark.parametrize("stage", SHORT.stages, ids=lambda stage: stage.name)
def test_every_attack_fools_somebody_and_stays_inside(stage, norm):
    net = small_net()
    x, y = labelled(net)
    threat = ThreatModel(norm, 1.5 * RADII[norm])
    result = attack_batch(Shown(net), x, y, threat, alone(stage), 3)
    fooled = result.fooled_by >= 0
    assert int(fooled.sum()) >= 3
    assert result.unconfirmed == 0
    assert bool(threat.holds(x, result.adversarial, Shown(net).inputs).all())
    assert bool((net(result.adversarial).argmax(1) != y)[fooled].all())
    assert torch.equal(result.adversarial[~fooled], x[~fooled])


@settings(max_examples=20)
@given(
    st.sampled_from(list(RADII)), st.floats(0.01, 4), st.integers(0, 2**31), st.sampled_from([(0.0, 1.0), (-2.0, 3.0)])
)
def test_no_adversarial_leaves_the_ball_or_the_box(norm, factor, seed, bounds):
    net = small_net()
    adapter = Shown(net, bounds=bounds)
    x, y = labelled(net, 12, seed)
    x = bounds[0] + x * (bounds[1] - bounds[0])
    threat = ThreatModel(norm, factor * RADII[norm])
    result = attack_batch(adapter, x, y, threat, SHORT, seed)
    assert float(threat.distance(x, result.adversarial).max()) <= threat.eps * 1.0001 + 1e-4
    assert float(result.adversarial.min()) >= bounds[0] - 1e-5
    assert float(result.adversarial.max()) <= bounds[1] + 1e-5
    assert sum(count for _, count in stage_counts(result)) + int(result.robust.sum()) == int(result.correct.sum())


@given(st.sampled_from(list(RADII)), st.integers(0, 2**31))
@settings(max_examples=20)
def test_samples_that_leave_change_nothing_for_those_that_stay(norm, seed):
    net = small_net(seed % 5)
    x, y = labelled(net, 16, seed)
    oracle = Oracle(Shown(net))
    logits = oracle.scores(x)
    threat = ThreatModel(norm, RADII[norm])
    order = logits.scatter(1, y[:, None], -torch.inf).argsort(1, descending=True)
    prey = Prey(Ball.around(x, threat, Shown(net).inputs), y, spread(logits), order[:, 0])
    noise = noise_like(x, threat, torch.Generator().manual_seed(seed))
    one, other = (apgd(oracle, prey, "margin", 12, noise, compact=compact) for compact in (True, False))
    assert torch.equal(one.fooled, other.fooled)
    assert torch.allclose(one.adversarial, other.adversarial, atol=1e-5)


def test_the_same_seed_gives_the_same_result_in_pieces_of_any_size():
    net = small_net()
    x, y = labelled(net, 64)
    results = [attack_batch(Shown(net), x, y, ThreatModel("Linf", 0.02), SHORT, 5) for _ in range(2)]
    small = Oracle(Shown(net))
    small._piece = 7
    assert torch.equal(results[0].fooled_by, results[1].fooled_by)
    assert torch.equal(results[0].adversarial, results[1].adversarial)
    assert torch.allclose(small.scores(x), Oracle(Shown(net)).scores(x), atol=1e-6)
    assert small.forwards == 64


@pytest.mark.parametrize(
    "stage", [AttackStage("apgd-t", 12, "dlr-t", 4), AttackStage("fab-t", 12, targets=4)], ids=["apgd", "fab"]
)
def test_all_targets_at_once_give_what_they_give_in_turn(stage):
    net = small_net(3)
    x, y = labelled(net, 40)
    oracle, threat = Oracle(Shown(net)), ThreatModel("Linf", 0.015)
    logits = oracle.scores(x)
    order = logits.scatter(1, y[:, None], -torch.inf).argsort(1, descending=True)[:, :4]
    prey = Prey(Ball.around(x, threat, Shown(net).inputs), y, spread(logits), order[:, 0])
    noise = [noise_like(x, threat, torch.Generator().manual_seed(k)) for k in range(4)]
    turns, once = (way(oracle, prey, stage, order, noise) for way in (_one_by_one, _all_targets))
    assert 0 < int(turns.fooled.sum()) < 40
    assert torch.equal(turns.fooled, once.fooled)
    assert torch.allclose(turns.adversarial, once.adversarial, atol=1e-5)


def test_too_little_memory_means_smaller_pieces_and_the_same_result():
    net = small_net()
    x, y = labelled(net, 40)

    def narrow(batch):
        # What a GPU says when a batch does not fit; there is none here to fill up.
        if len(batch) > 11:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return net(batch)

    roomy, tight = (attack_batch(Shown(ask), x, y, ThreatModel("Linf", 0.01), SHORT, 5) for ask in (net, narrow))
    assert torch.equal(roomy.fooled_by, tight.fooled_by)
    assert torch.allclose(roomy.adversarial, tight.adversarial, atol=1e-5)
    with pytest.raises(torch.OutOfMemoryError):
        attack_batch(Shown(lambda batch: narrow(batch.repeat(12, 1, 1, 1))), x, y, ThreatModel("Linf", 0.01), SHORT, 5)


def test_more_steps_never_make_a_model_safer():
    net = small_net(2)
    x, y = labelled(net, 120)
    shares = [
        attack_batch(
            Shown(net), x, y, ThreatModel("Linf", 0.02), alone(AttackStage("apgd", steps, "margin")), 1
        ).robust.sum()
        for steps in (1, 5, 25, 100)
    ]
    assert all(int(later) <= int(earlier) + 2 for earlier, later in itertools.pairwise(shares))
    assert int(shares[-1]) < int(shares[0])


@pytest.mark.parametrize("norm", list(RADII))
def test_a_linear_model_falls_exactly_where_geometry_says(norm):
    torch.manual_seed(0)
    weight = torch.randn(2, 64) / 8
    x = torch.rand(200, *SHAPE) * 0.2 + 0.4  # far from the bounds, so that they do not matter

    def scores(batch):
        return (batch - 0.5).flatten(1) @ weight.T

    y = scores(x).argmax(1)
    lead = (scores(x)[:, 0] - scores(x)[:, 1]).abs()
    dual = {"Linf": "L1", "L2": "L2", "L1": "Linf"}[norm]
    needed = lead / length((weight[0] - weight[1])[None], dual)
    eps = float(needed.median())
    adapter = Shown(scores, classes=2)
    plan = Plan("both", (AttackStage("apgd", 60, "margin"), AttackStage("fab-t", 20, targets=1)))
    result = attack_batch(adapter, x, y, ThreatModel(norm, eps), plan, 0)
    assert bool((result.fooled_by >= 0)[needed < 0.97 * eps].all())
    assert bool(result.robust[needed > 1.001 * eps].all())


@pytest.mark.parametrize("norm", list(RADII))
@given(seed=st.integers(0, 2**31))
@settings(max_examples=25)
def test_the_way_to_the_border_ends_on_it_and_is_short(norm, seed):
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand((6, 1, 5, 5), generator=generator)
    normal = torch.randn((6, 1, 5, 5), generator=generator)
    reachable = torch.rand((6, 1, 5, 5), generator=generator)
    level = (normal * reachable).flatten(1).sum(1)
    move = to_border(points, normal, level, (0.0, 1.0), norm)
    there = points + move
    assert torch.allclose((normal * there).flatten(1).sum(1), level, atol=2e-3)
    assert float(there.min()) >= -1e-5
    assert float(there.max()) <= 1 + 1e-5
    # `reachable` is on the border too, so the shortest way is no longer than the way there.
    assert bool((length(move, norm) <= length(reachable - points, norm) + 2e-3).all())


def test_fab_finds_what_is_near_and_nothing_beyond():
    net = small_net()
    x, y = labelled(net, 30)
    oracle = Oracle(Shown(net))
    logits = oracle.scores(x)
    order = logits.scatter(1, y[:, None], -torch.inf).argsort(1, descending=True)
    near, far = (
        fab(oracle, Prey(Ball.around(x, ThreatModel("L2", eps), Shown(net).inputs), y, spread(logits), order[:, 0]), 30)
        for eps in (0.01, 3.0)
    )
    assert int(near.fooled.sum()) < int(far.fooled.sum())
    assert bool(far.fooled.all())


def test_dear_stages_meet_only_those_that_came_near():
    net = small_net(3)
    x, y = labelled(net, 80)
    threat = ThreatModel("Linf", 0.02)
    first, last = AttackStage("apgd", 20, "margin"), AttackStage("apgd-t", 30, "dlr-t", 3)
    everybody, near, nobody = (
        attack_batch(Shown(net), x, y, threat, Plan("two", (first, replace(last, within=within))), 1)
        for within in (1.0, 0.5, 0.0)
    )
    assert nobody.forwards < near.forwards < everybody.forwards
    assert int(nobody.robust.sum()) > int(near.robust.sum()) == int(everybody.robust.sum()) > 0
    assert near.stages[1] == "apgd-dlr-t-3x30-within-0.5"


def test_a_stage_for_those_that_came_near_is_not_one_for_everybody():
    near = tuple(replace(stage, within=0.5) for stage in CONFIRM.stages)
    net = small_net()
    x, y = labelled(net, 4)
    assert not attack_batch(Shown(net), x, y, ThreatModel("Linf", 0.3), Plan("near", near), 0).autoattack_equivalent


def test_a_model_with_luck_of_its_own_is_attacked_through_the_mean_of_its_answers():
    net = small_net(2)
    x, y = labelled(net, 60)
    torch.manual_seed(7)

    def noisy(batch):
        return net((batch + 0.1 * torch.randn_like(batch)).clamp(0, 1))

    plain, result = (attack_batch(Shown(ask), x, y, ThreatModel("Linf", 0.1), STANDARD, 1) for ask in (net, noisy))
    rows = (result.fooled_by >= 0).nonzero()[:, 0]
    fresh = torch.stack([noisy(result.adversarial[rows]).argmax(1) != y[rows] for _ in range(20)]).float().mean()
    assert result.forwards > 2 * plain.forwards
    assert len(rows) >= 30
    # Adversarials were pushed on to where a single new answer is hardly ever right.
    assert float(fresh) > 0.98


def test_only_a_ladder_with_all_four_families_is_called_equivalent_to_autoattack():
    net = small_net()
    x, y = labelled(net, 4)
    threat = ThreatModel("Linf", 0.3)
    assert [attack_batch(Shown(net), x, y, threat, plan, 0).autoattack_equivalent for plan in (TRIAGE, STANDARD)] == [
        False,
        False,
    ]
    assert attack_batch(Shown(net), x, y, threat, CONFIRM, 0).autoattack_equivalent
    blind = Shown(net, differentiable=False)
    assert not attack_batch(blind, x, y, threat, CONFIRM, 0).autoattack_equivalent
    assert attack_batch(blind, x, y, threat, CONFIRM, 0).stages == ("square-5000",)


def test_wrong_from_the_start_is_not_attacked():
    net = small_net()
    x, y = labelled(net, 10)
    result = attack_batch(Shown(net), x, (y + 1) % CLASSES, ThreatModel("Linf", 0.1), SHORT, 0)
    assert not bool(result.correct.any())
    assert not bool(result.robust.any())
    assert set(result.fooled_by.tolist()) == {-1}


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (lambda x: x.flatten(1)[:, :CLASSES] * float("nan"), "no finite numbers for 6 of 6"),
        (lambda x: x.flatten(1)[:, :3], r"shape \(6, 3\), not \(6, 5\)"),
    ],
    ids=["nan", "shape"],
)
def test_answers_that_are_no_scores_are_named(scores, words):
    x = torch.rand(6, *SHAPE)
    y = torch.zeros(6, dtype=torch.long)
    with pytest.raises(TargetError, match=words):
        attack_batch(Shown(scores), x, y, ThreatModel("Linf", 0.1), TRIAGE, 0)
    with pytest.raises(TargetError, match=words):
        masking_flags(Shown(scores), x, y, ThreatModel("Linf", 0.1), 0)


@pytest.mark.parametrize("norm", list(RADII))
def test_rows_of_numbers_are_attacked_like_images(norm):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(9, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3)).requires_grad_(False)
    x = torch.rand(30, 9)
    y = net(x).argmax(1)
    adapter = Shown(net, (9,), 3)
    threat = ThreatModel(norm, {"Linf": 0.06, "L2": 0.15, "L1": 0.3}[norm])
    result = attack_batch(adapter, x, y, threat, SHORT, 0)
    assert 0 < int(result.robust.sum()) < 30
    assert bool(threat.holds(x, result.adversarial, adapter.inputs).all())
    assert masking_flags(adapter, x, y, threat, 0).raised == ()


@pytest.mark.parametrize(("norm", "eps"), [("L7", 0.1), ("Linf", 0.0), ("L2", float("inf")), ("L2", float("nan"))])
def test_a_threat_that_means_nothing_is_refused(norm, eps):
    with pytest.raises(ValueError, match=r"norm|eps"):
        ThreatModel(norm, eps)


def test_the_package_needs_only_torch():
    code = (
        "import sys; before = set(sys.modules); import zt_gate.evaluate.robustness; "
        "print(sorted({name.split('.')[0] for name in sys.modules} & "
        "{'pydantic', 'yaml', 'scipy', 'sklearn', 'mlflow', 'sigstore', 'bandit', 'onnx', 'PIL', 'matplotlib'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
