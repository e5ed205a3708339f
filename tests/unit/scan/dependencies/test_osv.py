"""The offline lookup of known vulnerabilities: ranges, ages, and what nobody can decide."""

import json
import zipfile
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from zt_gate.intake import Freeze, IntakeLimits, freeze
from zt_gate.scan.dependencies.osv import Affected
from zt_gate.scan.dependencies.vulnerabilities import OsvCopy, VulnerabilityCheck

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def record(name="pillow", identifier="GHSA-aaaa", events=(("introduced", "0"), ("fixed", "10.0.1")), **more):
    affected = {"package": {"ecosystem": "PyPI", "name": name}}
    affected["ranges"] = [{"type": "ECOSYSTEM", "events": [{kind: text} for kind, text in events]}]
    return {"id": identifier, "modified": "2026-11-10T00:00:00.123Z", "affected": [affected]} | more


@pytest.fixture
def look_up(make_tree, tmp_path):
    def run(requirements, *records, now=NOW, days=30, form="zip"):
        release = make_tree({"requirements.txt": requirements.encode()})
        if form == "zip":
            copy = tmp_path / "all.zip"
            with zipfile.ZipFile(copy, "w") as archive:
                for item in records:
                    archive.writestr(f"{item['id']}.json", json.dumps(item))
        else:
            copy = tmp_path / "osv"
            copy.mkdir()
            for item in records:
                (copy / f"{item['id']}.json").write_text(json.dumps(item))
        with freeze([release], Freeze.HOLD, IntakeLimits()) as frozen:
            return VulnerabilityCheck(OsvCopy(copy, now, days)).run(frozen)

    return run


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_an_affected_version_is_found_and_a_mended_one_passes(look_up, form):
    [finding] = look_up("Pillow==9.0.0", record(database_specific={"severity": "MODERATE"}), form=form).findings
    assert (finding.rule, str(finding.severity), finding.line) == ("DPD-201", "medium", 1)
    assert "10.0.1" in finding.fix


def test_a_mended_version_passes(look_up):
    assert str(look_up("pillow==10.0.1\nother==1", record()).status) == "pass"


def test_without_a_word_on_how_bad_it_is_it_is_high(look_up):
    assert str(look_up("pillow==9.0", record()).findings[0].severity) == "high"


def test_malware_is_critical(look_up):
    [finding] = look_up("pilow==1", record("pilow", "MAL-2026-1", [("introduced", "0")])).findings
    assert (finding.rule, str(finding.severity)) == ("DPD-203", "critical")


def test_records_of_one_vulnerability_are_one_finding(look_up):
    records = [
        record(identifier="GHSA-b", aliases=["CVE-2026-1"], database_specific={"severity": "CRITICAL"}),
        record(identifier="PYSEC-2", aliases=["CVE-2026-1"]),
        record(identifier="GHSA-c", aliases=["CVE-2026-2"]),
    ]
    found = look_up("pillow==9.0.0", *records).findings
    assert [str(item.severity) for item in found] == ["critical", "high"]


def test_withdrawn_records_and_other_ecosystems_do_not_count(look_up):
    other = record(identifier="GHSA-d")
    other["affected"][0]["package"]["ecosystem"] = "npm"
    evidence = look_up("pillow==9.0.0", record(withdrawn="2026-01-01T00:00:00Z"), other)
    assert str(evidence.status) == "pass"


@pytest.mark.parametrize(
    ("requirements", "now", "said"),
    [
        ("pillow>=9", NOW, "which version is installed is open"),
        ("pillow==newest", NOW, "not understood"),
        ("-r ../other.txt", NOW, "named elsewhere"),
        ("numpy==1.0", datetime(2027, 1, 1, tzinfo=UTC), "days old"),
        ("numpy==1.0", datetime(2026, 1, 1, tzinfo=UTC), "from the future"),
    ],
)
def test_what_cannot_be_decided_is_incomplete(look_up, requirements, now, said):
    evidence = look_up(requirements, record(), now=now)
    assert str(evidence.status) == "incomplete"
    assert said in evidence.gaps[0].reason


@pytest.mark.parametrize("broken", [{"id": "x"}, {"id": 1, "modified": "2026"}, record(affected=[{"package": 3}])])
def test_a_database_that_is_none_is_incomplete(look_up, broken):
    assert str(look_up("numpy==1", broken).status) == "incomplete"
    assert str(look_up("numpy==1").status) == "incomplete"


def test_without_a_database_nobody_looked(make_tree):
    with freeze([make_tree({"requirements.txt": b"numpy==1"})], Freeze.HOLD, IntakeLimits()) as frozen:
        assert str(VulnerabilityCheck(None).run(frozen).status) == "missing"


VERSIONS = [
    Version(f"{major}.{minor}{pre}") for major in range(3) for minor in range(4) for pre in ("a1", "", ".post1")
]


@given(st.lists(st.sampled_from(VERSIONS), min_size=2, max_size=6, unique=True), st.sampled_from(VERSIONS))
def test_ranges_mean_what_the_schema_says(cuts, version):
    """Cuts in order are introduced, fixed, introduced, …: inside means an odd number of cuts at or before."""
    cuts = sorted(cuts)
    events = [("fixed" if i % 2 else "introduced", str(cut)) for i, cut in enumerate(cuts)]
    shuffled = tuple(reversed(events))
    item = Affected("X", (), None, frozenset(), (shuffled,), ())
    assert item.hits(str(version)) == (sum(cut <= version for cut in cuts) % 2 == 1)


@given(st.sampled_from(VERSIONS), st.sampled_from(VERSIONS))
def test_the_last_affected_version_is_affected(last, version):
    item = Affected("X", (), None, frozenset(), ((("introduced", "0"), ("last_affected", str(last))),), ())
    assert item.hits(str(version)) == (version <= last)


def test_listed_versions_are_compared_as_versions():
    item = Affected("X", (), None, frozenset({"1.0", "weird"}), (), ())
    assert item.hits("1.0.0")
    assert not item.hits("1.0.1")
