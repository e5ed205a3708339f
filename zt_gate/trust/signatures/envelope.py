"""DSSE envelopes: a payload, its type, and signatures over both (https://github.com/secure-systems-lab/dsse).

The key id in an envelope is an unsigned hint, so it is ignored: every signature is tried against every key that the
policy lists.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zt_gate.codecs.strict_json import parse_object
from zt_gate.domain import Subject, printable
from zt_gate.errors import EvidenceError
from zt_gate.trust.signatures.keys import PrivateKey, PublicKey, load_private
from zt_gate.trust.statements.statement import PAYLOAD_TYPE, manifest_statement, parse_statement

MAX_ENVELOPE = 64 << 20
# Every signature is tried with every key of the policy, so this bounds the work that a file can cause.
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

    @property
    def signed(self) -> bytes:
        """The signed bytes: DSSE's pre-authentication encoding (PAE) of type and payload."""
        from securesystemslib.dsse import Envelope as Dsse

        return bytes(Dsse(self.payload, PAYLOAD_TYPE, {}).pae())

    def verified_by(self, keys: Sequence[PublicKey]) -> frozenset[str]:
        """Return the ids of the keys of which a signature verifies. A set: no key counts twice."""
        signed = self.signed
        return frozenset(
            key.id for key in keys if any(verifies(key, item.signature, signed) for item in self.signatures)
        )


def parse_envelope(value: Any) -> Envelope:
    """Read an envelope from a JSON value that `strict_json` parsed.

    Raises:
        EvidenceError: malformed, another payload type, no signature, or far too many.
    """
    if not isinstance(value, dict) or not {"payload", "payloadType", "signatures"} <= set(value):
        raise EvidenceError("not a DSSE envelope: it needs payload, payloadType and signatures")
    # The encoding that is signed includes the type: under another type, the same payload means something else.
    if value["payloadType"] != PAYLOAD_TYPE:
        raise EvidenceError(f"the payload type is {printable(str(value['payloadType']), 80)}, not {PAYLOAD_TYPE}")
    signatures = value["signatures"]
    if not isinstance(signatures, list) or not 1 <= len(signatures) <= MAX_SIGNATURES:
        raise EvidenceError(f"an envelope has between 1 and {MAX_SIGNATURES} signatures")
    return Envelope(
        base64_bytes(value["payload"], "payload of the envelope"), tuple(_signed(item) for item in signatures)
    )


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
    from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined]  # it names its exports in no __all__

    public = SSlibKey.from_crypto(key.crypto.public_key(), keyid=key.public.id)
    signature = CryptoSigner(key.crypto, public).sign(Envelope(payload, ()).signed)
    return envelope_json(payload, key.public.id, bytes.fromhex(signature.signature))


def envelope_json(payload: bytes, keyid: str, signature: bytes) -> bytes:
    """Return the JSON of an in-toto envelope with one signature, wherever that was made.

    Raises:
        EvidenceError: the envelope would be larger than a verifier reads.
    """
    from securesystemslib.dsse import Envelope as Dsse
    from securesystemslib.signer import Signature  # type: ignore[attr-defined]  # it names its exports in no __all__

    envelope = Dsse(payload, PAYLOAD_TYPE, {keyid: Signature(keyid, signature.hex())})
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


def verifies(key: PublicKey, signature: bytes, signed: bytes) -> bool:
    """Whether a signature by a key over these bytes holds.

    ECDSA signatures may be in DER, or the two numbers side by side (IEEE P1363), as key services write them.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import Signature, SSlibKey  # type: ignore[attr-defined]  # it names its exports in no __all__

    try:
        crypto = load_pem_public_key(key.pem.encode())
        public = SSlibKey.from_crypto(crypto, keyid=key.id)
        public.verify_signature(Signature(key.id, _der(crypto, signature).hex()), signed)
    except Exception:  # noqa: BLE001 - a hostile signature may raise anything; it then did not verify
        return False
    return True


def _der(key: Any, signature: bytes) -> bytes:
    """Return an ECDSA signature in DER.

    The P1363 form is exactly twice as long as one number. A DER signature can have that length by chance, so DER is
    tried first: it starts with its own length and hardly any P1363 value parses as DER.
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

    if not isinstance(key, ec.EllipticCurvePublicKey):
        return signature
    size = (key.curve.key_size + 7) // 8
    if len(signature) != 2 * size:
        return signature
    try:
        decode_dss_signature(signature)
    except ValueError:
        return encode_dss_signature(int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big"))
    return signature


def _signed(item: Any) -> Signed:
    keyid = item.get("keyid") if isinstance(item, dict) else 0
    if not isinstance(keyid, str | None):  # null stands for none, as in proto3 JSON
        raise EvidenceError("a signature of the envelope is malformed")
    return Signed(keyid or "", base64_bytes(item.get("sig"), "signature of the envelope"))


def base64_bytes(text: Any, what: str) -> bytes:
    """Decode standard or URL-safe base64 (DSSE allows both), refusing any spelling but the canonical one.

    Raises:
        EvidenceError: anything else, or nothing.
    """
    if isinstance(text, str) and text:
        for alphabet in (None, b"-_"):
            try:
                data = base64.b64decode(text, altchars=alphabet, validate=True)
            except (binascii.Error, ValueError):
                continue
            # b64decode ignores stray bits in the last letter, so two texts can decode to the same bytes.
            if base64.b64encode(data, altchars=alphabet).decode() == text:
                return data
    raise EvidenceError(f"the {what} is not base64")
