"""Every kind of event in every format, held against the fields that each format demands."""

import json
import re

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.audit_logs import NOW, event
from zt_gate.audit.event import RECORDABLE, decode, encode
from zt_gate.audit.export import FORMATS, line
from zt_gate.audit.export.cef import cef, escape_extension, escape_header

FACTS = {"subject": "sha256:" + "ab" * 32, "name": "m", "stage": "production", "policy": "sha256:" + "cd" * 32,
         "rules": "ART-101:2", "reasons": "artifacts/finding", "team": "vision"}  # fmt: skip
KINDS = ["run.started", "run.finished", "log.recovered", "segment.merged", *RECORDABLE, "something.unknown"]


def recorded(**changes):
    return decode(encode(event(**{"details": FACTS, **changes}), 3, "ef" * 32, NOW, secrets=()))


def needs(properties, **more):
    return {"type": "object", "required": sorted(properties), "properties": properties, **more}


TEXT, COUNT = {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 0}
ACTOR = needs({"user": needs({"name": TEXT})})
# What https://schema.ocsf.io/1.3.0 requires of every event, and of the classes that are used; written from its tables.
OCSF_BASE = needs(
    {
        "activity_id": COUNT, "category_uid": {"enum": [0, 2, 3, 6]}, "class_uid": COUNT, "type_uid": COUNT,
        "time": {"type": "integer", "minimum": 10**12}, "severity_id": {"enum": [0, 1, 2, 3, 4, 5, 6, 99]},
        "metadata": needs({"version": {"pattern": r"^\d+\.\d+\.\d+$"}, "product": needs({"vendor_name": TEXT})}),
    }
)  # fmt: skip
OCSF_CLASSES = {
    0: needs({}),
    2003: needs({"compliance": needs({"standards": {"type": "array", "minItems": 1},
                                          "status_id": {"enum": [0, 1, 2, 3, 99]}}),
                 "finding_info": needs({"uid": TEXT, "title": TEXT})}),
    2005: needs({"finding_info_list": {"type": "array", "minItems": 1, "items": needs({"uid": TEXT, "title": TEXT})},
                 "status_id": {"enum": [0, 1, 2, 3, 4, 5, 99]}, "assignee": needs({"name": TEXT}),
                 "is_suspected_breach": {"type": "boolean"}}),
    3004: needs({"entity": needs({"name": TEXT})}),
    6003: needs({"actor": ACTOR, "api": needs({"operation": TEXT}),
                 "src_endpoint": {"type": "object", "minProperties": 1}}),
    6007: needs({"scan": needs({"type_id": {"enum": [*range(8), 99]}})}),
}  # fmt: skip
OCSF_KINDS = {"run.started": 600701, "run.finished": 200301, "incident.opened": 200501, "incident.contained": 200503,
              "breach.declared": 200501, "breakglass.used": 200501, "promotion.done": 600303,
              "promotion.denied": 600303, "approval.given": 300401}  # fmt: skip
# https://www.elastic.co/guide/en/ecs/8.11/ecs-allowed-values-event-category.html and its neighbours.
ECS = needs(
    {
        "@timestamp": {"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}, "ecs": needs({"version": TEXT}),
        "message": TEXT,
        "event": needs({"kind": {"enum": ["alert", "event"]}, "outcome": {"enum": ["success", "failure", "unknown"]},
                        "category": {"type": "array", "minItems": 1}, "type": {"type": "array", "minItems": 1}}),
        "user": needs({"id": TEXT}),
    }
)  # fmt: skip
ECS_TYPES = {
    "configuration": {"access", "change", "creation", "deletion", "info"},
    "package": {"access", "change", "deletion", "info", "installation", "start"},
    "process": {"access", "change", "end", "info", "start"},
}
"""The event types that ECS 8.11 expects in a category."""
PAIR = needs({"key": TEXT, "value": {"type": "object", "minProperties": 1, "maxProperties": 1, "propertyNames": {
    "enum": ["stringValue", "intValue"]}, "additionalProperties": {"type": "string"}}})  # fmt: skip
PAIRS = {"type": "array", "items": PAIR}
# opentelemetry/proto/logs/v1/logs.proto in protobuf's JSON form.
OTLP = needs({"resourceLogs": {"type": "array", "minItems": 1, "items": needs({
    "resource": needs({"attributes": PAIRS}),
    "scopeLogs": {"type": "array", "items": needs({
        "scope": needs({"name": TEXT}),
        "logRecords": {"type": "array", "minItems": 1, "items": needs({
            "timeUnixNano": {"pattern": "^[0-9]{19}$"},
            "severityNumber": {"type": "integer", "minimum": 1, "maximum": 24},
            "body": needs({"stringValue": TEXT}), "attributes": PAIRS}, additionalProperties=True)}})}})}})  # fmt: skip
CEF = re.compile(r"CEF:0(?:\|(?:[^|\\\r\n]|\\\\|\\\|)*){6}\|(.*)")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("details", [FACTS, {}])
def test_ocsf_has_what_its_classes_require(kind, details):
    value = json.loads(line(recorded(kind=kind, details=details), "ocsf"))
    jsonschema.validate(value, OCSF_BASE)
    jsonschema.validate(value, OCSF_CLASSES[value["class_uid"]])
    assert value["type_uid"] == value["class_uid"] * 100 + value["activity_id"] == OCSF_KINDS.get(kind, 99)
    assert value["class_uid"] // 1000 == value["category_uid"]
    assert value["unmapped"]["attestation"] == {"sequence": 3, "prev_event": "ef" * 32}


@pytest.mark.parametrize(("outcome", "status", "severity"), [("allow", 1, 1), ("block", 3, 3), ("error", 3, 3)])
def test_only_an_allow_passes_in_ocsf(outcome, status, severity):
    value = json.loads(line(recorded(kind="run.finished", outcome=outcome), "ocsf"))
    assert (value["compliance"]["status_id"], value["severity_id"]) == (status, severity)
    assert value["compliance"]["requirements"] == ["ART-101"]


@pytest.mark.parametrize("kind", KINDS)
def test_ecs_and_otlp_have_what_they_require(kind):
    value = json.loads(line(recorded(kind=kind), "ecs"))
    jsonschema.validate(value, ECS)
    (category,) = value["event"]["category"]
    assert set(value["event"]["type"]) <= ECS_TYPES[category]
    jsonschema.validate(json.loads(line(recorded(kind=kind), "otlp")), OTLP)


@pytest.mark.parametrize("kind", KINDS)
def test_every_line_is_one_line(kind):
    for form in FORMATS:
        assert "\n" not in line(recorded(kind=kind, what="a\nb|c=d\\e"), form)


def unescape(text, pairs):
    return re.sub(r"\\(.)", lambda match: pairs[match[1]], text)


@given(st.text())
def test_cef_header_fields_can_be_read_back(text):
    escaped = escape_header(text)
    assert re.fullmatch(r"(?:[^|\\\r\n]|\\\\|\\\|)*", escaped)
    assert unescape(escaped, {"|": "|", "\\": "\\"}) == text.replace("\r", " ").replace("\n", " ")


@given(st.text())
def test_cef_values_can_be_read_back(text):
    escaped = escape_extension(text)
    assert re.fullmatch(r"(?:[^=\\\r\n]|\\\\|\\=|\\n|\\r)*", escaped)
    assert unescape(escaped, {"=": "=", "\\": "\\", "n": "\n", "r": "\r"}) == text


@given(st.text(min_size=1).filter(str.strip), st.text(min_size=1).filter(str.strip))
def test_no_text_adds_a_field_to_a_cef_line(who, what):
    value = recorded(kind="run.finished", who=who, what=what, outcome="block")
    match = CEF.fullmatch(cef(value))
    keys = re.findall(r"(?:^| )([A-Za-z0-9]+)(?<!\\)=", match[1])
    assert keys == [
        "rt", "externalId", "suser", "msg", "reason", "outcome", "act", "cs1Label", "cs1", "cs2Label", "cs2",
        "cs3Label", "cs3", "cs4Label", "cs4", "cs5Label", "cs5",
    ]  # fmt: skip


def test_no_label_without_its_value():
    assert "cs3Label" not in cef(recorded(details={}))


def test_the_digest_of_a_release_is_no_hash_of_a_file():
    details = {"subject": f"sha256:{'a' * 64}", "name": "credit"}
    value = json.loads(line(recorded(kind="run.finished", outcome="block", details=details), "ecs"))
    assert "file" not in value
    assert value["package"] == {"name": "credit", "type": "model", "checksum": f"sha256:{'a' * 64}"}
    assert value["related"] == {"hash": ["a" * 64]}
    assert (value["event"]["category"], value["event"]["type"]) == (["process"], ["end"])
    assert value["event"]["outcome"] == "failure"
