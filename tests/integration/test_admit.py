"""The verdict travels: from the gate that signs it to the place where the model is about to be used."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.releases import HOSTILE_PICKLE, write_release
from zt_gate.domain import Digest
from zt_gate.intake import Freeze, freeze
from zt_gate.intake.authenticated_cache import AuthenticatedCache
from zt_gate.intake.hash_cache import HashCache
from zt_gate.trust.requirements.revocation import RevocationList, RevokedEntry
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.signatures.keys import load_private, load_public
from zt_gate.trust.statements.summary import EXTENSION

ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}


def gate(*words, cwd=None, env=None):
    done = subprocess.run(
        [sys.executable, "-m", "zt_gate", *map(str, words)],
        cwd=cwd, env={**ENV, **(env or {})}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def place(tmp_path):
    """A signed release with its policy, the gate's key and a revoker's."""
    write_release(tmp_path / "model")
    for name in ("release", "gate", "revoker"):
        assert gate("keygen", "--out", tmp_path / "keys", "--name", name).returncode == 0
    assert gate("sign", "model", "--key", "keys/release.key", cwd=tmp_path).returncode == 0
    policy = gate("policy", "new", "--key", "keys/release.pub", cwd=tmp_path).stdout
    (tmp_path / "zt-gate.yaml").write_text(policy)
    yield tmp_path
    for path, _, _ in os.walk(tmp_path / "store"):
        os.chmod(path, 0o700)


def check(place, *more):
    words = ("check", "model", "--policy", "zt-gate.yaml", "--summary", "summary.json", "--summary-key")
    return gate(*words, "keys/gate.key", *more, cwd=place)


def admit(place, *more):
    return gate("admit", "model", "--summary", "summary.json", "--key", "keys/gate.pub", *more, cwd=place)


def stored(place):
    return sorted(path.name for path in (place / "store").iterdir())


def extension(place):
    payload = json.loads((place / "summary.json").read_text())["payload"]
    return json.loads(base64.b64decode(payload))["predicate"][EXTENSION]


def digest_of(path):
    with freeze([path], Freeze.HOLD) as frozen:
        return frozen.digest


def keeps_change_times(place):
    folder = AuthenticatedCache(place / "cache")
    try:
        return place.stat().st_dev in HashCache(folder)._devices
    finally:
        folder.close()


def revoke(place, kind, value, issued=None):
    entry = RevokedEntry(kind, value, "stolen", "2026-01-01T00:00:00Z")
    key = load_private((place / "keys" / "revoker.key").read_bytes(), None, "the revoker's key")
    listed = RevocationList(issued or datetime.now(UTC), 1, (entry,))
    (place / "revoked.json").write_bytes(sign_payload(listed.payload(), key))
    return ("--revocations", "revoked.json", "--revocation-key", "keys/revoker.pub")


def test_the_summary_names_signers_rules_and_engines(place):
    assert check(place).returncode == 0
    ours = extension(place)
    (signer,) = ours["signers"]
    assert signer.startswith("key sha256:")
    assert ours["rules"].startswith("sha256:")
    assert "blake3" not in ours
    payload = json.loads(base64.b64decode(json.loads((place / "summary.json").read_text())["payload"]))
    assert "zt-gate" in payload["predicate"]["verifier"]["version"]


def test_fast_admission_takes_the_same_bytes_and_no_others(place):
    pytest.importorskip("blake3")
    assert check(place, "--summary-fast").returncode == 0
    assert extension(place)["blake3"].startswith("blake3-manifest:")
    assert admit(place).returncode == 0
    assert admit(place, "--fast").stdout.startswith("ADMITTED")
    assert admit(place, "--fast", "--stage", "staging").returncode == 1
    (place / "model" / "config.json").chmod(0o755)
    refused = admit(place, "--fast")
    assert refused.returncode == 1
    assert "another BLAKE3 digest" in refused.stdout


def test_fast_admission_of_a_summary_without_the_digest_is_refused_with_the_reason(place):
    pytest.importorskip("blake3")
    assert check(place).returncode == 0
    refused = admit(place, "--fast")
    assert refused.returncode == 1
    assert "--summary-fast" in refused.stdout


def test_fast_admission_without_the_package_is_an_error_with_the_remedy(place):
    assert check(place).returncode == 0
    (place / "shadow").mkdir()
    (place / "shadow" / "blake3.py").write_text("raise ImportError\n")
    done = gate(
        "admit", "model", "--summary", "summary.json", "--key", "keys/gate.pub", "--fast",
        cwd=place, env={"PYTHONPATH": str(place / "shadow")},
    )  # fmt: skip
    assert done.returncode == 2
    assert "zt-gate[fast]" in done.stderr


def test_a_fast_digest_of_a_blocked_release_admits_nothing(place):
    pytest.importorskip("blake3")
    (place / "model" / "extra.pkl").write_bytes(HOSTILE_PICKLE)
    assert check(place, "--summary-fast").returncode == 1
    refused = admit(place, "--fast")
    assert refused.returncode == 1
    assert "the gate blocked this release" in refused.stdout


def test_what_is_admitted_is_what_lies_in_the_store(place):
    assert check(place).returncode == 0
    done = admit(place, "--into", "store")
    assert done.returncode == 0
    path = Path(done.stdout.splitlines()[1])
    assert digest_of(path) == digest_of(place / "model")
    assert stored(place) == [path.name]
    assert admit(place, "--into", "store").stdout == done.stdout


def test_what_is_refused_is_not_in_the_store(place):
    assert check(place).returncode == 0
    (place / "model" / "config.json").write_text("{}")
    assert admit(place, "--into", "store").returncode == 1
    assert stored(place) == []


def test_an_allowed_release_is_sealed_by_the_check_and_a_blocked_one_is_not(place):
    done = check(place, "--seal", "store")
    assert done.returncode == 0
    (name,) = stored(place)
    assert f"sealed: {place}/store/{name}" in done.stderr
    assert digest_of(place / "store" / name) == digest_of(place / "model")
    (place / "model" / "extra.pkl").write_bytes(HOSTILE_PICKLE)
    assert check(place, "--seal", "store").returncode == 1
    assert stored(place) == [name]


def test_options_that_do_not_fit_together_are_refused(place):
    assert gate("check", "model", "--summary-fast", cwd=place).returncode == 2
    assert check(place).returncode == 0
    assert admit(place, "--fast", "--into", "store").returncode == 2
    assert admit(place, "--revocation-key", "keys/revoker.pub").returncode == 2
    assert not (place / "store").exists()


def test_a_store_inside_the_target_is_refused(place):
    assert check(place, "--seal", "model/store").returncode == 2
    assert check(place).returncode == 0
    assert admit(place, "--into", "model/store").returncode == 2
    assert not (place / "model" / "store").exists()


def test_a_killed_admission_leaves_nothing_admitted(place):
    assert check(place).returncode == 0
    (place / "model" / "large.bin").write_bytes(b"")
    os.truncate(place / "model" / "large.bin", 512 << 20)
    words = ["admit", "model", "--summary", "summary.json", "--key", "keys/gate.pub", "--into", "store"]
    process = subprocess.Popen([sys.executable, "-m", "zt_gate", *words], cwd=place, env=ENV)
    deadline = time.monotonic() + 30
    while not list(place.glob("store/.incoming-*/large.bin")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [name for name in stored(place) if not name.startswith(".incoming-")] == []
    (place / "model" / "large.bin").unlink()
    assert admit(place, "--into", "store").returncode == 0
    assert [name.split("-")[0] for name in stored(place)] == ["sha256"]


def test_a_revoked_release_is_not_admitted(place):
    assert check(place).returncode == 0
    elsewhere = revoke(place, "digest", f"sha256:{'0' * 64}")
    assert admit(place, *elsewhere).returncode == 0
    refused = admit(place, *revoke(place, "digest", str(digest_of(place / "model"))))
    assert refused.returncode == 1
    assert "is revoked: stolen" in refused.stdout


def test_a_revoked_gate_and_a_stale_or_forged_list_admit_nothing(place):
    assert check(place).returncode == 0
    keyid = load_public((place / "keys" / "gate.pub").read_text(), "the gate's key").id
    assert "is revoked: stolen" in admit(place, *revoke(place, "key", keyid)).stdout
    signer = load_public((place / "keys" / "release.pub").read_text(), "the signer's key").id
    assert "is revoked: stolen" in admit(place, *revoke(place, "key", signer)).stdout
    weights = next(path for path in sorted((place / "model").iterdir()) if path.is_file())
    one_file = revoke(place, "digest", str(Digest.of(weights.read_bytes())))
    assert f"{weights.name} is revoked: stolen" in admit(place, *one_file).stdout
    stale = revoke(place, "digest", f"sha256:{'0' * 64}", datetime(2026, 1, 1, tzinfo=UTC))
    assert "days old" in admit(place, *stale).stdout
    assert admit(place, *stale, "--revocation-max-age-days", "3650").returncode == 0
    forged = (*stale[:3], "keys/release.pub")
    assert admit(place, *forged).returncode == 1
    assert admit(place, *stale[:2]).returncode == 2


def test_the_next_release_has_to_be_signed_by_a_signer_of_the_last_one(place):
    """The gate's own summary is the memory: `continuity` reads whose signatures counted."""
    assert check(place).returncode == 0
    (place / "last").mkdir()
    (place / "summary.json").rename(place / "last" / "summary.json")
    assert gate("keygen", "--out", place / "keys", "--name", "new").returncode == 0
    (place / "model" / "config.json").write_text('{"release": 2}')
    (place / "next.yaml").write_text(
        "apiVersion: zt-gate/v1\nkind: Policy\nmetadata: {name: next}\nextends: ['pack:baseline']\ntrust:\n  keys:\n"
        + "".join(f"    - {{id: {name}, file: keys/{name}.pub}}\n" for name in ("release", "new", "gate"))
        + "stages:\n  production: {signature: {by: [release, new]}, continuity: {by: [gate]}}\n"
    )
    again = ("check", "model", "--policy", "next.yaml", "--evidence", "model.evidence", "--evidence", "last")
    assert gate("sign", "model", "--key", "keys/new.key", cwd=place).returncode == 0
    changed = gate(*again, cwd=place)
    assert changed.returncode == 1
    assert "signer changed since the last allowed release" in changed.stdout
    assert gate("sign", "model", "--key", "keys/release.key", cwd=place).returncode == 0
    assert gate(*again, cwd=place).returncode == 0


def test_hashes_are_reused_only_where_the_policy_says_so(place):
    (place / "model" / "weights.bin").write_bytes(os.urandom(2 << 20))

    def reused(*policy):
        words = ("check", "model", "--stage", "dev", *policy, "--cache", "cache", "--format", "json")
        checks = json.loads(gate(*words, cwd=place).stdout)["checks"]
        return [item["metrics"].get("reused_hashes") for item in checks if item["id"] == "intake"]

    own = "apiVersion: zt-gate/v1\nkind: Policy\nmetadata: {name: own}\nextends: ['pack:baseline']\nstages:\n"
    (place / "own.yaml").write_text(own + "  dev: {reuse_hashes: true}\n")
    (place / "loose.yaml").write_text(own + "  production: {reuse_hashes: true}\n")
    time.sleep(2.1)
    assert [reused() for _ in range(2)] == [[None], [None]]
    assert reused("--policy", "own.yaml") == [None]
    assert reused("--policy", "own.yaml") == (["1"] if keeps_change_times(place) else [None])
    done = gate("check", "model", "--policy", "loose.yaml", cwd=place)
    assert done.returncode == 2
    assert "pack:baseline says reuse_hashes false; true is looser" in done.stderr


def test_a_manifest_has_to_load_the_release_that_is_admitted(place):
    assert check(place).returncode == 0
    digest = digest_of(place / "model").hex
    for name, address in {"good": f"s3://models/{digest}/", "bad": f"s3://models/{'0' * 64}/"}.items():
        text = "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: a}\n"
        text += f"spec: {{predictor: {{model: {{modelFormat: {{name: sklearn}}, storageUri: '{address}'}}}}}}\n"
        (place / f"{name}.yaml").write_text(text)
    (place / "none.yaml").write_text("apiVersion: v1\nkind: Pod\n")
    assert admit(place, "--manifest", "good.yaml").returncode == 0
    refused = admit(place, "--manifest", "good.yaml", "--manifest", "bad.yaml")
    assert (refused.returncode, "does not name this release's digest" in refused.stdout) == (1, True)
    assert admit(place, "--manifest", "none.yaml").returncode == 1
    assert admit(place, "--manifest", "missing.yaml").returncode == 2
    assert admit(place, "--manifest", "good.yaml", "--fast").returncode == 2
