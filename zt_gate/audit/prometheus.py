"""Metrics in the text format of Prometheus, for a file that a collector reads.

https://prometheus.io/docs/instrumenting/exposition_formats/. CI jobs end before they could be scraped. No label
ever holds a digest, a person or the name of a release: each different label is a time series.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from zt_gate.audit.metrics import LogMetrics, quantile
from zt_gate.domain import printable

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """One metric: its samples share name, type and meaning."""

    name: str
    kind: str
    """`gauge`, `counter` or `summary`."""
    help: str
    samples: tuple[tuple[str, Labels, float], ...]
    """Suffix, labels, value."""


def render(metrics: LogMetrics, now: datetime, checkpoint: datetime | None) -> str:
    """Return the whole text.

    Args:
        metrics: from a verified log.
        now: the time, for ages and expiries.
        checkpoint: time of the last event that a signed checkpoint covers; None where none was verified.
    """
    lines = []
    for family in families(metrics, now, checkpoint):
        lines += [f"# HELP {family.name} {_help(family.help)}", f"# TYPE {family.name} {family.kind}"]
        lines += [
            f"{family.name}{suffix}{_labels(labels)} {_number(value)}" for suffix, labels, value in family.samples
        ]
    return "\n".join(lines) + "\n"


def families(metrics: LogMetrics, now: datetime, checkpoint: datetime | None) -> Iterator[MetricFamily]:
    """Yield every metric, also those without a sample, so that a dashboard can rely on the names."""
    yield from _incidents(metrics)
    yield from _decisions(metrics)
    yield from _state(metrics, now, checkpoint)


def _incidents(metrics: LogMetrics) -> Iterator[MetricFamily]:
    yield MetricFamily(
        "zt_gate_incident_response_seconds",
        "summary",
        "Time from incident.opened to incident.contained, as recorded by people.",
        _summary(metrics.responses),
    )
    yield _gauge("zt_gate_incidents_open", "Incidents that are recorded and not contained.", metrics.open_incidents)
    yield MetricFamily(
        "zt_gate_time_to_remediate_seconds",
        "summary",
        "Time from the first block of a release name at a stage to its next allow.",
        _summary(metrics.remediations),
    )
    yield _counter(
        "zt_gate_declared_breaches", "Breaches that people declared; declared, not detected.", metrics.breaches
    )
    yield _counter(
        "zt_gate_break_glass", "Times that somebody went around the gate and recorded it.", metrics.breakglass
    )


def _decisions(metrics: LogMetrics) -> Iterator[MetricFamily]:
    yield _counters(
        "zt_gate_authz_denied",
        "Runs and promotions that were refused for want of permission.",
        [({"reason": reason}, number) for reason, number in sorted(metrics.authz_denied.items())],
    )
    yield _counters(
        "zt_gate_authn_denied",
        "Blocked runs by statement that was missing, invalid or from no signer that the policy trusts.",
        [({"reason": reason}, number) for reason, number in sorted(metrics.authn_denied.items())],
    )
    yield _counters(
        "zt_gate_decisions",
        "Finished runs.",
        [
            ({"stage": stage, "team": team, "decision": decision}, number)
            for (stage, team, decision), number in sorted(metrics.decisions.items())
        ],
    )
    yield _counters(
        "zt_gate_rule_results",
        "Findings that blocked a run (fail) or were let through by a waiver (waived).",
        [({"rule": rule, "verdict": verdict}, number) for (rule, verdict), number in sorted(metrics.rules.items())],
    )


def _state(metrics: LogMetrics, now: datetime, checkpoint: datetime | None) -> Iterator[MetricFamily]:
    active, expiring = metrics.waivers(now)
    yield _gauge("zt_gate_waivers_active", "Waivers that the last runs leaned on and that still hold.", active)
    yield _gauge("zt_gate_waivers_expiring", "Those of them that expire within 14 days.", expiring)
    yield _gauge("zt_gate_run_availability_ratio", "Finished runs by started runs.", metrics.availability)
    last = metrics.last_run.timestamp() if metrics.last_run is not None else None
    yield _gauge("zt_gate_last_run_timestamp_seconds", "When the last run finished.", last)
    yield MetricFamily(
        "zt_gate_step_duration_seconds",
        "summary",
        "Wall time of the steps of a run.",
        tuple(
            sample
            for step, (total, runs) in sorted(metrics.steps.items())
            for sample in (("_sum", {"step": step}, total / 1000), ("_count", {"step": step}, runs))
        ),
    )
    yield _gauge("zt_gate_audit_log_size", "Events in the log, or in the window that was asked for.", metrics.events)
    # The clock here may be behind the one that wrote the event.
    age = max(0.0, (now - checkpoint).total_seconds()) if checkpoint is not None else None
    yield _gauge("zt_gate_checkpoint_age_seconds", "Age of the last event that a signed checkpoint covers.", age)


def _gauge(name: str, text: str, value: float | None) -> MetricFamily:
    return MetricFamily(name, "gauge", text, () if value is None else (("", {}, value),))


def _counter(name: str, text: str, value: float) -> MetricFamily:
    return _counters(name, text, [({}, value)])


def _counters(name: str, text: str, samples: Sequence[tuple[Labels, float]]) -> MetricFamily:
    return MetricFamily(f"{name}_total", "counter", text, tuple(("", labels, value) for labels, value in samples))


def _summary(values: list[float]) -> tuple[tuple[str, Labels, float], ...]:
    shares = [("0.5", quantile(values, 0.5)), ("0.9", quantile(values, 0.9))]
    samples = [("", {"quantile": share}, value) for share, value in shares if value is not None]
    return (*samples, ("_sum", {}, sum(values)), ("_count", {}, len(values)))


def _labels(labels: Labels) -> str:
    inner = ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())
    return f"{{{inner}}}" if inner else ""


def _escape(value: str) -> str:
    return printable(value, 120).replace("\\", "\\\\").replace('"', '\\"')


def _help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(round(value, 6))
