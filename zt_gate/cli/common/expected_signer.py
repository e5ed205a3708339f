"""The signer that a user expects: a key, an identity, or a name under a certificate authority."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from zt_gate.domain import printable
from zt_gate.errors import EvidenceError, UsageError
from zt_gate.policy.trust_roots import Certificate, Identity, Key, Trust, TrustedRoot
from zt_gate.trust.signatures.keys import load_public, read_key_file

_MAX_ROOT = 4 << 20
_OF_WAYS = {
    "key": (),
    "identity": ("issuer", "trusted_root", "claim"),
    "identity_pattern": ("issuer", "trusted_root", "claim"),
    "certificate_authority": ("subject", "trusted_root"),
}
"""Which further arguments go with each kind of signer."""


def add_signer_expectation(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that name the expected signer."""
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--key", metavar="PUB", type=Path, help="public key that must have signed")
    who.add_argument("--identity", metavar="SUBJECT", help="e-mail address or workflow URI in the certificate, exact")
    who.add_argument("--identity-pattern", metavar="PATTERN", help="as --identity, with * for anything but a slash")
    who.add_argument(
        "--certificate-authority",
        metavar="FILE",
        type=Path,
        help="certificate authority (PEM) that the chain must end in",
    )
    parser.add_argument("--issuer", help="OIDC issuer of the identity, exact")
    parser.add_argument(
        "--claim", metavar="NAME=PATTERN", action="append", help="further claim of the certificate; may be repeated"
    )
    parser.add_argument("--subject", metavar="NAME", help="certified name: a subject alternative name, or CN=…")
    parser.add_argument("--trusted-root", metavar="FILE", type=Path, help="trusted_root.json of the Sigstore instance")


def trust_from(args: argparse.Namespace) -> Trust:
    """Return the trust that the arguments describe: one entry.

    Raises:
        UsageError: arguments that do not fit together.
        EvidenceError: a key, an authority or a root cannot be read.
    """
    way = next(name for name in _OF_WAYS if getattr(args, name) is not None)
    for name in ("issuer", "claim", "subject", "trusted_root"):
        if getattr(args, name) and name not in _OF_WAYS[way]:
            raise UsageError(f"--{_typed(name)} does not belong to --{_typed(way)}", "leave it out")
    if way == "key":
        pem = load_public(read_key_file(args.key), printable(args.key)).pem
        return Trust(keys=(Key(id="given-key", pem=pem),))
    if way == "certificate_authority":
        return _certified(args)
    if not (args.issuer and args.trusted_root):
        raise UsageError(f"--{_typed(way)} needs --issuer and --trusted-root", "give all three")
    return Trust(identities=(_identity(args),), trusted_root=_root(args.trusted_root))


def described(args: argparse.Namespace) -> str:
    """Return who must have signed, for people."""
    if args.certificate_authority is not None:
        return f"{printable(args.subject)} (under {printable(args.certificate_authority)})"
    if args.key is not None:
        return printable(args.key)
    return f"{printable(args.identity or args.identity_pattern)} ({printable(args.issuer)})"


def _certified(args: argparse.Namespace) -> Trust:
    if not args.subject:
        raise UsageError("--certificate-authority needs --subject", "name the certified subject")
    pem = read_key_file(args.certificate_authority).decode("ascii", "replace")
    entry = Certificate(id="given-certificate", subject=args.subject, pem=pem)
    return Trust(certificates=(entry,), trusted_root=None if args.trusted_root is None else _root(args.trusted_root))


def _identity(args: argparse.Namespace) -> Identity:
    """Build the entry with the checks that a policy file's goes through."""
    from pydantic import TypeAdapter, ValidationError

    given = {
        "id": "given-identity",
        "issuer": args.issuer,
        "subject": args.identity,
        "subject_pattern": args.identity_pattern,
        "claims": _claims(args.claim or ()),
    }
    try:
        return TypeAdapter(Identity).validate_json(json.dumps(given))  # JSON, as strict validation wants it
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"the identity cannot be used: {printable(why, 300)}", "see docs/policy.md") from None


def _claims(pairs: Sequence[str]) -> dict[str, str]:
    claims: dict[str, str] = {}
    for pair in pairs:
        name, given, value = pair.partition("=")
        if not given or not value or name in claims:
            raise UsageError(f"--claim {printable(pair, 80)} is not NAME=PATTERN, or given twice", "see docs/policy.md")
        claims[name] = value
    return claims


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


def _typed(name: str) -> str:
    return name.replace("_", "-")
