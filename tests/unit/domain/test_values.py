import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.domain import Decision, Digest, Entry, Evidence, Finding, Gap, Manifest, Mode, Severity, Status, printable
from zt_gate.domain.text import is_unsafe

HEX = Digest.of(b"x").hex


def entry(path, data=b"x", mode=Mode.FILE):
    return Entry(path, len(data), mode, Digest.of(data).hex)


@pytest.mark.parametrize("text", ["sha256:abc", "md5:" + HEX, HEX, "sha256:" + HEX.upper(), "sha256:" + HEX + "\n"])
def test_a_digest_is_sha256_in_lower_case_or_nothing(text):
    with pytest.raises(ValueError, match="not a sha256 digest"):
        Digest.parse(text)


def test_a_decision_has_no_truth_value():
    with pytest.raises(TypeError, match="truth"):
        bool(Decision.BLOCK)


def test_the_manifest_binds_names():
    one = Manifest.of([entry("a", b"1"), entry("b", b"2")])
    swapped = Manifest.of([entry("a", b"2"), entry("b", b"1")])
    assert one.digest != swapped.digest
    assert swapped.differences(one) == ["a: holds the bytes signed as b", "b: holds the bytes signed as a"]


@pytest.mark.parametrize("change", [entry("a", b"1", Mode.EXECUTABLE), entry("a", b"1 "), entry("A", b"1")])
def test_the_manifest_binds_mode_size_content_and_case(change):
    assert Manifest.of([entry("a", b"1")]).digest != Manifest.of([change]).digest


def test_the_manifest_refuses_a_path_twice():
    with pytest.raises(ValueError, match="unique"):
        Manifest.of([entry("a"), entry("a", b"y")])


def test_a_manifest_survives_its_own_json():
    manifest = Manifest.of([entry("b"), entry("a/c", b"", Mode.DIRECTORY)])
    assert Manifest.from_json(manifest.to_json()) == manifest


@pytest.mark.parametrize(
    "value",
    [None, {}, {"schema": "x", "files": []}, {"schema": "zt-gate/manifest/v1", "files": [{"path": "a"}]},
     {"schema": "zt-gate/manifest/v1", "files": [{"path": "a", "size": -1, "mode": "file", "sha256": HEX}]},
     {"schema": "zt-gate/manifest/v1", "files": [{"path": 1, "size": 1, "mode": "file", "sha256": HEX}]},
     {"schema": "zt-gate/manifest/v1", "files": [{"path": "a", "size": 1, "mode": "link", "sha256": HEX}]},
     {"schema": "zt-gate/manifest/v1", "files": [], "more": 1}],
)  # fmt: skip
def test_a_foreign_manifest_is_exact_or_refused(value):
    with pytest.raises(ValueError):  # noqa: PT011 - any of several texts
        Manifest.from_json(value)


def test_evidence_cannot_pass_over_its_own_gaps():
    digest = Digest.of(b"")
    assert Evidence.of("c", "1", digest).status is Status.PASS
    assert Evidence.of("c", "1", digest, applicable=False).status is Status.NOT_APPLICABLE
    finding = Finding("X-1", Severity.LOW, "m")
    assert Evidence.of("c", "1", digest, findings=[finding], applicable=False).status is Status.FAIL
    assert Evidence.of("c", "1", digest, findings=[finding], gaps=[Gap("g")]).status is Status.INCOMPLETE


def test_a_fingerprint_ignores_wording_and_place_in_the_file():
    one = Finding("X-1", Severity.LOW, "m", path="a", symbol="os.system", offset=1)
    other = Finding("X-1", Severity.HIGH, "other words", path="a", symbol="os.system", offset=9, line=3)
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint != Finding("X-1", Severity.LOW, "m", path="b", symbol="os.system").fingerprint


@given(st.text())
def test_printable_text_is_one_harmless_line(text):
    shown = printable(text)
    assert not any(is_unsafe(char) for char in shown)
    assert len(shown) <= 300
    shown.encode()
