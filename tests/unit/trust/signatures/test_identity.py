from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from tests.support.private_sigstore import ISSUER_V1, ISSUER_V2, new_key, utf8_string
from zt_gate.domain import Status
from zt_gate.errors import PolicyError
from zt_gate.policy.requirements import Signature
from zt_gate.policy.trust_roots import CLAIMS, Identity
from zt_gate.trust.signatures.identity import der_utf8, matches_identity, may_overlap, names, pattern_matches
from zt_gate.trust.statements.statement import manifest_statement

GITHUB = "https://token.actions.githubusercontent.com"
RELEASE = "https://github.com/acme/models/.github/workflows/release.yml@refs/tags/v1.2"
GITHUB_SAYS = {
    "source_repository_uri": "https://github.com/acme/models",
    "source_repository_ref": "refs/tags/v1.2",
    "runner_environment": "github-hosted",
    "build_trigger": "push",
}
GITLAB = "https://gitlab.com"
PIPELINE = "https://gitlab.com/acme/models//.gitlab-ci.yml@refs/heads/main"
GITLAB_SAYS = {
    "source_repository_uri": "https://gitlab.com/acme/models",
    "source_repository_ref": "refs/heads/main",
    "runner_environment": "gitlab-hosted",
}


def oids(claims: dict[str, str]) -> dict[str, str]:
    return {CLAIMS[name]: value for name, value in claims.items()}


def certificate(world, subject=RELEASE, issuer=GITHUB, says=GITHUB_SAYS) -> x509.Certificate:
    return world.sigstore.issue(new_key(), subject, issuer, world.sigstore.now, oids(says))


def github(**changes) -> Identity:
    return replace(Identity(id="ci", issuer=GITHUB, subject=RELEASE, claims=GITHUB_SAYS), **changes)


def test_a_github_workflow_with_its_claims_is_known_through_the_whole_verification(world) -> None:
    pattern = "https://github.com/acme/models/.github/workflows/release.yml@refs/tags/v*"
    identity = github(
        subject=None, subject_pattern=pattern, claims=GITHUB_SAYS | {"source_repository_ref": "refs/tags/v*"}
    )
    trust = replace(world.trust, identities=(identity,))
    payload = manifest_statement(world.subject)
    good = world.sigstore.sign_statement(payload, RELEASE, GITHUB, claims=oids(GITHUB_SAYS))
    elsewhere = world.sigstore.sign_statement(
        payload, RELEASE, GITHUB, claims=oids(GITHUB_SAYS | {"runner_environment": "self-hosted"})
    )
    assert judged(world, trust, good) is Status.PASS
    assert judged(world, trust, elsewhere) is Status.FAIL
    evidence = world.judge(Signature(by=("ci",)), json.dumps(elsewhere).encode(), trust=trust)
    (finding,) = [item for item in evidence.findings if item.rule == "SIG-003"]
    assert "without the claim runner_environment as it should be" in finding.message


def test_a_gitlab_pipeline_with_its_claims_is_known_through_the_whole_verification(world) -> None:
    identity = Identity(id="ci", issuer=GITLAB, subject=PIPELINE, claims=GITLAB_SAYS)
    trust = replace(world.trust, identities=(identity,))
    payload = manifest_statement(world.subject)
    good = world.sigstore.sign_statement(payload, PIPELINE, GITLAB, claims=oids(GITLAB_SAYS))
    fork = oids(GITLAB_SAYS | {"source_repository_uri": "https://gitlab.com/evil/models"})
    assert judged(world, trust, good) is Status.PASS
    assert judged(world, trust, world.sigstore.sign_statement(payload, PIPELINE, GITLAB, claims=fork)) is Status.FAIL


@pytest.mark.parametrize("claim", sorted(GITHUB_SAYS))
def test_a_certificate_without_a_claim_that_is_asked_for_never_matches(world, claim) -> None:
    assert matches_identity(certificate(world), github())
    assert not matches_identity(certificate(world, says={k: v for k, v in GITHUB_SAYS.items() if k != claim}), github())
    assert not matches_identity(certificate(world, says=GITHUB_SAYS | {claim: GITHUB_SAYS[claim] + "x"}), github())


@pytest.mark.parametrize(
    "subject",
    [
        RELEASE + "%0a",
        "x" + RELEASE,
        RELEASE.replace("acme", "Acme"),
        RELEASE + "?",
        RELEASE.replace("/models/", "/models//"),
        RELEASE.removesuffix("2"),
    ],
)
def test_a_subject_is_exact(world, subject) -> None:
    assert not matches_identity(certificate(world, subject), github())


def test_two_names_in_one_certificate_are_nobody(world) -> None:
    assert not matches_identity(certificate(world, f"{RELEASE} https://github.com/evil"), github())
    assert names(certificate(world, f"{RELEASE} https://github.com/evil")) == [RELEASE, "https://github.com/evil"]


def test_the_issuer_is_exact_and_a_certificate_that_names_two_shows_nobody(world) -> None:
    assert not matches_identity(certificate(world, issuer=GITHUB + "/"), github())
    for old, new in ((GITHUB, "https://evil.test"), ("https://evil.test", GITHUB)):
        assert not matches_identity(
            altered(world, {ISSUER_V1: old.encode(), ISSUER_V2: utf8_string(new)}), github(claims={})
        )


@pytest.mark.parametrize("oid", [ISSUER_V1, ISSUER_V2])
def test_one_form_of_the_issuer_is_enough(world, oid) -> None:
    value = GITHUB.encode() if oid == ISSUER_V1 else utf8_string(GITHUB)
    assert matches_identity(altered(world, {oid: value}), github(claims={}))
    assert not matches_identity(altered(world, {}), github(claims={}))


def test_a_claim_that_is_no_utf8_string_shows_nobody(world) -> None:
    claim = x509.ObjectIdentifier(CLAIMS["build_trigger"])
    issuer = {ISSUER_V2: utf8_string(GITHUB)}
    asks = github(claims={"build_trigger": "push"})
    assert matches_identity(altered(world, issuer | {claim: utf8_string("push")}), asks)
    for raw in (b"push", b"\x13\x04push", b"\x0c\x81\x04push", b"\x0c\x04push\x00", b"\x0c\x05push", b"\x0c", b""):
        assert not matches_identity(altered(world, issuer | {claim: raw}), asks)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65535, 65536])
def test_a_utf8_string_is_read_whatever_its_length(size) -> None:
    assert der_utf8(utf8_string("x" * size)) == "x" * size


@pytest.mark.parametrize("data", [b"\x0c\x01xy", b"\x0c\x02x", b"\x0c\x81\x01x", b"\x13\x01x", b"\x0c\x01\xff", b""])
def test_what_is_not_exactly_one_utf8_string_is_refused(data) -> None:
    with pytest.raises(ValueError, match=r"."):
        der_utf8(data)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("https://a/*", "https://a/b", True),
        ("https://a/*", "https://a/", False),
        ("https://a/*", "https://a/b/c", False),
        ("https://a/*", "https://a/b\n", False),
        ("https://a/*", "https://a/b\nhttps://a/c", False),
        ("https://a/*", "https://a/b\x00", False),
        ("https://a/*", "https://a/b%2fc", False),
        ("https://a/*", "https://a/b\\c", False),
        ("https://a/*", "https://a/b\u2215c", False),
        ("https://a/*", "https://a/b\uff0fc", False),
        ("https://a/*", "https://a/\u202eb", False),
        ("https://a/*", "https://\u0430/b", False),
        ("https://a/*", "xhttps://a/b", False),
        ("https://a/v*.*", "https://a/v1.2", True),
        ("https://a/v*.*", "https://a/v.2", False),
        ("https://a/v*.*", "https://a/v1.", False),
        ("https://a/*ab", "https://a/abab", True),
        ("https://a/a*a", "https://a/aa", False),
        ("https://a.b/*", "https://axb/c", False),
        ("https://a/[bc]*", "https://a/bd", False),
    ],
)
def test_a_pattern_is_anchored_and_a_star_stays_within_its_segment(pattern, text, matches) -> None:
    assert pattern_matches(pattern, text) is matches


PIECES = st.text(st.sampled_from("ab/*"), max_size=12).filter(lambda text: "**" not in text)
TEXTS = st.text(st.sampled_from("ab/"), max_size=12)


@given(PIECES, TEXTS)
def test_a_pattern_means_what_the_plain_regular_expression_means(pattern, text) -> None:
    reference = "".join("[^/]+" if char == "*" else re.escape(char) for char in pattern)
    assert pattern_matches(pattern, text) is bool(re.fullmatch(reference, text))


@given(PIECES, st.text(max_size=12))
def test_a_pattern_never_reaches_across_a_slash_or_a_line(pattern, text) -> None:
    if pattern_matches(pattern, text):
        assert text.count("/") == pattern.count("/")
        assert not set(text) - set("ab/") or "*" in pattern
        assert text.isprintable()


@given(PIECES, PIECES, TEXTS)
def test_patterns_that_one_text_matches_may_overlap(one, other, text) -> None:
    if pattern_matches(one, text) and pattern_matches(other, text):
        assert may_overlap(by_pattern(one), by_pattern(other))
    assert may_overlap(by_pattern(one), Identity(id="x", issuer="i", subject=text)) is pattern_matches(one, text)


def test_a_long_hostile_text_is_refused_at_once() -> None:
    assert not pattern_matches("aaaa" + "*a" * 40 + "b", "a" * 1_000_000)


def test_different_refs_of_one_workflow_are_one_person(world) -> None:
    pattern = "https://github.com/acme/models/.github/workflows/release.yml@refs/tags/*"
    trust = replace(world.trust, identities=(github(subject=None, subject_pattern=pattern, claims={}),))
    payload = manifest_statement(world.subject)
    bundles = [world.sigstore.sign_statement(payload, f"{RELEASE}{number}", GITHUB) for number in range(2)]
    assert judged(world, trust, *bundles) is Status.PASS
    assert judged(world, trust, *bundles, count=2) is Status.FAIL


def test_one_certificate_that_shows_two_entries_is_still_one_person(world) -> None:
    wide = github(id="any", subject=None, subject_pattern=RELEASE.replace("v1.2", "*"), claims={})
    narrow = github(id="v1", subject=None, subject_pattern=RELEASE.replace("v1.2", "v1.*"), claims={})
    trust = replace(world.trust, identities=(github(claims={}), wide, narrow))
    bundle = world.sigstore.sign_statement(manifest_statement(world.subject), RELEASE, GITHUB)
    by = ("ci", "any", "v1")
    assert judged(world, trust, bundle, by=by) is Status.PASS
    assert judged(world, trust, bundle, by=by, count=2) is Status.FAIL
    with pytest.raises(PolicyError, match="registered for two persons"):
        judged(world, replace(trust, identities=(github(claims={}), replace(wide, person="bob"))), bundle, by=("any",))


def test_two_entries_that_no_certificate_can_show_together_are_two_persons(world) -> None:
    other = github(id="other", subject=RELEASE.replace("release.yml", "review.yml"), claims={})
    trust = replace(world.trust, identities=(github(claims={}), other))
    payload = manifest_statement(world.subject)
    bundles = [world.sigstore.sign_statement(payload, item.subject, GITHUB) for item in trust.identities]
    assert judged(world, trust, *bundles, by=("ci", "other"), count=2) is Status.PASS


def test_one_pattern_at_two_issuers_is_two_persons(world) -> None:
    pattern = RELEASE.replace("v1.2", "*")
    here = github(subject=None, subject_pattern=pattern, claims={})
    trust = replace(world.trust, identities=(here, replace(here, id="other", issuer=GITLAB)))
    payload = manifest_statement(world.subject)
    bundles = [world.sigstore.sign_statement(payload, RELEASE, item.issuer) for item in trust.identities]
    assert judged(world, trust, *bundles, by=("ci", "other"), count=2) is Status.PASS


def judged(world, trust, *bundles, by=("ci",), count=1) -> Status:
    from json import dumps

    wanted = Signature(by=by, count=count)
    return world.judge(wanted, *[dumps(bundle).encode() for bundle in bundles], trust=trust).status


def by_pattern(pattern: str) -> Identity:
    return Identity(id="x", issuer="i", subject_pattern=pattern)


def altered(world, extensions: dict[x509.ObjectIdentifier, bytes]) -> x509.Certificate:
    """A certificate with these extensions alone, for comparisons that no verification precedes."""
    from cryptography.hazmat.primitives import hashes

    key = new_key()
    builder = (
        x509.CertificateBuilder(issuer_name=x509.Name([]), subject_name=x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(world.sigstore.now)
        .not_valid_after(world.sigstore.now)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(RELEASE)]), critical=True)
    )
    for oid, value in extensions.items():
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    return builder.sign(key, hashes.SHA256())
