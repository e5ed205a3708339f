"""The walk: stronger attacks where the answer is near or a flag is up, within the budget, and the same after a kill.

Two tests attack for real, with the worker's own answers and no process around it. Elsewhere attacks are made up: what
they find is tested beside them, and here only what is made of it.
"""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from tests.support.small_models import CLASSES, Shown, labelled, small_net
from zt_gate.evaluate import robustness_check as run_module
from zt_gate.evaluate.attack import AttackedBatch, Attacker
from zt_gate.evaluate.jobs import Jobs
from zt_gate.evaluate.journal import Journal
from zt_gate.evaluate.robustness_check import EvaluationJob, measure
from zt_gate.evaluate.sample import Sample
from zt_gate.evaluate.sandbox.confine import SandboxBounds
from zt_gate.evaluate.sandbox.wire import Message
from zt_gate.evaluate.stopping_rule import Aim
from zt_gate.rulings.attacks import AUTOATTACK, CORRUPTIONS, MISCLASSIFIED, QUERIES, ROBUST, SEVERITIES, STAGES
from zt_gate.rulings.robustness_measurement import parse_measurement
from zt_gate.rulings.robustness_pictures import robustness_pictures
from zt_gate.rulings.sampling import drawn

NET = small_net()
COUNT, FEW = 48, 16
SEED = "ab" * 32
TRIAGE = Attacker("Linf", Fraction(2, 100), 0.0, 1.0, "triage")


class Here:
    """A worker's answers in this process."""

    def __init__(self, scores=NET, *, differentiable=True):
        self.jobs = Jobs(SandboxBounds(), 0)
        self.jobs._adapter = Shown(scores, differentiable=differentiable)
        self.differentiable = differentiable

    def run(self, head, tensors):
        answer = self.jobs.answer(Message(head, tensors))
        assert "error" not in answer.head, answer.head
        return answer.head, answer.tensors

    def logits(self, batch):
        return self.jobs.answer(Message({"op": "logits"}, {"x": batch})).tensors["logits"]

    def examine(self, batch):
        return self.logits(batch)


class MadeUp:
    """Attacks that fool by a list: the samples below a number, which is greater for stronger attacks."""

    def __init__(self, monkeypatch, *, flags=(), plan=0.5, confirm=0.5, differentiable=True):
        self.falls = {"triage": plan, "standard": plan, "confirm": confirm}
        self.flags, self.differentiable, self.asked = list(flags), differentiable, []
        for name in ("attack", "masking", "corruptions"):
            monkeypatch.setattr(run_module, name, getattr(self, name))

    def attack(self, model, rows, x, y, attacker, seed, done=()):
        self.asked.append((attacker.plan, len(rows)))
        names = STAGES[attacker.plan] if self.differentiable else (f"square-{QUERIES[attacker.plan]}",)
        stages = tuple(name for name in names if name not in done)
        luck = np.random.default_rng(seed).random(x.shape).astype(np.float32)
        codes = np.where(
            np.argsort(drawn("weak", COUNT))[rows] < self.falls[attacker.plan] * COUNT, len(stages) - 1, -1
        )
        return AttackedBatch(Sample(rows, y, codes.astype(np.int64), x, luck), stages, 10, 0)

    def masking(self, model, x, y, attacker, seed):
        return self.flags, {"seed": seed}

    def corruptions(self, model, x, y, seed):
        right = np.random.default_rng(seed).random((len(y), len(CORRUPTIONS), SEVERITIES)) < 0.8
        return right.astype(np.uint8)


@pytest.fixture(scope="module")
def data():
    x, y = labelled(NET, COUNT)
    return x.numpy(), y.numpy()


@pytest.fixture(scope="module")
def few(data):
    """As many as one batch takes."""
    return data[0][:FEW], data[1][:FEW]


KEY = bytes(32)


def job(**other) -> EvaluationJob:
    aim = {"alpha": 0.05, "min_samples": COUNT, "population": COUNT, "classes": CLASSES}
    aim |= {name: other.pop(name) for name in list(other) if name in Aim.__slots__}
    return EvaluationJob(SEED, TRIAGE, Aim(**aim), **{"batch": 16, "most": COUNT, "curve": False, **other})


def measured(folder, data, what, model=None, told=None):
    folder.mkdir(exist_ok=True)
    journal = Journal(folder / "journal.jsonl", {"run": 1}, KEY)
    try:
        return measure(model or Here(), *data, what, journal, (told if told is not None else []).append)
    finally:
        journal.close()


def test_a_near_answer_meets_the_strongest_attacks(few, tmp_path):
    alone = measured(tmp_path / "alone", few, job(population=FEW))
    assert (alone.confirmed, alone.why, alone.met) == (0, (), STAGES["triage"])
    held = int((alone.column("code") == ROBUST).sum())
    assert 0 < held < FEW
    told = []
    tally = measured(tmp_path, few, job(least=held / FEW - 0.02, population=FEW), told=told)
    said = tally.statement(TRIAGE)
    assert said["confirmed"] == {"from": len(STAGES["triage"]), "samples": FEW, "why": ["least"]}
    assert said["stages"] == [*STAGES["triage"], "apgd-pm-100", *AUTOATTACK]
    assert said["autoattack_equivalent"]
    assert any("stronger attacks" in line for line in told)
    found = parse_measurement({"robustness": said}, SEED, FEW)
    assert found.met == tuple(said["stages"])
    assert found.robust == said["counts"]["robust"] == said["path"][-1][1] <= held


def quantised(x):
    return NET(torch.round(x * 8) / 8)


def test_a_sign_of_masking_calls_for_attacks_that_need_no_gradients(few, tmp_path):
    labels = quantised(torch.from_numpy(few[0])).argmax(1).numpy()
    tally = measured(tmp_path, (few[0], labels), job(least=0.05, population=FEW), Here(quantised))
    assert "zero_gradients" in tally.flags
    assert set(tally.flags) <= set(tally.why)
    assert bool((tally.column("code") == tally.met.index("square-5000")).any())
    assert tally.statement(TRIAGE)["autoattack_equivalent"]


@pytest.mark.parametrize(
    ("least", "confirmed"),
    [(0.2, False), (0.46, False), (0.48, True), (0.5, True), (0.52, False), (None, False)],
    ids=["far below", "four points", "two points", "at it", "lost already", "nobody asked"],
)
def test_only_a_near_answer_that_is_not_lost_calls_for_more(data, tmp_path, monkeypatch, least, confirmed):
    made = MadeUp(monkeypatch)
    tally = measured(tmp_path, data, job(least=least))
    assert (tally.confirmed == 3) is confirmed
    assert tally.statement(TRIAGE)["autoattack_equivalent"] is confirmed
    assert sum(count for plan, count in made.asked if plan == "confirm") == (COUNT // 2 if confirmed else 0)


def test_no_more_samples_and_no_clear_answer_calls_for_more_too(data, tmp_path, monkeypatch):
    MadeUp(monkeypatch)
    tally = measured(tmp_path, data, job(least=0.4, most=32, min_samples=32))
    assert (tally.confirmed, tally.why, tally.ended) == (2, ("least",), "the most samples were attacked")


@pytest.mark.parametrize("differentiable", [True, False])
def test_any_flag_calls_for_more_but_that_there_are_no_gradients(data, tmp_path, monkeypatch, differentiable):
    MadeUp(monkeypatch, flags=["no_gradients", "unstable"], differentiable=differentiable)
    tally = measured(tmp_path, data, job(least=0.1), Here(differentiable=differentiable))
    assert tally.why == (("no_gradients", "unstable") if differentiable else ("unstable",))
    assert tally.met[-1] == "square-5000"
    MadeUp(monkeypatch, flags=["no_gradients"], differentiable=False)
    assert measured(tmp_path / "no", data, job(least=0.1), Here(differentiable=False)).confirmed == 0


def test_a_plan_that_is_the_strongest_is_not_repeated(data, tmp_path, monkeypatch):
    made = MadeUp(monkeypatch)
    what = replace(job(least=0.5), attacker=replace(TRIAGE, plan="confirm"))
    tally = measured(tmp_path, data, what)
    assert made.asked == [("confirm", 16)] * 3
    assert tally.statement(what.attacker)["confirmed"] == {"from": 7, "samples": 0, "why": []}
    assert tally.statement(what.attacker)["autoattack_equivalent"]


def test_a_clear_failure_needs_no_more(data, tmp_path, monkeypatch):
    """One part is enough, since it makes the answer clear."""
    made = MadeUp(monkeypatch, confirm=0.9)
    tally = measured(tmp_path, data, job(least=0.49))
    assert tally.ended == "the answer is clear"
    assert 0 < tally.confirmed < 3
    assert parse_measurement({"robustness": tally.statement(TRIAGE)}, SEED, COUNT).met == STAGES["triage"]
    assert made.asked[-1][0] == "confirm"


def test_more_samples_follow_where_stronger_attacks_made_the_answer_unclear(data, tmp_path, monkeypatch):
    MadeUp(monkeypatch, plan=0.0, confirm=0.55, flags=["unstable"])
    told = []
    tally = measured(tmp_path, data, job(least=0.5, min_samples=16, alpha=0.2), told=told)
    first = next(number for number, line in enumerate(told) if "stronger" in line)
    assert any("withstood" in line for line in told[first:])
    assert tally.tried > 16


class KilledError(Exception):
    pass


@pytest.mark.parametrize("lines", range(10))
def test_a_walk_that_ends_anywhere_goes_on_with_the_same_numbers(data, tmp_path, monkeypatch, lines):
    MadeUp(monkeypatch, flags=["unstable"])
    what = job(least=0.49, corruption_drop=0.9)
    whole = measured(tmp_path / "whole", data, what)
    written = Journal.note

    def note(journal, key, value):
        if len(journal._known) == lines:
            raise KilledError
        written(journal, key, value)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "note", note)
        with pytest.raises(KilledError):
            measured(tmp_path, data, what)
    again = measured(tmp_path, data, what)
    assert again.statement(TRIAGE) == whole.statement(TRIAGE)
    assert np.array_equal(again.column("adversarial"), whole.column("adversarial"))
    assert again.confirmed == 3


@pytest.mark.parametrize(("looks", "parts", "confirmed"), [(0, 0, 0), (2, 2, 0), (3, 3, 0), (4, 3, 1), (9, 3, 3)])
def test_what_there_was_no_time_for_is_said(data, tmp_path, monkeypatch, looks, parts, confirmed):
    MadeUp(monkeypatch)
    with monkeypatch.context() as patched:
        ticks = iter(range(100))
        patched.setattr(run_module.time, "monotonic", lambda: next(ticks))  # a second for each look at the clock
        tally = measured(tmp_path, data, job(least=0.49, seconds=looks + 0.5))
    assert (len(tally.parts), tally.confirmed) == (parts, confirmed)
    short = parts == 3 and confirmed < 3
    assert tally.lacking == ("no time was left for the stronger attacks that least called for" if short else "")
    assert (tally.ended == "the budget is used up") is (parts < 3 or short)
    if short:
        found = parse_measurement({"robustness": tally.statement(TRIAGE)}, SEED, COUNT)
        assert found.met == STAGES["triage"]
        assert found.confirmed == 16 * confirmed
    again = measured(tmp_path, data, job(least=0.49))
    assert (again.confirmed, again.lacking) == (3, "")


def test_corruptions_are_counted_sample_by_sample(data, tmp_path):
    tally = measured(tmp_path, data, job(corruption_drop=0.9))
    said = tally.statement(TRIAGE)["corruptions"]
    assert len(said["right"]) == COUNT
    assert sum(said["right"]) == sum(map(sum, said["counts"].values()))
    assert list(said["counts"]) == list(CORRUPTIONS)
    assert max(said["right"]) <= len(CORRUPTIONS) * SEVERITIES
    assert min(said["right"]) < len(CORRUPTIONS) * SEVERITIES
    assert tally.ended == "the answer is clear"


@pytest.mark.parametrize(
    ("asked", "ended"),
    [
        ({"worst_class": 0.99}, "the answer is clear"),
        ({"worst_class": 0.001}, "the answer is clear"),
        ({"worst_class": 0.001, "classes": CLASSES + 1}, "all samples were attacked"),
        ({"corruption_drop": 0.0}, "the answer is clear"),
    ],
    ids=["a class falls", "every class holds", "a class that nobody has", "corruptions take more"],
)
def test_the_walk_ends_when_every_question_is_answered(data, tmp_path, monkeypatch, asked, ended):
    MadeUp(monkeypatch, plan=0.3)
    assert measured(tmp_path, data, job(**asked)).ended == ended


def test_who_is_wrong_on_a_second_look_is_never_robust(data, tmp_path, monkeypatch):
    """Between plan and confirmation a model that answers at random may lose a sample: it is not counted as held."""
    MadeUp(monkeypatch)
    tally = measured(tmp_path, data, job())
    part = tally.parts[0]
    rows = np.flatnonzero(part.code == ROBUST)
    wrong = replace(part.rows(rows), code=np.full(len(rows), MISCLASSIFIED))
    tally.deepen(rows, AttackedBatch(wrong, ("square-5000",), 1, 0))
    assert (tally.parts[0].code[rows] == MISCLASSIFIED).all()


def test_the_order_is_that_of_the_seed(data, tmp_path, monkeypatch):
    MadeUp(monkeypatch)
    assert measured(tmp_path, data, job()).column("index").tolist() == drawn(SEED, COUNT)


def test_votes_under_noise_are_information(few, tmp_path, monkeypatch):
    MadeUp(monkeypatch)
    tally = measured(tmp_path, few, job(population=FEW, smoothing=0.01))
    said = tally.statement(TRIAGE)
    radii = said["smoothing"]["radii"]
    assert len(radii) == FEW
    assert max(radii) > 0
    assert all(radius == -1 or 0 <= radius < 0.05 for radius in radii)
    pictures = robustness_pictures(said, least=None, alpha=0.05)
    assert "not of the one that is shipped" in pictures[-1].title
    assert pictures[-1].points[0][1] >= pictures[-1].points[-1][1]
    again = measured(tmp_path, few, job(population=FEW, smoothing=0.01))
    assert again.statement(TRIAGE) == said
