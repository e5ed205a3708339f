"""MLflow's webhooks, as far as they can be believed: signed, fresh, each once. They only say where to look.

Deliveries can be lost and come out of order (MLflow keeps them in memory and tries three times), and there is none for
a stage, a rename or plain SQL. So a webhook starts a look at one model, and looking at all of them waits for none.

Source: https://mlflow.org/docs/latest/ml/webhooks/ (signature: `v1,` and base64 of HMAC-SHA256 over
`delivery-id.timestamp.body`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from zt_gate.codecs.strict_json import parse_json
from zt_gate.errors import EvidenceError

WINDOW = timedelta(minutes=5)
"""How old, or how far ahead, a delivery may be; a repetition within it is known by its id."""
MAX_BODY = 1 << 20
_MOST = 100_000


class Deliveries:
    """Verifies deliveries, and remembers those of the last minutes.

    Args:
        secret: the webhook's secret.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._seen: OrderedDict[str, datetime] = OrderedDict()
        self._lock = threading.Lock()

    def model(self, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
        """Return the name of the model that a delivery is about; empty where it names none.

        Args:
            headers: of the request, with names in lower case.
            body: of the request.
            now: the clock.

        Raises:
            EvidenceError: it is not signed, too old, or was delivered before.
        """
        delivery, stamp = headers.get("x-mlflow-delivery-id", ""), headers.get("x-mlflow-timestamp", "")
        given = headers.get("x-mlflow-signature", "")
        signed = hmac.new(self._secret, f"{delivery}.{stamp}.".encode() + body, hashlib.sha256).digest()
        if not hmac.compare_digest(given.encode(), b"v1," + base64.b64encode(signed)):
            raise EvidenceError("the delivery is not signed with the webhook's secret")
        try:
            # The signature covers the id and the time, so both may be used from here on.
            sent = datetime.fromtimestamp(int(stamp), UTC)
        except (ValueError, OverflowError, OSError):
            raise EvidenceError("the delivery carries no time") from None
        if abs(now - sent) > WINDOW:
            raise EvidenceError("the delivery is older than five minutes, or the clocks are apart")
        self._once(delivery, now)
        return _name(body)

    def _once(self, delivery: str, now: datetime) -> None:
        with self._lock:
            # A delivery may be dated one window ahead and is good for one window after, so its id is kept for two.
            while self._seen and next(iter(self._seen.values())) < now - 2 * WINDOW:
                self._seen.popitem(last=False)
            if not delivery or delivery in self._seen:
                raise EvidenceError("the delivery came before")
            if len(self._seen) >= _MOST:
                raise EvidenceError("too many deliveries within minutes; the next look at all models sees this one")
            self._seen[delivery] = now


def _name(body: bytes) -> str:
    try:
        data = parse_json(body).get("data", {})
        name = data.get("name", "")
    except (ValueError, AttributeError):
        raise EvidenceError("the delivery is no JSON object") from None
    return name if isinstance(name, str) else ""


def receiver(place: tuple[str, int], deliveries: Deliveries, look: Callable[[str], None]) -> ThreadingHTTPServer:
    """Return an HTTP server that calls `look` with the name of a model for each delivery that counts.

    Args:
        place: host and port.
        deliveries: what verifies them.
        look: called once for each; has to return at once.

    Raises:
        OSError: nobody may listen there.
    """

    class Handler(BaseHTTPRequestHandler):
        # A client that connects and sends nothing would hold a thread for ever.
        timeout = 10

        def do_POST(self) -> None:
            """Answer one delivery."""
            length = self.headers.get("content-length", "")
            if not length.isdecimal() or int(length) > MAX_BODY:
                self._answer(413)
                return
            named = {name.lower(): value for name, value in self.headers.items()}
            try:
                name = deliveries.model(named, self.rfile.read(int(length)), datetime.now(UTC))
            except EvidenceError:
                self._answer(401)
                return
            look(name)
            self._answer(204)

        def _answer(self, code: int) -> None:
            self.send_response(code)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in http.server
            """Say nothing; what is found is said by whoever looks."""

    server = ThreadingHTTPServer(place, Handler)
    server.daemon_threads = True
    return server
