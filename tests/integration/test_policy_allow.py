"""`zt-gate policy allow`: waivers for what is unknown, and nothing for what is known to be bad."""

import os
import subprocess
import sys

import pytest
import yaml

from tests.support.releases import HOSTILE_PICKLE, write_release
from zt_gate.corpus.opcodes import call, program, stack_name

ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}
WHO = ("--owner", "alice", "--approved-by", "bob", "--reason", "our own class, read line by line", "--ticket", "ML-1")
UNKNOWN = program(call(stack_name("acme.models", "Net")))


def gate(*words):
    done = subprocess.run(
        [sys.executable, "-m", "zt_gate", *map(str, words)], env=ENV, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return done


def test_a_waiver_turns_block_into_allow(tmp_path):
    release = write_release(tmp_path / "model")
    (release / "state.pkl").write_bytes(UNKNOWN)
    assert gate("keygen", "--out", tmp_path / "keys", "--name", "release").returncode == 0
    assert gate("sign", release, "--key", tmp_path / "keys" / "release.key").returncode == 0
    policy = gate("policy", "new", "--key", tmp_path / "keys" / "release.pub").stdout
    allowed = gate("policy", "allow", release, *WHO)
    assert allowed.returncode == 0
    assert "# covers acme.models.Net" in allowed.stdout
    (tmp_path / "zt-gate.yaml").write_text(policy)
    check = ("check", release, "--policy", tmp_path / "zt-gate.yaml", "--stage", "staging")
    assert gate(*check).returncode == 1
    (tmp_path / "waivers.yaml").write_text(allowed.stdout)
    (tmp_path / "zt-gate.yaml").write_text(policy + "waivers_file: waivers.yaml\n")
    assert gate("policy", "validate", tmp_path / "zt-gate.yaml").returncode == 0
    assert gate(*check).returncode == 0
    (release / "state.pkl").write_bytes(program(call(stack_name("acme.models", "Other"))))
    assert gate(*check).returncode == 1


def test_the_entry_is_as_small_as_can_be(tmp_path):
    (tmp_path / "m.pkl").write_bytes(UNKNOWN)
    (entry,) = yaml.safe_load(gate("policy", "allow", tmp_path / "m.pkl", *WHO, "--days", 7).stdout)["waivers"]
    fields = "id rule subject owner approved_by reason ticket created expires path"
    assert set(entry) == set(fields.split())
    assert (entry["rule"], entry["path"], entry["owner"]) == ("ART-102", "m.pkl", "alice")
    assert entry["subject"].startswith("sha256:")


@pytest.mark.parametrize(
    "data",
    [
        HOSTILE_PICKLE,
        UNKNOWN[:-1] + HOSTILE_PICKLE,
        b"\x80\x02\x82\x01.",
        program(call(stack_name("builtins", "str")) + b")R"),
        UNKNOWN[:-1],
        bytes(range(200, 255)),
    ],
)
def test_what_is_more_than_unknown_is_refused(tmp_path, data):
    (tmp_path / "m.pkl").write_bytes(data)
    done = gate("policy", "allow", tmp_path / "m.pkl", *WHO)
    assert done.returncode == 1
    assert "waivers:" not in done.stdout
    assert "no waiver is written" in done.stdout


def test_every_rule_and_file_that_blocks_gets_an_entry_of_its_own(tmp_path):
    release = write_release(tmp_path / "model")
    (release / "state.pkl").write_bytes(UNKNOWN)
    (release / "more.pkl").write_bytes(UNKNOWN + bytes(7))
    (release / "config.json").write_text('{"auto_map": {"AutoModel": "modeling_x.Net"}}\n')
    (release / "modeling_x.py").write_text("import torch\nx = torch.load('x', weights_only=False)\n")
    allowed = gate("policy", "allow", release, *WHO)
    assert allowed.returncode == 0, allowed.stdout
    entries = yaml.safe_load(allowed.stdout)["waivers"]
    assert {(entry["rule"], entry["path"]) for entry in entries} >= {
        ("ART-102", "state.pkl"),
        ("ART-102", "more.pkl"),
        ("ART-111", "more.pkl"),
        ("ART-660", "config.json"),
        ("COD-102", "modeling_x.py"),
    }
    assert len({entry["id"] for entry in entries}) == len(entries)
    assert gate("keygen", "--out", tmp_path / "keys", "--name", "release").returncode == 0
    assert gate("sign", release, "--key", tmp_path / "keys" / "release.key").returncode == 0
    policy = gate("policy", "new", "--key", tmp_path / "keys" / "release.pub").stdout
    (tmp_path / "waivers.yaml").write_text(allowed.stdout)
    (tmp_path / "zt-gate.yaml").write_text(policy + "waivers_file: waivers.yaml\n")
    assert gate("check", release, "--policy", tmp_path / "zt-gate.yaml", "--stage", "staging").returncode == 0


def test_one_critical_finding_is_enough_to_get_nothing(tmp_path):
    """A file with both kinds: the unknown name could be waived, the known attack beside it never."""
    (tmp_path / "m.pkl").write_bytes(UNKNOWN + UNKNOWN + HOSTILE_PICKLE)
    done = gate("policy", "allow", tmp_path / "m.pkl", *WHO)
    assert (done.returncode, "waivers:" in done.stdout) == (1, False)
    assert "ART-101" in done.stdout
    assert "ART-102" not in done.stdout


def test_a_name_that_intake_refuses_is_never_allowed(tmp_path):
    release = write_release(tmp_path / "model")
    (release / "link.json").symlink_to("/etc/hostname")
    done = gate("policy", "allow", release, *WHO)
    assert (done.returncode, "waivers:" in done.stdout) == (1, False)
    assert "INT-001" in done.stdout


def test_what_needs_nothing_gets_nothing(tmp_path):
    (tmp_path / "c.json").write_text("{}\n")
    done = gate("policy", "allow", tmp_path / "c.json", *WHO)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    "words",
    [
        ("--owner", "alice", "--approved-by", "alice", "--reason", "x" * 30, "--ticket", "ML-1"),
        ("--owner", "alice", "--approved-by", "bob", "--reason", "short", "--ticket", "ML-1"),
        ("--owner", " ", "--approved-by", "bob", "--reason", "x" * 30, "--ticket", "ML-1"),
        (*WHO, "--days", "91"),
        (*WHO, "--days", "0"),
        (*WHO, "--days", "99999999999"),
        ("--owner", "alice", "--approved-by", "bob", "--reason", "x" * 30),
        ("--owner", "alice"),
    ],
)
def test_a_waiver_that_no_policy_would_take_is_not_written(tmp_path, words):
    (tmp_path / "m.pkl").write_bytes(UNKNOWN)
    done = gate("policy", "allow", tmp_path / "m.pkl", *words)
    assert done.returncode == 2
    assert done.stdout == ""
