"""The published JSON Schema says what the loader does, as far as a schema can."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from tests.support.policies import HEAD
from zt_gate.codecs import authored_yaml
from zt_gate.policy.load import pack_names
from zt_gate.policy.rules_folder import rules_folder
from zt_gate.policy.schema import policy_schema

ROOT = Path(__file__).parents[3]
PUBLISHED = rules_folder() / "schema" / "policy-v1.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(json.loads(PUBLISHED.read_text()))


def examples():
    """Yield every complete policy that stands in the docs."""
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for index, text in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)):
            if "kind: Policy\n" in text:
                yield pytest.param(text, id=f"{page.name}-{index}")


def test_the_published_schema_is_current():
    assert json.loads(PUBLISHED.read_text()) == policy_schema(), "zt-gate policy schema > " + str(PUBLISHED)


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(policy_schema())


@pytest.mark.parametrize("name", pack_names())
def test_every_pack_fits(name):
    VALIDATOR.validate(authored_yaml.parse((rules_folder() / "packs" / f"{name}.yaml").read_bytes(), name).data)


@pytest.mark.parametrize("text", list(examples()))
def test_every_example_of_the_docs_fits(text):
    VALIDATOR.validate(authored_yaml.parse(text.encode(), "docs").data)


@pytest.mark.parametrize(
    "text",
    [
        "stages: {production: {blok_at: high}}\n",
        "stages: {production: {block_at: hihg}}\n",
        "stages: {production: {mode: enforced}}\n",
        "stages: {production: {effective: 2027-01-01}}\n",
        "stages: {production: {signature: {count: 0}}}\n",
        "stages: {'no name': {}}\n",
        "rules: {ART-101: high}\n",
    ],
)
def test_a_mistake_is_seen_by_an_editor_as_well(text):
    assert not VALIDATOR.is_valid(authored_yaml.parse((HEAD + text).encode(), "p").data)


def test_fields_are_described():
    stage = VALIDATOR.schema["$defs"]["Stage"]["properties"]
    assert "severity or worse blocks" in stage["block_at"]["description"]
