"""The record as a user types it."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}


def gate(*words, cwd=None, env=None):
    done = subprocess.run(
        [sys.executable, "-m", "zt_gate", *map(str, words)],
        cwd=cwd, env={**ENV, **(env or {})}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (0, 1, 2), done
    return done


def audit(act, log, *words, **more):
    return gate("audit", act, "--log", log, *words, **more)


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A log with two runs, checkpoints and keys; copied for each test."""
    folder = tmp_path_factory.mktemp("audit")
    for name in ("log", "other"):
        assert gate("keygen", "--out", folder / "keys", "--name", name).returncode == 0
    assert gate("keygen", "--out", folder / "keys", "--name", "curve", "--type", "ecdsa").returncode == 0
    (folder / "model.txt").write_text("hello\n")
    words = ("check", folder / "model.txt", "--audit-log", folder / "audit.jsonl", "--team", "vision")
    assert gate(*words, "--audit-key", folder / "keys" / "log.key").returncode == 1
    shutil.copy(folder / "audit.jsonl.checkpoint", folder / "held")
    assert gate(*words, env={"ZT_GATE_AUDIT_KEY": str(folder / "keys" / "log.key")}).returncode == 1
    return folder


@pytest.fixture
def folder(once, tmp_path):
    return shutil.copytree(once, tmp_path / "copy")


@pytest.fixture
def log(folder):
    return folder / "audit.jsonl"


@pytest.fixture
def pub(folder):
    return folder / "keys" / "log.pub"


def test_a_log_is_verified_by_its_chain_and_by_its_checkpoints(folder, log, pub):
    alone = audit("verify", log)
    assert alone.returncode == 0
    assert alone.stdout.startswith("INTACT  4 events, last ")
    assert "By its chain alone" in alone.stderr
    for words in (("--key", pub), ("--key", pub, "--checkpoint", folder / "held")):
        full = audit("verify", log, *words)
        assert full.returncode == 0
        assert "4 of them are covered by a signed checkpoint of zt-gate.dev/audit/" in full.stdout
        assert full.stderr == ""


def test_what_the_chain_does_not_show_a_held_checkpoint_does(folder, log, pub):
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:1]))
    alone = audit("verify", log)
    assert alone.returncode == 0
    assert re.search(r"run [0-9a-f]{32} started and never finished: it counts as a block", alone.stdout)
    for words in ((), ("--checkpoint", folder / "held")):
        held = audit("verify", log, "--key", pub, *words)
        assert held.returncode == 1
        assert held.stdout.startswith("NOT INTACT  the log was cut short")
    again = gate("check", folder / "model.txt", "--audit-log", log, "--audit-key", folder / "keys" / "log.key")
    assert again.returncode == 2
    assert "cut short" in again.stderr
    assert "BLOCK" not in again.stdout


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--checkpoint", "held"), 2, "add --key LOG.pub"),
        (("--key", "keys/other.pub"), 1, "not signed by this key"),
        (("--key", "keys/curve.pub"), 2, "is not Ed25519"),
        (("--key", "nothing.pub"), 2, "cannot read the key"),
        (("--key", "keys/log.pub", "--checkpoint", "nothing"), 2, "there is no checkpoint nothing"),
        (("--key", "keys/log.pub", "--checkpoint", "model.txt"), 1, "no signed checkpoint"),
    ],
)
def test_a_checkpoint_counts_only_when_signed(folder, words, code, says):
    done = audit("verify", "audit.jsonl", *words, cwd=folder)
    assert done.returncode == code
    assert says in done.stdout + done.stderr


def test_a_key_without_any_checkpoint_verifies_nothing(folder, log, pub):
    log.with_name("audit.jsonl.checkpoint").unlink()
    assert audit("verify", log, "--key", pub).returncode == 2


@pytest.mark.parametrize("act", ["verify", "show", "metrics", "anomalies"])
def test_a_log_that_is_not_there_is_an_error(tmp_path, act):
    done = audit(act, tmp_path / "nothing")
    assert done.returncode == 2
    assert "is no file" in done.stderr


def test_a_key_that_cannot_sign_checkpoints_is_refused_before_the_work(folder, tmp_path):
    words = ("check", folder / "model.txt", "--audit-log", tmp_path / "new.jsonl", "--audit-key")
    for key, says in (
        ("curve.key", "is not Ed25519"),
        ("log.pub", "not a PRIVATE KEY"),
        ("none", "cannot read the key"),
    ):
        done = gate(*words, folder / "keys" / key)
        assert done.returncode == 2
        assert says in done.stderr
        assert not (tmp_path / "new.jsonl").exists()
    assert gate("check", folder / "model.txt", "--audit-key", folder / "keys" / "log.key").returncode == 2


def test_events_say_what_was_judged_and_on_which_grounds(log):
    shown = audit("show", log).stdout.splitlines()
    assert [line.split()[0] for line in shown] == ["0", "1", "2", "3"]
    assert "run.finished  block" in shown[1]
    details = json.loads(log.read_text().splitlines()[1])["details"]
    assert (details["stage"], details["team"], details["bytes"], details["name"]) == (
        "production", "vision", "6", "model.txt",
    )  # fmt: skip
    assert "signature/check-missing" in details["reasons"].split()


def test_one_event_is_proven_without_the_log(folder, log, pub):
    assert audit("prove", log, "1", "--out", folder / "p").returncode == 0
    log.unlink()
    proven = gate("audit", "verify-proof", folder / "p", "--key", pub)
    assert proven.returncode == 0
    assert proven.stdout.startswith("PROVEN  event 1 of 4 in zt-gate.dev/audit/")
    assert '"event": "run.finished"' in proven.stdout
    wrong = gate("audit", "verify-proof", folder / "p", "--key", folder / "keys" / "other.pub")
    assert wrong.returncode == 1
    assert wrong.stdout.startswith("NOT PROVEN")
    (folder / "p").write_text((folder / "p").read_text().replace("index 1", "index 0"))
    assert gate("audit", "verify-proof", folder / "p", "--key", pub).returncode == 1
    assert gate("audit", "verify-proof", folder / "nothing", "--key", pub).returncode == 2


@pytest.mark.parametrize("number", ["4", "-1", "x"])
def test_there_is_no_proof_of_what_is_not_there(log, number):
    assert audit("prove", log, number).returncode == 2


def test_segments_are_merged_once(folder, log, pub):
    out = folder / "all.jsonl"
    words = ("audit", "merge", out, log, "--key", pub, "--audit-key", folder / "keys" / "other.key")
    assert ": 4 events merged" in gate(*words).stdout
    assert ": 0 events merged" in gate(*words).stdout
    assert audit("verify", out, "--key", folder / "keys" / "other.pub").stdout.startswith("INTACT  5 events")
    assert gate("audit", "merge", log, log).returncode == 2
    log.write_text(log.read_text().replace("vision", "speech"))
    assert gate(*words).returncode == 2


def test_people_put_incidents_on_record(folder, log):
    key = ("--audit-key", folder / "keys" / "log.key")
    for kind in ("incident.opened", "incident.contained"):
        assert audit("record", log, kind, "--what", "INC-1", "--why", "ticket 7", *key).returncode == 0
    assert "zt_gate_incident_response_seconds_count 1" in audit("metrics", log).stdout
    for words in (("incident.opened", "--what", "", "--why", "x"), ("run.finished", "--what", "x", "--why", "y"),
                  ("breach.declared", "--what", "x", "--why", "y", "--detail", "Bad Name=x"),
                  ("breach.declared", "--what", "x", "--why", "y", "--detail", "merged_time=x")):  # fmt: skip
        assert audit("record", log, *words).returncode == 2


def test_a_secret_of_the_environment_is_not_recorded(folder, log):
    secret = {"DEPLOY_TOKEN": "correct-horse-battery"}
    words = ("breach.declared", "--what", "correct-horse-battery leaked", "--why", "x")
    assert audit("record", log, *words, env=secret).returncode == 0
    assert "correct-horse" not in log.read_text()
    assert "[redacted] leaked" in log.read_text()


@pytest.mark.parametrize("form", ["ocsf", "cef", "ecs", "otlp"])
def test_every_event_is_exported(folder, log, form):
    shown = audit("export", log, "--to", form).stdout
    assert len(shown.splitlines()) == 4
    assert audit("export", log, "--to", form, "--out", folder / "x").returncode == 0
    assert (folder / "x").read_text() == shown


@pytest.mark.parametrize(
    "words", [("export", "--to", "cef"), ("metrics",), ("report", "--out", "page.html"), ("anomalies",)]
)
def test_nothing_is_drawn_from_a_log_that_is_not_intact(folder, log, words):
    text = log.read_text().splitlines(keepends=True)
    log.write_text("".join([*text[:3], text[3].replace("block", "allow")]).replace('"seq":3', '"seq":4'))
    done = audit(words[0], log, *words[1:], cwd=folder)
    assert done.returncode == 2
    assert done.stdout == ""
    assert not (folder / "page.html").exists()


@pytest.mark.parametrize(
    "words", [("export", "--to", "cef"), ("metrics",), ("report", "--out", "x.html"), ("anomalies",)]
)
def test_nothing_is_drawn_from_a_log_that_contradicts_its_checkpoint(folder, log, pub, words):
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:3]))
    assert audit(words[0], log, *words[1:], cwd=folder).returncode == 0
    done = audit(words[0], log, *words[1:], "--key", pub, cwd=folder)
    assert done.returncode == 2
    assert done.stdout == ""


def test_figures_page_and_oddities(folder, log, pub):
    text = audit("metrics", log, "--key", pub).stdout
    assert 'zt_gate_decisions_total{stage="production",team="vision",decision="block"} 2' in text
    assert re.search(r"^zt_gate_checkpoint_age_seconds [0-9.]+$", text, re.MULTILINE)
    assert "zt_gate_audit_log_size 0" in audit("metrics", log, "--until", "2020-01-01").stdout
    assert audit("metrics", log, "--since", "soon").returncode == 2
    for by in ("team", "month"):
        assert audit("report", log, "--by", by, "--key", pub, "--out", folder / "page.html").returncode == 0
        page = (folder / "page.html").read_text()
        assert "the first 4 of its 4 events are covered by a signed checkpoint" in page
    assert audit("anomalies", log).stdout == ""
