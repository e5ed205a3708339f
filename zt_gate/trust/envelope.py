"""DSSE envelopes: a payload, its type, and signatures over both (https://github.com/secure-systems-lab/dsse).

The key id in an envelope is a hint that anybody can write, so it decides nothing: every signature is tried against
every key that the policy lists.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zt_gate.domain import Subject, printable
from zt_gate.errors import EvidenceError
from zt_gate.trust.keys import PrivateKey, PublicKey, load_private
from zt_gate.trust.statement import PAYLOAD_TYPE, manifest_statement, parse_statement
from zt_gate.trust.strict_json import parse_object

MAX_ENVELOPE = 64 << 20
MAX_SIGNATURES = 16
_SPLIT = "split the release, or pack its many small files into fewer"


@dataclass(frozen=True, slots=True)
class Signed:
    """One signature of an envelope."""

    keyid: str
    """What the envelope calls its key; a hint for people, never trusted."""
    signature: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed envelope whose payload type is in-toto; nothing is verified yet."""

    payload: bytes
    signatures: tuple[Signed, ...]

    def verified_by(self, keys: Sequence[PublicKey]) -> frozenset[str]:
        """Return the ids of the keys of which a signature verifies. A set: no key counts twice."""
        from securesystemslib.dsse import Envelope as Dsse

        pae = Dsse(self.payload, PAYLOAD_TYPE, {}).pae()
        return frozenset(key.id for key in keys if any(_verifies(key, item.signature, pae) for item in self.signatures))


def parse_envelope(value: Any) -> Envelope:
    """Read an envelope from a JSON value that `strict_json` parsed.

    Raises:
        EvidenceError: malformed, another payload type, no signature, or far too many.
    """
    if not isinstance(value, dict) or not {"payload", "payloadType", "signatures"} <= set(value):
        raise EvidenceError("not a DSSE envelope: it needs payload, payloadType and signatures")
    if value["payloadType"] != PAYLOAD_TYPE:
        raise EvidenceError(f"the payload type is {printable(str(value['payloadType']), 80)}, not {PAYLOAD_TYPE}")
    signatures = value["signatures"]
    if not isinstance(signatures, list) or not 1 <= len(signatures) <= MAX_SIGNATURES:
        raise EvidenceError(f"an envelope has between 1 and {MAX_SIGNATURES} signatures")
    return Envelope(_base64(value["payload"], "payload"), tuple(_signed(item) for item in signatures))


def read_envelope(data: bytes) -> Envelope:
    """Read an envelope from its bytes.

    Raises:
        EvidenceError: not strict JSON, or as `parse_envelope`.
    """
    return parse_envelope(parse_object(data, "the envelope", MAX_ENVELOPE))


def sign_payload(payload: bytes, key: PrivateKey) -> bytes:
    """Sign an in-toto statement and return the envelope as JSON.

    Raises:
        EvidenceError: the envelope would be larger than a verifier reads.
    """
    from securesystemslib.dsse import Envelope as Dsse
    from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined]  # it names its exports in no __all__

    envelope = Dsse(payload, PAYLOAD_TYPE, {})
    public = SSlibKey.from_crypto(key.crypto.public_key(), keyid=key.public.id)
    envelope.sign(CryptoSigner(key.crypto, public))
    data = json.dumps(envelope.to_dict(), sort_keys=True, separators=(",", ":")).encode()
    if len(data) > MAX_ENVELOPE:
        raise EvidenceError(f"the signed statement would have {len(data)} bytes, more than {MAX_ENVELOPE}", _SPLIT)
    return data


def sign_manifest(subject: Subject, private_pem: bytes, passphrase: bytes | None = None) -> bytes:
    """Sign a subject's manifest and return the envelope: the release signature.

    Raises:
        EvidenceError: the key cannot be used, or the manifest is too large.
    """
    return sign_payload(manifest_statement(subject), load_private(private_pem, passphrase))


def sign_statement(statement: bytes, private_pem: bytes, passphrase: bytes | None = None) -> bytes:
    """Sign the bytes of a statement and return the envelope.

    Raises:
        EvidenceError: the bytes are no statement that `parse_statement` accepts, or the key cannot be used.
    """
    parse_statement(statement)
    return sign_payload(statement, load_private(private_pem, passphrase))


def _verifies(key: PublicKey, signature: bytes, pae: bytes) -> bool:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import Signature, SSlibKey  # type: ignore[attr-defined]  # it names its exports in no __all__

    try:
        public = SSlibKey.from_crypto(load_pem_public_key(key.pem.encode()), keyid=key.id)
        public.verify_signature(Signature(key.id, signature.hex()), pae)
    except Exception:  # noqa: BLE001 - whatever a hostile signature provokes, it did not verify
        return False
    return True


def _signed(item: Any) -> Signed:
    if not isinstance(item, dict) or not isinstance(item.get("keyid", ""), str):
        raise EvidenceError("a signature of the envelope is malformed")
    return Signed(item.get("keyid", ""), _base64(item.get("sig"), "signature"))


def _base64(text: Any, what: str) -> bytes:
    """Decode standard or URL-safe base64 (DSSE allows both), refusing any spelling but the canonical one."""
    if isinstance(text, str) and text:
        for alphabet in (None, b"-_"):
            try:
                data = base64.b64decode(text, altchars=alphabet, validate=True)
            except (binascii.Error, ValueError):
                continue
            if base64.b64encode(data, altchars=alphabet).decode() == text:
                return data
    raise EvidenceError(f"the {what} of the envelope is not base64")
