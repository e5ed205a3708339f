"""The policy as a tool, through the command line: modes, signing, lint, diff, test, suggest, schema and explain."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.releases import HOSTILE_PICKLE, write_release
from zt_gate.policy.load import pack_names

ROOT = Path(__file__).parents[2]
ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", "NO_COLOR": "1"}


def gate(*words, cwd=None):
    done = subprocess.run(
        [sys.executable, "-m", "zt_gate", *map(str, words)],
        env=ENV, capture_output=True, text=True, check=False, cwd=cwd,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def site(tmp_path):
    """Return a folder with a key, a signed honest release and a policy that allows it."""
    write_release(tmp_path / "model")
    assert gate("keygen", "--out", tmp_path / "keys").returncode == 0
    assert gate("sign", tmp_path / "model", "--key", tmp_path / "keys" / "zt-gate.key").returncode == 0
    (tmp_path / "p.yaml").write_text(gate("policy", "new", "--key", tmp_path / "keys" / "zt-gate.pub").stdout)
    return tmp_path


def change(site, old, new):
    text = (site / "p.yaml").read_text()
    assert old in text
    (site / "p.yaml").write_text(text.replace(old, new))


def check(site, *words):
    return gate("check", site / "model", "--policy", site / "p.yaml", *words)


def block(site):
    (site / "model" / "x.pkl").write_bytes(HOSTILE_PICKLE)


def test_a_first_policy_is_clean_and_says_where_its_schema_is(site):
    done = gate("policy", "lint", site / "p.yaml")
    assert done.returncode == 0, done.stdout
    assert (site / "p.yaml").read_text().startswith("# yaml-language-server: $schema=zt-gate-policy.schema.json\n")
    assert json.loads(gate("policy", "schema").stdout)["title"] == "zt-gate policy v1"


@pytest.mark.parametrize("mode", ["audit", "warn"])
def test_a_stage_that_does_not_enforce_exits_0_loudly_with_an_honest_verdict(site, mode):
    block(site)
    change(site, "  production:\n", f"  production:\n    mode: {mode}\n")
    key = site / "keys" / "zt-gate.key"
    words = ("--summary", site / "s.json", "--summary-key", key, "--out", site / "out")
    done = check(site, *words)
    assert done.returncode == 0
    assert done.stdout.startswith("BLOCK")
    assert f"MODE {mode.upper()}" in done.stdout
    assert "nothing was enforced" in done.stderr
    assert ("warning:" in done.stderr) is (mode == "warn")
    report = json.loads((site / "out" / "report.json").read_text())
    assert (report["decision"], report["mode"], report["exit_code"], report["report_only"]) == ("block", mode, 0, True)
    admit = gate("admit", site / "model", "--summary", site / "s.json", "--key", key.with_suffix(".pub"))
    assert admit.returncode == 1
    assert "the gate blocked this release" in admit.stdout


def test_quiet_does_not_silence_that_nothing_was_enforced(site):
    block(site)
    change(site, "  production:\n", "  production:\n    mode: audit\n")
    assert "nothing was enforced" in check(site, "--quiet", "--format", "json").stderr


def test_a_date_in_the_past_enforces_and_one_to_come_warns(site):
    block(site)
    change(site, "  production:\n", '  production:\n    effective: "2020-01-01T00:00:00Z"\n')
    assert check(site).returncode == 1
    change(site, "2020-01-01", "2099-01-01")
    done = check(site)
    assert (done.returncode, "mode warn" in done.stderr) == (0, True)


def test_a_signed_policy(site):
    key, public = site / "keys" / "zt-gate.key", site / "keys" / "zt-gate.pub"
    assert check(site).returncode == 0
    assert "policy-unsigned" in check(site, "--policy-key", public).stdout
    assert gate("policy", "sign", site / "p.yaml", "--key", key).returncode == 0
    assert check(site, "--policy-key", public).returncode == 0
    # Whoever changes the policy cannot switch the demand off, not even by calling it a warning.
    change(site, "  production:\n", "  production:\n    mode: warn\n")
    done = check(site, "--policy-key", public)
    assert (done.returncode, "policy-unsigned" in done.stdout) == (1, True)


def test_a_policy_may_demand_its_own_signature(site):
    change(site, "metadata:\n", "metadata:\n  signed: true\n")
    assert "no key was named" in check(site).stdout
    assert gate("policy", "sign", site / "p.yaml", "--key", site / "keys" / "zt-gate.key").returncode == 0
    assert check(site).returncode == 1
    assert check(site, "--policy-key", site / "keys" / "zt-gate.pub").returncode == 0


def test_a_pack_has_no_signature_of_its_own(site):
    done = gate("check", site / "model", "--policy", "pack:strict", "--policy-key", site / "keys" / "zt-gate.pub")
    assert (done.returncode, "has no signature" in done.stderr) == (2, True)


def test_lint_points_at_the_line(site):
    change(site, "stages:\n", "rules:\n  ART-1011: {severity: critical}\nstages:\n")
    done = gate("policy", "lint", site / "p.yaml")
    assert done.returncode == 1
    assert re.search(r"unknown-rule: .*p\.yaml:\d+:3: there is no rule 'ART-1011'", done.stdout)
    assert "^" in done.stdout
    assert "help: did you mean" in done.stdout
    value = json.loads(gate("policy", "lint", site / "p.yaml", "--format", "json").stdout)
    assert [item["code"] for item in value["problems"]] == ["unknown-rule"]


def test_diff_lets_a_tightening_through_and_stops_the_rest(site):
    (site / "old.yaml").write_text((site / "p.yaml").read_text())
    change(site, "  production:\n", "  production:\n    block_at: medium\n")
    done = gate("policy", "diff", site / "old.yaml", site / "p.yaml")
    assert (done.returncode, "stricter" in done.stdout) == (0, True)
    done = gate("policy", "diff", site / "p.yaml", site / "old.yaml", "--format", "json")
    value = json.loads(done.stdout)
    assert (done.returncode, value["tightens"]) == (1, False)
    assert [(item["direction"], item["stage"], item["setting"]) for item in value["changes"]] == [
        ("looser", "production", "block_at")
    ]
    assert gate("policy", "diff", site / "p.yaml", site / "p.yaml").stdout == "no difference\n"


def test_the_cases_of_the_docs_pass(site):
    (text,) = re.findall(
        r"```yaml\n([^`]*kind: PolicyTest\n.*?)```", (ROOT / "docs/policy-tools.md").read_text(), re.DOTALL
    )
    (site / "cases.yaml").write_text(text.replace("policy: zt-gate.yaml", "policy: p.yaml"))
    done = gate("policy", "test", site / "cases.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    (site / "cases.yaml").write_text((site / "cases.yaml").read_text().replace("expect: allow", "expect: block"))
    done = gate("policy", "test", site / "cases.yaml")
    assert (done.returncode, "expected block, and the judge says allow" in done.stdout) == (1, True)


def test_suggest_reads_a_verified_log_and_changes_nothing(site):
    log = site / "audit.log"
    for _ in range(3):
        assert check(site, "--audit-log", log).returncode == 0
    before = (site / "p.yaml").read_bytes()
    done = gate("policy", "suggest", site / "p.yaml", "--log", log, "--least", "3")
    assert done.returncode == 0
    assert "production: 3 allowed runs" in done.stdout
    wanted = yaml.safe_load(done.stdout)["stages"]["production"]
    assert wanted["block_at"] == "low"
    assert wanted["audit_log"] is True
    assert (site / "p.yaml").read_bytes() == before
    assert "nothing to suggest" in gate("policy", "suggest", site / "p.yaml", "--log", log, "--least", "4").stdout
    log.write_bytes(log.read_bytes().replace(b'"allow"', b'"block"', 1))
    assert gate("policy", "suggest", site / "p.yaml", "--log", log, "--least", "3").returncode == 2


def test_explain_says_what_would_turn_a_block(site):
    block(site)
    assert check(site, "--out", site / "out").returncode == 1
    done = gate("explain", "--verdict", site / "out" / "report.json")
    assert done.returncode == 0
    assert "Denied by bytes" in done.stdout
    assert "x.pkl" in done.stdout
    assert "sign, attest and approve them again" in done.stdout


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "zt-gate/report/v1"}', '{"a": 1, "a": 2}', "[" * 9999])
def test_explain_refuses_what_is_no_report(tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    done = gate("explain", "--verdict", tmp_path / "r.json")
    assert (done.returncode, "is no report" in done.stderr) == (2, True)


@pytest.mark.parametrize("name", pack_names())
def test_a_pack_alone_allows_nothing_into_production(site, name):
    assert gate("check", site / "model", "--policy", f"pack:{name}").returncode == 1
