"""The JSON Schema of a policy file, derived from the types that load it, for editors and other programs.

It is weaker than the loader: it knows types and names, and neither packs nor what two fields mean together.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import typing
from itertools import pairwise
from typing import Any

from zt_gate.policy.model import Policy

SCHEMA_ID = "https://zt-gate.dev/schema/policy/v1"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def policy_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12)."""
    from pydantic import TypeAdapter

    schema = TypeAdapter(Policy).json_schema()
    definitions = schema.pop("$defs")
    for item in (schema, *definitions.values()):
        for field in item["properties"].values():
            if "patternProperties" in field:
                field["additionalProperties"] = False
    for name, model in _models(Policy).items():
        if name in definitions or model is Policy:
            _describe(schema if model is Policy else definitions[name], model)
    return {"$schema": _DIALECT, "$id": SCHEMA_ID} | schema | {"title": "zt-gate policy v1", "$defs": definitions}


def _models(model: Any) -> dict[str, type]:
    """Return every dataclass that a type is made of, by name."""
    found: dict[str, type] = {}
    waiting = [model]
    while waiting:
        item = waiting.pop()
        if dataclasses.is_dataclass(item) and isinstance(item, type) and item.__name__ not in found:
            found[item.__name__] = item
            waiting += typing.get_type_hints(item, include_extras=True).values()
        waiting += typing.get_args(item)
    return found


def _describe(schema: dict[str, Any], model: type) -> None:
    """Put the docstrings of a class and of its fields where editors show them."""
    schema["description"] = inspect.getdoc(model)
    for part in reversed(model.__mro__[:-1]):
        _describe_fields(schema, part)


def _describe_fields(schema: dict[str, Any], model: type) -> None:
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    lines = body.body if isinstance(body, ast.ClassDef) else []
    for line, follower in pairwise(lines):
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and isinstance(follower, ast.Expr):
            text = ast.literal_eval(follower.value) if isinstance(follower.value, ast.Constant) else None
            if isinstance(text, str) and line.target.id in schema["properties"]:
                schema["properties"][line.target.id]["description"] = inspect.cleandoc(text)
