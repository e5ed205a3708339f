"""Signing with a key that never leaves its token: smart cards and hardware security modules over PKCS #11.

A token and a key are named by a URI of RFC 7512. The PIN comes from the environment only: URIs end up in
pipeline files and process lists, so a URI with a PIN is refused. Needs the extra `pkcs11`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote_to_bytes

from zt_gate.domain import printable
from zt_gate.errors import EvidenceError, ToolError, UsageError
from zt_gate.trust.signatures.envelope import Envelope, envelope_json, verifies
from zt_gate.trust.signatures.keys import PublicKey, public_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

PIN_VARIABLE = "ZT_GATE_PKCS11_PIN"
_EXAMPLE = "write it like: pkcs11:token=release;object=signing?module-path=/usr/lib/softhsm/libsofthsm2.so"
_TEXTS = ("token", "serial", "object")
_KNOWN = (*_TEXTS, "id", "type", "module-path")
_PAIR = re.compile(r"([a-z-]+)=([A-Za-z0-9\-._~:\[\]@!$'()*+,=/%]*)\Z")
_ESCAPES = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*\Z")


@dataclass(frozen=True, slots=True)
class TokenUri:
    """A key on a token, and the PKCS #11 module that accesses it."""

    module: str
    """Path of the PKCS #11 library."""
    token: str | None = None
    """Label of the token; None for the only one."""
    serial: str | None = None
    object: str | None = None
    """Label of the key."""
    id: bytes | None = None
    """CKA_ID of the key."""


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key on a token, with its public half read."""

    public: PublicKey
    _uri: TokenUri
    _pin: str = field(repr=False)

    def sign(self, payload: bytes) -> bytes:
        """Sign an in-toto statement and return the envelope as JSON.

        Raises:
            EvidenceError: the token does not sign, or not with the key whose public half it shows.
        """
        signed = Envelope(payload, ()).signed
        with _session(self._uri, self._pin) as session:
            signature = _signature(_key(session, self._uri, private=True), _hashed(self.public, signed))
        # PKCS #11 does not tie the public and the private object of one label together, so the pair is tested.
        if not verifies(self.public, signature, signed):
            raise EvidenceError("the token's signature does not verify with its public key", "check the key's id")
        return envelope_json(payload, self.public.id, signature)


def parse_uri(text: str) -> TokenUri:
    """Read a PKCS #11 URI.

    Raises:
        UsageError: another scheme, an unknown or repeated attribute, a PIN inside, no module, or no key named.
    """
    scheme, _, rest = text.partition(":")
    path, _, query = rest.partition("?")
    if scheme != "pkcs11":
        raise UsageError("--pkcs11 wants a URI of RFC 7512", _EXAMPLE)
    values: dict[str, bytes] = {}
    for pair in [*filter(None, path.split(";")), *filter(None, query.split("&"))]:
        name, value = _attribute(pair)
        if name in values:
            raise UsageError(f"the PKCS #11 URI says {name} twice", _EXAMPLE)
        values[name] = value
    if values.pop("type", b"private") != b"private":
        raise UsageError("the PKCS #11 URI asks for another type of object than private", "leave `type` out")
    module = values.pop("module-path", b"")
    # dlopen(3) looks a bare name up in LD_LIBRARY_PATH: the environment would choose the library that gets the PIN.
    if not module.startswith(b"/"):
        raise UsageError("the PKCS #11 URI has no absolute module-path", _EXAMPLE)
    if "object" not in values and "id" not in values:
        raise UsageError("the PKCS #11 URI names no key", "add object=LABEL or id=%01")
    identifier = values.pop("id", None)
    return TokenUri(_text(module), id=identifier, **{name: _text(value) for name, value in values.items()})


def token_key(uri: str, environment: Mapping[str, str]) -> TokenKey:
    """Find the key that a URI names and read its public half.

    Raises:
        UsageError: the URI cannot be used, or no PIN is in the environment.
        ToolError: the extra is not installed, or the module cannot be loaded.
        EvidenceError: no such token or key, several of them, a wrong PIN, or a key of another kind.
    """
    parsed = parse_uri(uri)
    pin = environment.get(PIN_VARIABLE, "")
    if not pin:
        raise UsageError("the token wants a PIN", f"set {PIN_VARIABLE} to it")
    with _session(parsed, pin) as session:
        return TokenKey(_public(session, parsed), parsed, pin)


def _attribute(pair: str) -> tuple[str, bytes]:
    match = _PAIR.match(pair)
    name = pair.partition("=")[0]
    if name in ("pin-value", "pin-source"):
        raise UsageError("the PKCS #11 URI carries a PIN or its place", f"leave it out, and set {PIN_VARIABLE}")
    if match is None or not _ESCAPES.match(match[2]):
        raise UsageError("the PKCS #11 URI is malformed", _EXAMPLE)
    if name not in _KNOWN:
        raise UsageError(f"the PKCS #11 URI says {printable(name, 40)}, which is not known", f"use {', '.join(_KNOWN)}")
    return name, unquote_to_bytes(match[2])


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError("the PKCS #11 URI is not UTF-8", _EXAMPLE) from None


@contextmanager
def _session(uri: TokenUri, pin: str) -> Iterator[Any]:
    """Open the token; errors of its module become errors that name the token and the fix."""
    try:
        import pkcs11
    except ImportError:
        raise ToolError("signing with a token needs python-pkcs11", "pip install 'zt-gate[pkcs11]'") from None
    try:
        library = pkcs11.lib(uri.module)
    except Exception as error:  # noqa: BLE001 - the module loader raises errors of many types
        why = printable(str(error), 120) or type(error).__name__
        raise ToolError(
            f"cannot load the PKCS #11 module {printable(uri.module)}: {why}", "check module-path"
        ) from None
    try:
        serial = None if uri.serial is None else uri.serial.encode()
        # SoftHSM always shows one more token that is not initialised; without the flag the only token is ambiguous.
        with library.get_token(
            token_label=uri.token, token_serial=serial, token_flags=pkcs11.TokenFlag.TOKEN_INITIALIZED
        ).open(user_pin=pin) as session:
            yield session
    except pkcs11.PKCS11Error as error:
        # The library's exceptions mostly have no message; their class names say what is wrong.
        why = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
        raise EvidenceError(f"the token refuses: {why}", f"check the URI's token and key, and {PIN_VARIABLE}") from None


def _key(session: Any, uri: TokenUri, *, private: bool) -> Any:
    from pkcs11 import KeyType, ObjectClass

    kind = ObjectClass.PRIVATE_KEY if private else ObjectClass.PUBLIC_KEY
    return session.get_key(kind, KeyType.EC, id=uri.id, label=uri.object)


def _public(session: Any, uri: TokenUri) -> PublicKey:
    from cryptography.hazmat.primitives.serialization import load_der_public_key
    from pkcs11.util.ec import encode_ec_public_key

    encoded = encode_ec_public_key(_key(session, uri, private=False))
    try:
        return public_key(load_der_public_key(encoded), "the token's key")
    except ValueError:
        raise EvidenceError("the token's public key cannot be read", "use ECDSA on P-256 or P-384") from None


def _hashed(key: PublicKey, signed: bytes) -> bytes:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    curve = cast("EllipticCurvePublicKey", load_pem_public_key(key.pem.encode()))
    return (hashlib.sha384 if curve.key_size == 384 else hashlib.sha256)(signed).digest()


def _signature(key: Any, digest: bytes) -> bytes:
    """Sign a hash, the mechanism that every token supports, and return the signature in DER.

    PKCS #11 returns the two numbers side by side, each as long as the curve's order.
    """
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
    from pkcs11 import Mechanism

    raw: bytes = key.sign(digest, mechanism=Mechanism.ECDSA)
    half = len(raw) // 2
    return encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))
