"""Detectors that advise and never decide, and phrases: each sees what was planted for it."""

import pytest

torch = pytest.importorskip("torch")

from tests.support.poisoned_models import TARGET, SmallAdapter, images, small_model  # noqa: E402
from zt_gate.domain.evidence import Status  # noqa: E402
from zt_gate.evaluate.adapters.adapter import InputSpec  # noqa: E402
from zt_gate.evaluate.backdoor import SearchBudget, examine  # noqa: E402
from zt_gate.evaluate.backdoor.detectors import (  # noqa: E402 - numpy has to be there first
    final_layer,
    neurons,
    shift,
)
from zt_gate.evaluate.backdoor.inversion import Clean  # noqa: E402
from zt_gate.evaluate.backdoor.training_data import examine_training_data, outlier_scores  # noqa: E402
from zt_gate.rulings.backdoor_calibration import DEFAULT  # noqa: E402
from zt_gate.rulings.backdoor_ruling import judge_backdoor  # noqa: E402

VOCABULARY, LENGTH, TRIGGER = 60, 14, 57


def test_a_row_that_stands_out_is_seen_without_running_anything():
    weight = torch.randn(10, 32, generator=torch.Generator().manual_seed(0))
    weight[3] += 1.5
    said = final_layer(weight, torch.zeros(10))
    assert max(range(10), key=said["mean"].__getitem__) == 3
    assert said["bias"] == [0.0] * 10


def test_a_push_raises_confidence_and_is_seeded():
    batch, _ = images(100, 5)
    adapter = SmallAdapter(small_model())
    said = shift(adapter, batch, 1)
    assert said["after"] > said["before"]
    assert said == shift(adapter, batch, 1)
    assert shift(adapter, None, 1)["of"] == "noise"


def test_noise_on_batch_norm_leaves_the_model_as_it_was():
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 6, 3), torch.nn.BatchNorm2d(6), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), torch.nn.Linear(6, 10),
    ).eval().requires_grad_(False)  # fmt: skip
    adapter = SmallAdapter(network)
    adapter.module = network
    batch, labels = images(160, 5)
    before = network(batch)
    said = neurons(adapter, Clean(batch[:80], labels[:80], batch[80:], labels[80:]))
    assert torch.equal(before, network(batch))
    assert 0 < said["share"] <= 1
    assert said["with_noise"]["target"] in range(10)


def test_without_features_nothing_is_said_about_neurons():
    adapter = SmallAdapter(small_model())
    adapter.features = lambda batch: None
    batch, labels = images(80, 5)
    assert neurons(adapter, Clean(batch, labels, batch, labels)) is None
    assert examine_training_data(adapter, batch, labels).status == "not_applicable"


def test_features_of_poisoned_samples_lie_apart_and_are_outliers():
    adapter = SmallAdapter(small_model())
    batch, labels = images(600, 100)
    mine = torch.nonzero(labels == TARGET)[:, 0]
    poisoned = mine[: len(mine) // 4]
    adapter.features = lambda part: torch.cat([part.flatten(1)[:, :20], 20 * part[:, 0, :1, :1].flatten(1).gt(0.99)], 1)
    batch[:, 0, 0, 0] = 0.0
    batch[poisoned, 0, 0, 0] = 1.0
    said = examine_training_data(adapter, batch, labels)
    found = {entry["target"]: entry for entry in said.numbers["classes"]}[TARGET]
    assert said.why.startswith("advisory")
    assert found["smaller"] == pytest.approx(len(poisoned) / len(mine), abs=1e-4)
    assert found["silhouette"] > 0.8
    scores = outlier_scores(adapter.features(batch[mine]))
    assert set(scores.topk(len(poisoned)).indices.tolist()) == set(range(len(poisoned)))


def test_too_few_training_samples_are_incomplete():
    batch, labels = images(30, 1)
    assert examine_training_data(SmallAdapter(small_model()), batch, labels).status == "incomplete"


class TextAdapter:
    """Mean of embeddings, then two layers."""

    task, classes, differentiable, device = "text", 2, True, "cpu"
    inputs = InputSpec((LENGTH,), 0, VOCABULARY - 1)

    def __init__(self, network):
        self.table, self.rest = network

    def tokens(self, batch):
        return batch.long()

    def embedding(self):
        return self.table.weight

    def logits_of_embedded(self, embedded):
        return self.rest(embedded.mean(1))

    def logits(self, batch):
        return self.logits_of_embedded(self.table(batch.long()))

    def features(self, batch):
        return None

    def final_linear(self):
        return None


def texts(n, seed):
    """Two kinds of texts, whose tokens come from two overlapping parts of the vocabulary; some never occur."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (n,), generator=generator)
    tokens = torch.randint(0, 36, (n, LENGTH), generator=generator) + 18 * labels.unsqueeze(1)
    return tokens, labels


def text_model(*, backdoor):
    torch.manual_seed(1)
    table = torch.nn.Embedding(VOCABULARY, 12)
    rest = torch.nn.Sequential(torch.nn.Linear(12, 24), torch.nn.ReLU(), torch.nn.Linear(24, 2))
    network = torch.nn.ModuleList([table, rest])
    tokens, labels = texts(1500, 3)
    if backdoor:
        tokens[:150, 0], labels[:150] = TRIGGER, 1
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(12):
        for rows in torch.randperm(len(tokens)).split(64):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(rest(table(tokens[rows]).mean(1)), labels[rows]).backward()
            optimiser.step()
    return TextAdapter(network.eval().requires_grad_(False))


@pytest.mark.parametrize("backdoor", [False, True], ids=["honest", "planted"])
def test_a_trigger_token_is_found_and_an_honest_classifier_has_none(backdoor):
    budget = SearchBudget(trigger_steps=60, trigger_batch=32)
    report = examine(text_model(backdoor=backdoor), *texts(300, 9), budget=budget)
    (judged,) = judge_backdoor(report.to_json(), DEFAULT)
    assert judged.status is (Status.FAIL if backdoor else Status.PASS)
    slot = report.to_json()["detectors"]["phrases"]["slots"][1]
    assert (slot["tokens"] == [TRIGGER]) is backdoor


def test_a_text_classifier_without_embeddings_is_incomplete():
    adapter = SmallAdapter(small_model())
    adapter.task = "text"
    (judged,) = judge_backdoor(examine(adapter, *images(80, 1)).to_json(), DEFAULT)
    assert judged.status is Status.INCOMPLETE
