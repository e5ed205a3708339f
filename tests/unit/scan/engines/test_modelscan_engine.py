"""modelscan as an engine: real files, hostile ones written by hand and never loaded."""

import importlib.util
import io
import zipfile

import pytest

from zt_gate.domain import Severity, Status
from zt_gate.intake import Freeze, freeze
from zt_gate.isolation.child_process import Answer
from zt_gate.isolation.limits import WorkerLimits
from zt_gate.isolation.supervise import Failure, FailureKind
from zt_gate.scan.engines import engine
from zt_gate.scan.engines.formats import formats_of, holds_pickles, is_pickle
from zt_gate.scan.engines.table import ModelscanCheck

HOSTILE = b"cos\nsystem\n(S'true'\ntR."  # protocol 0: imports os.system
HOSTILE_2 = b"\x80\x02" + HOSTILE
BENIGN = b"\x80\x04]\x94(K\x01K\x02e."  # [1, 2]

needs_modelscan = pytest.mark.skipif(importlib.util.find_spec("modelscan") is None, reason="modelscan is not installed")


def run(root, mode=Freeze.HOLD, check=None):
    with freeze([root], mode) as frozen:
        return (check or ModelscanCheck()).run(frozen)


def archive(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        for name, data in members.items():
            out.writestr(name, data)
    return buffer.getvalue()


@needs_modelscan
@pytest.mark.parametrize("mode", list(Freeze))
@pytest.mark.parametrize("name", ["model.pkl", "MODEL.PKL", "deep/er/model.joblib"])
def test_a_hostile_pickle_is_reported(make_tree, mode, name):
    evidence = run(make_tree({name: HOSTILE, "config.json": b"{}"}), mode)
    [finding] = evidence.findings
    assert evidence.status is Status.FAIL
    assert finding.rule == "ENG-101"
    assert (finding.severity, finding.path, finding.symbol) == (Severity.CRITICAL, name, "os.system")
    assert evidence.metrics["examined"] == "1"
    assert evidence.metrics["skipped_files"] == "config.json"
    assert evidence.claims == ()


@needs_modelscan
def test_a_pickle_under_a_harmless_name_is_examined_all_the_same(make_tree):
    evidence = run(make_tree({"notes.txt": HOSTILE_2}))
    assert [finding.symbol for finding in evidence.findings] == ["os.system"]


@needs_modelscan
def test_a_member_of_an_archive_is_named(make_tree):
    evidence = run(make_tree({"m.pt": archive({"m/data.pkl": HOSTILE_2, "m/data/0": b"\0" * 8, "m/notes": HOSTILE_2})}))
    assert [(finding.path, finding.member) for finding in evidence.findings] == [
        ("m.pt", "m/data.pkl"),
        ("m.pt", "m/notes"),
    ]


@needs_modelscan
def test_the_payload_in_a_later_pickle_of_the_older_torch_format_is_seen(make_tree):
    torch = pytest.importorskip("torch")
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(2)}, buffer, _use_new_zipfile_serialization=False)
    honest = run(make_tree({"old.pt": buffer.getvalue()}))
    assert honest.status is Status.PASS
    # The first three pickles are magic number, protocol and system; the fourth is the object.
    data = buffer.getvalue()
    starts = [index for index in range(len(data)) if data.startswith(b"\x80\x02", index)]
    evidence = run(make_tree({"old.pt": data[: starts[3]] + HOSTILE_2 + data[starts[3] :]}, "other"))
    assert "os.system" in [finding.symbol for finding in evidence.findings]


@needs_modelscan
def test_benign_files_pass(make_tree):
    torch = pytest.importorskip("torch")
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(2)}, buffer)
    evidence = run(make_tree({"a.pkl": BENIGN, "new.pt": buffer.getvalue()}))
    assert (evidence.status, evidence.findings, evidence.gaps) == (Status.PASS, (), ())
    assert evidence.metrics["examined"] == "2"
    assert evidence.metrics["engine"].startswith("modelscan ")


@needs_modelscan
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("broken.pkl", b"\x80\x04\xff\xff"),
        ("empty.pkl", b""),
        ("raw.bin", b"\0" * 64),
        ("cut.zip", b"PK\x03\x04" + b"\0" * 30),
        ("nested.zip", archive({"inner.pt": archive({"data.pkl": BENIGN})})),
        ("memo.pkl", b"\x80\x04h\x07\x93."),
    ],
)
def test_a_file_that_it_tried_and_could_not_read_is_a_gap(make_tree, name, data):
    evidence = run(make_tree({name: data, "good.pkl": BENIGN}))
    assert evidence.status is Status.INCOMPLETE
    assert {gap.path for gap in evidence.gaps} == {name}


@needs_modelscan
def test_a_broken_neighbour_hides_nothing(make_tree):
    files = {"a.zip": b"PK\x03\x04" + b"\0" * 30, "b.pkl": HOSTILE, "c.pkl": b"\x80\x04\xff"}
    evidence = run(make_tree(files))
    assert [finding.path for finding in evidence.findings] == ["b.pkl"]
    assert evidence.status is Status.INCOMPLETE


@needs_modelscan
def test_the_order_of_the_files_does_not_show(make_tree, tmp_path):
    files = {"b.pkl": HOSTILE, "a.pkl": HOSTILE_2, "x.bin": b"\0" * 9, "c/d.pkl": BENIGN}
    first = run(make_tree(files, "one"))
    second = run(make_tree(dict(reversed(files.items())), "two"))
    assert first == second


def test_nothing_to_read_is_not_applicable_and_starts_no_process(make_tree, monkeypatch):
    monkeypatch.setattr(engine, "run_module", lambda *_: pytest.fail("a worker was started"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: object())
    evidence = run(make_tree({"model.safetensors": b"\x02" + b"\0" * 20, "config.json": b"{}"}))
    assert evidence.status is Status.NOT_APPLICABLE
    assert evidence.metrics == {"examined": "0", "skipped": "2", "skipped_files": "config.json, model.safetensors"}


@needs_modelscan
def test_an_archive_without_anything_to_read_is_not_applicable(make_tree):
    evidence = run(make_tree({"table.zip": archive({"a.csv": b"1,2"})}))
    assert evidence.status is Status.NOT_APPLICABLE
    assert evidence.metrics["skipped_files"] == "table.zip"


def test_without_modelscan_the_evidence_is_missing(make_tree, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    evidence = run(make_tree({"config.json": b"{}"}))
    assert evidence.status is Status.MISSING
    assert "pip install" in evidence.gaps[0].fix


@needs_modelscan
def test_a_timeout_is_a_gap(make_tree):
    evidence = run(make_tree({"a.pkl": BENIGN}), check=ModelscanCheck(WorkerLimits(wall_seconds=0.01)))
    assert evidence.status is Status.INCOMPLETE
    assert "timeout" in evidence.gaps[0].reason


_GOOD = {"path": "a.pkl", "examined": 1, "errors": [], "issues": []}


@pytest.mark.parametrize(
    "outcome",
    [
        Failure(FailureKind.CRASH, "ended by SIGSEGV"),
        Answer({}),
        Answer({"version": "1", "files": []}),
        Answer({"version": "1", "files": [_GOOD, _GOOD]}),
        Answer({"version": 7, "files": [_GOOD]}),
        Answer({"version": "1", "files": [_GOOD | {"examined": "many"}]}),
        Answer({"version": "1", "files": [_GOOD | {"issues": [["", "os.system", "catastrophic", "x"]]}]}),
        Answer({"version": "1", "files": [_GOOD | {"issues": [["os"]]}]}),
        Answer({"version": "1", "files": [_GOOD | {"errors": [None]}]}),
    ],
)
def test_a_worker_that_fails_or_talks_nonsense_is_incomplete(make_tree, monkeypatch, outcome):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: object())
    monkeypatch.setattr(engine, "run_module", lambda *_: outcome)
    assert run(make_tree({"a.pkl": BENIGN})).status is Status.INCOMPLETE


def test_formats_go_by_name_and_by_first_bytes():
    assert formats_of("a/b.PKL", b"") == ["pickle"]
    assert formats_of("x.pt", b"\x80\x02") == ["pickle", "pytorch"]
    assert formats_of("x.json", b"{}") == []
    assert not holds_pickles(".pkl", b"")  # a name without an extension
    assert holds_pickles("x.docx", b"PK\x03\x04")
    assert [is_pickle(bytes([0x80, version])) for version in range(8)] == [False] * 2 + [True] * 4 + [False] * 2
