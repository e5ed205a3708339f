"""Which values are taken for secrets, where they are found, and that honest look-alikes are left alone."""

import bz2
import gzip
import io
import json
import lzma
import struct
import uuid
import zipfile
from hashlib import sha256

import pytest
import zstandard

from tests.support.secret_values import private_key, tokens
from zt_gate.intake import Freeze, IntakeLimits, MemorySource, freeze
from zt_gate.scan.secrets.check import SecretsCheck, search_file

TOKENS = tokens(7)
JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJjaS1ydW5uZXIiLCJhZG1pbiI6dHJ1ZX0." + TOKENS["openai"][3:46]


def search(text, name="config.txt"):
    data = text if isinstance(text, bytes) else text.encode()
    exam = search_file(MemorySource(name, "", data))
    assert exam.gaps == []
    return exam.findings


def rules(text, name="config.txt"):
    return [finding.rule for finding in search(text, name)]


@pytest.mark.parametrize("kind", TOKENS)
@pytest.mark.parametrize("frame", ["{}", "x = '{}'\n", 'KEY="{}"', "a {} b", '{{"a": "\\n{}\\n"}}', "--token={}"])
def test_a_token_with_its_vendors_mark_is_found_in_any_frame(kind, frame):
    assert "SEC-101" in rules(frame.format(TOKENS[kind]))


@pytest.mark.parametrize("kind", TOKENS)
def test_a_token_is_found_in_bytes_that_are_no_text(kind):
    length = struct.pack("<Q", len(TOKENS[kind]))
    assert "SEC-101" in rules(b"GGUF\0\0\0" + length + TOKENS[kind].encode() + b"\0\1\2", "m.gguf")


def test_a_name_in_machine_code_that_ends_like_a_vendors_mark_is_no_token():
    token = TOKENS["github"]
    assert rules(b"\x7fELF\0\0_ZN9Hi" + token.encode() + b"\0", "ops.so") == []
    for before in (b"\0\0", b"\0B", b"B" + bytes([len(token)]), b"\n ", b'="'):
        assert rules(b"\x7fELF\0\0" + before + token.encode() + b"\0", "ops.so") == ["SEC-101"]


def test_private_keys_in_files_strings_and_json():
    key = private_key(3)
    assert rules(key) == ["SEC-102"]
    assert rules(json.dumps({"private_key": key})) == ["SEC-102"]
    assert rules(f"KEY = {key!r}", "a.py") == ["SEC-102"]
    lines = key.splitlines()
    encrypted = [lines[0], "Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-256-CBC,1A2B", "", *lines[1:]]
    assert rules("\n".join(encrypted)) == ["SEC-102"]


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://svc:q7Lw2PzR@db.acme.example:5432/models",
        "https://ci:Vt92kkPqa@mlflow.acme.example",
        "mongodb+srv://u:pA55-w0rT-x@c0.mongodb.example/x",
        "redis://:sT9k2mQp@cache:6379/0",
    ],
)
def test_a_password_in_an_address(address):
    [finding] = search(f"uri: {address}\n", "MLmodel")
    assert (finding.rule, str(finding.severity), finding.line) == ("SEC-103", "high", 1)


def test_a_word_in_the_place_of_a_password_is_worth_a_look_only():
    [finding] = search("see models://scope:prefix@databricks/model\n")
    assert (finding.rule, str(finding.severity)) == ("SEC-103", "medium")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('WANDB_API_KEY = "%s"', "train.py"),
        ("export WANDB_API_KEY=%s\n", "run.sh"),
        ("machine api.wandb.ai\n  login user\n  password %s\n", ".netrc"),
        ("wandb login %s\n", "notes.md"),
        ('mistral_api_key: "%s"', "c.yaml"),
        ('{"aws_secret_access_key": "%s"}', "c.json"),
    ],
)
def test_a_vendors_name_makes_the_value_beside_it_a_credential(text, name):
    value = sha256(b"k2").hexdigest()[:40]
    if "wandb" not in text.lower():
        value = "Zq7" + value[:20] + "Kp/9" if "aws" in text else "Zq7" + value[:29]
    assert rules(text % value, name) == ["SEC-104"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('db_password = "q7Lw2PzR9x"', "a.py"),
        ("password: q7Lw2PzR9x\n", "a.yaml"),
        ("SECRET_KEY=q7Lw2PzR9x-Kd\n", ".env"),
        ('{"client_secret": "q7Lw2PzR9xKdV3"}', "a.json"),
        ('headers["api_key"] = "q7Lw2PzR9xKdV3"', "a.py"),
        (json.dumps({"source": 'api_key = "q7Lw2PzR9xKdV3"\n'}), "a.ipynb"),
    ],
)
def test_a_name_that_says_secret(text, name):
    [finding] = search(text, name)
    assert (finding.rule, str(finding.severity)) == ("SEC-105", "medium")


def test_a_signed_web_token():
    assert rules(f"Authorization: Bearer {JWT}") == ["SEC-106"]


HONEST = {
    "placeholder": 'token = "hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"',
    "example of AWS": "AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "environment": 'api_key = os.environ["API_KEY"]\npassword = getenv("DB_PASSWORD_2")',
    "template": "password: ${DB_PASSWORD}\nsecret: {{ .Values.secret1 }}\nurl: https://user:${PW}@host/",
    "documented address": "postgresql://user:password@localhost/db https://user:pass@host",
    "digest": f"secret_hash = '{sha256(b'a').hexdigest()}'\npassword_sha256: \"{sha256(b'b').hexdigest()}\"",
    "uuid": f'secret_id = "{uuid.UUID(int=2**127 + 12345)}"',
    "token names of a tokenizer": '{"eos_token": "<|endoftext|>", "pad_token_id": 50256, "unk_token": "[UNK]"}',
    "public key": "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n-----END PUBLIC KEY-----",
    "header without a key": 'if "-----BEGIN RSA PRIVATE KEY-----" in text:\n    raise ValueError',
    "identifier": 'SECRET_NAME = "databricks_v2_secret_scope"\npassword_field = "PG_PASSWORD_SCRAM_SHA_256"',
    "name of a kind": 'ACCESS_TOKEN_TYPE = "urn:k8s:params:oauth:token-type:serviceaccount"',
    "part of a word": "task-" + "a1B2" * 12 + " shf_" + "x9Yz" * 9,
    "commit beside wandb": f"https://github.com/wandb/wandb/blob/{sha256(b'c').hexdigest()[:40]}/x.py",
    "base64 of weights": "weights: " + "QUJDREVGR0hJSktM" * 200,
    "unsigned token": "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0NSJ9.YWJjZGVmZ2hpamtsbW5vcHFyc3R1dg",
}


@pytest.mark.parametrize("what", HONEST)
@pytest.mark.parametrize("name", ["a.py", "a.yaml", "a.json", "README.md"])
def test_what_only_looks_like_a_secret_passes(what, name):
    assert rules(HONEST[what], name) == []


def test_place_and_order_are_told_and_the_value_is_not():
    token = TOKENS["huggingface"]
    first, second = search(f"a\nb {token}\nc {TOKENS['groq']}\n")
    assert (first.line, second.line) == (2, 3)
    assert first.symbol == "huggingface-token#1"
    assert token[3:9] not in repr((first, second))


def test_a_secret_on_the_border_of_two_windows_is_found_once():
    window = 4 << 20
    for shift in (0, 5, 36, 37):
        data = b"x " * (window // 2)
        data = data[: window - shift] + b" " + TOKENS["huggingface"].encode() + b" " + b"y\n" * 100
        assert [f.line for f in search(data)] == [1]


def safetensors(metadata, name="w"):
    head = json.dumps({"__metadata__": metadata, name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(head)) + head + b"\0\0\0\0"


def test_metadata_and_tensor_names_of_safetensors():
    assert rules(safetensors({"hub": TOKENS["huggingface"]}), "m.safetensors") == ["SEC-101"]
    assert rules(safetensors({}, TOKENS["replicate"]), "m.safetensors") == ["SEC-101"]
    assert rules(safetensors({"format": "pt"}), "m.safetensors") == []


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_members_of_archives_and_compressed_texts():
    data = zipped(config=f"\n{TOKENS['github']}", numbers=b"\0" * 1000)
    [finding] = search(data, "m.keras")
    assert (finding.rule, finding.member, finding.line) == ("SEC-101", "config", 2)
    for pack in (gzip.compress, bz2.compress, lzma.compress, zstandard.compress):
        assert rules(pack(TOKENS["github"].encode()), "a.txt.gz") == ["SEC-101"]
    text = TOKENS["github"].encode()
    assert rules(zstandard.compress(b"\n" + text[:9]) + zstandard.compress(text[9:]), "a.txt.zst") == ["SEC-101"]
    assert rules(zstandard.compress(bytes(9)) + zstandard.compress(text), "a.bin.zst") == ["SEC-101"]


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04 broken",
        gzip.compress(bytes(range(256)) * 20)[:-20],
        b"BZh9 broken",
        b"\x28\xb5\x2f\xfd\xffbroken",
        zstandard.compress(bytes(range(256)) * 20)[:-5],
        zstandard.compress(bytes(range(256)) * 20) + b"and more",
    ],
    ids=["zip", "gzip", "bzip2", "zstd", "zstd that was cut off", "zstd with something behind it"],
)
def test_what_cannot_be_searched_is_a_gap(data):
    exam = search_file(MemorySource("a.zip", "", data))
    assert exam.gaps
    assert exam.findings == []


def test_more_secrets_than_anybody_reads_are_a_gap_as_well():
    text = "\n".join(tokens(seed)["huggingface"] for seed in range(150)).encode()
    exam = search_file(MemorySource("a.txt", "", text))
    assert len(exam.findings) == 101
    assert "more than 100" in exam.gaps[0].reason


def test_the_check_finds_secrets_in_a_release_and_passes_an_honest_one(make_tree):
    honest = make_tree({"MLmodel": b"flavors: {}\n", "m.safetensors": safetensors({})}, "honest")
    leaky = make_tree({"MLmodel": b"flavors: {}\n", "a/.env": f"HF={TOKENS['huggingface']}".encode()}, "leaky")
    for folder, expected, status in ((honest, [], "pass"), (leaky, [("SEC-101", "a/.env")], "fail")):
        with freeze([folder], Freeze.HOLD, IntakeLimits()) as frozen:
            evidence = SecretsCheck().run(frozen)
        assert [(f.rule, f.path) for f in evidence.findings] == expected
        assert str(evidence.status) == status
        assert evidence.claims == ()
