"""A child loosens nothing: neither what its pack said nor what the pack left at its default."""

import pytest

from tests.support.policies import KEY, policy
from zt_gate.policy.diff import compare
from zt_gate.policy.merge import merge
from zt_gate.policy.strictness import Loosening

THREAT = {"threat": {"norm": "Linf", "eps": "8/255"}}
OTHER = KEY.replace("Gb9", "Gb8")


def stage(**fields):
    return policy(stages={"s": fields})


DEFAULTS = [
    ("robustness", {"sandbox": "none"}),
    ("robustness", {"sandbox": "devices"}),
    ("robustness", {"pickle": True}),
    ("robustness", {"strength": "triage"}),
    ("robustness", {"drop": "99%"}),
    ("robustness", {"drop": "3%"}),
    ("robustness", {"alpha": "6%"}),
    ("robustness", {"min_samples": 199}),
    ("robustness", {"black_box": True}),
    ("backdoor", {"sandbox": "process"}),
    ("backdoor", {"pickle": True}),
    ("backdoor", {"alpha": "0.1%"}),
]
EQUAL = {
    "sandbox": "kernel",
    "pickle": False,
    "strength": "standard",
    "drop": "2%",
    "min_samples": 200,
    "black_box": False,
    "replay": False,
}


@pytest.mark.parametrize(("demand", "said"), DEFAULTS)
def test_a_default_of_the_pack_is_not_loosened_and_diff_says_what_it_is(demand, said):
    told = THREAT if demand == "robustness" else {}
    parent = stage(**{demand: told})
    child = stage(**{demand: told | said})
    with pytest.raises(Loosening, match=r"pack:p says .*is looser"):
        merge(parent, child, "pack:p")
    with pytest.raises(Loosening):
        merge(parent, stage(**{demand: said}), "pack:p")
    assert [item.direction for item in compare(parent, child)] == ["looser"]
    assert [item.direction for item in compare(child, parent)] == ["stricter"]


def test_everything_at_once_over_a_pack_that_only_named_a_threat():
    said = {"sandbox": "none", "pickle": True, "strength": "triage", "drop": "99%"}
    with pytest.raises(Loosening):
        merge(stage(robustness=THREAT), stage(robustness=said), "pack:p")
    assert {item.direction for item in compare(stage(robustness=THREAT), stage(robustness=THREAT | said))} == {"looser"}


@pytest.mark.parametrize("name", EQUAL)
def test_saying_the_default_is_neither_looser_nor_a_change(name):
    parent, child = stage(robustness=THREAT), stage(robustness=THREAT | {name: EQUAL[name]})
    assert getattr(merge(parent, child, "pack:p").stages["s"].robustness, name) == EQUAL[name]
    assert compare(parent, child) == []


def test_a_least_accuracy_does_not_take_away_the_drop_that_silence_stands_for():
    parent, child = stage(robustness=THREAT), stage(robustness={"least": "40%"})
    both = merge(parent, child, "pack:p").stages["s"].robustness
    assert (both.least, both.drop) == ("40%", "2%")
    said = {item.setting: item.direction for item in compare(parent, stage(robustness=THREAT | {"least": "40%"}))}
    assert said == {"robustness.least": "stricter", "robustness.drop": "looser"}


def test_a_pack_that_named_a_least_accuracy_asks_for_no_drop():
    both = merge(stage(robustness={"least": "40%"}), stage(robustness={"drop": "10%"}), "pack:p")
    assert both.stages["s"].robustness.drop == "10%"


def test_a_backdoor_detector_that_may_raise_more_false_alarms_is_the_stricter_one():
    old, new = stage(backdoor={"alpha": "1%"}), stage(backdoor={"alpha": "5%"})
    assert merge(old, new, "pack:p").stages["s"].backdoor.alpha == "5%"
    assert [item.direction for item in compare(old, new)] == ["stricter"]


def test_another_calibration_is_not_laid_over_the_default_one():
    child = stage(backdoor={"calibration": {"file": "c.json", "sha256": "0" * 64}})
    with pytest.raises(Loosening, match="calibration"):
        merge(stage(backdoor={}), child, "pack:p")


def test_other_signatures_are_accepted_only_where_the_pack_names_no_signer():
    child = stage(signature={"by": ["ann"], "model_signing": {"unsigned": ["big/"]}})
    assert merge(stage(signature={}), child, "pack:p").stages["s"].signature.model_signing is not None
    with pytest.raises(Loosening, match="Model Signing"):
        merge(stage(signature={"by": ["ann"]}), child, "pack:p")


def test_old_vulnerability_data_counts_only_where_the_pack_does_not_ask_for_any():
    asking, silent = stage(checks={"vulnerabilities": "required"}), stage(checks={"code": "required"})
    assert merge(silent, stage(osv_max_age_days=60), "pack:p").stages["s"].osv_max_age_days == 60
    assert merge(asking, stage(osv_max_age_days=30), "pack:p").stages["s"].osv_max_age_days == 30
    with pytest.raises(Loosening, match="osv_max_age_days 30"):
        merge(asking, stage(osv_max_age_days=31), "pack:p")


def test_names_that_a_registry_protects_by_default_stay_protected():
    parent = policy(stages={"production": {}}, registry={"by": ["g"]})
    child = policy(stages={"production": {}}, registry={"aliases": {}, "tags": {"gold": "production"}})
    both = merge(parent, child, "pack:p").registry
    assert both.aliases == parent.registry.protected("aliases")
    assert both.tags == {"gold": "production", "validation_status": "production"}
    with pytest.raises(Loosening, match="champion"):
        merge(parent, policy(registry={"aliases": {"champion": "staging"}}), "pack:p")


def trust(**fields):
    return policy(trust=fields)


def test_revocations_and_names_of_a_pack_are_kept():
    listed = {"revocations": {"by": ["sec"], "max_age_days": 7}, "keys": [{"id": "sec", "pem": KEY}]}
    both = merge(trust(**listed), trust(keys=[{"id": "ann", "pem": OTHER}]), "pack:p").trust
    assert both.ids == ["sec", "ann"]
    assert both.revocations.max_age_days == 7
    for looser in (
        {"keys": [{"id": "sec", "pem": OTHER}]},
        {"revocations": {"by": ["sec"], "max_age_days": 8}},
        {"revocations": {"by": ["ann"], "max_age_days": 7}},
        {"revocations": {"by": ["sec", "ann"], "max_age_days": 7}},
    ):
        with pytest.raises(Loosening):
            merge(trust(**listed), trust(**looser), "pack:p")


def test_who_may_revoke_keeps_it():
    parent, child = (policy(roles={"r": {"may": acts}}) for acts in (["revoke", "submit"], ["submit"]))
    with pytest.raises(Loosening, match="revoke"):
        merge(parent, child, "pack:p")
    assert merge(parent, policy(roles={"r": {"may": ["revoke"]}}), "pack:p").roles["r"].may == ("revoke",)
