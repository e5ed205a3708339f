"""`zt-gate evaluate calibrate`: calibrate backdoor detectors on honest models."""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from zt_gate.cli.common.console import Console
from zt_gate.cli.common.files import write_atomically
from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import printable
from zt_gate.domain.evidence import Status
from zt_gate.errors import EvidenceError, UsageError
from zt_gate.rulings.backdoor_calibration import to_json
from zt_gate.rulings.backdoor_ruling import SCHEMA, BackdoorThresholds, calibrate, judge_backdoor

FEWEST = 8
"""With fewer models a spread says next to nothing."""
_MOST_BYTES = 32 * 1024 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("reports", metavar="FILE", type=Path, nargs="+", help="report of an honest model")
    parser.add_argument("--name", default="own models", metavar="TEXT", help="what the models are")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file for the calibration")
    parser.add_argument("--judge", type=Path, metavar="FILE", help="also judge this examination by it; 1 if it fails")
    parser.add_argument(
        "--alpha", type=float, default=BackdoorThresholds().alpha, help="chance of a false alarm (default: 0.01)"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Calibrate, and say how each honest model would fare by the others.

    Raises:
        UsageError: there are too few models.
        EvidenceError: a file holds no examination.
    """
    if len(args.reports) < FEWEST:
        message = f"{len(args.reports)} honest models are too few for a calibration"
        raise UsageError(message, f"train at least {FEWEST} that differ by their seed, better 20")
    if not 0 < args.alpha < 1:
        raise UsageError(f"--alpha {args.alpha} is not between 0 and 1")
    limits = BackdoorThresholds(alpha=args.alpha)
    known = [numbers_in(path) for path in args.reports]
    alarms = 0
    for i, path in enumerate(args.reports):
        others = calibrate(args.name, [*known[:i], *known[i + 1 :]])
        if any(item.status is Status.FAIL for item in judge_backdoor(known[i], others, limits)):
            alarms += 1
            console.result(f"{printable(path, 400)} stands out among the others: is it honest?")
    made = calibrate(args.name, known)
    written = (json.dumps(to_json(made), indent=2) + "\n").encode()
    write_atomically(args.out, written)
    console.result(f"{len(known)} models, {alarms} false alarms when each is judged by the others")
    spreads = sorted(made.spreads.items())
    console.table([(f"  {name}", f"{spread.mean:7.3f} ± {spread.deviation:.3f}") for name, spread in spreads])
    console.note("add this to the policy; the file lies beside it:")
    pinned = f"calibration: {{file: {json.dumps(args.out.name)}, sha256: {hashlib.sha256(written).hexdigest()}}}"
    console.result(f"backdoor:\n  {pinned}")
    if args.judge is None:
        return 0
    judged = judge_backdoor(numbers_in(args.judge), made, limits)
    console.table([(item.detector, str(item.status), printable(item.reason, 300)) for item in judged])
    return int(any(item.status not in {Status.PASS, Status.NOT_APPLICABLE} for item in judged))


def _unwrapped(value: Any) -> Any:
    """Return what an envelope holds. Its signature says nothing here: whoever calibrates vouches for the models."""
    payload = value.get("payload") if isinstance(value, dict) else None
    return parse_json(base64.b64decode(payload, validate=True)) if isinstance(payload, str) else value


def numbers_in(path: Path) -> dict[str, Any]:
    """Return the numbers in a report, or in the predicate of a statement.

    Raises:
        EvidenceError: there are none.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
        value = _unwrapped(parse_json(data)) if len(data) <= _MOST_BYTES else None
    except (OSError, ValueError) as error:
        raise EvidenceError(f"{printable(path, 400)} cannot be read: {error}") from None
    for keys in ((), ("report",), ("backdoor",), ("predicate", "backdoor")):
        inner = value
        for key in keys:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if isinstance(inner, dict) and inner.get("schema") == SCHEMA and isinstance(inner.get("detectors"), dict):
            return inner
    advice = "give what zt-gate evaluate wrote, or BackdoorReport.to_json()"
    raise EvidenceError(f"{printable(path, 400)} holds no examination for backdoors", advice)
