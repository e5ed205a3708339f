"""A policy's own signature: an in-toto statement about the digest of the *effective* policy, in a DSSE envelope.

The effective policy has its packs merged and its keys read, so a changed pack or key file invalidates the signature
just like a changed line. The operator who runs the gate names the accepted keys; the policy cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zt_gate.domain import printable
from zt_gate.errors import EvidenceError
from zt_gate.policy.model import LoadedPolicy, PolicySignature
from zt_gate.trust.signatures.envelope import read_envelope
from zt_gate.trust.signatures.keys import PublicKey
from zt_gate.trust.statements.statement import parse_statement, statement_about

POLICY_TYPE = "https://zt-gate.dev/predicate/policy/v1"
_MAX_BYTES = 1 << 20


def signature_file(policy: Path) -> Path:
    """Return where the signature of a policy file lies: `FILE.dsse.json`, beside it."""
    return policy.with_name(policy.name + ".dsse.json")


def policy_statement(loaded: LoadedPolicy) -> bytes:
    """Return the statement that is signed."""
    metadata = loaded.policy.metadata
    predicate = {"name": metadata.name} | ({"expires": metadata.expires} if metadata.expires else {})
    return statement_about(metadata.name, loaded.digest, POLICY_TYPE, predicate)


def verify_policy(loaded: LoadedPolicy, data: bytes | None, keys: Sequence[PublicKey]) -> PolicySignature:
    """Return which of the given keys signed a policy.

    Args:
        loaded: the complete policy.
        data: the envelope; None where there is none.
        keys: whose signature counts.
    """
    if data is None:
        return PolicySignature(problem="there is no signature beside it")
    if len(data) > _MAX_BYTES:
        return PolicySignature(problem=f"its signature is larger than {_MAX_BYTES} bytes")
    try:
        envelope = read_envelope(data)
        # The keys come from the operator; a policy that named its own would vouch for itself.
        signers = envelope.verified_by(keys) if keys else frozenset()
        if not signers:
            return PolicySignature(problem="its signature is by none of the keys that were named")
        statement = parse_statement(envelope.payload)
    except EvidenceError as error:
        return PolicySignature(problem=f"its signature cannot be read: {error.message}")
    if statement.predicate_type != POLICY_TYPE:
        return PolicySignature(problem=f"what was signed is a {printable(statement.predicate_type, 120)}, not a policy")
    if not statement.is_about(loaded.digest):
        return PolicySignature(problem="the policy, one of its packs or one of its keys changed since it was signed")
    return PolicySignature(tuple(sorted(signers)))
