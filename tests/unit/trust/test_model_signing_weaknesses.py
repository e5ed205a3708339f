"""Known weaknesses of OpenSSF Model Signing and its tool: that they are real, and what happens here instead.

docs/signing-conformance.md lists them under the same letters, with the names of these tests.
"""

from __future__ import annotations

import ast
import json
import os
import re
import socket
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.authority import Authority
from tests.support.oms import NOW, judge, payload_of, resigned, rules, theirs, they_accept, write_model
from zt_gate.cli.main import main
from zt_gate.domain import Status
from zt_gate.intake import Freeze, freeze
from zt_gate.policy.requirements import ModelSigning
from zt_gate.policy.trust_roots import Certificate, Trust
from zt_gate.trust.signatures.keys import KeyType, generate, private_pem

PAGE = Path(__file__).parents[3] / "docs" / "signing-conformance.md"
KEY = generate(KeyType.ECDSA)


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "model")


def refused(model, bundle, *, by: str, key=KEY) -> bool:
    evidence = judge(model, bundle, key)
    return evidence.status is Status.FAIL and by in rules(evidence)


def test_a_renamed_file_keeps_their_root_digest_and_is_refused_here(model, tmp_path) -> None:
    bundle = theirs(model, KEY)
    other = write_model(tmp_path / "other")
    (other / "config.json").rename(other / "code.py")
    (other / "model.safetensors").rename(other / "evil.pkl")
    again = theirs(other, KEY)
    assert payload_of(bundle)["subject"][0]["digest"] == payload_of(again)["subject"][0]["digest"]
    assert refused(other, bundle, by="SIG-001")
    assert judge(other, again, KEY).status is Status.PASS


@pytest.mark.parametrize("place", [".git/hooks/run.py", ".github/run.py", ".gitattributes"])
def test_b_files_that_git_keeps_are_not_signed_there_and_refused_here(model, place) -> None:
    bundle = theirs(model, KEY)
    (model / place).parent.mkdir(parents=True, exist_ok=True)
    (model / place).write_text("run()")
    assert they_accept(model, bundle, KEY)
    assert refused(model, bundle, by="SIG-006")


def test_c_an_empty_folder_is_not_signed_there_and_refused_here(model) -> None:
    bundle = theirs(model, KEY)
    (model / "empty").mkdir()
    assert they_accept(model, bundle, KEY)
    assert refused(model, bundle, by="SIG-006")


def test_c_a_file_made_executable_is_accepted_there_and_refused_here(model) -> None:
    bundle = theirs(model, KEY)
    (model / "config.json").chmod(0o755)
    assert they_accept(model, bundle, KEY)
    assert refused(model, bundle, by="SIG-006")


def test_d_a_linked_folder_is_not_hashed_there_and_refused_here(model, tmp_path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "run.py").write_text("good")
    (model / "linked").symlink_to(tmp_path / "outside")
    bundle = theirs(model, KEY, links=True)
    (tmp_path / "outside" / "run.py").write_text("evil")
    assert they_accept(model, bundle, KEY, links=True)
    assert refused(model, bundle, by="SIG-006")
    with freeze([str(model)], Freeze.HOLD) as frozen:
        assert [finding.rule for finding in frozen.refusals] == ["INT-001"]


def test_e_what_a_signer_declares_to_ignore_counts_there_and_not_here(model) -> None:
    (model / "ignored").mkdir()
    (model / "ignored" / "notes.txt").write_text("1")
    bundle = theirs(model, KEY, ignored=["ignored"])
    (model / "ignored" / "run.py").write_text("evil")
    assert they_accept(model, bundle, KEY)
    assert refused(model, bundle, by="SIG-006")
    assert any("declared to ignore" in finding.message for finding in judge(model, bundle, KEY).findings)
    assert judge(model, bundle, KEY, ModelSigning(("ignored/",))).status is Status.PASS, "the policy may say so"


def certified(tmp_path, model, name="release", **validity):
    root = Authority(NOW, "root")
    leaf = root.issue(KEY.crypto, name, **validity)
    paths = tmp_path / "leaf.pem", tmp_path / "root.pem"
    for path, certificate in zip(paths, (leaf, root.certificate), strict=True):
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
    trust = Trust(certificates=(Certificate(id="house", subject="CN=release", pem=root.pem),))
    return theirs(model, KEY, paths), trust, paths[1:]


def test_f_a_signature_by_an_expired_certificate_is_accepted_there_and_refused_here(model, tmp_path) -> None:
    past = {"begins": NOW - timedelta(hours=3), "ends": NOW - timedelta(hours=2)}
    bundle, trust, roots = certified(tmp_path, model, **past)
    assert they_accept(model, bundle, KEY, roots)
    assert judge(model, bundle, trust).status is Status.FAIL
    assert judge(model, certified(tmp_path, model)[0], trust).status is Status.FAIL, "nor one by another root"


def test_f_any_name_under_the_root_is_accepted_there_and_refused_here(model, tmp_path) -> None:
    bundle, trust, roots = certified(tmp_path, model, name="www.unrelated.test")
    assert they_accept(model, bundle, KEY, roots)
    assert rules(judge(model, bundle, trust)) == {"SIG-003", "SIG-004"}
    honest, trust, _ = certified(tmp_path, model)
    assert judge(model, honest, trust).status is Status.PASS


@pytest.mark.parametrize("place", [0, 1])
def test_g_a_second_signature_is_not_looked_at_there_and_refused_here(model, place) -> None:
    bundle = json.loads(theirs(model, KEY))
    bundle["dsseEnvelope"]["signatures"].insert(place, {"sig": "Z2FyYmFnZQ==", "keyid": ""})
    data = json.dumps(bundle).encode()
    assert they_accept(model, data, KEY) == (place == 1)
    assert refused(model, data, by="SIG-002")


def test_h_a_change_after_verifying_goes_unseen_there_and_is_seen_here(model) -> None:
    bundle = theirs(model, KEY)
    with freeze([str(model)], Freeze.HOLD) as frozen:
        assert judge(model, bundle, KEY).status is Status.PASS
        assert frozen.changed() == []
        (model / "config.json").write_text('{"a":2}')
        assert [path.split(":")[0] for path in frozen.changed()] == ["config.json"]


def test_i_the_folder_s_name_is_a_label_and_the_digest_is_what_counts(model) -> None:
    before = judge(model, theirs(model, KEY), KEY)
    renamed = model.rename(model.with_name("another"))
    bundle = (model.with_name("model.theirs") / "model.sig").read_bytes()
    assert they_accept(renamed, bundle, KEY)
    after = judge(renamed, bundle, KEY)
    assert (after.status, after.subject) == (Status.PASS, before.subject)


def test_i_the_name_of_a_single_file_counts_here(model) -> None:
    bundle = theirs(model / "config.json", KEY)
    renamed = (model / "config.json").rename(model / "run.py")
    assert they_accept(renamed, bundle, KEY)
    assert refused(renamed, bundle, by="SIG-001")


@pytest.mark.parametrize("name", ["../outside.bin", "code/../../outside.bin", "/etc/hostname"])
def test_j_a_name_that_leaves_the_model_is_refused_whatever_may_be_unsigned(model, tmp_path, name) -> None:
    (tmp_path / "outside.bin").write_bytes(b"x")
    bundle = resigned(theirs(model, KEY), KEY, lambda payload: payload["predicate"]["resources"][0].update(name=name))
    everything = ModelSigning((*os.listdir(model), "code/"))
    evidence = judge(model, bundle, KEY, everything)
    assert evidence.status is Status.FAIL
    assert "SIG-005" in rules(evidence)


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("something reached for the network")

    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_k_signing_and_verifying_by_key_reach_for_no_network(model, tmp_path, no_network, capsys, monkeypatch) -> None:
    monkeypatch.delenv("ZT_GATE_PASSPHRASE", raising=False)
    (tmp_path / "k.key").write_bytes(private_pem(KEY))
    (tmp_path / "k.pub").write_text(KEY.public.pem)
    assert main(["sign", str(model), "--key", str(tmp_path / "k.key"), "--format", "oms"]) == 0
    assert main(["verify", str(model), "--key", str(tmp_path / "k.pub")]) == 0
    (model / ".github").mkdir()
    (model / ".github" / "run.py").write_text("run()")
    assert main(["verify", str(model), "--key", str(tmp_path / "k.pub")]) == 1
    assert "SIG-006" in capsys.readouterr().out
    assert main(["verify", str(model), "--key", str(tmp_path / "k.pub"), "--unsigned", ".github/"]) == 0


def test_the_table_of_weaknesses_names_tests_that_exist() -> None:
    rows = re.findall(r"^\| ([A-K]) \|.*\|(.*)\|$", PAGE.read_text(), re.MULTILINE)
    assert [letter for letter, _ in rows] == list("ABCDEFGHIJK")
    written = {node.name for node in ast.parse(Path(__file__).read_text()).body if isinstance(node, ast.FunctionDef)}
    for letter, cell in rows:
        named = re.findall(r"`(test_\w+)`", cell)
        assert named, letter
        assert [name for name in named if name not in written or not name.startswith(f"test_{letter.lower()}_")] == []
