"""Compare a parsed Sigstore certificate with an identity of the policy.

The issuer must be equal; the subject must be equal or match an anchored pattern; every claim that the policy requires
must be in the certificate. Anything ambiguous does not match. The chain of the certificate is verified elsewhere.

Extensions: https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from zt_gate.domain import printable
from zt_gate.policy.trust_roots import CLAIMS, Identity

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, GeneralName

ISSUER_V1 = "1.3.6.1.4.1.57264.1.1"
"""The issuer as raw bytes; deprecated, and still written beside version 2."""
ISSUER_V2 = "1.3.6.1.4.1.57264.1.8"
"""The issuer as a DER UTF8String, as all later extensions are."""
USERNAME = "1.3.6.1.4.1.57264.1.7"
"""Type of the `otherName` in which Fulcio writes user names."""

# What a `*` may match: visible ASCII without a slash, and without the characters that some readers decode to one.
_PLAIN = re.compile(r"[!-$&-.0-\[\]-~]+\Z")


def matches_identity(certificate: Certificate, identity: Identity) -> bool:
    """Whether the certificate matches the identity in issuer, in its one subject and in every claim."""
    try:
        return (
            _issuers(certificate) == {identity.issuer}
            and _subject_matches(identity, names(certificate))
            and all(_claim_matches(certificate, name, expected) for name, expected in identity.claims.items())
        )
    except Exception:  # noqa: BLE001 - a certificate that cannot be compared does not match
        return False


def unmatched_claims(certificate: Certificate, identity: Identity) -> list[str]:
    """Return the claims that do not match, if issuer and subject do; otherwise nothing. Only for messages."""
    try:
        if _issuers(certificate) != {identity.issuer} or not _subject_matches(identity, names(certificate)):
            return []
        return [name for name, expected in identity.claims.items() if not _claim_matches(certificate, name, expected)]
    except Exception:  # noqa: BLE001 - only a message is lost
        return []


def pattern_matches(pattern: str, text: str) -> bool:
    """Whether a pattern matches a whole text, in time that grows with the text's length alone.

    A `*` stands for one or more characters of one segment between slashes. A segment with a `*` in its pattern may
    hold visible ASCII only, and neither `%` nor a backslash, which some readers take for the start of a slash.
    """
    expected, given = pattern.split("/"), text.split("/")
    return len(expected) == len(given) and all(map(_segment_matches, expected, given))


def may_bear(identity: Identity, name: str) -> bool:
    """Whether a certificate with this one name could show the identity; issuer and claims are not compared."""
    if identity.subject_pattern is not None:
        return pattern_matches(identity.subject_pattern, name)
    return identity.subject == name


def may_overlap(one: Identity, other: Identity) -> bool:
    """Whether one certificate could show both identities. True where that is not certain; claims are not compared."""
    if one.issuer != other.issuer:
        return False
    if one.subject is not None:
        return may_bear(other, one.subject)
    if other.subject is not None:
        return may_bear(one, other.subject)
    ours, theirs = (one.subject_pattern or "").split("/"), (other.subject_pattern or "").split("/")
    return len(ours) == len(theirs) and all(map(_segments_may_overlap, ours, theirs))


def names(certificate: Certificate) -> list[str]:
    """Return all subject alternative names, in order.

    Raises:
        cryptography.x509.ExtensionNotFound: there are none. Malformed names may raise other errors.
    """
    from cryptography import x509

    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return [_name(item) for item in extension.value]


def certificate_name(certificate: Certificate) -> str:
    """Return subject and issuer of a Sigstore certificate, for people."""
    issuer = ", ".join(sorted(_issuers(certificate))) or "unknown issuer"
    return f"{printable(', '.join(names(certificate)), 200)} ({printable(issuer, 120)})"


def der_utf8(data: bytes) -> str:
    """Read a DER UTF8String that fills the whole of `data` (X.690, sections 8.1.3 and 10.1).

    Raises:
        ValueError: another type, a length that is wrong or not in its shortest form, or bytes that are not UTF-8.
    """
    if len(data) < 2 or data[0] != 0x0C:
        raise ValueError("not a UTF8String")
    length, start = data[1], 2
    if length >= 0x80:
        size = length & 0x7F
        start += size
        length = int.from_bytes(data[2:start], "big")
        if not 1 <= size <= 3 or length < 0x80 or data[2] == 0:
            raise ValueError("the length is not in its shortest form")
    if len(data) != start + length:
        raise ValueError("the length is wrong")
    return data[start:].decode("utf-8")


def _issuers(certificate: Certificate) -> set[str]:
    """Return every issuer that the certificate names; more than one if its two extensions contradict each other."""
    old, new = _raw(certificate, ISSUER_V1), _raw(certificate, ISSUER_V2)
    return {*([] if old is None else [old.decode("utf-8")]), *([] if new is None else [der_utf8(new)])}


def source_claims(certificate: Certificate) -> dict[str, str]:
    """Return what the certificate of a CI workflow says about the source that it ran for, by the names of `CLAIMS`."""
    names = ("source_repository_uri", "source_repository_digest", "source_repository_ref")
    return {name: der_utf8(raw) for name in names if (raw := _raw(certificate, CLAIMS[name])) is not None}


def _subject_matches(identity: Identity, found: list[str]) -> bool:
    # A certificate with two names is refused: a match with one says nothing about the other.
    return len(found) == 1 and may_bear(identity, found[0])


def _claim_matches(certificate: Certificate, name: str, expected: str) -> bool:
    raw = _raw(certificate, CLAIMS[name])
    return raw is not None and pattern_matches(expected, der_utf8(raw))


def _segment_matches(pattern: str, text: str) -> bool:
    if "*" not in pattern:
        return pattern == text
    first, *middle, last = pattern.split("*")
    if not _PLAIN.match(text) or not text.startswith(first) or not text.endswith(last):
        return False
    at = len(first)
    for piece in middle:  # matching each piece as far left as possible leaves most room for the rest: no backtracking
        # One letter stays for the `*` itself, which never stands for nothing.
        at = text.find(piece, at + 1)
        if at < 0:
            return False
        at += len(piece)
    return at < len(text) - len(last)


def _segments_may_overlap(one: str, other: str) -> bool:
    """Compare what stands before the first and after the last `*`; what stands between may always fit."""
    if "*" not in one:
        return _segment_matches(other, one)
    if "*" not in other:
        return _segment_matches(one, other)
    starts = one.partition("*")[0], other.partition("*")[0]
    ends = one.rpartition("*")[2], other.rpartition("*")[2]
    same_start = starts[0].startswith(starts[1]) or starts[1].startswith(starts[0])
    return same_start and (ends[0].endswith(ends[1]) or ends[1].endswith(ends[0]))


def _raw(certificate: Certificate, oid: str) -> bytes | None:
    from cryptography import x509

    try:
        value = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier(oid)).value
    except x509.ExtensionNotFound:
        return None
    # cryptography gives unknown extensions as raw bytes; whatever it parsed itself is none of Fulcio's.
    return value.value if isinstance(value, x509.UnrecognizedExtension) else None


def _name(item: GeneralName) -> str:
    from cryptography import x509

    if isinstance(item, (x509.UniformResourceIdentifier, x509.RFC822Name, x509.DNSName)):
        return item.value
    if isinstance(item, x509.OtherName) and item.type_id.dotted_string == USERNAME:
        return der_utf8(item.value)
    # It counts as a name, so that a certificate with a hidden second name matches nobody. A `*` matches no space.
    return "(other name)"
