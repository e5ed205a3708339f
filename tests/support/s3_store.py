"""S3 on loopback: moto wherever the tests run, localstack where it is built, and a proxy that damages what passes.

moto takes a wrong SHA-256 and tells none back, ignores preconditions of copies, and lets COMPLIANCE be shortened.
localstack does all of that as S3 does, but enforces no bucket policy; it needs Python 3.13. Neither checks signatures.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import http.client
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.mlflow_server import ROOT, free_port

LOCALSTACK = ROOT / "build" / "env-localstack"
STORES = ("moto", "localstack")
_PATIENCE = 60
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "gate",
    "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-tests",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
}


@dataclass(frozen=True)
class S3Store:
    """One running store."""

    name: str
    url: str

    @property
    def checks_sha256(self) -> bool:
        return self.name == "localstack"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to reach it."""
        return {**ENVIRONMENT, "MLFLOW_S3_ENDPOINT_URL": self.url}

    @functools.cached_property
    def client(self) -> Any:
        """A client of somebody else, who may do anything in any bucket."""
        import boto3
        from botocore.config import Config

        words = {"aws_access_key_id": "owner", "aws_secret_access_key": "owner", "region_name": "us-east-1"}
        config = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required")
        return boto3.session.Session().client("s3", endpoint_url=self.url, config=config, **words)

    def bucket(self, *, versions: bool = True, lock: bool = False) -> str:
        """Create a bucket and return its name."""
        name = f"zt-{secrets.token_hex(6)}"
        self.client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
        if versions and not lock:
            self.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def put(self, bucket: str, key: str, body: bytes) -> str:
        """Write an object and return its version."""
        return self.client.put_object(Bucket=bucket, Key=key, Body=body).get("VersionId", "")

    @contextlib.contextmanager
    def changed(self, bucket: str, key: str, *, delete: bool = False) -> Iterator[None]:
        """Put something else under a key, or delete it, for a moment."""
        about = {"Bucket": bucket, "Key": key}
        made = self.client.delete_object(**about) if delete else self.client.put_object(**about, Body=b"evil")
        yield
        self.client.delete_object(**about, VersionId=made["VersionId"])

    def all(self, bucket: str, prefix: str = "") -> list[tuple[str, str, bool]]:
        """Return key, version and whether it is the latest, of everything but delete markers."""
        answer = self.client.list_object_versions(Bucket=bucket, Prefix=prefix)
        return [(item["Key"], item["VersionId"], item["IsLatest"]) for item in answer.get("Versions", [])]


@functools.cache
def running(name: str) -> S3Store:
    """Return the store of this test process, and start it the first time; skip where it cannot be had."""
    words, environment = _moto() if name == "moto" else _localstack()
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix=f"zt-gate-{name}-"))
    environment |= {"HOME": str(folder), "TMPDIR": str(folder), "FILESYSTEM_ROOT": str(folder)}
    environment["GATEWAY_LISTEN"] = f"127.0.0.1:{port}"
    words += ["-H", "127.0.0.1", "-p", str(port)] if name == "moto" else []
    # Through a shell that ends at once: other tests count the children of this process.
    script = 'setsid "$@" >log 2>&1 </dev/null & echo $!'
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *words], env=environment, cwd=folder, check=True, stdout=subprocess.PIPE
    )
    process = int(done.stdout)
    atexit.register(_stop, process, folder)
    _wait(process, port, folder / "log")
    return S3Store(name, f"http://127.0.0.1:{port}")


def _moto() -> tuple[list[str], dict[str, str]]:
    try:
        import moto  # noqa: F401  # whether it is there
    except ImportError:
        if os.environ.get("CI"):
            pytest.fail("moto is not installed: pip install 'moto[server]'")
        pytest.skip("moto is not installed: pip install 'moto[server]'")
    return [sys.executable, "-m", "moto.server"], {"PATH": os.environ["PATH"]}


def _localstack() -> tuple[list[str], dict[str, str]]:
    if not (LOCALSTACK / "ready").exists():
        # Also in CI, whose machines have Python 3.11 alone.
        pytest.skip("build/env-localstack is not built, which needs Python 3.13: make localstack")
    switched = ("STRICT_SERVICE_LOADING", "EAGER_SERVICE_LOADING", "DISABLE_EVENTS", "SKIP_SSL_CERT_DOWNLOAD")
    settings = {**dict.fromkeys(switched, "1"), "SERVICES": "s3", "DNS_ADDRESS": "0"}
    return [str(LOCALSTACK / "bin" / "python"), "-m", "localstack.runtime.main"], {
        **settings,
        "PATH": f"{LOCALSTACK / 'bin'}:/usr/bin:/bin",
    }


def _wait(process: int, port: int, log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and Path(f"/proc/{process}").exists():
        with contextlib.suppress(urllib.error.HTTPError, OSError):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
            except urllib.error.HTTPError:
                return
            return
        time.sleep(0.1)
    raise AssertionError(f"the store did not start:\n{log.read_text(errors='replace')[-3000:]}")


def _stop(process: int, folder: Path) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Answer:
    """What a store has answered, on its way through a proxy."""

    method: str
    path: str
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Proxy:
    """Stands between the gate and a store, and drops or changes what it is told to."""

    store: S3Store
    drop_headers: tuple[str, ...] = ()
    """Lower-case names of headers that never reach the store."""
    drop_where: str = ""
    """A regular expression for `METHOD PATH` of the requests whose headers are dropped; of all when empty."""
    drop_query: str = ""
    """A regular expression; what it matches in the query never reaches the store."""
    change: Callable[[Answer], Answer] = field(default=lambda answer: answer)
    url: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)

    @contextlib.contextmanager
    def running(self) -> Iterator[Proxy]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            proxy.requests.append((self.command, self.path))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = re.sub(proxy.drop_query, "", self.path) if proxy.drop_query else self.path
            dropped = {"connection", "expect"}
            if re.match(proxy.drop_where, f"{self.command} {self.path}"):
                dropped |= set(proxy.drop_headers)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
            target = urlsplit(proxy.store.url)
            upstream = http.client.HTTPConnection(target.hostname, target.port, timeout=30)
            upstream.request(self.command, path, body=body, headers=headers)
            got = upstream.getresponse()
            answer = proxy.change(Answer(self.command, self.path, got.status, dict(got.getheaders()), got.read()))
            upstream.close()
            self.send_response_only(answer.status)
            named = {name.lower() for name in answer.headers}
            for name, value in answer.headers.items():
                if name.lower() not in ("transfer-encoding", "connection"):
                    self.send_header(name, value)
            if "content-length" not in named:
                self.send_header("Content-Length", str(len(answer.body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else answer.body)
            self.close_connection = True

        def __getattr__(self, name: str) -> Any:
            if name.startswith("do_"):
                return self.pass_on
            raise AttributeError(name)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
