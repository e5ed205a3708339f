"""The gate from Python: every example of its page runs, results cannot be misread, and nothing is imported early."""

import dataclasses
import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

import zt_gate
from zt_gate.cli.main import main

ROOT = Path(__file__).parents[2]
EVIL = b"cos\nsystem\n."


def test_every_example_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    logger = logging.getLogger("zt_gate")
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL)
    assert len(examples) >= 6
    names, handlers = {}, list(logger.handlers)
    try:
        for example in examples:
            exec(compile(example, "docs/api.md", "exec"), names)
    finally:
        logger.setLevel(logging.NOTSET)
        logger.handlers[:] = handlers
    assert "ART-101" in capsys.readouterr().out


def test_the_page_names_every_field():
    page = (ROOT / "docs" / "api.md").read_text()
    for kind in (zt_gate.ScanResult, zt_gate.Result, zt_gate.Finding, zt_gate.Reason):
        assert [field.name for field in dataclasses.fields(kind) if f"`{field.name}`" not in page] == []


def test_importing_the_package_imports_next_to_nothing():
    program = "import sys, zt_gate; print(sorted(name for name in sys.modules if name.startswith('zt_gate')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['zt_gate']"


def test_scan_is_a_package_and_a_function_whichever_is_imported_first(tmp_path):
    (tmp_path / "a.txt").write_text("hello\n")
    for first in ("import zt_gate", "import zt_gate.scan.plan, zt_gate", "from zt_gate import scan; import zt_gate"):
        program = (
            f"{first}; print(zt_gate.scan({str(tmp_path)!r}).allowed); import zt_gate.scan.plan; zt_gate.scan.plan"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout == "True\n"


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError):
        _ = zt_gate.scam
    assert callable(zt_gate.check)


def test_it_says_what_the_command_line_says(tmp_path, capsys):
    (tmp_path / "m.pkl").write_bytes(EVIL)
    result = zt_gate.check(tmp_path / "m.pkl")
    assert main(["check", str(tmp_path / "m.pkl"), "--format", "json"]) == 1
    said, told = json.loads(capsys.readouterr().out), json.loads(result.report_json)
    for name in ("decision", "subject", "policy", "reasons", "stage", "mode"):
        assert said[name] == told[name]
    assert {item.fingerprint for item in result.findings} == {
        item["fingerprint"] for check in said["checks"] for item in check["findings"]
    }
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.allowed = True
    with pytest.raises(TypeError, match="allowed"):
        bool(result)


@pytest.mark.parametrize(
    "ask",
    [
        lambda place: zt_gate.scan(place / "missing"),
        lambda place: zt_gate.scan([]),
        lambda place: zt_gate.scan(place, engines=["nonsense"]),
        lambda place: zt_gate.scan(place, cache=place / "cache"),
        lambda place: zt_gate.scan(place, max_files=0),
        lambda place: zt_gate.check(place, policy=place / "policy.yaml"),
        lambda place: zt_gate.check(place, policy="pack:nonsense"),
        lambda place: zt_gate.check(place, stage="nonsense"),
        lambda place: zt_gate.check(place, audit_log=place / "audit.jsonl"),
        lambda place: zt_gate.check(place, audit_key=place / "key"),
    ],
)
def test_what_cannot_be_decided_is_raised_or_blocked(tmp_path, ask):
    (tmp_path / "a.txt").write_text("hello\n")
    try:
        result = ask(tmp_path)
    except zt_gate.ZtGateError:
        return
    assert result.allowed is False


def test_verbose_logs_steps_and_workers_and_no_secret(tmp_path, capsys):
    secret = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    (tmp_path / "m.pkl").write_bytes(EVIL)
    (tmp_path / "config.py").write_text(f"TOKEN = '{secret}'\n")
    assert main(["scan", str(tmp_path), "-v"]) == 1
    shown = capsys.readouterr()
    assert "zt-gate: scan took" in shown.err
    assert re.search(r"zt-gate: worker \d+ ended with -?\d+ after", shown.err)
    assert "artifacts: fail, 1 findings" in shown.err
    assert secret not in shown.err + shown.out
    assert main(["scan", str(tmp_path), "-v", "--quiet"]) == 1
    assert capsys.readouterr().err == ""
    assert main(["scan", str(tmp_path)]) == 1
    assert "took" not in capsys.readouterr().err
    assert logging.getLogger("zt_gate").handlers == []
