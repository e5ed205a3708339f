"""The ID token of an act: when one acts, the nonce to ask the issuer for a token with, and the token's way in.

The nonce covers the time of the act, so the same command runs twice with the same `--at`: first with `--print-nonce`,
then with `--id-token-file`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zt_gate.cli.common.console import Console
from zt_gate.cli.common.sign_statement import read_input
from zt_gate.domain import Digest, printable
from zt_gate.errors import EvidenceError, TargetError, UsageError
from zt_gate.intake import Freeze
from zt_gate.intake.remote import frozen_target
from zt_gate.policy.fields import parse_instant
from zt_gate.policy.model import Policy
from zt_gate.trust.people.login import FIELD, MAX_TOKEN, WINDOW, act_nonce, token_nonce


def acting_time(args: argparse.Namespace, policy: Policy, console: Console) -> datetime:
    """Return when the person acts; also warn a signer that the policy asks for a token and that gives none.

    Raises:
        UsageError: a time that is malformed, in the future or too long ago, or arguments that do not fit together.
    """
    now = datetime.now(UTC)
    if args.print_nonce and args.id_token_file is not None:
        raise UsageError("--print-nonce comes before there is a token", "leave --id-token-file out")
    if (args.at is None) != (not args.print_nonce and args.id_token_file is None):
        raise UsageError("--at belongs to --print-nonce and to --id-token-file", "give both commands the same time")
    asked = [entry.id for entry in policy.trust.entries if policy.trust.login_of(entry) is not None]
    if args.at is None:
        if asked:
            shown = printable(", ".join(asked), 200)
            console.note(f"without --id-token-file this will not count for {shown} (docs/people.md, Logins)")
        return now
    try:
        made = parse_instant(args.at)
    except ValueError as error:
        raise UsageError(f"--at: {printable(str(error))}", "write it in UTC: date -u +%Y-%m-%dT%H:%M:%SZ") from None
    if not made <= now <= made + WINDOW:
        raise UsageError("--at is in the future or more than 10 minutes ago", "begin again with --print-nonce")
    return made


def print_nonce(target: str, predicate: dict[str, Any], outside: Sequence[tuple[str, Path]], console: Console) -> int:
    """Print the nonce of an act on a target; nothing is signed.

    Raises:
        TargetError: the target cannot be read, or holds what is never signed.
        UsageError: one of the files `outside` lies inside the target.
    """
    with frozen_target([target], Freeze.HOLD, outside=outside) as frozen:
        if frozen.refusals:
            first = frozen.refusals[0]
            raise TargetError(f"{first.message}: zt-gate never signs such a release", first.fix)
        console.result(act_nonce(frozen.subject.digest, predicate))
    return 0


def with_token(predicate: dict[str, Any], file: Path | None, subject: Digest) -> dict[str, Any]:
    """Return the predicate of an act with the ID token from a file, if there is one.

    Raises:
        EvidenceError: the file cannot be read, or its token was not asked for with this act's nonce.
    """
    if file is None:
        return predicate
    token = read_input(file, MAX_TOKEN).decode("ascii", "replace").strip()
    # Compared before signing: a token for another act would be refused by the gate much later.
    if token_nonce(token) != act_nonce(subject, predicate):
        advice = "give both commands the same arguments and --at, and ask for the token with the nonce that is printed"
        raise EvidenceError(f"{printable(file)} holds no ID token for this act", advice)
    return {**predicate, FIELD: token}
