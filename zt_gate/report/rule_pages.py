"""Pages of the rule catalogue: as text for `zt-gate explain`, and all of them as one page of the documentation."""

from __future__ import annotations

from collections.abc import Iterator

from zt_gate.policy.catalog import LABELS, RulePage, reference_list, rule_ids, rule_page
from zt_gate.report.lines import Line, line

_FAMILIES = {
    "ACC": "Roles and separation of duties",
    "APR": "Approvals",
    "ART": "Artefacts",
    "BOM": "Bills of materials",
    "COD": "Code",
    "DPD": "Dependencies",
    "SEC": "Secrets",
    "DEP": "Serving and mesh manifests",
    "ENG": "Other scanners",
    "INT": "Intake",
    "MLF": "MLflow model folders",
    "PRV": "Provenance",
    "REV": "Revocation",
    "SCN": "Signed results of scanners",
    "SIG": "Signatures",
    "TST": "Test results",
}
_LISTED = LABELS | {"atlas": "MITRE ATLAS", "cwe": "CWE"}


def lines(page: RulePage) -> Iterator[Line]:
    """Yield one page as lines for a screen."""
    yield line((page.id, "bold"), f"  {page.title}  ({' or '.join(page.severities)}, since {page.since})")
    for heading, text in (("Why", page.why), ("Fix", page.fix)):
        yield from (line(), line((heading, "bold")), line(" ".join(text.split()), lead="  "))
    for heading, text in (("Fires on", page.bad), ("Passes", page.good)):
        yield from (line(), line((heading, "bold")), *(line(row, lead="  ") for row in text.splitlines()))
    yield from (line(), line(("References", "bold")), *(line(row, lead="  ") for row in _references(page)))


def _references(page: RulePage) -> Iterator[str]:
    """Yield a line for each reference, with the title that its publisher gave it."""
    for name, ids in page.references.by_catalogue().items():
        titles = reference_list(name).ids if name in _LISTED else {}
        for item in ids:
            said = f"{LABELS[name]} {item}" if name in LABELS else item
            yield f"{said}  {titles[item]}" if item in titles else said


def catalogue() -> str:
    """Return every page of the catalogue as one page of Markdown."""
    pages = [page for rule in rule_ids() if (page := rule_page(rule))]
    lines = ["# Rules", "", _INTRODUCTION.format(count=len(pages)), ""]
    lines += ["| references to | version | source |", "|---|---|---|"]
    for name, label in sorted(_LISTED.items()):
        known = reference_list(name)
        lines.append(f"| {label} | {known.version} | <{known.source}> |")
    family = ""
    for page in pages:
        if page.id.split("-")[0] != family:
            family = page.id.split("-")[0]
            lines += ["", f"## {_FAMILIES.get(family, family)} ({family})"]
        lines += ["", *_section(page)]
    return "\n".join(lines) + "\n"


_INTRODUCTION = """All {count} rules, as `zt-gate explain RULE` shows each of them. Written by `python
tools/rules_page.py` from `rules/catalog/`. A reference says what a finding may be evidence for, and never that
something conforms to it."""


def _section(page: RulePage) -> Iterator[str]:
    yield f"### {page.id} {_plain(page.title)}"
    yield ""
    yield f"*{' or '.join(page.severities)}, since {page.since}.* {_plain(page.why)}"
    yield ""
    for heading, text in (("Fires on", page.bad), ("Passes", page.good)):
        yield f"- {heading}: {_code(text)}"
    yield f"- Fix: {_plain(page.fix)}"
    yield f"- References: {', '.join(_linked(item) for item in page.references.flat())}"


def _plain(text: str) -> str:
    """Return one line of text that Markdown shows as it is."""
    joined = " ".join(text.split())
    for char in ("\\", "`", "*", "_", "<", "["):
        joined = joined.replace(char, f"\\{char}")
    return joined


def _code(text: str) -> str:
    joined = " ".join(text.split())
    fence = "``" if "`" in joined else "`"
    return f"{fence} {joined} {fence}" if "`" in joined else f"{fence}{joined}{fence}"


def _linked(item: str) -> str:
    return f"<{item}>" if item.startswith("https://") else item
