"""Requests to a store counted, refused and cut off, and what a test knows of the copies behind them."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time

from botocore.exceptions import ClientError

from zt_gate.errors import ZtGateError
from zt_gate.intake.places import s3_client
from zt_gate.intake.sealed import object_store
from zt_gate.intake.sealed.bucket_probe import Examined
from zt_gate.intake.sealed.commit_object import CommitCache


class Killed(BaseException):
    """The gate's process has ended."""


class Requests:
    """Counts the requests of the gate's own client, and ends the process at one of them if told to."""

    def __init__(self):
        self.names = []
        self.kill_before = self.kill_after = self.fail_at = 0
        self.code, self.status = "ExpiredToken", 400
        self._lock = threading.Lock()
        events = s3_client.s3_client().meta.events
        # First in its list, so that no retry comes before it.
        events.register_first("before-send.s3", self._before)
        events.register_first("needs-retry.s3", self._after)
        self._events = events

    def close(self):
        self._events.unregister("before-send.s3", self._before)
        self._events.unregister("needs-retry.s3", self._after)

    def _before(self, event_name, **_):
        with self._lock:
            self.names.append(event_name.rpartition(".")[2])
            number = len(self.names)
        # A process that was killed sends nothing any more: no clean-up either.
        if (self.kill_before and number >= self.kill_before) or (self.kill_after and number > self.kill_after):
            raise Killed

    def _after(self, event_name, **_):
        if self.kill_after and len(self.names) >= self.kill_after:
            raise Killed

    def _refuse(self, model, **_):
        with self._lock:
            self.names.append(model.name)
        if self.fail_at and len(self.names) >= self.fail_at:
            error = {"Error": {"Code": self.code}, "ResponseMetadata": {"HTTPStatusCode": self.status}}
            raise ClientError(error, model.name)

    @contextlib.contextmanager
    def refusing(self, at, code, status=400):
        """From one request on the store answers everything with an error code."""
        self.names.clear()
        self.fail_at, self.code, self.status = at, code, status
        self._events.unregister("before-send.s3", self._before)
        self._events.register("before-call.s3", self._refuse)
        try:
            yield
        finally:
            self._events.unregister("before-call.s3", self._refuse)
            self._events.register_first("before-send.s3", self._before)
            self.fail_at = 0


@contextlib.contextmanager
def counted():
    requests = Requests()
    try:
        yield requests
    finally:
        requests.close()


def forget():
    """Forget what this process has learned of copies and buckets, as a new process would."""
    object_store._COMMITS = CommitCache()
    object_store._PASSED.clear()


def passed(place, store):
    """Let a bucket count as probed, which takes longer than most of what is done with it."""
    seen = Examined(read_back=not store.checks_sha256)
    object_store._PASSED[place._probe_name()] = (time.monotonic(), seen)
    return place


def read(place, sealed, path):
    with place.open(sealed, path) as blocks:
        return b"".join(blocks)


def safe_reads(place, sealed, files):
    """Read every file; return the ones that came, after making sure that nothing but the sealed bytes came."""
    came = []
    for path, data in files.items():
        with contextlib.suppress(ZtGateError):
            assert read(place, sealed, path) == data
            came.append(path)
    return came


def random_root(bucket):
    return f"s3://{bucket}/root-{secrets.token_hex(4)}/sealed"
