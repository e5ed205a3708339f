"""Examine small trained models: a planted trigger is found and named, honest models pass, bad input has an answer."""

import json
import math
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from tests.support.poisoned_models import TARGET, SmallAdapter, images, small_model, stamp  # noqa: E402
from zt_gate.domain.evidence import Status  # noqa: E402
from zt_gate.evaluate.backdoor import SearchBudget, examine  # noqa: E402
from zt_gate.rulings.backdoor_calibration import DEFAULT  # noqa: E402
from zt_gate.rulings.backdoor_ruling import judge_backdoor  # noqa: E402

SMALL = SearchBudget(
    margin_images=4, margin_steps=30, clean_margin_steps=10, trigger_steps=60, trigger_batch=16, clean_images=200
)


def clean(classes=10):
    return images(300, 7, classes)


def examined(*, backdoor, **more):
    return examine(SmallAdapter(small_model(backdoor=backdoor)), *clean(), budget=SMALL, **more)


def statuses(report):
    return {item.detector: item for item in judge_backdoor(json.loads(json.dumps(report.to_json())), DEFAULT)}


def test_the_planted_backdoor_works():
    batch, labels = clean()
    said = small_model(backdoor=True)(stamp(batch[labels != TARGET])).argmax(1)
    assert (said == TARGET).float().mean() > 0.9


def test_a_planted_patch_is_found_named_and_shown():
    report = examined(backdoor=True)
    patch = statuses(report)["patch"]
    assert patch.status is Status.FAIL
    assert patch.target == TARGET
    mask = report.tensors["patch.mask"][0]
    row, column = divmod(int(mask.argmax()), mask.shape[1])
    assert max(row, column) <= 1


def test_an_honest_model_passes():
    judged = statuses(examined(backdoor=False))
    assert {name: item.status for name, item in judged.items()} == dict.fromkeys(judged, Status.PASS)
    assert {item.reason for item in judged.values()} == {"no backdoor of these kinds found at this budget"}


def test_the_same_seed_gives_the_same_numbers():
    first, second = (examined(backdoor=True, seed=3).to_json() for _ in range(2))
    for said in (first, second):
        for detector in said["detectors"].values():
            del detector["seconds"]
    assert first == second


def test_an_approved_release_is_compared_and_a_foreign_one_is_said_to_be():
    report = examined(backdoor=True, reference=SmallAdapter(small_model(1)))
    assert report.facts["reference"] == "used"
    assert len(report.to_json()["detectors"]["patch"]["reference"]) == 11
    other = examined(backdoor=False, reference=SmallAdapter(small_model(1, 4), 4))
    assert other.facts["reference"] == "it has 4 classes and not 10"


def test_binary_models_are_judged_by_confirmed_triggers_and_the_approved_release_alone():
    adapter = SmallAdapter(small_model(0, 2), 2)
    alone = statuses(examine(adapter, *clean(2), budget=SMALL))
    assert alone["margin"].status is Status.INCOMPLETE
    beside = examine(adapter, *clean(2), reference=SmallAdapter(small_model(1, 2), 2), budget=SMALL)
    assert statuses(beside)["patch"].status is Status.PASS


@pytest.mark.parametrize("bounds", [(-math.inf, math.inf), (0.0, 0.0), (math.nan, 1.0)])
def test_inputs_without_bounds_are_incomplete(bounds):
    adapter = SmallAdapter(small_model(), low=bounds[0], high=bounds[1])
    judged = statuses(examine(adapter, *clean(), budget=SMALL))
    assert {item.status for item in judged.values()} == {Status.INCOMPLETE}


def test_without_clean_data_only_margins_are_measured():
    judged = statuses(examine(SmallAdapter(small_model()), budget=SMALL))
    assert judged["margin"].status is Status.PASS
    assert judged["patch"].status is Status.INCOMPLETE


def test_a_model_that_says_one_class_is_incomplete():
    network = small_model().__class__(torch.nn.Flatten(), torch.nn.Linear(144, 10))
    network[1].bias.data[4] = 1000.0
    judged = judge_backdoor(examine(SmallAdapter(network), *clean(), budget=SMALL).to_json(), DEFAULT)
    assert [item.status for item in judged] == [Status.INCOMPLETE]


def test_a_model_without_gradients_is_incomplete():
    adapter = SmallAdapter(small_model())
    adapter.differentiable = False
    judged = statuses(examine(adapter, *clean(), budget=SMALL))
    assert {item.status for item in judged.values()} == {Status.INCOMPLETE}


def test_of_very_many_classes_only_the_likely_ones_are_searched():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(144, 1000)).requires_grad_(False)
    budget = SearchBudget(
        margin_images=1,
        margin_steps=3,
        clean_margin_steps=2,
        trigger_steps=3,
        trigger_batch=4,
        clean_images=80,
        most_classes=5,
    )
    report = examine(SmallAdapter(network, 1000), *clean(), budget=budget)
    assert len(report.detectors["patch"].numbers["slots"]) == 6
    assert report.detectors["patch"].why == "weaker: 995 of 1000 classes with small margins were left out"
    assert len(json.dumps(report.to_json())) < 1 << 20  # a worker's message has a limit
    moved = report.detectors["patch"].numbers["moved"]
    assert 8 <= len(moved) == len(moved[0]) <= 80
    assert sum(map(sum, moved)) == report.facts["held_out"]


def test_no_detector_begins_after_the_time_is_spent():
    report = examine(SmallAdapter(small_model()), *clean(), budget=SearchBudget(seconds=-1.0))
    assert {item.status for name, item in report.detectors.items() if name != "final_layer"} == {"incomplete"}


def test_importing_it_needs_nothing_but_torch():
    asked = "import sys, zt_gate.evaluate.backdoor, zt_gate.rulings.backdoor_calibration; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert {"pydantic", "yaml", "sigstore", "mlflow", "scipy"} & set(done.stdout.split()) == set()
