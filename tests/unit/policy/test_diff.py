"""What became stricter, looser or different, setting by setting."""

from dataclasses import replace

import pytest

from tests.support.policies import KEY, policy
from zt_gate.policy.diff import compare, guards
from zt_gate.policy.evaluation_requirements import Backdoor, CalibrationFile
from zt_gate.policy.model import Metadata, Policy, Stage

OTHER_KEY = KEY.replace("Gb9", "Gb8")
WAIVER = {
    "id": "w", "rule": "ART-102", "subject": "sha256:" + "0" * 64, "owner": "ann", "approved_by": "bob",
    "reason": "reviewed by hand, see the ticket", "created": "2026-05-01T00:00:00Z", "expires": "2026-06-01T00:00:00Z",
}  # fmt: skip


def stage(**fields):
    return policy(stages={"s": fields})


def demand(name, **fields):
    return stage(**{name: fields})


PAIRS = [
    ("block_at", stage(block_at="high"), stage(block_at="medium")),
    ("block_at", stage(block_at="critical"), stage()),
    (
        "checks.code",
        stage(checks={"artifacts": "required"}),
        stage(checks={"artifacts": "required", "code": "opinion"}),
    ),
    ("checks.code", stage(checks={"code": "opinion"}), stage(checks={"code": "required"})),
    ("audit_log", stage(), stage(audit_log=True)),
    ("reuse_hashes", stage(reuse_hashes=True), stage()),
    ("mode", stage(mode="audit"), stage(mode="warn")),
    ("mode", stage(mode="warn"), stage(effective="2026-06-01T00:00:00Z")),
    ("mode", stage(effective="2026-06-01T00:00:00Z"), stage()),
    ("signature", stage(), demand("signature", by=["ann"])),
    ("signature.by", demand("signature", by=["ann", "bob"]), demand("signature", by=["ann"])),
    ("signature.by", demand("signature", by=["ann"]), demand("signature", by=[])),
    ("signature.count", demand("signature", by=["ann"]), demand("signature", by=["ann"], count=2)),
    ("provenance.builders", demand("provenance", builders=["a"]), demand("provenance", builders=[])),
    ("provenance.build_types", demand("provenance", build_types=[]), demand("provenance", build_types=["t"])),
    ("provenance.max_age_days", demand("provenance"), demand("provenance", max_age_days=30)),
    ("tests.suites", demand("tests", suites=["a"]), demand("tests", suites=["a", "b"])),
    ("stage", policy(stages={"s": {}, "t": {}}), policy(stages={"s": {}})),
    ("metadata.expires", policy(), policy(metadata={"name": "t", "expires": "2026-06-01T00:00:00Z"})),
    ("metadata.signed", policy(), policy(metadata={"name": "t", "signed": True})),
    ("rules.ART-102", policy(), policy(rules={"ART-102": {"severity": "critical"}})),
    ("trust.revocations", policy(), policy(trust={"revocations": {"by": ["ann"], "max_age_days": 7}})),
]


@pytest.mark.parametrize(("setting", "old", "new"), PAIRS)
def test_one_way_is_stricter_and_the_other_looser(setting, old, new):
    assert [(item.setting, item.direction) for item in compare(old, new)] == [(setting, "stricter")]
    assert [(item.setting, item.direction) for item in compare(new, old)] == [(setting, "looser")]


def test_another_key_under_the_same_name_is_never_called_stricter():
    old, new = (policy(trust={"keys": [{"id": "ann", "pem": pem}]}) for pem in (KEY, OTHER_KEY))
    assert [(item.setting, item.direction) for item in compare(old, new)] == [("trust.ann", "different")]
    assert not guards(compare(old, new))


def test_a_changed_pattern_a_swapped_list_and_another_person_are_told():
    old, new = (demand("signature", by=[who]) for who in ("ann", "bob"))
    assert not guards(compare(old, new))
    one, two = (policy(trust={"keys": [{"id": "ann", "pem": KEY, "person": who}]}) for who in ("ann", "bob"))
    assert not guards(compare(one, two))


def test_a_pair_of_dates_and_severities_that_cross_is_different():
    old = policy(rules={"ART-102": {"severity": "medium"}})
    new = policy(rules={"ART-102": {"severity": "critical", "effective": "2026-06-01T00:00:00Z"}})
    assert [item.direction for item in compare(old, new)] == ["different"]


def test_where_a_key_lies_makes_no_difference():
    old = policy(trust={"keys": [{"id": "ann", "pem": KEY}]})
    keys = tuple(replace(key, file="keys/ann.pub") for key in old.trust.keys)
    assert compare(old, replace(old, trust=replace(old.trust, keys=keys))) == []


def test_another_calibration_is_different_and_shown_by_its_digest():
    made = [
        replace(Policy(apiVersion="zt-gate/v1", kind="Policy", metadata=Metadata("t")), stages={
            "s": Stage(backdoor=Backdoor(calibration=CalibrationFile("c.json", digest * 64, "{}")))})
        for digest in "01"
    ]  # fmt: skip
    (change,) = compare(*made)
    assert (change.setting, change.direction) == ("backdoor.calibration", "different")
    assert (change.old, change.new) == ("0" * 64, "1" * 64)
    assert compare(made[0], made[0]) == []
