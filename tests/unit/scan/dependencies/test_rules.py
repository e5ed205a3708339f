"""Each rule about dependency files: what fires it, its honest counterpart, and what is not understood."""

import json
import zipfile
from datetime import UTC, datetime

import pytest

from zt_gate.domain.evidence import Status
from zt_gate.intake import Freeze, IntakeLimits, freeze
from zt_gate.policy.catalog import rule_ids
from zt_gate.scan.dependencies.check import DependencyCheck
from zt_gate.scan.dependencies.vulnerabilities import OsvCopy, VulnerabilityCheck

NOW = datetime(2026, 11, 20, tzinfo=UTC)
CASES = {
    "DPD-101": ("numpy>=2", "numpy==2.4.6"),
    "DPD-102": ("helper @ git+https://git.acme.example/helper@main", "helper==1.0"),
    "DPD-103": ("--extra-index-url https://pypi.acme.example/simple", "--index-url https://pypi.org/simple"),
    "DPD-104": ("--trusted-host pypi.acme.example", "--require-hashes"),
    "DPD-105": ("troch==2.13.0", "torch==2.13.0"),
    "DPD-106": ("-r ../common.txt", "-r requirements-more.txt"),
    "DPD-202": ("torch==2.5.1", "torch==2.13.0"),
}
KNOWN = {"DPD-201": "GHSA-aaaa", "DPD-203": "MAL-2026-1"}
BESIDE = {"model.pt": b"x", "requirements-more.txt": b"numpy==2.4.6"}


@pytest.fixture
def check(make_tree):
    def run(line, folder, ask=None):
        with freeze(
            [make_tree({"requirements.txt": line.encode(), **BESIDE}, folder)], Freeze.HOLD, IntakeLimits()
        ) as frozen:
            return (ask or DependencyCheck()).run(frozen)

    return run


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_fires_and_its_honest_counterpart_passes(check, rule):
    bad, good = CASES[rule]
    assert rule in {finding.rule for finding in check(bad, "bad").findings}
    evidence = check(good, "good")
    assert (evidence.findings, evidence.status) == ((), Status.PASS)


@pytest.mark.parametrize("rule", KNOWN)
def test_a_known_version_fires_and_a_mended_one_passes(check, tmp_path, rule):
    events = [{"introduced": "0"}, {"fixed": "1.5"}]
    affected = {"package": {"ecosystem": "PyPI", "name": "acme"}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
    record = {"id": KNOWN[rule], "modified": "2026-11-10T00:00:00Z", "affected": [affected]}
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("a.json", json.dumps(record))
    ask = VulnerabilityCheck(OsvCopy(tmp_path / "all.zip", NOW, 30))
    assert {finding.rule for finding in check("acme==1.0", "bad", ask).findings} == {rule}
    assert check("acme==1.5", "good", ask).status is Status.PASS


def test_what_is_not_understood_is_incomplete(check):
    assert check("= =", "odd").status is Status.INCOMPLETE


def test_every_rule_has_its_examples():
    assert sorted({*CASES, *KNOWN}) == [rule for rule in sorted(rule_ids()) if rule.startswith("DPD-")]
