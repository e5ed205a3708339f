import json

import jsonschema
import pytest

from tests.support import reports
from tests.support.verbs import call
from zt_gate.cli import schema


@pytest.mark.parametrize("name", ["report", "policy", "audit"])
def test_a_schema_is_printed_whole(name):
    code, out, _ = call(schema, name)
    assert code == 0
    value = json.loads(out)
    jsonschema.Draft202012Validator.check_schema(value)
    assert value["$schema"].endswith("2020-12/schema")


def test_reports_of_every_kind_fit_the_published_schema():
    value = json.loads(call(schema, "report")[1])
    for kind in ("allowed", "blocked", "waived", "error", "crowded"):
        jsonschema.validate(getattr(reports, kind)(), value)
    broken = reports.blocked()
    broken["checks"][0]["pictures"] = [{"kind": "pie"}]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, value)
