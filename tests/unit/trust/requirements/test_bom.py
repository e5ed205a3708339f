"""The requirement `bom`, and the ML-BOM that zt-gate makes itself."""

from __future__ import annotations

import copy

import pytest

from tests.support.cyclonedx import official_schema
from zt_gate.domain import Digest, Severity, Status
from zt_gate.errors import EvidenceError
from zt_gate.policy.requirements import Bom
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.statements.ml_bom import ml_bom
from zt_gate.trust.statements.statement import BOM_TYPE, statement

WANTED = Bom(by=("release",), max_age_days=30)
CREATED = "2026-10-31T00:00:00Z"
TEXTS = {
    "MLmodel": b"flavors:\n  sklearn:\n    code: null\n  python_function:\n    env: conda.yaml\n",
    "config.json": b'{"model_type": "bert", "architectures": ["BertModel"]}',
    "requirements.txt": b"# pinned\nscikit_learn==1.5.0 ; python_version > '3'\nnumpy>=1\ntorch[x]==2.0\n"
    b"numpy==1.26\n-r more.txt\nx @ https://host.test/x.whl\n",
}
DATASETS = {"train": Digest.of(b"train")}


def outcome(evidence) -> tuple[Status, set[str]]:
    return evidence.status, {finding.rule for finding in evidence.findings if finding.severity > Severity.INFO}


def bom(world, **changes):
    value = ml_bom(world.subject, TEXTS, DATASETS, CREATED)
    return {key: item for key, item in (value | changes).items() if item is not ...}


def judge(world, value):
    return outcome(world.judge(WANTED, world.attest(BOM_TYPE, value)))


def test_what_zt_gate_makes_is_accepted_and_says_what_is_in_the_release(world) -> None:
    value = bom(world)
    assert judge(world, value) == (Status.PASS, set())
    model = value["metadata"]["component"]
    assert model["modelCard"]["modelParameters"] == {
        "architectureFamily": "bert",
        "modelArchitecture": "BertModel",
        "datasets": [{"ref": "data:train"}],
    }
    properties = [(item["name"].rpartition(":")[2], item["value"]) for item in model["properties"]]
    assert properties == [
        ("manifest-sha256", world.subject.digest.hex),
        ("flavor", "python_function"),
        ("flavor", "sklearn"),
        ("requirement", "-r more.txt"),
        ("requirement", "x @ https://host.test/x.whl"),
    ]
    libraries = [item["purl"] for item in value["components"] if item["type"] == "library"]
    assert libraries == ["pkg:pypi/numpy", "pkg:pypi/numpy@1.26", "pkg:pypi/scikit-learn@1.5.0", "pkg:pypi/torch@2.0"]


@pytest.mark.parametrize(("texts", "datasets"), [(TEXTS, DATASETS), ({}, {})])
def test_the_official_schema_has_nothing_against_it(world, texts, datasets) -> None:
    value = ml_bom(world.subject, texts, datasets, CREATED)
    for version in ("1.6", "1.7"):
        schema = official_schema(version)
        assert list(schema.iter_errors(value | {"specVersion": version})) == []
        assert list(schema.iter_errors(value | {"specVersion": version, "surprise": 1})) != []


def test_the_same_release_and_time_give_the_same_document(world) -> None:
    assert bom(world) == bom(world)


@pytest.mark.parametrize("name", ["MLmodel", "config.json"])
def test_a_description_that_cannot_be_read_is_an_error(world, name) -> None:
    with pytest.raises(EvidenceError, match=name.split(".")[0]):
        ml_bom(world.subject, {name: b'{"a": 1, "a": '}, {}, CREATED)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"bomFormat": "SPDX"}, (Status.FAIL, {"BOM-001"})),
        ({"specVersion": "1.5"}, (Status.FAIL, {"BOM-001"})),
        ({"specVersion": "1.7"}, (Status.PASS, set())),
        ({"specVersion": ["1.6"]}, (Status.FAIL, {"BOM-001"})),
        ({"components": {}}, (Status.FAIL, {"BOM-001"})),
        ({"components": ["x"]}, (Status.FAIL, {"BOM-001"})),
        ({"components": [{"type": "file"}]}, (Status.FAIL, {"BOM-001"})),
        ({"components": [{"type": "file", "name": "x", "hashes": [5]}]}, (Status.FAIL, {"BOM-001"})),
        ({"metadata": []}, (Status.FAIL, {"BOM-001"})),
        ({"metadata": {"timestamp": CREATED}}, (Status.FAIL, {"BOM-002"})),
        ({"components": []}, (Status.PASS, set())),
        ({"components": [{"type": "file", "name": "gone.bin"}]}, (Status.FAIL, {"BOM-003"})),
        ({"components": [{"type": "file", "name": "weights.bin"}]}, (Status.FAIL, {"BOM-003"})),
        ({"components": [{"type": "library", "name": "a", "components": [{"type": "file", "name": "x"}]}]},
         (Status.FAIL, {"BOM-003"})),
    ],
)  # fmt: skip
def test_what_another_producer_may_write(world, changes, expected) -> None:
    assert judge(world, bom(world, **changes)) == expected


def test_hashes_of_files_have_to_agree(world) -> None:
    value = copy.deepcopy(bom(world))
    named = next(item for item in value["components"] if item["name"] == "weights.bin")
    named["hashes"][0]["content"] = named["hashes"][0]["content"].upper()
    assert judge(world, value) == (Status.PASS, set())
    named["hashes"].append({"alg": "SHA-256", "content": "0" * 64})
    assert judge(world, value) == (Status.FAIL, {"BOM-003"})
    named["hashes"] = [{"alg": "SHA-1", "content": "0" * 40}]
    assert judge(world, value) == (Status.FAIL, {"BOM-003"})


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("2026-10-02T12:00:00Z", (Status.PASS, set())),
        ("2026-10-02T11:59:59Z", (Status.FAIL, {"BOM-004"})),
        ("2026-11-01T12:05:01Z", (Status.FAIL, {"BOM-005"})),
        (5, (Status.INCOMPLETE, set())),
    ],
)
def test_its_age_counts(world, stamp, expected) -> None:
    value = bom(world)
    value["metadata"]["timestamp"] = stamp
    assert judge(world, value) == expected


def test_about_other_bytes_or_by_a_stranger(world, subject_of) -> None:
    other = sign_payload(statement(BOM_TYPE, bom(world), subject_of(weights=b"other")), world.release)
    assert outcome(world.judge(WANTED, other)) == (Status.FAIL, {"BOM-006"})
    assert outcome(world.judge(WANTED, world.attest(BOM_TYPE, bom(world), world.stranger)))[1] == {"SIG-003"}
    assert world.judge(WANTED).status is Status.MISSING
