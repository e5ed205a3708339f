"""Whatever an evaluation, its ticket or its stored inputs hold: an answer, never an exception, and never a pass."""

from __future__ import annotations

import os

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.backdoor_reports import report
from tests.support.evaluations import POPULATION, SEED, Bench, outcomes, wanted
from zt_gate.domain import Status
from zt_gate.evaluate.adapters.declaration import SCHEMA, Declaration
from zt_gate.evaluate.sample import FIELDS, Sample, pack, unpack
from zt_gate.policy.evaluation_requirements import Backdoor
from zt_gate.rulings.backdoor_scores import NONSENSE
from zt_gate.rulings.backdoor_triggers_text import SAID, phrase_found
from zt_gate.rulings.robustness_measurement import parse_measurement
from zt_gate.rulings.robustness_pictures import robustness_pictures
from zt_gate.trust.statements.statement import BACKDOOR_TYPE, Statement
from zt_gate.trust.statements.ticket import TICKET_TYPE, parse_ticket

EXAMPLES = settings(max_examples=int(os.environ.get("ZT_GATE_FUZZ", "60")), deadline=None)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)  # JSON knows no others
SCALARS = st.none() | st.booleans() | st.integers() | FLOATS | st.text(max_size=6)
VALUES = st.recursive(
    SCALARS, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=6), part, max_size=3)
)
BENCH = Bench()
GOOD = BENCH.measured(outcomes(240, 40, 20))


def altered(draw, value):
    """Return a value with something in it replaced or taken away."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        name = draw(st.sampled_from(sorted(value)))
        rest = {key: item for key, item in value.items() if key != name}
        return rest if not draw(st.integers(0, 3)) else {**rest, name: altered(draw, value[name])}
    if isinstance(value, list) and value and draw(st.integers(0, 2)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], altered(draw, value[at]), *value[at + 1 :]]
    return draw(VALUES)


@EXAMPLES
@given(st.data())
def test_a_predicate_with_anything_in_it_is_evidence(data):
    predicate = altered(data.draw, GOOD)
    predicate = predicate if isinstance(predicate, dict) else {"robustness": predicate}
    found = BENCH.judge(wanted(replay=True), BENCH.ticket(), BENCH.sign(predicate))
    assert found.status is not Status.PASS  # nothing is stored, and the replay is asked for
    kept = BENCH.judge(wanted(), BENCH.ticket(), BENCH.sign(predicate))
    assert kept.status is not Status.PASS or predicate["robustness"]["codes"] == GOOD["robustness"]["codes"]


@EXAMPLES
@given(VALUES, VALUES, VALUES)
def test_backdoor_numbers_of_any_form_are_evidence(value, training, triggers):
    predicate = {**BENCH.frame(), "backdoor": value, "training": training, "triggers": triggers}
    demand = Backdoor(by=("runner",), tickets=("gate",))
    found = BENCH.judge(demand, BENCH.ticket(), BENCH.sign(predicate, kind=BACKDOOR_TYPE))
    assert found.status in (Status.FAIL, Status.INCOMPLETE)


@EXAMPLES
@given(st.data())
def test_backdoor_numbers_with_anything_in_them_are_evidence(data):
    numbers = altered(data.draw, report(3, 4))
    predicate = {**BENCH.frame(), "backdoor": numbers, "triggers": data.draw(VALUES)}
    demand = Backdoor(by=("runner",), tickets=("gate",))
    assert BENCH.judge(demand, BENCH.ticket(), BENCH.sign(predicate, kind=BACKDOOR_TYPE)).check == "backdoor"


@EXAMPLES
@given(st.data())
def test_phrases_of_any_form_are_judged_or_refused(data):
    slot = {"target": 1, "tokens": [4], "words": ["cf"], "size": 1, "successes": 97, "images": 100, "push": 9.0,
            "second": 4.0, "alike": 1, "said": dict.fromkeys(SAID, 3)}  # fmt: skip
    entry = altered(data.draw, {"slots": [slot], "reference": [3]})
    try:
        found = phrase_found(entry)
    except NONSENSE:
        return
    assert found is None or len(found.words) <= 200


@EXAMPLES
@given(st.data())
def test_a_ticket_is_read_or_refused(data):
    value = altered(data.draw, BENCH.ticket_value())
    try:
        ticket = parse_ticket(Statement((), TICKET_TYPE, value if isinstance(value, dict) else {"data": value}))
    except ValueError:
        return
    assert ticket.samples >= 1


@EXAMPLES
@given(st.data())
def test_numbers_are_read_or_refused_and_drawn_or_not(data):
    value = altered(data.draw, GOOD["robustness"])
    if isinstance(value, dict):
        robustness_pictures(value, least=0.5, alpha=0.05)
    try:
        parse_measurement({"robustness": value}, SEED, POPULATION)
    except ValueError:
        return


@EXAMPLES
@given(st.data())
def test_a_declaration_is_read_or_refused(data):
    good = Declaration("image", 10, (1, 8, 8), mean=(0.1,), std=(0.2,), layers=({"type": "relu"},)).to_json()
    value = altered(data.draw, good)
    try:
        assert Declaration.from_json(value).to_json()["schema"] == SCHEMA
    except ValueError:
        return


@EXAMPLES
@given(st.data())
def test_stored_inputs_are_read_or_refused(data):
    rows = np.arange(3)
    x = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 1, 2, 2)
    whole = bytearray(pack(Sample(rows, rows, rows - 2, x, x)))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = unpack(bytes(whole))
    except ValueError:
        return
    assert {len(getattr(found, name)) for name in FIELDS} == {len(found)}
