"""Figures against numbers that were worked out by hand."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.audit_logs import NOW, event, honest_runs, write_log
from zt_gate.audit import read_events
from zt_gate.audit.compare import COLUMNS, LogComparison, row
from zt_gate.audit.metrics import LogMetrics, parse_window, quantile
from zt_gate.audit.page import page
from zt_gate.audit.prometheus import families, render
from zt_gate.audit.reader import verify
from zt_gate.errors import UsageError

ROOT = Path(__file__).parents[3]
HOUR = timedelta(hours=1)


def finished(run, outcome, **details):
    return event("run.finished", run, outcome=outcome, details={"stage": "production", "name": "m", **details})


HAND = [
    (event("run.started", "a", details={"team": "vision"}), NOW),
    (finished("a", "block", team="vision", rules="ART-101:2 ENG-104:1", milliseconds="scan:500 freeze:100",
              reasons="signature/check-missing approvals/check-missing artifacts/finding"), NOW),
    (event("run.started", "b"), NOW + HOUR),
    (finished("b", "block", reasons="signature/finding", milliseconds="scan:1500"), NOW + HOUR),
    (event("run.started", "c"), NOW + 2 * HOUR),
    (event("incident.opened", "i", what="INC-1"), NOW + 2 * HOUR),
    (event("incident.opened", "i", what="INC-2"), NOW + 2 * HOUR),
    (event("incident.opened", "i", what="INC-3"), NOW + 2 * HOUR),
    (event("incident.contained", "i", what="INC-1"), NOW + 3 * HOUR),
    (event("incident.contained", "i", what="INC-2"), NOW + 6 * HOUR),
    (event("incident.contained", "i", what="never opened"), NOW + 6 * HOUR),
    (event("run.started", "d"), NOW + 8 * HOUR),
    (finished("d", "allow", waived="COD-001:3", waivers="W-1@2026-06-10T00:00:00Z W-2@2026-07-30T00:00:00Z"),
     NOW + 8 * HOUR),
    (event("breach.declared", "x"), NOW + 9 * HOUR),
    (event("promotion.denied", "x"), NOW + 9 * HOUR),
    (event("breakglass.used", "x"), NOW + 9 * HOUR),
]  # fmt: skip


def metrics(log, pairs=HAND, **window):
    found = LogMetrics(**window)
    for item in read_events(write_log(log, pairs)):
        found.observe(item)
    return found


def samples(text):
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


def test_the_figures_are_those_worked_out_by_hand(log):
    text = samples(render(metrics(log), NOW + 10 * HOUR, NOW + 9 * HOUR))
    assert text == {
        'zt_gate_incident_response_seconds{quantile="0.5"}': "3600",
        'zt_gate_incident_response_seconds{quantile="0.9"}': "14400",
        "zt_gate_incident_response_seconds_sum": "18000",
        "zt_gate_incident_response_seconds_count": "2",
        "zt_gate_incidents_open": "1",
        'zt_gate_time_to_remediate_seconds{quantile="0.5"}': "28800",
        'zt_gate_time_to_remediate_seconds{quantile="0.9"}': "28800",
        "zt_gate_time_to_remediate_seconds_sum": "28800",
        "zt_gate_time_to_remediate_seconds_count": "1",
        "zt_gate_declared_breaches_total": "1",
        "zt_gate_break_glass_total": "1",
        'zt_gate_authz_denied_total{reason="approvals/check-missing"}': "1",
        'zt_gate_authz_denied_total{reason="promotion/denied"}': "1",
        'zt_gate_authn_denied_total{reason="signature/check-missing"}': "1",
        'zt_gate_authn_denied_total{reason="signature/finding"}': "1",
        'zt_gate_decisions_total{stage="production",team="",decision="allow"}': "1",
        'zt_gate_decisions_total{stage="production",team="",decision="block"}': "1",
        'zt_gate_decisions_total{stage="production",team="vision",decision="block"}': "1",
        'zt_gate_rule_results_total{rule="ART-101",verdict="fail"}': "2",
        'zt_gate_rule_results_total{rule="COD-001",verdict="waived"}': "3",
        'zt_gate_rule_results_total{rule="ENG-104",verdict="fail"}': "1",
        "zt_gate_waivers_active": "2",
        "zt_gate_waivers_expiring": "1",
        "zt_gate_run_availability_ratio": "0.75",
        "zt_gate_last_run_timestamp_seconds": str(int((NOW + 8 * HOUR).timestamp())),
        'zt_gate_step_duration_seconds_sum{step="freeze"}': "0.1",
        'zt_gate_step_duration_seconds_count{step="freeze"}': "1",
        'zt_gate_step_duration_seconds_sum{step="scan"}': "2",
        'zt_gate_step_duration_seconds_count{step="scan"}': "2",
        "zt_gate_audit_log_size": "16",
        "zt_gate_checkpoint_age_seconds": "3600",
    }


@pytest.mark.parametrize(("seconds", "active", "expiring"), [(-1, 1, 1), (0, 0, 0), (1, 0, 0)])
def test_a_waiver_ends_at_its_second(seconds, active, expiring):
    found = LogMetrics()
    details = {"waivers": "W@2026-06-10T00:00:00Z junk@ x@yesterday"}
    found.observe(
        {"event": "run.finished", "run": "r", "outcome": "allow", "time": "2026-06-01T00:00:00Z", "details": details}
    )
    now = NOW.replace(day=10) + timedelta(seconds=seconds)
    assert found.waivers(now) == (active, expiring)


@pytest.mark.parametrize(("seconds", "expiring"), [(-1, 0), (0, 1), (1, 1)])
def test_a_waiver_is_about_to_expire_from_fourteen_days_on(seconds, expiring):
    found = LogMetrics()
    details = {"waivers": "W@2026-06-15T00:00:00Z"}
    found.observe(
        {"event": "run.finished", "run": "r", "outcome": "allow", "time": "2026-06-01T00:00:00Z", "details": details}
    )
    assert found.waivers(NOW + timedelta(seconds=seconds)) == (1, expiring)


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_the_window_begins_at_its_second_and_ends_before_it(log, seconds):
    """Three events at the end of the log, two at its start."""
    assert metrics(log, since=NOW + 9 * HOUR + timedelta(seconds=seconds)).events == (0 if seconds > 0 else 3)
    log.unlink()
    assert metrics(log, until=NOW + timedelta(seconds=seconds)).events == (2 if seconds > 0 else 0)


def test_an_empty_log_has_every_name_and_no_invented_value(log):
    text = render(LogMetrics(), NOW, None)
    assert not re.search(r"^zt_gate_(run_availability_ratio|checkpoint_age_seconds) ", text, re.MULTILINE)
    assert "# TYPE zt_gate_checkpoint_age_seconds gauge" in text


def test_labels_cannot_break_out_of_their_line(log):
    odd = 'a"} 1\nzt_gate_declared_breaches_total 99\\'
    text = render(metrics(log, [(finished("a", "allow", team=odd), NOW)]), NOW, None)
    assert "\nzt_gate_declared_breaches_total 0\n" in text
    assert "\nzt_gate_declared_breaches_total 99" not in text
    label = r'"(?:[^"\\\n]|\\\\|\\")*"'
    line = re.compile(rf"[a-z_0-9]+(\{{[a-z_]+={label}(,[a-z_]+={label})*\}})? -?[0-9.e+-]+")
    assert all(line.fullmatch(row) for row in text.splitlines() if not row.startswith("#"))


def test_no_label_holds_a_digest_a_person_or_a_release(log):
    text = render(metrics(log, honest_runs(4, 1)), NOW, None)
    assert not re.search(r"[0-9a-f]{32}|model-\d|release-\d", text)


def test_teams_without_end_are_counted_together(log):
    text = render(metrics(log, [(finished(str(n), "allow", team=f"t{n}"), NOW) for n in range(230)]), NOW, None)
    assert text.count("zt_gate_decisions_total{") == 201
    assert 'team="others",decision="allow"} 30' in text


def emitted():
    names = set()
    for family in families(LogMetrics(), NOW, None):
        names.add(family.name)
        if family.kind == "summary":
            names |= {f"{family.name}_sum", f"{family.name}_count"}
    return names


def test_every_query_of_the_dashboard_asks_for_what_is_emitted():
    board = json.loads((ROOT / "docs" / "grafana" / "zt-gate.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked = {name for query in queries for name in re.findall(r"zt_gate_[a-z_]+", query)}
    assert asked
    assert asked <= emitted()
    assert {name.removesuffix("_sum").removesuffix("_count") for name in emitted()} <= {
        name.removesuffix("_sum").removesuffix("_count") for name in asked
    }
    known = {"stage", "team", "decision", "rule", "verdict", "reason", "step", "quantile"}
    for query in queries:
        assert set(re.findall(r"([a-z]+)=\"", query)) <= known
        assert set(re.findall(r"by \(([a-z]+)\)", query)) <= known
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_the_docs_explain_every_metric():
    text = (ROOT / "docs" / "audit.md").read_text()
    assert [family.name for family in families(LogMetrics(), NOW, None) if f"`{family.name}" not in text] == []


def test_the_docs_quote_the_last_measurement():
    measured = (ROOT / "benchmarks" / "results" / "audit_speed.md").read_text().strip()
    text = (ROOT / "docs" / "audit.md").read_text()
    assert f"<!-- bench:audit_speed -->\n{measured}\n<!-- /bench -->" in text


@pytest.mark.parametrize(("values", "share", "wanted"), [
    ([], 0.5, None), ([3], 0.9, 3), ([1, 2, 3, 4], 0.5, 2), ([1, 2, 3, 4], 0.9, 4), (list(range(1, 11)), 0.9, 9),
])  # fmt: skip
def test_quantiles_are_nearest_rank(values, share, wanted):
    assert quantile(values, share) == wanted


def test_a_window_needs_a_date():
    assert parse_window("2026-06-01", "--since") == NOW
    with pytest.raises(UsageError, match="--since is no date"):
        parse_window("yesterday", "--since")


def compared(log, by, pairs=HAND):
    found = LogComparison(by)
    for item in read_events(write_log(log, pairs)):
        found.observe(item)
    return found


def test_teams_are_compared_by_their_own_events(log):
    found = compared(log, "team")
    assert row(found.groups["vision"]) == (1, 1.0, None, None, 2, 0, 1.0)
    assert row(found.groups["no team"])[:2] == (2, 0.5)
    assert row(found.total) == (3, 2 / 3, 3600, 28800, 4, 1, 0.75)


def test_a_run_over_midnight_is_no_outage(log):
    end = NOW - timedelta(seconds=5)
    pairs = [(event("run.started", "a"), end), (finished("a", "allow"), NOW)]
    found = compared(log, "month", pairs)
    assert found.groups["2026-05"].availability == 1.0


def test_the_page_is_complete_and_can_run_nothing(log):
    odd = '<script>alert(1)</script>"onload="x'
    pairs = [*honest_runs(6, 3), (event("run.started", "x", details={"team": odd}), NOW + 2000 * HOUR)]
    found = compared(log, "team", sorted(pairs, key=lambda pair: pair[1]))
    text = page(found, verify(log), 0, NOW)
    assert "<script" not in text
    assert "style=" not in text
    assert not re.search(r"<[^>]*\son[a-z]+=", text)
    assert re.findall(r"(?:src|href|url)\s*[=(]", text) == []
    assert "default-src 'none'" in text
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL).group(1)
    import base64
    import hashlib

    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in text
    assert text.count("<svg") == 6
    assert text.count('role="img"') == 6
    assert "prefers-color-scheme:dark" in style
    for column in COLUMNS:
        assert f">{column.title}</th>" in text
    from xml.etree import ElementTree as ET

    for chart in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ET.fromstring(chart)


def test_a_page_of_nothing_is_still_a_page(log):
    log.write_bytes(b"")
    text = page(LogComparison("month"), verify(log), 0, NOW)
    assert "0 runs, 0 of them blocked; last event nothing yet." in text
