"""Each rule about secrets: what fires it, its honest counterpart, and what cannot be searched."""

import gzip
from hashlib import sha256

import pytest

from tests.support.secret_values import private_key, tokens
from zt_gate.domain.evidence import Status
from zt_gate.intake import Freeze, IntakeLimits, freeze
from zt_gate.policy.catalog import rule_ids
from zt_gate.scan.secrets.check import SecretsCheck

TOKENS = tokens(11)
JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJjaS1ydW5uZXIiLCJhZG1pbiI6dHJ1ZX0." + TOKENS["openai"][3:46]
CASES = {
    "SEC-101": (f"hub_token: {TOKENS['huggingface']}\n", "hub_token: ${HF_TOKEN}\n"),
    "SEC-102": (private_key(5), private_key(5).splitlines()[0] + "\n"),
    "SEC-103": ("uri: postgresql://svc:q7Lw2PzR@db.acme.example/m\n", "uri: postgresql://db.acme.example/m\n"),
    "SEC-104": (f"WANDB_API_KEY: {sha256(b'k').hexdigest()[:40]}\n", "WANDB_API_KEY: $(cat /run/secrets/wandb)\n"),
    "SEC-105": ("db_password: q7Lw2PzR9x\n", "db_password: {{ .Values.password }}\n"),
    "SEC-106": (f"authorization: Bearer {JWT}\n", "authorization: Bearer eyJhbGciOiJub25lIn0.eyJhIjoxfQ.\n"),
}


@pytest.fixture
def search(make_tree):
    def run(data, name="settings.yaml"):
        with freeze([make_tree({name: data}, f"in-{name}")], Freeze.HOLD, IntakeLimits()) as frozen:
            return SecretsCheck().run(frozen)

    return run


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_fires_and_its_honest_counterpart_passes(search, rule):
    bad, good = CASES[rule]
    assert [finding.rule for finding in search(bad.encode()).findings] == [rule]
    evidence = search(good.encode(), "honest.yaml")
    assert (evidence.findings, evidence.status) == ((), Status.PASS)


def test_what_cannot_be_searched_is_incomplete(search):
    assert search(gzip.compress(bytes(range(256)) * 20)[:-20], "log.txt.gz").status is Status.INCOMPLETE


def test_every_rule_has_its_examples():
    assert sorted(CASES) == [rule for rule in sorted(rule_ids()) if rule.startswith("SEC-")]
