"""Invariant 9: whatever a release holds, no secret of it is printed, logged, attested or cached."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.releases import safetensors, write_release
from tests.support.secret_values import private_key, tokens
from zt_gate.audit.event import redact
from zt_gate.domain.secret_shapes import mask
from zt_gate.scan.artifacts.registry import FORMATS

ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}


def gate(*words):
    done = subprocess.run(
        [sys.executable, "-m", "zt_gate", *map(str, words)], env=ENV, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return done


def plant(folder, secrets):
    """Write a release with each secret in code, a notebook, configuration and metadata, also where parsers complain."""
    write_release(folder)
    lines = [f'KEY_{i} = "{value}"' for i, value in enumerate(secrets)]
    (folder / "train.py").write_text("\n".join(lines) + "\npassword = 'q7Lw2PzR9x'\n")
    cell = {"cell_type": "code", "metadata": {}, "source": lines, "outputs": [{"text": secrets}], "execution_count": 1}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}
    (folder / "eda.ipynb").write_text(json.dumps(notebook))
    (folder / ".env").write_text("\n".join(f"A{i}={value}" for i, value in enumerate(secrets)))
    (folder / "c.yaml").write_text("".join(f"? !!python/object:{v}\n: {{_target_: {v}}}\n" for v in secrets))
    (folder / "config.json").write_text(json.dumps({v: {"auto_map": {"AutoModel": v}, "_target_": v} for v in secrets}))
    (folder / "MLmodel").write_text("flavors:\n" + "".join(f"  '{v}':\n    loader_module: '{v}'\n" for v in secrets))
    (folder / "requirements.txt").write_text("".join(f"-r {v}\nx @ https://u:{v}@h.example/\n" for v in secrets))
    header = json.dumps({v: {"dtype": v, "shape": [1], "data_offsets": [0, 4]} for v in secrets}).encode()
    (folder / "bad.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + safetensors()[-4:])
    (folder / "model.pkl").write_bytes(b"".join(f"c{v}\n{v}\n0".encode() for v in secrets) + b"N.")


@pytest.mark.parametrize("seed", [1, 2])
def test_no_output_of_any_kind_shows_a_secret(tmp_path, seed):
    found = tokens(seed)
    secrets = [*found.values(), "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjaS1ydW5uZXIifQ." + found["openai"][3:46]]
    release, out, log = tmp_path / "model", tmp_path / "out", tmp_path / "audit.jsonl"
    plant(release, secrets)
    (release / "id.pem").write_text(private_key(seed))
    words = ("--out", out, "--audit-log", log, "--cache", tmp_path / "cache", "-v")
    said = gate("check", release, "--stage", "dev", *words)
    assert said.returncode == 1
    said_all = [said, *(gate("scan", release, "-v", "--format", form) for form in ("terminal", "json", "sarif"))]
    shown = "".join(done.stdout + done.stderr for done in said_all)
    kept = b"".join(
        path.read_bytes() for path in [log, *tmp_path.glob("out/*"), *tmp_path.glob("cache/**/*")] if path.is_file()
    )
    everything = shown + kept.decode("utf-8", "replace")
    # A terminal wraps long lines, so the text is also compared without its white space.
    for text in (everything, "".join(everything.split())):
        for name, value in {**found, "jwt": secrets[-1][-30:]}.items():
            # Half a secret is too much as well; the vendor's mark at its beginning is public.
            assert value[len(value) // 3 :][:16] not in text, name
        assert private_key(seed).splitlines()[3] not in text
        assert "q7Lw2PzR9x" not in text
    rules = {finding["rule"] for check in json.loads(said_all[2].stdout)["checks"] for finding in check["findings"]}
    assert {"SEC-101", "SEC-102", "SEC-103", "SEC-105", "SEC-106"} <= rules


@settings(max_examples=50)
@given(st.integers(0, 10**9), st.text(max_size=20), st.text(max_size=20))
def test_whatever_stands_around_it_a_token_is_masked(seed, before, after):
    for name, value in tokens(seed).items():
        for text in (mask(f"{before} {value} {after}"), redact(f"{before} {value} {after}", ())):
            assert value[len(value) // 3 :][:16] not in text, name


def test_words_of_findings_about_honest_files_are_not_masked():
    for text in ("torch.nn.modules.linear.Linear at opcode 0x63, offset 12", *(form.name for form in FORMATS)):
        assert mask(text) == text
