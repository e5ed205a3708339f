"""The page about one version: may it be used, on what evidence, who vouches, what was done. No script, nothing loaded.

`/zt-gate/version/NAME/VERSION`, behind whatever authentication MLflow has. With basic-auth the reader needs the right
to read the model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from zt_gate.domain import printable
from zt_gate.errors import EvidenceError, TargetError
from zt_gate.pages import Markup, document, element
from zt_gate.registry.gatekeeper import Gatekeeper
from zt_gate.registry.ledger import Kept, VersionEvent
from zt_gate.registry.permissions import may_read_model
from zt_gate.registry.verdicts import utc_now
from zt_gate.trust.signatures.envelope import read_envelope
from zt_gate.trust.statements.statement import parse_statement
from zt_gate.trust.statements.summary import EXTENSION

_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#57606a;--rule:#d8dee4;--yes:#1a7f37;--no:#b42318}
@media (prefers-color-scheme:dark){:root{--bg:#0f1318;--fg:#e6e9ee;--soft:#9aa4af;--rule:#2d343c;--yes:#4ac26b;
--no:#ff8177}}
body{margin:0 auto;max-width:960px;padding:24px 20px 60px;background:var(--bg);color:var(--fg);
font:16px/1.5 system-ui,"DejaVu Sans",sans-serif}
h1{font-size:26px;margin:0 0 4px;overflow-wrap:anywhere}h2{font-size:18px;margin:28px 0 4px}p{margin:0 0 8px}
.soft{color:var(--soft);font-size:14px;overflow-wrap:anywhere}.yes{color:var(--yes)}.no{color:var(--no)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:7px 14px 7px 0;border-bottom:1px solid var(--rule);vertical-align:top}
th{font-size:13px;color:var(--soft)}td.name{white-space:nowrap}
""".replace("\n", "")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a page shows."""

    workspace: str
    name: str
    version: int
    aliases: tuple[str, ...]
    digests: tuple[str, ...]
    verdicts: tuple[tuple[str, str, str], ...]
    """Digest, stage, and why it may not be used there; empty where it may."""
    summaries: tuple[Kept, ...]
    history: tuple[VersionEvent, ...]
    trouble: str


def gather(gate: Gatekeeper, workspace: str, version: Any) -> Facts:
    """Collect what is known about a version.

    Args:
        gate: of the server's store.
        workspace: whose version it is.
        version: MLflow's entity.
    """
    name, number = str(version.name), int(version.version)
    rules, now = gate.rules(), utc_now()
    seals = gate.ledger.seals(workspace, name, number)
    digests = tuple(sorted(set(seals.values())))
    summaries = [kept for digest in digests for kept in gate.ledger.summaries(workspace, digest)]
    stages = sorted({(kept.digest, kept.stage) for kept in summaries} | {(seals[stage], stage) for stage in seals})
    verdicts = [(digest, stage, gate.reason(workspace, digest, stage, rules, now)) for digest, stage in stages]
    history = tuple(gate.ledger.history(workspace, name, number))
    aliases = tuple(sorted(version.aliases or ()))
    trouble = rules.trouble_at(now) or _changed(gate, workspace, name, number)
    return Facts(workspace, name, number, aliases, digests, tuple(verdicts), tuple(summaries), history, trouble)


def _changed(gate: Gatekeeper, workspace: str, name: str, number: int) -> str:
    try:
        gate.origins.demand_unchanged(workspace, name, number)
    except TargetError as error:
        return error.message
    return ""


def render(facts: Facts) -> str:
    """Return the page as HTML."""
    title = f"{facts.name} version {facts.version}"
    aliases = ", ".join(f"@{alias}" for alias in facts.aliases) or "no alias"
    sealed = ", ".join(f"sha256:{digest}" for digest in facts.digests) or "never admitted, so nothing is sealed"
    return document(
        f"zt-gate: {title}",
        _STYLE,
        element("h1", title),
        element("p", f"workspace {facts.workspace}; {aliases}", class_="soft"),
        element("p", sealed, class_="soft"),
        element("p", f"Nothing protected is let through: {facts.trouble}", class_="no") if facts.trouble else None,
        element("h2", "Verdict"),
        _verdicts(facts),
        element("h2", "Evidence and approvals"),
        _evidence(facts),
        element("h2", "History"),
        _history(facts),
    )


def _verdicts(facts: Facts) -> Markup:
    if not facts.verdicts:
        return element("p", "No verdict about this version was handed in, or none admitted it yet.", class_="no")
    rows = [
        (stage, element("span", "may be used" if not why else f"may not be used: {why}", class_="no" if why else "yes"))
        for _, stage, why in facts.verdicts
    ]
    return _table(("stage", "verdict"), rows)


def _evidence(facts: Facts) -> Markup:
    rows = []
    for kept in facts.summaries:
        said = _said(kept)
        result = element("span", "allow" if kept.passed else "block", class_="yes" if kept.passed else "no")
        rows.append((kept.stage, result, kept.verified, said["expires"], said["signers"], kept.brought_by))
    if not rows:
        return element("p", "None is kept about its sealed bytes.", class_="soft")
    return _table(("stage", "verdict", "judged", "until", "whose signatures counted", "handed in by"), rows)


def _said(kept: Kept) -> dict[str, str]:
    """Return what a kept summary says, for people; whether it counts stands above it on the page."""
    try:
        ours = parse_statement(read_envelope(kept.data.encode()).payload).predicate[EXTENSION]
        signers = [printable(str(name), 80) for name in ours.get("signers", [])]
        return {"expires": printable(str(ours["expires"]), 40), "signers": "; ".join(signers) or "none was demanded"}
    except (EvidenceError, KeyError, TypeError, AttributeError):
        return {"expires": "cannot be read", "signers": "cannot be read"}


def _history(facts: Facts) -> Markup:
    if not facts.history:
        return element("p", "Nothing protected was done to it. Refusals stand in the audit log.", class_="soft")
    return _table(
        ("time", "act", "by", "outcome"), [(line.time, line.act, line.who, line.outcome) for line in facts.history]
    )


def _table(heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Markup:
    head = element("tr", *(element("th", name) for name in heads))
    body = [element("tr", *(element("td", cell) for cell in row)) for row in rows]
    return element("div", element("table", element("thead", head), element("tbody", *body)), class_="scroll")


PAGE = "/zt-gate/version"
_NAMED = re.compile(rf"{PAGE}/(?P<name>.+)/(?P<version>[0-9]{{1,10}})", re.DOTALL)


def page_asked(path: str) -> tuple[str, str] | None:
    """Return the path and query of the page that a path names; None for any other path.

    MLflow's basic-auth denies any path that it has no exact rule for, so the page has one, with a query.
    """
    found = _NAMED.fullmatch(path)
    return (PAGE, urlencode(found.groupdict())) if found is not None else None


def add_pages(app: Any) -> None:
    """Add the page to MLflow's Flask application, below its authentication."""
    app.add_url_rule(PAGE, "zt_gate_version", _answer, methods=["GET"])


def _answer() -> Any:
    from flask import Response, request
    from mlflow.exceptions import MlflowException
    from mlflow.server import handlers

    name, version = request.args.get("name", ""), request.args.get("version", "")
    if not version.isdecimal() or not may_read_model(name, int(version)):
        return Response("Permission denied", 403, mimetype="text/plain")
    store = handlers._get_model_registry_store()  # noqa: SLF001 - the one store of this worker
    try:
        found = store.get_model_version(name, version)
    except MlflowException:
        return Response("there is no such version", 404, mimetype="text/plain")
    text = render(gather(store.gate, store.workspace(), found))
    # Names and signers on this page come from clients. It has no script, so the browser is told to run none.
    headers = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
    headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    return Response(text, 200, headers=headers, mimetype="text/html")
