"""The walks of docs/signing.md, run as they stand."""

import json
import os
import re
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from tests.support.private_sigstore import PrivateSigstore
from tests.support.releases import write_release
from zt_gate.intake import Freeze, freeze
from zt_gate.policy.trust_roots import CLAIMS
from zt_gate.trust.statements.statement import manifest_statement

PAGE = Path(__file__).parents[2] / "docs" / "signing.md"
WALK = re.compile(r"<!-- walk: ([a-z-]+) -->\n```sh\n(.*?)```", re.DOTALL)
SIGNERS = {
    "github": (
        "https://github.com/acme/ml/.github/workflows/release.yml@refs/tags/v1.0",
        "https://token.actions.githubusercontent.com",
        {"source_repository_uri": "https://github.com/acme/ml", "runner_environment": "github-hosted"},
    ),
    "gitlab": (
        "https://gitlab.com/acme/ml//.gitlab-ci.yml@refs/heads/main",
        "https://gitlab.com",
        {"runner_environment": "gitlab-hosted"},
    ),
}


def script(name):
    """The blocks of a walk in order; any command that ends otherwise than the page says ends the walk."""
    blocks = [text for walk, text in WALK.findall(PAGE.read_text()) if walk == name]
    assert blocks
    lines = "".join(blocks).replace("\n! zt-gate", "\nrefused zt-gate")
    return f'set -euo pipefail\nrefused() {{ local code=0; "$@" || code=$?; [ "$code" = 1 ]; }}\n{lines}'


@pytest.fixture
def place(tmp_path):
    write_release(tmp_path / "model")
    command = tmp_path / "bin" / "zt-gate"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m zt_gate "$@"\n')
    command.chmod(0o755)
    yield tmp_path
    for path, _, _ in os.walk(tmp_path / "store"):
        os.chmod(path, 0o700)


def walk(place, name):
    env = {"PATH": f"{place / 'bin'}:{os.environ['PATH']}", "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    done = subprocess.run(
        ["bash", "-c", script(name)], cwd=place, env=env, capture_output=True, text=True, timeout=250, check=False
    )
    assert "Traceback" not in done.stderr
    return done


def sign_as(place, who, issuer, claims):
    """Do what the job does at a Sigstore instance."""
    sigstore = PrivateSigstore(datetime.now(UTC))
    with freeze([place / "model"], Freeze.HOLD) as frozen:
        payload = manifest_statement(frozen.subject)
    oids = {CLAIMS[name]: value for name, value in claims.items()}
    bundle = sigstore.sign_statement(payload, who, issuer, claims=oids)
    (place / "model.evidence").mkdir()
    (place / "model.evidence" / "manifest.sigstore.json").write_text(json.dumps(bundle))
    (place / "trusted_root.json").write_text(sigstore.trusted_root())


def test_the_pipelines_on_the_page_are_yaml():
    blocks = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)]
    github, gitlab = blocks
    assert github["permissions"]["id-token"] == "write"
    assert [step["run"].split(" --")[0] for step in github["steps"] if "run" in step][1:] == [
        "zt-gate sign model",
        "zt-gate attest provenance model",
    ]
    assert "zt-gate sign model --sigstore" in gitlab["release"]["script"]


def test_the_page_has_these_walks():
    assert {name for name, _ in WALK.findall(PAGE.read_text())} == {"github", "gitlab", "jenkins", "air-gapped"}


@pytest.mark.parametrize("name", ["github", "gitlab"])
def test_a_walk_with_an_identity(place, name):
    sign_as(place, *SIGNERS[name])
    done = walk(place, name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ALLOW" in done.stdout


@pytest.mark.parametrize("name", ["github", "gitlab"])
@pytest.mark.parametrize("change", ["branch", "runner", "issuer"])
def test_the_same_walk_with_another_identity_is_blocked(place, name, change):
    who, issuer, claims = SIGNERS[name]
    if change == "branch":
        who = who.split("@")[0] + "@refs/heads/somebody"
    elif change == "runner":
        claims = claims | {"runner_environment": "self-hosted"}
    else:
        issuer = "https://issuer.example"
    sign_as(place, who, issuer, claims)
    done = walk(place, name)
    assert done.returncode == 1
    assert "BLOCK" in done.stdout


@pytest.mark.parametrize("name", ["jenkins", "air-gapped"])
def test_a_walk_with_keys(place, name):
    done = walk(place, name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ALLOW" in done.stdout
    key = place / "keys" / ("release.key" if name == "jenkins" else "ann.key")
    assert ("ENCRYPTED" in key.read_text()) == (name == "jenkins")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_the_air_gapped_walk_ends_with_what_was_admitted_in_the_store_and_a_refusal(place):
    done = walk(place, "air-gapped")
    assert "ADMITTED" in done.stdout
    assert done.stdout.rindex("REFUSED") > done.stdout.rindex("ADMITTED")
    (kept,) = (place / "store").iterdir()
    with freeze([kept], Freeze.HOLD) as frozen, freeze([place / "model"], Freeze.HOLD) as model:
        assert frozen.digest == model.digest
