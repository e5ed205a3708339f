"""The judge of backdoor numbers: what fails, what passes, what is incomplete, and that nonsense is never a pass."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from zt_gate.domain.backdoor import FAMILIES, MARGINS, NOTHING_FOUND, SCHEMA, Calibration, Spread, judge_backdoor
from zt_gate.domain.backdoor_calibration import DEFAULT
from zt_gate.domain.evidence import Status

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


def test_a_margin_counts_only_when_two_seeds_agree():
    said = numbers()
    runs = [list(run) for run in said["detectors"]["margin"]["runs"]]
    said["detectors"]["margin"]["runs"] = runs
    runs[0][3] = 50.0
    assert judged(said)["margin"].status is Status.PASS
    runs[2][3] = 50.0
    assert (judged(said)["margin"].status, judged(said)["margin"].target) == (Status.FAIL, 3)


def test_fewer_than_eight_classes_need_an_approved_release_or_a_tiny_trigger():
    said = numbers(3)
    assert {item.status for item in judged(said).values()} == {Status.INCOMPLETE}
    said["detectors"]["patch"]["reference"] = [0.1, 0.1, 0.1, 0.13]
    assert judged(said)["patch"].status is Status.PASS
    said["detectors"]["patch"]["slots"][1] = slot(1, 0.01)
    assert (judged(said)["patch"].status, judged(said)["patch"].target) == (Status.FAIL, 1)


def test_against_an_approved_release_a_shrunken_class_fails():
    said = numbers()
    sizes = [entry["size"] for entry in said["detectors"]["warp"]["slots"]]
    said["detectors"]["warp"]["reference"] = sizes
    assert judged(said)["warp"].status is Status.PASS
    said["detectors"]["warp"]["reference"] = [*sizes[:6], 8 * sizes[6], *sizes[7:]]
    assert (judged(said)["warp"].status, judged(said)["warp"].target) == (Status.FAIL, 6)


def test_many_small_signs_of_one_class_are_one_large_sign():
    said = numbers()
    spreads = {claim: Spread(0.9, 0.15, 20) for claim in ("together.alone:margin+margin_clean+patch+additive+warp",)}
    loose = Calibration("test", spreads)
    assert judge_one(said, loose).status is Status.PASS
    for family in FAMILIES:
        said["detectors"][family]["slots"][4] = slot(4, 0.05)
    assert (judge_one(said, loose).status, judge_one(said, loose).target) == (Status.FAIL, 4)
    for family in FAMILIES:
        said["detectors"][family]["slots"][4] = slot(4, 0.05, successes=50)
    assert judge_one(said, loose).status is Status.PASS


def judge_one(said, calibration):
    return next(item for item in judge_backdoor(said, calibration) if item.detector == "together")


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
    mine = Spread(0.3, 0.2, models).p_value(value)
    assert mine == pytest.approx(student.sf((value - 0.3) / (0.2 * (1 + 1 / models) ** 0.5), models - 1), abs=1e-12)


def test_no_spread_no_claim():
    assert Spread(0.0, 1.0, 2).p_value(99) == 1.0
    assert Spread(0.0, 0.0, 20).p_value(99) == 1.0
