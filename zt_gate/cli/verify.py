"""`zt-gate verify`: does a signature over exactly this release verify?"""

from __future__ import annotations

import argparse
import hashlib
from datetime import UTC, datetime
from pathlib import Path

from zt_gate.cli.console import Console
from zt_gate.domain import Evidence, Severity, Status, printable
from zt_gate.errors import EvidenceError, UsageError
from zt_gate.intake import Freeze, Frozen, freeze
from zt_gate.policy.model import Identity, Key, Signature, Stage, Trust, TrustedRoot
from zt_gate.trust.collect import collect, evidence_folder, read_brought
from zt_gate.trust.keys import load_public, read_key_file

_MAX_ROOT = 4 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("targets", metavar="TARGET", nargs="+", help="file or folder; several make one bundle")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--key", metavar="PUB", type=Path, help="public key that must have signed")
    who.add_argument("--identity", metavar="SUBJECT", help="e-mail address or workflow URI in the certificate, exact")
    parser.add_argument("--issuer", help="OIDC issuer of the identity, exact")
    parser.add_argument("--trusted-root", metavar="FILE", type=Path, help="trusted_root.json of the Sigstore instance")
    parser.add_argument("--evidence", metavar="DIR", type=Path, help="folder of signatures (default: TARGET.evidence)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Verify, print one line, and the reasons where the answer is no.

    Raises:
        UsageError: arguments that do not fit together.
        EvidenceError: a key, a root or the evidence folder cannot be read.
        TargetError: the target cannot be read.
    """
    trust = _trust(args)
    if len(args.targets) > 1 and args.evidence is None:
        raise UsageError("several targets have no evidence folder in common", "name it with --evidence DIR")
    brought = read_brought(args.evidence or evidence_folder(Path(args.targets[0])))
    stage = Stage(signature=Signature(by=tuple(trust.ids)))
    with freeze(args.targets, Freeze.HOLD) as frozen:
        evidence = collect(frozen.subject, stage, trust, brought, datetime.now(UTC))[0]
        reasons = _reasons(frozen, evidence)
        digest = frozen.subject.digest
    if reasons:
        console.result(console.style("NOT VERIFIED", "red") + f" {digest}")
        for reason in reasons:
            console.result(f"  {reason}")
        return 1
    console.result(console.style("VERIFIED", "green") + f" {digest} signed by {_who(args)}")
    return 0


def _reasons(frozen: Frozen, evidence: Evidence) -> list[str]:
    reasons = [f"{finding.rule} {finding.message}" for finding in frozen.refusals]
    reasons += [f"{path} changed while it was verified" for path in frozen.changed()]
    if evidence.status is not Status.PASS:
        reasons += [f"{item.rule} {item.message}" for item in evidence.findings if item.severity > Severity.INFO]
        reasons += [gap.reason + (f"; {gap.fix}" if gap.fix else "") for gap in evidence.gaps]
        reasons = reasons or [f"the signature check ended as {evidence.status}"]
    return reasons


def _trust(args: argparse.Namespace) -> Trust:
    if args.key is not None:
        if args.issuer or args.trusted_root:
            raise UsageError("--issuer and --trusted-root belong to --identity", "leave them out with --key")
        return Trust(keys=(Key(id="given-key", pem=load_public(read_key_file(args.key), printable(args.key)).pem),))
    if not (args.identity and args.issuer and args.trusted_root):
        raise UsageError("an identity needs --identity, --issuer and --trusted-root", "give all three")
    identity = Identity(id="given-identity", issuer=args.issuer, subject=args.identity)
    return Trust(identities=(identity,), trusted_root=_root(args.trusted_root))


def _root(path: Path) -> TrustedRoot:
    shown = printable(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_ROOT + 1)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "not UTF-8 text"
        raise EvidenceError(f"cannot read the trusted root {shown}: {why}", "name a trusted_root.json") from None
    if len(data) > _MAX_ROOT:
        raise EvidenceError(f"the trusted root {shown} is too large", "name a trusted_root.json")
    return TrustedRoot(file=shown, sha256=hashlib.sha256(data).hexdigest(), json_text=text)


def _who(args: argparse.Namespace) -> str:
    return printable(args.key) if args.key is not None else f"{printable(args.identity)} ({printable(args.issuer)})"
