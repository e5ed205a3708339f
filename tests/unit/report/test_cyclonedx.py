import json

import pytest

from tests.support import reports
from tests.support.cyclonedx import official_schema
from tests.support.hostile_names import names
from zt_gate.report import cyclonedx

TEXTS = {
    "MLmodel": b"flavors:\n  sklearn: {}\n",
    "requirements.txt": b"numpy==1.26\n",
    "config.json": b'{"model_type": "bert"}',
}


def properties(value):
    return {item["name"]: item["value"] for item in value["metadata"]["component"]["properties"]}


@pytest.mark.parametrize("texts", [TEXTS, {}], ids=["described", "bare"])
def test_the_official_schema_has_nothing_against_it(texts):
    value = json.loads(cyclonedx.render(reports.outcome(descriptions=texts)))
    assert list(official_schema("1.6").iter_errors(value)) == []
    told = properties(value)
    assert told["zt-gate:decision"] == "allow"
    assert told["zt-gate:verdict"].startswith("sha256:")
    assert ("pkg:pypi/numpy@1.26" in json.dumps(value)) is bool(texts)


def test_what_cannot_be_read_is_told_and_decides_nothing():
    outcome = reports.outcome(descriptions={"MLmodel": b"a: 1\na: 2\n"})
    value = json.loads(cyclonedx.render(outcome))
    assert "MLmodel line" in properties(value)["zt-gate:undescribed"]
    assert [item["name"] for item in value["components"]] == [entry.path for entry in outcome.subject.manifest.content]
    assert list(official_schema("1.6").iter_errors(value)) == []


def test_names_stay_names():
    chosen = [name.encode("utf-8", "replace").decode() for name in names(1)]
    about = reports.subject({name: number for number, name in enumerate(chosen)}, name="x")
    text = cyclonedx.render(reports.outcome(about=about, descriptions={"requirements.txt": "\n".join(chosen).encode()}))
    assert text.isascii()
    assert "##[" not in text
    assert {item["name"] for item in json.loads(text)["components"] if item["type"] == "file"} == set(chosen)
