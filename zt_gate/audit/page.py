"""A page that compares teams or months: one file, no script, nothing loaded, light and dark."""

from __future__ import annotations

from datetime import UTC, datetime

from zt_gate import __version__
from zt_gate.audit.compare import COLUMNS, LogComparison, row
from zt_gate.audit.metrics import LogMetrics
from zt_gate.audit.reader import LogSummary
from zt_gate.domain import printable
from zt_gate.pages import ChartLine, Markup, bars, document, element, format_value, join, lines
from zt_gate.pages.charts import MAX_LINES

_MAX_BARS = 12
_BAR_COLUMNS = (1, 2, 3, 4, 6)
"""Columns that are drawn as bars."""
_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#57606a;--rule:#d8dee4;--track:#eef1f4;--bar:#0072b2;
--s0:#0072b2;--s1:#b35900;--s2:#00795a;--s3:#a8437e;--s4:#1f6f8f;--s5:#8a6d00}
@media (prefers-color-scheme:dark){:root{--bg:#0f1318;--fg:#e6e9ee;--soft:#9aa4af;--rule:#2d343c;--track:#1b2129;
--bar:#56b4e9;--s0:#56b4e9;--s1:#e69f00;--s2:#2bbf94;--s3:#e08fc0;--s4:#8fd0e8;--s5:#f0e442}}
body{margin:0 auto;max-width:1060px;padding:24px 20px 60px;background:var(--bg);color:var(--fg);
font:16px/1.5 system-ui,"DejaVu Sans",sans-serif}
h1{font-size:26px;margin:0 0 4px}h2{font-size:18px;margin:0 0 2px}p{margin:0 0 8px;color:var(--soft)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(440px,1fr));gap:28px 36px;margin:28px 0}
figure{margin:0}figure.wide{grid-column:1/-1}svg{width:100%;height:auto;display:block}
svg text{font:13px system-ui,"DejaVu Sans",sans-serif;fill:var(--fg)}svg .axis{fill:var(--soft);font-size:12px}
.track{fill:var(--track)}.bar{fill:var(--bar)}.grid{stroke:var(--rule)}.line{fill:none;stroke-width:2.2}
path.s0{stroke:var(--s0)}path.s1{stroke:var(--s1);stroke-dasharray:7 3}path.s2{stroke:var(--s2);stroke-dasharray:2 3}
path.s3{stroke:var(--s3);stroke-dasharray:9 3 2 3}path.s4{stroke:var(--s4);stroke-dasharray:4 4}
path.s5{stroke:var(--s5);stroke-dasharray:12 4}
circle.s0,svg text.s0{fill:var(--s0)}circle.s1,svg text.s1{fill:var(--s1)}circle.s2,svg text.s2{fill:var(--s2)}
circle.s3,svg text.s3{fill:var(--s3)}circle.s4,svg text.s4{fill:var(--s4)}circle.s5,svg text.s5{fill:var(--s5)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:7px 12px;border-bottom:1px solid var(--rule);white-space:nowrap}
th:first-child,td:first-child{text-align:left}thead th{font-size:13px;color:var(--soft);font-weight:600}
tfoot td{font-weight:600}footer{margin-top:32px;font-size:13px;color:var(--soft);overflow-wrap:anywhere}
@media (max-width:520px){.charts{grid-template-columns:1fr}}
""".replace("\n", "")


def page(comparison: LogComparison, summary: LogSummary, covered: int, now: datetime) -> str:
    """Return the page as HTML.

    Args:
        comparison: from a verified log.
        summary: what the log amounts to.
        covered: number of events under a verified checkpoint.
        now: the time of writing.
    """
    noun = "Teams" if comparison.by == "team" else "Months"
    return document(
        f"zt-gate: {noun.lower()} compared",
        _STYLE,
        element("h1", f"{noun} compared"),
        element("p", _period(comparison.total)),
        element("div", _trend(comparison), _bars(comparison), class_="charts"),
        _table(comparison),
        element("footer", _footer(summary, covered, now)),
    )


def _ordered(comparison: LogComparison) -> list[tuple[str, LogMetrics]]:
    """Months in their order; teams by the number of their runs."""
    if comparison.by == "month":
        return sorted(comparison.groups.items())
    return sorted(comparison.groups.items(), key=lambda item: (-item[1].decisions.total(), item[0]))


def _period(total: LogMetrics) -> str:
    last = f"{total.last_event:%Y-%m-%d}" if total.last_event is not None else "nothing yet"
    runs = total.decisions.total()
    return f"{runs} runs, {total.count('block')} of them blocked; last event {last}."


def _trend(comparison: LogComparison) -> Markup | None:
    months = sorted({month for line in comparison.trend.values() for month in line})
    if not months:
        return None
    if comparison.by == "team":
        most = sorted(comparison.trend.items(), key=lambda item: (-sum(n for _, n in item[1].values()), item[0]))
        chosen = dict(most[:MAX_LINES])
    else:
        chosen = {"all runs": _sum_of_teams(comparison)}
    series = [ChartLine(name, tuple(_share(line.get(month)) for month in months)) for name, line in chosen.items()]
    note = f" The {MAX_LINES} with the most runs are shown." if len(comparison.trend) > len(series) > 1 else ""
    return element(
        "figure",
        element("h2", "Blocked runs by month"),
        element("p", f"Share of the finished runs.{note}"),
        lines("Share of blocked runs by month", months, series),
        class_="wide",
    )


def _sum_of_teams(comparison: LogComparison) -> dict[str, list[int]]:
    result: dict[str, list[int]] = {}
    for line in comparison.trend.values():
        for month, (blocked, runs) in line.items():
            known = result.get(month, [0, 0])
            result[month] = [known[0] + blocked, known[1] + runs]
    return result


def _share(counts: list[int] | None) -> float | None:
    return counts[0] / counts[1] if counts and counts[1] else None


def _bars(comparison: LogComparison) -> Markup:
    groups = _ordered(comparison)
    chosen = groups[:_MAX_BARS] if comparison.by == "team" else groups[-_MAX_BARS:]
    metrics = []
    for number in _BAR_COLUMNS:
        column = COLUMNS[number]
        chart = bars(column.title, column.unit, [(name, row(group)[number]) for name, group in chosen])
        metrics.append(element("figure", element("h2", column.title), element("p", column.meaning), chart))
    return join(*metrics)


def _table(comparison: LogComparison) -> Markup:
    first = "Team" if comparison.by == "team" else "Month"
    titles = (first, *(column.title for column in COLUMNS))
    head = element("tr", (element("th", title, scope="col") for title in titles))
    body = (_row(printable(name, 120), group) for name, group in _ordered(comparison))
    foot = element("tfoot", _row("together", comparison.total))
    return element("div", element("table", element("thead", head), element("tbody", body), foot), class_="scroll")


def _row(name: str, metrics: LogMetrics) -> Markup:
    cells = (format_value(value, column.unit) for value, column in zip(row(metrics), COLUMNS, strict=True))
    return element("tr", (element("td", cell) for cell in (name, *cells)))


def _footer(summary: LogSummary, covered: int, now: datetime) -> str:
    signed = (
        f"the first {covered} of its {summary.count} events are covered by a signed checkpoint"
        if covered
        else f"{summary.count} events, chained; no signed checkpoint was verified, so a rewrite would not show"
    )
    origin = printable(summary.checkpoint.origin, 120)
    return (
        f"From the audit log {origin}, read to its end: {signed}. Last line {summary.last}. "
        "Times count where their beginning and their end fall into one group. "
        f"zt-gate {__version__}, {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC."
    )
