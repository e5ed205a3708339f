"""`zt-gate selftest`: none of the constructs passes, and a hole would be seen."""

import json
import os
import subprocess
import sys

import pytest

from zt_gate.cli.common.console import Console
from zt_gate.cli.main import build_parser
from zt_gate.cli.selftest import SCHEMA, ConstructAnswer, examine, run
from zt_gate.corpus import registry
from zt_gate.corpus.construct import Construct

ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}


def gate(*words):
    return subprocess.run(
        [sys.executable, "-m", "zt_gate", *map(str, words)], env=ENV, capture_output=True, text=True, check=False
    )


def test_no_construct_passes():
    done = gate("selftest", "--format", "json")
    value = json.loads(done.stdout)
    assert value["schema"] == SCHEMA
    assert [item["id"] for item in value["constructs"] if item["answer"] == "passed"] == []
    assert done.returncode == value["exit_code"] == 0
    named = sum(item["answer"] == "named" for item in value["constructs"])
    assert named / len(value["constructs"]) >= 0.97
    assert sum(family["constructs"] for family in value["families"].values()) == len(value["constructs"])


@pytest.mark.parametrize("family", ["pickle-callable", "pickle-machine", "mlflow"])
def test_what_is_examined_by_name_is_named_by_the_right_rules(family):
    kinds = ("MLF-", "DPD-") if family == "mlflow" else ("ART-1",)
    for result in examine(item for item in registry.all_constructs() if item.family == family):
        if result.answer is ConstructAnswer.NAMED:
            assert any(rule.startswith((*kinds, "ART-1", "COD-")) for rule in result.rules), result


def test_one_family_is_shown_as_a_matrix():
    done = gate("selftest", "--family", "import-path", "--verbose")
    assert done.returncode == 0
    assert done.stdout.startswith("family ")
    assert "constructs are blocked" in done.stdout


def test_the_list_names_every_construct():
    done = gate("selftest", "--list")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == len(registry.all_constructs())


def test_an_unknown_family_cannot_be_decided():
    done = gate("selftest", "--family", "nothing")
    assert done.returncode == 2
    assert "families: " in done.stderr


def test_constructs_are_written_to_an_empty_folder_only(tmp_path):
    folder = tmp_path / "out"
    assert gate("selftest", "--family", "gguf", "--write", folder).returncode == 0
    assert (folder / "gguf" / "template-dunder" / "model.gguf").read_bytes().startswith(b"GGUF")
    assert gate("selftest", "--family", "gguf", "--write", folder).returncode == 2


def test_a_hole_is_seen_and_fails(monkeypatch, capsys):
    """The matrix would be worth nothing if it could not fail: an honest file stands in for a hole."""
    honest = Construct("renamed/honest", "an honest file", "CWE-0", lambda: {"config.json": b"{}\n"})
    monkeypatch.setattr(registry, "all_constructs", lambda: (honest,))
    args = build_parser("selftest").parse_args(["selftest"])
    assert run(args, Console()) == 1
    shown = capsys.readouterr().out
    assert "PASSED renamed/honest" in shown
    assert "1 are let through" in shown
