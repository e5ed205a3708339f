"""Texts: a model that counts words is fooled by look-alike letters and synonyms."""

import pytest
import torch

from zt_gate.errors import TargetError
from zt_gate.evaluate.robustness import attack_texts
from zt_gate.evaluate.robustness.texts import variants

GOOD, BAD = {"good", "wonderful", "love", "best"}, {"bad", "boring", "hate", "worst"}


def scores(texts):
    words = [text.lower().replace(".", "").split() for text in texts]
    lead = torch.tensor([float(sum(w in GOOD for w in t) - sum(w in BAD for w in t)) for t in words])
    return torch.stack((-lead, lead - 0.5), 1)


TEXTS = (
    "I love this good film. It is the best of the year for me.",
    "A boring and bad story that nobody will ever want to see again.",
    "One may say this or that about it.",
)


def test_the_words_that_matter_are_changed_and_no_others():
    result = attack_texts(scores, TEXTS, [1, 0, 0], share=0.3)
    assert result.correct == (True, True, True)
    assert result.fooled == (True, False, False)
    for text, found, changed in zip(TEXTS, result.adversarial, result.changed, strict=True):
        different = [pair for pair in zip(text.split(), found.split(), strict=True) if pair[0] != pair[1]]
        assert len(different) == changed <= max(1, 0.3 * len(text.split()))
    wrong = scores(result.adversarial).argmax(1)
    assert [bool(w != label) for w, label in zip(wrong, (1, 0, 0), strict=True)] == list(result.fooled)
    assert result.robust == tuple(not fooled for fooled in result.fooled)
    assert result.queries > len(TEXTS)


def test_a_model_that_never_changes_its_mind_withstands():
    result = attack_texts(lambda texts: torch.tensor([[1.0, 0.0]]).expand(len(texts), 2), TEXTS, [0, 0, 1])
    assert result.correct == (True, True, False)
    assert result.fooled == (False, False, False)
    assert result.adversarial == TEXTS


def test_few_changes_may_be_too_few():
    text = " ".join(["good"] * 10)
    assert attack_texts(scores, [text], [1], share=0.1).fooled == (False,)
    assert attack_texts(scores, [text], [1], share=1.0).fooled == (True,)


def test_texts_without_words_and_no_texts_at_all():
    assert attack_texts(scores, ["...", ""], [0, 0]).fooled == (False, False)
    assert attack_texts(scores, [], []).adversarial == ()


@pytest.mark.parametrize("word", ["good", "Movie", "a", "été", "x" * 40])
def test_variants_are_new_and_each_comes_once(word):
    found = list(variants(word))
    assert word not in found
    assert len(found) == len(set(found))
    assert all(abs(len(other) - len(word)) <= 1 for other in found if other[:1] == word[:1])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_answers_that_are_no_scores_are_named(value):
    with pytest.raises(TargetError, match="3 texts"):
        attack_texts(lambda texts: torch.full((len(texts), 2), value), TEXTS, [0, 0, 0])
