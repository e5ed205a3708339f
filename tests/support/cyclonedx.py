"""The official schemas of CycloneDX."""

import json
from importlib import resources

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource


def official_schema(version):
    """The schema of the CycloneDX project, as cyclonedx-python-lib carries it."""
    folder = resources.files(pytest.importorskip("cyclonedx.schema")) / "_res"
    parts = [json.loads(item.read_text()) for item in folder.iterdir() if item.name.endswith("SNAPSHOT.schema.json")]
    registry = Registry().with_resources((part["$id"], Resource.from_contents(part)) for part in parts if "$id" in part)
    whole = json.loads((folder / f"bom-{version}.SNAPSHOT.schema.json").read_text())
    return Draft7Validator(whole, registry=registry)
