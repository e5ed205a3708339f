"""Tightening means it: what a parent blocks no child allows, and what `diff` and `suggest` call stricter is."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support.policies import DEMANDS, SUBJECT, evidence, loaded, policies
from zt_gate.domain import Decision, Severity
from zt_gate.policy.diff import compare, guards
from zt_gate.policy.judge import judge
from zt_gate.policy.merge import merge
from zt_gate.policy.model import MODES
from zt_gate.policy.strictness import Loosening
from zt_gate.policy.suggest import History, StageHistory, suggest

SETTINGS = ("block_at", "checks", "audit_log", "reuse_hashes", *DEMANDS)
times = st.sampled_from([datetime(2026, month, day, tzinfo=UTC) for month in (4, 5, 6, 7) for day in (1, 2)])


def verdict(policy, found, now):
    return judge(SUBJECT, found, loaded(policy), "s", now)


def stands(answer):
    """Whether a block rests on more than a file that nobody examined: one more check may examine it."""
    return bool({reason.code for reason in answer.reasons} - {"uncovered"})


def merged(parent, child):
    try:
        return merge(parent, child, "pack:p")
    except Loosening:
        return None


@given(policies(), policies(), evidence(), times)
def test_a_child_never_allows_what_its_parent_blocks(parent, child, found, now):
    both = merged(parent, child)
    assume(both is not None)
    if stands(verdict(parent, found, now)):
        assert verdict(both, found, now).decision is Decision.BLOCK


@given(policies(), policies(), times)
def test_a_child_is_never_enforced_less_than_a_parent_that_said_how(parent, child, now):
    both = merged(parent, child)
    assume(both is not None)
    stage = parent.stages["s"]
    if stage.mode is not None or stage.effective is not None:
        assert MODES.index(both.stages["s"].mode_at(now)) >= MODES.index(stage.mode_at(now))


@given(policies(), times, times)
def test_time_never_makes_a_stage_laxer(policy, one, other):
    earlier, later = (MODES.index(policy.stages["s"].mode_at(moment)) for moment in sorted((one, other)))
    assert earlier <= later


@given(policies(), policies())
def test_merging_is_told_as_a_tightening(parent, child):
    """Two ways of saying what is stricter, written apart, agree; the pack names nobody, so people are left out."""
    both = merged(parent, child)
    assume(both is not None)
    said = [item for item in compare(parent, both) if item.direction == "looser" and not item.setting.endswith(".by")]
    silent = parent.stages["s"].mode is None and parent.stages["s"].effective is None
    # What a pack does not say, its child may: how a block is enforced, and whether hashes are kept.
    said = [item for item in said if item.setting not in ({"mode"} if silent else set()) | {"reuse_hashes"}]
    assert said == []


@st.composite
def neighbours(draw):
    """Return two policies that differ in one or two settings of a stage, or in their rules."""
    old, other = draw(policies()), draw(policies())
    fields = draw(st.lists(st.sampled_from([*SETTINGS, "mode"]), min_size=1, max_size=2))
    taken = {field: getattr(other.stages["s"], field) for field in fields}
    if "mode" in taken:
        taken["effective"] = other.stages["s"].effective
    rules = draw(st.sampled_from([old.rules, other.rules]))
    return old, replace(old, stages={"s": replace(old.stages["s"], **taken)}, rules=rules)


@given(neighbours(), evidence(), times)
def test_what_only_became_stricter_allows_nothing_new(pair, found, now):
    old, new = pair
    assume(guards(compare(old, new)))
    if stands(verdict(old, found, now)):
        assert verdict(new, found, now).decision is Decision.BLOCK


@given(policies(), policies())
def test_what_is_looser_one_way_is_stricter_the_other(old, new):
    turned = {"looser": "stricter", "stricter": "looser", "different": "different"}
    there = {(item.stage, item.setting): item.direction for item in compare(old, new)}
    back = {(item.stage, item.setting): turned[item.direction] for item in compare(new, old)}
    assert there == back


@given(policies())
def test_nothing_differs_from_itself(policy):
    assert compare(policy, policy) == []


histories = st.builds(
    History,
    allowed=st.integers(0, 30),
    worst=st.sampled_from(range(5)).map(Severity),
    all_have_severity=st.booleans(),
    passed=st.dictionaries(st.sampled_from(["artifacts", "code", "modelscan"]), st.integers(0, 30)),
    signers=st.sets(st.sampled_from(["ann", "bob", "eve"])),
)


@given(policies(), histories, evidence(), times)
def test_a_suggestion_only_takes_away(policy, history, found, now):
    record = StageHistory(loaded(policy))
    record.stages["s"] = history
    better = suggest(policy, record, least=10)
    assert guards(compare(policy, better))
    if verdict(policy, found, now).decision is Decision.BLOCK:
        assert verdict(better, found, now).decision is Decision.BLOCK


@given(policies(), evidence(), times)
def test_an_unsigned_policy_that_has_to_be_signed_blocks_and_is_not_believed(policy, found, now):
    demanding = replace(policy, metadata=replace(policy.metadata, signed=True))
    answer = verdict(demanding, found, now)
    assert answer.decision is Decision.BLOCK
    assert answer.mode == "enforce"
    assert "policy-unsigned" in {reason.code for reason in answer.reasons}
