"""Calibrate from honest reports: what is written, what is refused, and how a suspicious report fares by it."""

import base64
import json

import pytest

from tests.support.backdoor_reports import report
from tests.support.verbs import call
from zt_gate.cli.evaluate import calibrate
from zt_gate.errors import EvidenceError, UsageError
from zt_gate.policy.load import load_policy
from zt_gate.rulings.backdoor_calibration import DEFAULT, from_json, to_json


@pytest.fixture
def honest(tmp_path):
    files = []
    for seed in range(12):
        files.append(tmp_path / f"{seed}.json")
        inner = report(seed)
        statement = {"predicate": {"backdoor": inner}}
        envelope = {"payload": base64.b64encode(json.dumps(statement).encode()).decode()}
        files[-1].write_text(json.dumps([inner, {"backdoor": inner}, statement, envelope][seed % 4]))
    return files


def test_a_calibration_is_written_and_read_again(honest, tmp_path):
    code, out, _ = call(calibrate, *honest, "--out", tmp_path / "c.json", "--name", "mine")
    assert code == 0
    assert "12 models, 0 false alarms" in out
    made = from_json(json.loads((tmp_path / "c.json").read_text()))
    assert made.name == "mine"
    assert made.spreads["patch"].models == 12
    assert made.of_any_task().spreads.keys() == DEFAULT.spreads.keys()
    assert set(made.spreads["patch"].classes) == set(range(10))
    assert from_json(to_json(DEFAULT)) == DEFAULT


def test_what_the_policy_takes_is_printed(honest, tmp_path):
    """The two lines, put into a policy beside which the file lies, load; see docs/policy.md."""
    _, out, _ = call(calibrate, *honest, "--out", tmp_path / "c.json")
    lines = out[out.index("backdoor:") :].splitlines()
    (tmp_path / "policy.yaml").write_text(
        'apiVersion: zt-gate/v1\nkind: Policy\nmetadata: {name: t}\nstages:\n  s:\n    '
        + "\n    ".join(lines) + "\n"
    )  # fmt: skip
    loaded = load_policy(str(tmp_path / "policy.yaml")).policy.stages["s"].backdoor.calibration
    assert from_json(json.loads(loaded.json_text)) == from_json(json.loads((tmp_path / "c.json").read_text()))


@pytest.mark.parametrize(("small", "expected"), [(None, 0), (4, 1)], ids=["honest", "suspicious"])
def test_a_report_is_judged_by_it(honest, tmp_path, small, expected):
    (tmp_path / "x.json").write_text(json.dumps(report(99, small)))
    code, out, _ = call(calibrate, *honest, "--out", tmp_path / "c.json", "--judge", tmp_path / "x.json")
    assert code == expected
    assert ("to class 4" in out) is bool(expected)


def test_an_odd_one_among_the_honest_is_named(honest, tmp_path):
    honest[3].write_text(json.dumps(report(3, 7)))
    _, out, _ = call(calibrate, *honest, "--out", tmp_path / "c.json")
    assert f"{honest[3]} stands out among the others" in out


@pytest.mark.parametrize("change", [{"spreads": {}}, {"spreads": {"patch": {"mean": 0, "deviation": 1, "models": 0}}}])
def test_a_calibration_that_accuses_nobody_is_refused(change):
    with pytest.raises(EvidenceError, match="no calibration"):
        from_json(to_json(DEFAULT) | change)


def test_too_few_models_are_refused(honest, tmp_path):
    with pytest.raises(UsageError, match="too few"):
        call(calibrate, *honest[:7], "--out", tmp_path / "c.json")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": "zt-gate/backdoor/v1"}', '{"a": 1, "a": 1}', "nan", '{"payload": "%"}']
)
def test_what_is_no_report_is_refused(honest, tmp_path, text):
    honest[5].write_text(text)
    with pytest.raises(EvidenceError, match=r"5\.json"):
        call(calibrate, *honest, "--out", tmp_path / "c.json")
    assert not (tmp_path / "c.json").exists()


@pytest.mark.parametrize(
    "value", [None, [], {}, {"schema": "x"}, {**to_json(DEFAULT), "spreads": {"patch": {"mean": 1}}}]
)
def test_what_is_no_calibration_is_refused(value):
    with pytest.raises(EvidenceError, match="no calibration"):
        from_json(value)
