"""The private Sigstore over HTTP on the loopback: Fulcio, Rekor v1 and v2, a timestamp authority, and a CI's tokens.

It answers the requests that sigstore-python makes, from the published interfaces of these services. What it was asked
is kept, so that a test can see what went over the network.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.private_sigstore import JsonObject, PrivateSigstore, dsse_body, request_body_v2

MAY_ASK = "may-ask"
"""What a CI job presents to get its identity token."""


def unsigned_token(subject: str, issuer: str, ends: timedelta = timedelta(minutes=5), **claims: str) -> str:
    """Return a JSON Web Token whose signature nobody checks here."""
    now = datetime.now(UTC)
    body = {
        "iss": issuer,
        "sub": subject,
        "aud": "sigstore",
        "iat": int(now.timestamp()) - 10,
        "exp": int((now + ends).timestamp()),
    } | claims
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256", "typ": "JWT"}, body)] + [b"signature"]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


class SigstoreServer:
    """One instance that is being served. `broken` names a service that answers wrongly."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sigstore = PrivateSigstore(datetime.now(UTC))
        self.identity = ("https://forge.test/acme/models/release.yml@refs/heads/main", "https://tokens.test")
        self.asked: list[str] = []
        self.broken = ""

    def token(self) -> str:
        return unsigned_token(*self.identity)

    def trust_config(self, log: int = 1, *, stamped: bool = True) -> str:
        """Return the ClientTrustConfig that makes a client sign here and believe this instance."""
        since = (self.sigstore.now - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")

        def service(path: str, version: int = 1) -> list[JsonObject]:
            return [
                {"url": self.url + path, "majorApiVersion": version, "validFor": {"start": since}, "operator": "test"}
            ]

        signing = {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": service(""),
            "oidcUrls": service("/oidc"),
            "rekorTlogUrls": service("", log),
            "tsaUrls": service("/api/v1/timestamp") if stamped else [],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaConfig": {"selector": "ANY"},
        }
        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
                "trustedRoot": json.loads(self.sigstore.trusted_root()),
                "signingConfig": signing,
            }
        )

    def certificate(self, request: JsonObject, authorization: str) -> JsonObject:
        """Fulcio: a certificate for the key of a signing request, to whom the token belongs."""
        claims = json.loads(base64.urlsafe_b64decode(authorization.split(".")[1] + "=="))
        asked = x509.load_pem_x509_csr(base64.b64decode(request["certificateSigningRequest"]))
        assert asked.is_signature_valid
        leaf = self.sigstore.issue(asked, claims["sub"], claims["iss"], datetime.now(UTC))
        chain = [leaf.public_bytes(Encoding.PEM).decode(), self.sigstore.authority_pem()]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}

    def entry_v1(self, request: JsonObject) -> JsonObject:
        """Rekor v1: log the envelope of a proposed `dsse` entry."""
        proposed = request["spec"]["proposedContent"]
        envelope = json.loads(proposed["envelope"])
        signature = base64.b64decode(envelope["signatures"][0]["sig"])
        payload = base64.b64decode(envelope["payload"])
        body = dsse_body(envelope, payload, signature, base64.b64decode(proposed["verifiers"][0]))
        digest = hashlib.sha256(proposed["envelope"].encode()).hexdigest()  # over the text that was sent
        body["spec"]["envelopeHash"] = {"algorithm": "sha256", "value": digest}
        entry = self.sigstore.record(body, datetime.now(UTC))
        proof = entry["inclusionProof"]
        return {
            "uuid": {
                "body": entry["canonicalizedBody"],
                "integratedTime": int(entry["integratedTime"]),
                "logID": base64.b64decode(entry["logId"]["keyId"]).hex(),
                "logIndex": int(entry["logIndex"]),
                "verification": {
                    "inclusionProof": {
                        "logIndex": int(proof["logIndex"]),
                        "rootHash": base64.b64decode(proof["rootHash"]).hex(),
                        "treeSize": int(proof["treeSize"]),
                        "hashes": [base64.b64decode(item).hex() for item in proof["hashes"]],
                        "checkpoint": proof["checkpoint"]["envelope"],
                    },
                    "signedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
                },
            }
        }

    def entry_v2(self, request: JsonObject) -> JsonObject:
        """Rekor v2: log a `hashedRekordRequestV002`."""
        asked = request["hashedRekordRequestV002"]
        return self.sigstore.record(request_body_v2(asked["digest"], asked["signature"]), datetime.now(UTC))


@contextmanager
def serving() -> Iterator[SigstoreServer]:
    """Serve a new instance until the block ends."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    http.instance = SigstoreServer(f"http://127.0.0.1:{http.server_port}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield http.instance  # type: ignore[attr-defined]
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Routes requests to the instance."""

    def do_GET(self) -> None:
        instance: SigstoreServer = self.server.instance
        instance.asked.append(self.path)
        allowed = self.headers["Authorization"] == f"bearer {MAY_ASK}" and self.path.endswith("audience=sigstore")
        self._answer({"value": instance.token()} if allowed else {}, 200 if allowed else 403)

    def do_POST(self) -> None:
        instance: SigstoreServer = self.server.instance
        instance.asked.append(self.path)
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        if instance.broken and instance.broken in self.path:
            return self._answer({"code": 500, "message": f"down for {self.headers['Authorization']}"}, 500)
        if self.path == "/api/v1/timestamp":
            return self._answer(instance.sigstore.timestamps.answer(sent, datetime.now(UTC)), 201)
        if self.path == "/api/v2/signingCert":
            return self._answer(instance.certificate(json.loads(sent), self.headers["Authorization"]), 201)
        make = {"/api/v1/log/entries": instance.entry_v1, "/api/v2/log/entries": instance.entry_v2}[self.path]
        return self._answer(make(json.loads(sent)), 201)

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""

    def _answer(self, value: Any, status: int) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
