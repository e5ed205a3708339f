"""The optional engines: what each names, what it lets pass, and what becomes of a file that it cannot read."""

import importlib.util
import io
import pickle
import pickletools
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from zt_gate.domain import Severity, Status
from zt_gate.intake import Freeze, freeze
from zt_gate.isolation.limits import WorkerLimits
from zt_gate.scan import plan
from zt_gate.scan.engines.table import ENGINES, FicklingCheck, ModelauditCheck, PicklescanCheck

OPTIONAL = (PicklescanCheck, FicklingCheck, ModelauditCheck)
RULES = {"picklescan": "ENG-102", "fickling": "ENG-103", "modelaudit": "ENG-104"}
HOSTILE = b"\x80\x02cos\nsystem\n(S'true'\ntR."
HONEST = pickle.dumps({"weights": [1.5, 2.5], "names": ("a", "b")}, 4)
ORDERED = pickle.dumps(OrderedDict(a=1), 4)
CUT = pickle.dumps(list(range(1000)), 4)[:500]


def asked(check):
    if importlib.util.find_spec(check.id) is None:
        pytest.skip(f"{check.id} is not installed")
    return check


def run(root, check):
    with freeze([root], Freeze.HOLD) as frozen:
        return check().run(frozen)


def archive(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        for name, data in members.items():
            out.writestr(name, data)
    return buffer.getvalue()


def array(value):
    buffer = io.BytesIO()
    np.save(buffer, value, allow_pickle=True)
    return buffer.getvalue()


def test_the_plan_knows_the_engines_of_the_table():
    assert tuple(ENGINES) == plan.ENGINES
    assert {name: check.rule for name, check in ENGINES.items() if name in RULES} == RULES


@pytest.mark.parametrize("check", OPTIONAL)
@pytest.mark.parametrize(
    ("name", "data", "member"),
    [("m.pkl", HOSTILE, ""), ("notes.txt", HOSTILE, ""), ("deep/m.zip", archive({"in/data.pkl": HOSTILE}), "in/data")],
)
def test_a_hostile_pickle_is_named(make_tree, check, name, data, member):
    evidence = run(make_tree({name: data, "honest.pkl": HONEST}), asked(check))
    found = [finding for finding in evidence.findings if finding.severity >= Severity.HIGH]
    assert evidence.status in (Status.FAIL, Status.INCOMPLETE)
    assert found
    assert {(finding.rule, finding.path) for finding in found} == {(check.rule, name)}
    assert any("system" in finding.message and finding.message.startswith(check.id) for finding in found)
    assert any(member in finding.member for finding in found)
    assert evidence.looked == tuple(sorted([name, "honest.pkl"]))
    assert evidence.claims == ()


@pytest.mark.parametrize("check", OPTIONAL)
def test_honest_pickles_pass(make_tree, check):
    files = {"a.pkl": HONEST, "b.pickle": ORDERED, "m.zip": archive({"c.pkl": HONEST})}
    evidence = run(make_tree(files), asked(check))
    assert (evidence.status, evidence.findings, evidence.gaps) == (Status.PASS, (), ())
    assert evidence.metrics["engine"].startswith(f"{check.id} ")
    assert evidence.looked == ("a.pkl", "b.pickle", "m.zip")


@pytest.mark.parametrize("check", OPTIONAL)
@pytest.mark.parametrize(("name", "data"), [("cut.pkl", CUT), ("raw.pkl", b"\x80\x04\xff\xff")])
def test_a_file_that_it_could_not_read_is_a_gap_or_a_finding(make_tree, check, name, data):
    evidence = run(make_tree({name: data, "good.pkl": HONEST}), asked(check))
    assert {gap.path for gap in evidence.gaps} | {finding.path for finding in evidence.findings} == {name}
    assert not any("/tmp" in gap.reason for gap in evidence.gaps)  # the name of a private folder is another each time


def test_picklescan_reads_arrays_of_objects(make_tree):
    asked(PicklescanCheck)
    data = array(np.array([{"a": 1}], dtype=object))
    stop = next(at for _, _, at in pickletools.genops(data[128:])) + 128
    evidence = run(make_tree({"a.npy": data, "b.npy": data[:stop] + HOSTILE}), PicklescanCheck)
    assert [(finding.path, finding.symbol) for finding in evidence.findings] == [("b.npy", "os.system")]


@pytest.mark.parametrize("check", OPTIONAL)
def test_the_order_of_the_files_does_not_show(make_tree, check):
    files = {"b.pkl": HOSTILE, "a.pkl": HONEST, "c.zip": archive({"d.pkl": HOSTILE})}
    first = run(make_tree(files, "one"), asked(check))
    assert first == run(make_tree(dict(reversed(files.items())), "two"), check)


@pytest.mark.parametrize("check", OPTIONAL)
def test_a_folder_without_anything_to_read_is_not_applicable(make_tree, check):
    evidence = run(make_tree({"notes.xyz": b"hello\n"}), asked(check))
    assert (evidence.status, evidence.looked) == (Status.NOT_APPLICABLE, ())


@pytest.mark.parametrize("check", OPTIONAL)
def test_without_it_the_evidence_is_missing_and_says_what_to_install(make_tree, monkeypatch, check):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    evidence = run(make_tree({"m.pkl": HONEST}), check)
    assert evidence.status is Status.MISSING
    assert evidence.gaps[0].reason == f"{check.id} is not installed"
    assert f"pip install '{check.requirement}'" in evidence.gaps[0].fix


@pytest.mark.parametrize("check", OPTIONAL)
def test_a_timeout_is_a_gap(make_tree, check):
    asked(check)
    with freeze([make_tree({"m.pkl": HONEST})], Freeze.HOLD) as frozen:
        evidence = check(WorkerLimits(wall_seconds=0.01)).run(frozen)
    assert evidence.status is Status.INCOMPLETE
    assert "timeout" in evidence.gaps[0].reason
