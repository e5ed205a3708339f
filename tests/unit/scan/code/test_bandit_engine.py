"""What could make bandit pass a file in silence, provoked in a child since bandit's state is global."""

import json
import subprocess
import sys

import pytest

_PROGRAM = """
import ast, json, pathlib, sys
from bandit.core.extension_loader import MANAGER
from zt_gate.scan.code.bandit_engine import run_bandit

module, path = sys.argv[1:]
if module:
    extension = MANAGER.plugins_by_id["B102"]
    original = extension.plugin

    def broken(context):
        raise RuntimeError("broken test")

    broken.__module__, broken._test_id, broken._checks = module, original._test_id, original._checks
    extension.plugin = broken
try:
    data = pathlib.Path(path).read_bytes()
    run = run_bandit({path: (data, ast.parse(data))})
    print(json.dumps({"tests": sorted(issue.test for issue in run.issues), "skipped": dict(run.skipped)}))
except LookupError as error:
    print(json.dumps({"error": str(error)}))
"""


def run(path, module=""):
    command = [sys.executable, "-I", "-c", _PROGRAM, module, str(path)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.fixture
def code(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("exec(x)\n")
    return path


def test_the_control_finds_it(code):
    assert run(code) == {"tests": ["B102"], "skipped": {}}


def test_a_test_that_raises_skips_the_file_instead_of_passing_it(code):
    assert list(run(code, "bandit.plugins.broken")["skipped"]) == [str(code)]


def test_a_test_of_another_distribution_does_not_stand_in_for_bandits_own(code):
    assert "B102" in run(code, "somebody.elses")["error"]
