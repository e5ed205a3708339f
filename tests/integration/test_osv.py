"""`--osv` as a user types it."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.releases import write_release

ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}


def gate(*words):
    done = subprocess.run(
        [sys.executable, "-m", "zt_gate", *map(str, words)], env=ENV, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def release(tmp_path):
    folder = write_release(tmp_path / "model")
    (folder / "requirements.txt").write_text("pillow==9.0.0\n")
    return folder


def database(path, age):
    modified = (datetime.now(UTC) - timedelta(days=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    events = [{"introduced": "0"}, {"fixed": "10.0.1"}]
    affected = {"package": {"ecosystem": "PyPI", "name": "pillow"}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
    path.write_text(json.dumps({"id": "GHSA-x", "modified": modified, "affected": [affected]}))
    return path


def test_a_scan_with_a_database_finds_what_one_without_does_not(release, tmp_path):
    assert gate("scan", release).returncode == 0
    done = gate("scan", release, "--osv", database(tmp_path / "osv.json", 1))
    assert done.returncode == 1
    assert "DPD-201" in done.stdout


def test_a_database_that_is_stale_gone_or_part_of_the_target_decides_nothing(release, tmp_path):
    stale = gate("scan", release, "--osv", database(tmp_path / "osv.json", 100))
    assert (stale.returncode, "days old" in stale.stdout) == (1, True)
    assert gate("scan", release, "--osv", tmp_path / "gone").returncode == 1
    assert gate("scan", release, "--osv", database(release / "osv.json", 1)).returncode == 2


def test_a_stage_that_asks_gets_a_lookup_or_a_block(release, tmp_path):
    policy = tmp_path / "policy.yaml"
    stage = "{checks: {artifacts: required, vulnerabilities: required}, osv_max_age_days: 7}"
    policy.write_text(f"apiVersion: zt-gate/v1\nkind: Policy\nmetadata: {{name: p}}\nstages:\n  dev: {stage}\n")
    (release / "requirements.txt").write_text("pillow==10.0.1\n")
    words = ("check", release, "--policy", policy, "--stage", "dev")
    assert "no copy of the OSV database was named" in " ".join(gate(*words).stdout.split())
    assert gate(*words, "--osv", database(tmp_path / "osv.json", 8)).returncode == 1
    assert gate(*words, "--osv", database(tmp_path / "osv.json", 6)).returncode == 0
    assert gate("check", release, "--stage", "dev", "--osv", tmp_path / "osv.json").returncode == 2
