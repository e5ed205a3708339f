"""Who signs, for every verb that signs: a key file, a PKCS #11 token, or an identity at a Sigstore instance."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from zt_gate.domain import printable
from zt_gate.errors import EvidenceError, UsageError
from zt_gate.trust.signatures.bundle_without_log import certified_bundle
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.signatures.keys import PASSPHRASE_VARIABLE, PublicKey, load_private, passphrase_from, read_key_file
from zt_gate.trust.signatures.pkcs11 import PIN_VARIABLE, token_key

TARGET = "file, folder, models:/NAME/VERSION, models:/NAME@ALIAS or runs:/ID/PATH"
"""What a statement can be about, for the help of every verb that signs or verifies one."""
_MAX_TEXT = 4 << 20


@dataclass(frozen=True, slots=True)
class StatementSigner:
    """A key or identity that is ready to sign statements."""

    sign: Callable[[bytes], bytes]
    """Statement to a DSSE envelope, or to a Sigstore bundle around one; JSON."""
    label: str
    """Who it is, for people; printable."""
    mark: str
    """Eight hexadecimal digits that tell this signer's files from another's."""
    public: PublicKey | None = None
    """The key; None where every signature is made with another."""


def add_signer_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that name the signer."""
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--key", metavar="FILE", type=Path, help="private key, from: zt-gate keygen")
    who.add_argument("--pkcs11", metavar="URI", help="key on a smart card or security module (RFC 7512)")
    who.add_argument("--sigstore", action="store_true", help="your identity, at a Sigstore instance; uses the network")
    parser.add_argument(
        "--certificate", metavar="FILE", type=Path, help="certificate of the key, then its authorities (PEM)"
    )
    parser.add_argument("--trust-config", metavar="FILE", type=Path, help="ClientTrustConfig of a private Sigstore")
    parser.add_argument("--identity-token-file", metavar="FILE", type=Path, help="OIDC token (default: ask the CI)")
    parser.epilog = f"An encrypted key is opened with {PASSPHRASE_VARIABLE}, a token with {PIN_VARIABLE}."


def signer_from(args: argparse.Namespace) -> StatementSigner:
    """Return the signer that the arguments ask for.

    Raises:
        UsageError: arguments that do not fit together.
        EvidenceError: the key, the token or the identity cannot be used.
        ToolError: what a token or a Sigstore instance needs is not there.
    """
    if not args.sigstore and (args.trust_config or args.identity_token_file):
        raise UsageError("--trust-config and --identity-token-file belong to --sigstore", "leave them out")
    if args.sigstore:
        if args.certificate is not None:
            raise UsageError("--certificate belongs to a key", "leave it out with --sigstore")
        return _sigstore(args.trust_config, args.identity_token_file)
    signer = _key_file(args.key) if args.key is not None else _token(args.pkcs11)
    return signer if args.certificate is None else _certified(signer, args.certificate)


def _token(uri: str) -> StatementSigner:
    key = token_key(uri, os.environ)
    return StatementSigner(key.sign, f"key {key.public.id[:16]} on its token", key.public.id[:8], key.public)


def _sigstore(config: Path | None, token: Path | None) -> StatementSigner:
    from zt_gate.trust.signatures.sigstore_sign import sigstore_identity

    text = None if config is None else _text(config, "trust configuration")
    found = sigstore_identity(text, None if token is None else _text(token, "identity token"))
    return StatementSigner(found.sign, f"identity {found.subject} ({found.issuer})", found.mark)


def _text(path: Path, what: str) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_TEXT + 1)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "not UTF-8 text"
        raise EvidenceError(f"cannot read the {what} {printable(path)}: {why}", "check the path") from None
    if len(data) > _MAX_TEXT:
        raise EvidenceError(f"the {what} {printable(path)} is too large", "check the path")
    return text


def _key_file(path: Path) -> StatementSigner:
    key = load_private(read_key_file(path), passphrase_from(os.environ), printable(path))
    label, mark = f"key {key.public.id[:16]}", key.public.id[:8]
    return StatementSigner(lambda payload: sign_payload(payload, key), label, mark, key.public)


def _certified(signer: StatementSigner, path: Path) -> StatementSigner:
    """Let a key's signatures carry its certificate, for verifiers who pin its authority and not the key."""
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import load_pem_x509_certificates

    if signer.public is None:
        raise UsageError("--certificate belongs to --key", "leave it out")
    public, shown = signer.public, printable(path)
    try:
        chain = [item.public_bytes(Encoding.DER) for item in load_pem_x509_certificates(read_key_file(path))]
    except ValueError:
        raise EvidenceError(f"{shown} holds no certificates", "name a PEM file with the key's certificate") from None
    return replace(signer, sign=lambda payload: certified_bundle(signer.sign(payload), public, chain))
