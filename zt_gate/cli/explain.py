"""`zt-gate explain`: a page of the rule catalogue."""

from __future__ import annotations

import argparse
import difflib
import textwrap

from zt_gate.cli.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("rule", nargs="?", metavar="RULE", help="rule id, such as ART-101; none lists all of them")


def run(args: argparse.Namespace, console: Console) -> int:
    """Print one page, or the list of rules."""
    from zt_gate.errors import UsageError
    from zt_gate.policy.catalog import rule_ids, rule_page

    if args.rule is None:
        for rule in rule_ids():
            page = rule_page(rule)
            console.result(f"{rule:<10} {page.severity:<9} {page.title}" if page else rule)
        return 0
    page = rule_page(args.rule.upper()) or rule_page(args.rule)
    if page is None:
        close = difflib.get_close_matches(args.rule.upper(), rule_ids(), n=1)
        engine = "it comes from an engine; see that engine's documentation" if "." in args.rule else ""
        advice = engine or (f"did you mean {close[0]}?" if close else "zt-gate explain lists all rules")
        raise UsageError(f"no rule is called {args.rule!r}", advice)
    console.result(f"{console.style(page.id, 'bold')}  {page.title}  ({page.severity}, since {page.since})\n")
    for heading, text in (("Why", page.why), ("Fix", page.fix)):
        console.result(console.style(heading, "bold"))
        console.result(textwrap.fill(" ".join(text.split()), 90, initial_indent="  ", subsequent_indent="  ") + "\n")
    console.result(console.style("References", "bold"))
    for reference in page.references:
        console.result(f"  {reference}")
    return 0
