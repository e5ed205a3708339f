"""A worker that lies is caught where it can be. The worker here is made up, since an honest one does not lie."""

from fractions import Fraction

import numpy as np
import pytest

from zt_gate.evaluate.attack import Attacker, attack, masking
from zt_gate.evaluate.data import to_codes
from zt_gate.evaluate.remote import OutOfMemoryError, TroubleError

X = np.full((4, 1, 2, 2), 0.5, np.float32)
Y = np.array([0, 1, 0, 1])
LINF = Attacker("Linf", Fraction(1, 10), 0.0, 1.0, "standard")


class Liar:
    """Answers as it is told to: the class is whether the mean is above 0.55."""

    def __init__(self, codes=(0, -2, -1, -2), adversarial=None, stages=("apgd-ce-10",), **head):
        self.codes = np.array(codes)
        self.adversarial = X + np.array([0.1, 0, 0, 0], np.float32).reshape(4, 1, 1, 1)
        if adversarial is not None:
            self.adversarial = np.asarray(adversarial, np.float32)
        self.head = {"stages": list(stages), "forwards": 10, "unconfirmed": 0} | head

    def logits(self, batch):
        high = batch.reshape(len(batch), -1).mean(axis=1) > 0.55
        return np.stack([~high, high], axis=1).astype(np.float32)

    def run(self, head, tensors):
        if self.head.get("raise"):
            raise OutOfMemoryError("it needs more")
        return self.head, {"codes": self.codes, "adversarial": self.adversarial}


def attacked(liar):
    return attack(liar, np.arange(4), X, Y, LINF, 1)


def test_an_honest_answer_is_taken_over():
    batch = attacked(Liar())
    assert batch.sample.code.tolist() == [0, -2, -1, -2]
    assert batch.stages == ("apgd-ce-10",)
    assert batch.unconfirmed == 0


def test_who_is_wrong_from_the_start_is_never_robust():
    assert attacked(Liar(codes=(-1, -1, -1, -1), adversarial=X)).sample.code.tolist() == [-1, -2, -1, -2]


def test_what_does_not_fool_the_model_again_is_counted_as_a_doubt_and_stays_fooled():
    batch = attacked(Liar(codes=(0, -2, 0, -2)))
    assert batch.unconfirmed == 1
    assert batch.sample.code.tolist() == [0, -2, 0, -2]


@pytest.mark.parametrize(
    ("liar", "rule"),
    [
        (Liar(adversarial=X + 0.2), "EVL-107"),
        (Liar(adversarial=X + 0.6), "EVL-107"),
        (Liar(adversarial=np.full_like(X, np.nan)), "EVL-107"),
        (Liar(adversarial=X[:3]), "EVL-106"),
        (Liar(codes=(0, 1, 2)), "EVL-106"),
        (Liar(codes=(0, 0, 0, 9)), "EVL-106"),
        (Liar(codes=(0, 0, 0, -3)), "EVL-106"),
        (Liar(codes=(0.0, 0.5, 1.0, 0.0)), "EVL-106"),
        (Liar(stages="all"), "EVL-106"),
        (Liar(stages=[3]), "EVL-106"),
    ],
    ids="far bounds nan shape few high low fractions stages numbers".split(),  # noqa: SIM905 - easier to read
)
def test_an_answer_that_cannot_be_true_is_named(liar, rule):
    if rule == "EVL-106" and liar.head["stages"] == list("all"):
        liar.head["stages"] = "all"
    with pytest.raises(TroubleError) as trouble:
        attacked(liar)
    assert trouble.value.rule == rule


def test_too_little_memory_is_not_the_model_s_fault():
    with pytest.raises(OutOfMemoryError):
        attacked(Liar(**{"raise": True}))


def test_signs_of_masking_have_to_be_names():
    with pytest.raises(TroubleError, match="EVL-106"):
        masking(Liar(raised="all", measures={}), X, Y, LINF, 1)
    assert masking(Liar(raised=["no_gradients"], measures={}), X, Y, LINF, 1)[0] == ["no_gradients"]


@pytest.mark.parametrize(("norm", "most"), [("Linf", 0.1), ("L2", 0.05), ("L1", 0.025)])
def test_a_budget_is_kept_in_every_norm(norm, most):
    attacker = Attacker(norm, Fraction(1, 10), 0.0, 1.0, "standard")
    assert attacker.allows(X, X + np.float32(most))
    assert not attacker.allows(X, X + np.float32(most * 1.01))


def test_words_are_counted():
    attacker = Attacker("words", Fraction(1, 4), 0.0, float(0x10FFFF), "standard")
    old = to_codes(["a good film to see"], 24)
    assert attacker.allows(old, to_codes(["a fine movie to see"], 24))
    assert not attacker.allows(old, to_codes(["a fine movie to buy"], 24))
    assert not attacker.allows(old, to_codes(["a good film"], 24))
