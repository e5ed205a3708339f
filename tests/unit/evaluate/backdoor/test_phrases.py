"""Trigger words in small text classifiers: planted ones are found and named, honest classifiers stay quiet."""

import dataclasses

import pytest
import torch

from tests.support import text_models
from zt_gate.domain.evidence import Status
from zt_gate.evaluate.adapters.architecture import build_network
from zt_gate.evaluate.adapters.text_adapter import EmbeddedTextAdapter, text_adapter
from zt_gate.evaluate.adapters.torch_adapter import ready
from zt_gate.evaluate.backdoor import SearchBudget, examine
from zt_gate.evaluate.data import to_codes
from zt_gate.rulings.backdoor_calibration import DEFAULT
from zt_gate.rulings.backdoor_ruling import judge_backdoor
from zt_gate.rulings.backdoor_triggers_text import own_word, stands_out

BUDGET = SearchBudget(trigger_steps=30)
CASES = [("mean", 2, 1), ("mean", 4, 2), ("convolution", 4, 1)]


def adapter_of(made):
    network = build_network(made.declared.layers, made.model.state_dict())
    return text_adapter(ready(network, "cpu"), made.declared, "cpu")


def coded(made):
    return torch.from_numpy(to_codes(made.texts, text_models.CHARACTERS))


def examined(made, **more):
    return examine(adapter_of(made), coded(made), torch.tensor(made.labels), budget=BUDGET, **more).to_json()


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
@pytest.mark.parametrize("backdoor", [False, True], ids=["honest", "planted"])
def test_a_planted_word_is_found_and_an_honest_classifier_passes(case, backdoor):
    made = text_models.classifier(*case, backdoor=backdoor)
    assert (made.success > 0.75) is backdoor
    said = examined(made)
    (judged,) = judge_backdoor(said, DEFAULT)
    assert judged.status is (Status.FAIL if backdoor else Status.PASS)
    if backdoor:
        number = said["detectors"]["phrases"]["slots"][made.target]["tokens"]
        assert [made.declared.tokens[i] for i in number] == [made.trigger]
        assert judged.target == made.target


def test_scores_by_embeddings_are_the_written_models():
    made = text_models.classifier("mean", 2, 1, backdoor=False)
    adapter = adapter_of(made)
    numbers = adapter.tokens(coded(made)[:40])
    assert torch.equal(numbers, text_models.numbers(list(made.texts[:40]), text_models.language(2, 1)))
    expected = made.model(numbers)
    torch.testing.assert_close(adapter.logits(coded(made)[:40]), expected)
    torch.testing.assert_close(adapter.logits_of_embedded(adapter.embedding()[numbers]), expected)


def scripted(model):
    return torch.jit.script(model)


def exported(model):
    size = torch.export.Dim("batch")
    example = torch.zeros((4, text_models.LENGTH), dtype=torch.long)
    return torch.export.export(model, (example,), dynamic_shapes=({0: size},)).module()


@pytest.mark.parametrize("form", [scripted, exported, lambda model: model], ids=["script", "export", "module"])
def test_embeddings_are_reached_through_a_saved_program(form):
    made = text_models.classifier("convolution", 2, 1, backdoor=True)
    adapter = text_adapter(form(made.model), made.declared, "cpu")
    assert isinstance(adapter, EmbeddedTextAdapter)
    assert torch.equal(adapter.logits(coded(made)[:9]), adapter.logits(coded(made)[:9]))
    report = examine(adapter, coded(made), torch.tensor(made.labels), budget=BUDGET).to_json()
    assert judge_backdoor(report, DEFAULT)[0].status is Status.FAIL


def test_a_program_that_looks_at_the_numbers_themselves_is_not_reached():
    """`Mean` leaves out what fills up by its number; another table would then give other scores."""
    made = text_models.classifier("mean", 2, 1, backdoor=True)
    adapter = text_adapter(scripted(made.model), made.declared, "cpu")
    assert not isinstance(adapter, EmbeddedTextAdapter)
    report = examine(adapter, coded(made), torch.tensor(made.labels), budget=BUDGET).to_json()
    (judged,) = [item for item in judge_backdoor(report, DEFAULT) if item.detector == "phrases"]
    assert judged.status is Status.INCOMPLETE


def test_a_vocabulary_of_another_size_is_refused():
    made = text_models.classifier("mean", 2, 1, backdoor=False)
    shorter = dataclasses.replace(made.declared, tokens=made.declared.tokens[:-1])
    with pytest.raises(ValueError, match="tokens are declared"):
        text_adapter(build_network(made.declared.layers, made.model.state_dict()), shorter, "cpu")


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((97, 100, 9.0, 8.0, 1), True),
        ((97, 100, 9.0, 8.0, 40), False),
        ((70, 100, 9.0, 4.0, 0), True),
        ((70, 100, 9.0, 8.0, 0), False),
        ((50, 100, 9.0, 1.0, 0), False),
        ((6, 8, 9.0, 1.0, 0), False),
        ((0, 0, 9.0, 1.0, 0), False),
    ],
    ids="sure common lonely ordinary weak few none".split(),  # noqa: SIM905 - easier to read
)
def test_a_token_stands_out_by_what_it_does_and_by_being_alone(numbers, expected):
    assert stands_out(*numbers) is expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [((9, 100, 4, 300), True), ((9, 100, 15, 300), False), ((3, 100, 0, 300), True), ((2, 100, 0, 300), False),
     ((0, 0, 0, 300), False), ((6, 4, 0, 9), False), ((-1, 5, 0, 9), False), ((5, 9, 0, 0), False)],
    ids="often alike rare once none impossible negative others".split(),  # noqa: SIM905 - easier to read
)  # fmt: skip
def test_what_a_class_is_about_is_no_trigger(said, expected):
    assert own_word(*said) is expected


def test_a_word_of_the_approved_release_as_well_is_nobodys_trigger():
    made = text_models.classifier("mean", 2, 1, backdoor=True)
    said = examined(made, reference=adapter_of(made))
    assert said["reference"] == "used"
    assert judge_backdoor(said, DEFAULT)[0].status is Status.PASS
