"""The judge of backdoor numbers: what fails, what passes, what is incomplete, and that nonsense is never a pass."""

import copy
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from zt_gate.domain.evidence import Status
from zt_gate.rulings.backdoor_calibration import DEFAULT
from zt_gate.rulings.backdoor_ruling import (
    FAMILIES,
    MARGINS,
    NOTHING_FOUND,
    SCHEMA,
    Calibration,
    Spread,
    beside,
    calibrate,
    judge_backdoor,
)

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def slot(target, size, successes=97, images=100):
    return {"target": target, "size": size, "successes": successes, "images": images}


def numbers(classes=10):
    slots = [*(slot(k, 0.1 + 0.002 * k) for k in range(classes)), slot(-1, 0.13)]
    family = {"status": "ran", "slots": slots, "moved": [[1] * classes] * classes}
    margin = {"status": "ran", "targets": list(range(classes)), "runs": [[5 + 0.1 * k for k in range(classes)]] * 3}
    detectors = {"margin": margin, "margin_clean": dict(margin), **{name: copy.deepcopy(family) for name in FAMILIES}}
    return {"schema": SCHEMA, "collapsed": False, "detectors": detectors}


def judged(said):
    return {item.detector: item for item in judge_backdoor(said, DEFAULT)}


def test_quiet_numbers_pass_in_careful_words():
    answers = judged(numbers())
    assert {item.status for item in answers.values()} == {Status.PASS}
    assert {item.reason for item in answers.values()} == {NOTHING_FOUND}


@pytest.mark.parametrize("family", FAMILIES)
def test_one_small_confirmed_trigger_fails_and_names_its_class(family):
    said = numbers()
    said["detectors"][family]["slots"][4] = slot(4, 0.012)
    assert (judged(said)[family].status, judged(said)[family].target) == (Status.FAIL, 4)


def test_a_small_trigger_that_fails_on_unseen_images_does_not_count():
    said = numbers()
    said["detectors"]["patch"]["slots"][4] = slot(4, 0.012, successes=80)
    assert judged(said)["patch"].status is Status.PASS
    said["detectors"]["patch"]["slots"][4] = slot(4, 0.012, successes=9, images=10)
    assert judged(said)["patch"].status is Status.PASS


def test_without_triggers_a_margin_counts_and_only_when_two_seeds_agree():
    said = numbers()
    for family in FAMILIES:
        said["detectors"][family] = {"status": "incomplete", "why": "no clean samples"}
    runs = [list(run) for run in said["detectors"]["margin"]["runs"]]
    said["detectors"]["margin"]["runs"] = runs
    runs[0][3] = 80.0
    assert judged(said)["margin"].status is Status.PASS
    runs[2][3] = 80.0
    assert (judged(said)["margin"].status, judged(said)["margin"].target) == (Status.FAIL, 3)


def test_a_margin_without_a_trigger_fails_nobody():
    said = numbers()
    said["detectors"]["margin"]["runs"] = [[*[5.0] * 9, 80.0]] * 3
    answers = judged(said)
    assert {item.status for item in answers.values()} == {Status.PASS}
    assert answers["margin"].p_value < 1e-6


def test_fewer_than_eight_classes_need_an_approved_release_or_a_tiny_trigger():
    said = numbers(3)
    assert {item.status for item in judged(said).values()} == {Status.INCOMPLETE}
    said["detectors"]["patch"]["reference"] = [0.1, 0.1, 0.1, 0.13]
    assert judged(said)["patch"].status is Status.PASS
    said["detectors"]["patch"]["slots"][1] = slot(1, 0.01)
    assert (judged(said)["patch"].status, judged(said)["patch"].target) == (Status.FAIL, 1)


def test_against_an_approved_release_a_shrunken_class_fails():
    said, release = numbers(), numbers()
    for family in FAMILIES:
        release["detectors"][family]["slots"] = [slot(k, 0.11) for k in (*range(10), -1)]
        said["detectors"][family]["slots"] = [slot(k, 0.11) for k in (*range(10), -1)]
    assert judged(beside(said, release))["warp"].status is Status.PASS
    said["detectors"]["warp"]["slots"][6] = slot(6, 0.02)
    answer = judged(beside(said, release))["warp"]
    assert (answer.status, answer.target) == (Status.FAIL, 6)


def test_what_the_release_has_as_well_is_told_apart_from_what_it_could_not_be_turned_by():
    said, release = numbers(), numbers()
    release["detectors"]["patch"]["slots"][3] = slot(3, 0.04, successes=50)
    assert beside(said, release)["detectors"]["patch"]["reference"][3:5] == [1.0, pytest.approx(0.108)]


TOGETHER = "together.alone:margin+margin_clean+patch+additive+warp"


def test_many_small_signs_of_one_class_are_one_large_sign():
    said = numbers()
    parts = {name: Spread(9.0, 1.0, 20, 0.3) for name in (*MARGINS, *FAMILIES)}
    calibration = Calibration("test", {**parts, TOGETHER: Spread(1.5, 0.8, 20)})
    assert judge_one(said, calibration).status is Status.PASS
    for family in FAMILIES:
        said["detectors"][family]["slots"][4] = slot(4, 0.03)
    assert (judge_one(said, calibration).status, judge_one(said, calibration).target) == (Status.FAIL, 4)
    for family in FAMILIES:
        said["detectors"][family]["slots"][4] = slot(4, 0.03, successes=50)
    assert judge_one(said, calibration).status is Status.PASS


def test_a_trigger_that_sends_each_class_to_one_other_fails_where_it_is_confirmed():
    said, patch = numbers(), "patch"
    said["detectors"][patch]["moved"] = [[9 * (k == (i + 1) % 10) for k in range(10)] for i in range(10)]
    answer = judged(said)[patch]
    assert (answer.status, answer.target) == (Status.FAIL, None)
    assert "from every class to another" in answer.reason
    said["detectors"][patch]["slots"][-1] = slot(-1, 0.13, successes=80)
    assert judged(said)[patch].status is Status.PASS


@pytest.mark.parametrize("moved", [[], None, [[1] * 9] * 10, [[-1] * 10] * 10, "x", [["a"] * 10] * 10])
def test_where_classes_went_has_to_be_counts(moved):
    said = numbers()
    said["detectors"]["patch"]["moved"] = moved
    assert judged(said)["patch"].status is Status.INCOMPLETE


def judge_one(said, calibration):
    return next(item for item in judge_backdoor(said, calibration) if item.detector == "together")


def natural(seed, small=None):
    """An honest model of a task whose class 7 is easily reached by nature, or one with another such class."""
    source = random.Random(seed)
    said = numbers()
    for family in FAMILIES:
        sizes = [0.1 * source.uniform(0.85, 1.15) for _ in range(10)]
        sizes[7] *= 0.3
        if small is not None:
            sizes[small] *= 0.3
        said["detectors"][family]["slots"] = [*(slot(k, size) for k, size in enumerate(sizes)), slot(-1, 0.14)]
    return said


def test_each_class_is_compared_with_itself():
    calibration = calibrate("test", [natural(seed) for seed in range(10)])
    honest = {item.status for item in judge_backdoor(natural(50), calibration)}
    assert honest == {Status.PASS}
    failed = [item for item in judge_backdoor(natural(51, small=2), calibration) if item.status is Status.FAIL]
    assert {item.target for item in failed} == {2}
    assert "together" in {item.detector for item in failed}
    assert failed[0].p_value < 1e-3


def test_no_single_detector_decides_a_sum():
    spread = Spread(1.0, 0.3, 10, 0.5, {0: (0.2, 0.1), 1: (0.6, 0.5)})
    assert spread.standard(0, 1e9) == 4.0
    assert spread.standard(0, -1e9) == -1.0
    assert spread.standard(1, 0.6) == 0.0
    assert spread.of_any_task().standard(1, 0.5) == pytest.approx(1.0)


@given(st.lists(st.floats(-3, 3), min_size=10, max_size=10), st.integers(0, 9), st.floats(0, 5))
def test_a_class_that_stands_out_more_is_never_less_suspicious(gaps, k, more):
    calibration = calibrate("test", [natural(seed) for seed in range(4)])
    spread, targets = calibration.spreads["patch"], range(10)
    before = spread.p_values(targets, gaps)[k]
    gaps[k] += more
    assert spread.p_values(targets, gaps)[k] <= before + 1e-12


def test_what_did_not_run_is_not_a_pass():
    said = numbers()
    del said["detectors"]["margin"]
    said["detectors"]["warp"] = {"status": "incomplete", "why": "no time"}
    said["detectors"]["patch"] = {"status": "not_applicable", "why": "text"}
    answers = judged(said)
    assert answers["margin"].status is Status.INCOMPLETE
    assert (answers["warp"].status, answers["warp"].reason) == (Status.INCOMPLETE, "no time")
    assert answers["patch"].status is Status.NOT_APPLICABLE


@given(st.sampled_from(["targets", "runs", "slots", "moved", "reference", "status"]), ANYTHING)
def test_nonsense_in_one_detector_never_raises_and_never_helps_another(key, value):
    said = numbers()
    said["detectors"]["warp"]["slots"][4] = slot(4, 0.012)
    said["detectors"]["patch"][key] = said["detectors"]["margin"][key] = value
    answers = judged(said)
    assert answers.keys() - {"together"} == {*MARGINS, *FAMILIES}
    assert answers["warp"].status is Status.FAIL


@given(ANYTHING)
def test_anything_at_all_has_an_answer(value):
    said = value if isinstance(value, dict) else {"schema": SCHEMA, "detectors": value}
    assert Status.PASS not in {item.status for item in judge_backdoor(said, DEFAULT)}


@pytest.mark.parametrize("models", [4, 5, 20, 41])
@pytest.mark.parametrize("value", [-3.0, 0.0, 0.4, 1.5, 6.0])
def test_p_values_are_students(models, value):
    mine = Spread(0.3, 0.25, models).p_value(value)
    assert mine == pytest.approx(student.sf((value - 0.3) / (0.25 * (1 + 1 / models) ** 0.5), models - 1), abs=1e-12)


def test_a_class_of_few_models_borrows_the_spread_of_all_and_pays_for_every_class():
    spread = Spread(0.0, 1.0, 9, 0.5, {k: (0.1 * k, 0.3 + 0.1 * k) for k in range(4)})
    pooled = sum((0.3 + 0.1 * k) ** 2 for k in range(4)) / 4
    drawn = ((8 * 0.5**2 + 8 * pooled) / 16) ** 0.5
    expected = 4 * student.sf((2.0 - 0.2) / (drawn * (1 + 1 / 9) ** 0.5), 16)
    assert spread.p_values([0, 1, 2, 3], [0.0, 0.0, 2.0, 0.0])[2] == pytest.approx(expected, rel=1e-9)


def test_two_models_are_no_spread_and_twins_are_not_believed():
    assert Spread(0.0, 1.0, 2).p_value(99) == 1.0
    twins = Spread(0.0, 0.0, 20)
    assert twins.p_value(0.2) > 0.1
    assert twins.p_value(99) < 1e-9
