"""Webhooks count when they are signed, fresh and new; and what a receiver answers."""

import base64
import hashlib
import hmac
import http.client
import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.errors import EvidenceError
from zt_gate.registry.webhooks import WINDOW, Deliveries, receiver

SECRET = b"a-secret-of-some-length"
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
BODY = json.dumps({"entity": "model_version_alias", "action": "created", "data": {"name": "x"}}).encode()


def headers(body=BODY, delivery="d-1", sent=NOW, secret=SECRET):
    stamp = str(int(sent.timestamp()))
    mac = hmac.new(secret, f"{delivery}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "x-mlflow-delivery-id": delivery,
        "x-mlflow-timestamp": stamp,
        "x-mlflow-signature": "v1," + base64.b64encode(mac).decode(),
    }


def test_a_signed_delivery_names_its_model():
    assert Deliveries(SECRET).model(headers(), BODY, NOW) == "x"


@pytest.mark.parametrize(
    ("given_headers", "body", "why"),
    [
        ({}, BODY, "not signed"),
        (headers(secret=b"another"), BODY, "not signed"),
        (headers(), BODY + b" ", "not signed"),
        (headers() | {"x-mlflow-timestamp": "1"}, BODY, "not signed"),
        (headers() | {"x-mlflow-delivery-id": "d-2"}, BODY, "not signed"),
        (headers(sent=NOW - WINDOW - timedelta(seconds=1)), BODY, "older than five minutes"),
        (headers(sent=NOW + WINDOW + timedelta(seconds=1)), BODY, "older than five minutes"),
        (headers(delivery=""), BODY, "came before"),
        (headers(b"[]"), b"[]", "no JSON object"),
        (headers(b"\xff"), b"\xff", "no JSON object"),
    ],
    ids=["unsigned", "stranger", "body", "stamp", "id", "old", "ahead", "no id", "list", "bytes"],
)
def test_anything_else_counts_for_nothing(given_headers, body, why):
    with pytest.raises(EvidenceError, match=why):
        Deliveries(SECRET).model(given_headers, body, NOW)


def test_a_delivery_counts_once_and_their_order_does_not_matter():
    deliveries = Deliveries(SECRET)
    deliveries.model(headers(delivery="d-2", sent=NOW + timedelta(seconds=9)), BODY, NOW)
    deliveries.model(headers(delivery="d-1"), BODY, NOW)
    for repeated in ("d-1", "d-2"):
        with pytest.raises(EvidenceError):
            deliveries.model(headers(delivery=repeated), BODY, NOW + timedelta(minutes=4))
    with pytest.raises(EvidenceError, match="older"):
        deliveries.model(headers(delivery="d-1"), BODY, NOW + timedelta(minutes=11))


@given(st.dictionaries(st.sampled_from(list(headers())), st.text(max_size=40)), st.binary(max_size=60))
def test_nothing_random_counts(given_headers, body):
    with pytest.raises(EvidenceError):
        Deliveries(SECRET).model(given_headers, body, NOW)


def test_a_receiver_answers_and_looks():
    looked = []
    server = receiver(("127.0.0.1", 0), Deliveries(SECRET), looked.append)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def post(body, more, length=None):
        connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
        connection.putrequest("POST", "/hook")
        for name, value in (more | {"content-length": str(length or len(body))}).items():
            connection.putheader(name, value)
        connection.endheaders(body)
        code = connection.getresponse().status
        connection.close()
        return code

    try:
        fresh = headers(sent=datetime.now(UTC))
        assert post(BODY, fresh) == 204
        assert post(BODY, fresh) == 401
        assert post(BODY, {}) == 401
        assert post(b"", {}, length=2 << 20) == 413
        assert looked == ["x"]
    finally:
        server.shutdown()
        server.server_close()
