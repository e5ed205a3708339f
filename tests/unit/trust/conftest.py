"""Subjects, signers and a private Sigstore for the tests of `trust`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.private_sigstore import PrivateSigstore
from zt_gate.domain import Digest, Entry, Evidence, Manifest, Mode, Subject
from zt_gate.policy import requirements
from zt_gate.policy.model import Stage
from zt_gate.policy.trust_roots import Identity, Key, Trust, TrustedRoot
from zt_gate.trust.collect import Context, EvidenceFile, collect
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.signatures.keys import KeyType, PrivateKey, generate
from zt_gate.trust.statements.statement import manifest_statement, statement

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
ISSUER = "https://token.actions.test"
WORKFLOW = "https://forge.test/acme/models/release.yml@refs/heads/main"


def make_subject(**files: bytes) -> Subject:
    entries = [Entry(f"{name}.bin", len(data), Mode.FILE, Digest.of(data).hex) for name, data in files.items()]
    return Subject("model", Manifest.of(entries))


@dataclass
class World:
    """One subject, three key holders of whom the policy lists two, and a private Sigstore."""

    sigstore: PrivateSigstore
    subject: Subject = field(default_factory=lambda: make_subject(weights=b"abc", config=b"{}"))
    release: PrivateKey = field(default_factory=generate)
    second: PrivateKey = field(default_factory=lambda: generate(KeyType.ECDSA))
    stranger: PrivateKey = field(default_factory=generate)

    @property
    def trust(self) -> Trust:
        return Trust(
            keys=(Key(id="release", pem=self.release.public.pem), Key(id="second", pem=self.second.public.pem)),
            identities=(Identity(id="ci", issuer=ISSUER, subject=WORKFLOW),),
            trusted_root=TrustedRoot(file="root.json", sha256="0" * 64, json_text=self.sigstore.trusted_root()),
        )

    @property
    def question(self) -> Context:
        return Context(self.subject, "production", Digest.of(b"policy"), NOW)

    def manifest(self, key: PrivateKey, subject: Subject | None = None) -> bytes:
        return sign_payload(manifest_statement(subject or self.subject), key)

    def attest(self, kind: str, predicate: dict[str, Any], key: PrivateKey | None = None) -> bytes:
        return sign_payload(statement(kind, predicate, self.subject), key or self.release)

    def bundle(self, subject: Subject | None = None, who: str = WORKFLOW, issuer: str = ISSUER) -> bytes:
        return as_json(self.sigstore.sign_statement(manifest_statement(subject or self.subject), who, issuer))

    def judge(self, requirement: requirements.AnyRequirement, *data: bytes, trust: Trust | None = None) -> Evidence:
        kinds = {
            requirements.Signature: "signature",
            requirements.Provenance: "provenance",
            requirements.Tests: "tests",
            requirements.Approvals: "approvals",
            requirements.Bom: "bom",
            requirements.Scanners: "scanners",
            requirements.Continuity: "continuity",
        }
        stage = Stage(**{kinds[type(requirement)]: requirement})
        (evidence,) = collect(self.question, stage, trust or self.trust, named(data))
        return evidence


def named(data: Sequence[bytes]) -> list[EvidenceFile]:
    return [EvidenceFile(f"{number}.json", item) for number, item in enumerate(data)]


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.fixture(scope="session")
def make_sigstore() -> type[PrivateSigstore]:
    return PrivateSigstore


@pytest.fixture(scope="session")
def world() -> World:
    return World(PrivateSigstore(NOW))


@pytest.fixture(scope="session")
def subject_of() -> Callable[..., Subject]:
    return make_subject


@pytest.fixture(scope="session")
def data_folder() -> Path:
    folder = Path(__file__).parents[3].parent / "shared" / "data" / "signing"
    if not folder.is_dir():
        pytest.skip("the shared signing data is not beside this checkout")
    return folder
