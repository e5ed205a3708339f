"""The code check as a whole, with the real bandit in a real child process."""

import json

import pytest

from zt_gate.domain import Claim, Severity, Status
from zt_gate.intake import Freeze, freeze
from zt_gate.isolation.child_process import Answer
from zt_gate.isolation.limits import WorkerLimits
from zt_gate.isolation.supervise import Failure, FailureKind
from zt_gate.policy.rules_folder import rules_folder
from zt_gate.scan.code.bandit_engine import INFORMATIVE, TESTS, severity_of
from zt_gate.scan.code.check import CodeCheck
from zt_gate.scan.code.rules import RULE_IDS


def run(root, mode=Freeze.HOLD, check=None):
    with freeze([root], mode) as frozen:
        return (check or CodeCheck()).run(frozen)


def notebook(*sources):
    cells = [{"cell_type": "code", "source": source} for source in sources]
    return json.dumps({"nbformat": 4, "metadata": {}, "cells": cells}).encode()


@pytest.mark.parametrize("mode", list(Freeze))
def test_clean_code_passes_and_is_claimed(make_tree, mode):
    files = {
        "a.py": b"import json\n\n\ndef f(x):\n    return json.dumps(x)\n",
        "n.ipynb": notebook("x = 1"),
        "b.txt": b"(",
    }
    evidence = run(make_tree(files), mode)
    assert (evidence.status, evidence.findings) == (Status.PASS, ())
    assert evidence.claims == tuple(Claim(name, len(files[name]), "python") for name in ("a.py", "n.ipynb"))
    assert evidence.metrics["files"] == "2"


def test_no_code_is_not_applicable_and_starts_no_process(make_tree, monkeypatch):
    monkeypatch.setattr("zt_gate.isolation.child_process.run_module", lambda *_: pytest.fail("a worker was started"))
    assert run(make_tree({"model.safetensors": b"x", "py": b"x"})).status is Status.NOT_APPLICABLE


def test_bandit_and_our_rules_report_place_and_symbol(make_tree):
    code = b"import yaml\nfrom torch import load as l\nyaml.load(x)\nl(x, weights_only=False)\n"
    found = {(f.rule, f.severity, f.line, f.symbol) for f in run(make_tree({"p/a.py": code})).findings}
    assert ("bandit.B506", Severity.MEDIUM, 3, "yaml.load") in found
    assert ("COD-102", Severity.HIGH, 4, "torch.load") in found


def test_findings_in_a_notebook_name_the_cell_and_its_line(make_tree):
    source = notebook("x = 1\n", "# two\n# three\nimport yaml\nyaml.load(x)\n!ls\n")
    found = {f.rule: (f.member, f.line) for f in run(make_tree({"n.ipynb": source})).findings}
    assert found == dict.fromkeys(("bandit.B506", "COD-133"), ("cell-2", 4)) | {"COD-120": ("cell-2", 5)}


@pytest.mark.parametrize("mode", list(Freeze))
def test_nothing_in_the_subject_silences_the_gate(make_tree, mode):
    code = b"import yaml\nyaml.load(x)  # nosec B506\n"
    configuration = {
        ".bandit": b"[bandit]\nskips: B506\nexclude: /\n",
        "bandit.yaml": b"skips: [B506]\n",
        "pyproject.toml": b"[tool.bandit]\nskips = ['B506']\n",
        "setup.cfg": b"[bandit]\nskips = B506\n",
    }
    evidence = run(make_tree({"tests/a.py": code} | configuration), mode)
    assert [(f.rule, f.severity) for f in evidence.findings] == [
        ("COD-133", Severity.MEDIUM),
        ("bandit.B506", Severity.MEDIUM),
        ("COD-109", Severity.INFO),
    ]


def test_a_module_of_the_subject_is_never_imported(make_tree, tmp_path):
    mark = tmp_path / "mark"
    trap = f"open({str(mark)!r}, 'w')\n".encode()
    names = ("yaml.py", "bandit.py", "sitecustomize.py", "zt_gate.py", "conftest.py", "json/__init__.py")
    evidence = run(make_tree(dict.fromkeys(names, trap)), Freeze.COPY)
    assert len(evidence.claims) == len(names)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.py", b"def ("),
        ("a.py", b"x = '\0'"),
        ("a.py", b"\xff\xfe"),
        ("a.PYW", b"# coding: utf-7\nx = 1\n"),
        ("a.py", b"# coding: unicode_escape\nx = 1\n"),
        ("a.py", b"# coding: no-such-codec\nx = 1\n"),
        ("a.py", b"x = " + b"(" * 5000 + b")" * 5000),
        ("a.py", b"x = " + b"-" * 5000 + b"1"),
        ("a.py", b"x = " + b"a." * 3000 + b"b()"),
        ("a.py", b"print 'two'"),
        ("a.ipynb", b"{"),
        ("a.ipynb", notebook("def (")),
    ],
)
def test_what_is_not_parsed_is_a_gap_and_not_claimed(make_tree, name, data):
    evidence = run(make_tree({name: data, "good.py": b"x = 1\n"}))
    assert evidence.status is Status.INCOMPLETE
    assert [gap.path for gap in evidence.gaps] == [name]
    assert [claim.path for claim in evidence.claims] == ["good.py"]


def test_an_encoding_that_hides_code_is_a_finding_too(make_tree):
    evidence = run(make_tree({"a.py": b"# coding: utf-7\nx = 1\n", "b.py": b"# coding: utf-8\nx = 1\n"}))
    assert [(finding.rule, finding.path) for finding in evidence.findings] == [("COD-110", "a.py")]


def test_other_encodings_that_python_knows_are_read(make_tree):
    evidence = run(
        make_tree({"a.py": "# coding: latin-1\nx = 'é'\n".encode("latin-1"), "b.py": b"\xef\xbb\xbfx = 1\n"})
    )
    assert evidence.status is Status.PASS


def test_a_password_is_reported_without_its_value(make_tree):
    code = b"password = 'correct-horse'\nlogin(password='correct-horse')\ndef f(password='correct-horse'): pass\n"
    evidence = run(make_tree({"a.py": code}))
    assert {"bandit.B105", "bandit.B106", "bandit.B107"} <= {finding.rule for finding in evidence.findings}
    assert "correct-horse" not in repr(evidence)


def test_the_order_of_the_files_does_not_show(make_tree):
    files = {"b.py": b"eval(x)\n", "a.py": b"import yaml\nyaml.load(x)\n", "c.py": b"(", "n.ipynb": notebook("!ls")}
    assert run(make_tree(files, "one")) == run(make_tree(dict(reversed(files.items())), "two"))


def test_what_torch_load_does_follows_the_release_s_own_requirements(make_tree):
    code = b"import torch\n\n\ndef f(x):\n    return torch.load(x, weights_only=True)\n"
    for requirement, rules in (
        (b"torch==2.5.1\n", ["COD-126"]),
        (b"torch>=2.10 # torch==2.0\n", []),
        (b"torchx==1\n", []),
    ):
        evidence = run(make_tree({"m.py": code, "requirements.txt": requirement}, requirement[5:9].hex()))
        assert [finding.rule for finding in evidence.findings] == rules


def test_what_the_release_says_about_versions_never_makes_the_rules_laxer(make_tree):
    code = b"import torch\n\n\ndef f(x):\n    return torch.load(x)\n"
    silent = run(make_tree({"m.py": code}, "silent"))
    said = run(make_tree({"m.py": code, "requirements.txt": b"torch>=99\n"}, "said"))
    assert [finding.rule for finding in said.findings] == [finding.rule for finding in silent.findings]


def test_code_shared_out_over_several_workers_is_judged_as_by_one(make_tree, monkeypatch):
    files = {f"p/{name}.py": f"import pickle\nx{name} = pickle.loads(b)\n".encode() for name in range(5)}
    tree = make_tree(files | {"bad.py": b"("})
    alone = run(tree)
    monkeypatch.setattr("zt_gate.scan.code.check._WORTH_A_WORKER", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert run(tree) == alone
    assert [finding.rule for finding in alone.findings].count("COD-104") == 5
    assert len(alone.gaps) == 1


def test_a_timeout_is_a_gap(make_tree):
    evidence = run(make_tree({"a.py": b""}), check=CodeCheck(WorkerLimits(wall_seconds=0.01)))
    assert evidence.status is Status.INCOMPLETE
    assert evidence.claims == ()


_GOOD = {"path": "a.py", "gap": "", "hits": []}


@pytest.mark.parametrize(
    "outcome",
    [
        Failure(FailureKind.CRASH, "ended by SIGSEGV"),
        Answer({}),
        Answer({"version": "1", "files": []}),
        Answer({"version": "1", "files": [{"path": "a.py"}]}),
        Answer({"version": "1", "files": [_GOOD | {"hits": [["COD-101"]]}]}),
        Answer({"version": "1", "files": [_GOOD | {"hits": [["COD-101", 9, 0, 1, "s", "m"]]}]}),
        Answer({"version": "1", "files": [_GOOD | {"gap": 1}]}),
    ],
)
def test_a_worker_that_fails_or_talks_nonsense_is_incomplete(make_tree, monkeypatch, outcome):
    monkeypatch.setattr("zt_gate.isolation.child_process.run_module", lambda *_: outcome)
    assert run(make_tree({"a.py": b"x = 1\n"})).status is Status.INCOMPLETE


def test_severities_of_bandit_are_mapped():
    assert severity_of("B602", "HIGH", "HIGH") is Severity.HIGH
    assert severity_of("B602", "HIGH", "LOW") is Severity.MEDIUM
    assert severity_of("B602", "LOW", "LOW") is Severity.INFO
    assert severity_of("B101", "HIGH", "HIGH") is Severity.INFO
    with pytest.raises(KeyError):
        severity_of("B602", "UNDEFINED", "HIGH")
    with pytest.raises(KeyError):
        severity_of("B602", "HIGH", "UNDEFINED")
    assert set(INFORMATIVE) <= set(TESTS)


def test_every_rule_has_a_page():
    pages = {path.stem for path in (rules_folder() / "catalog").glob("*.yaml")}
    assert set(RULE_IDS) <= pages
    assert {"ENG-101", "ENG-201"} <= pages
