"""Where MLflow keeps a version's bytes, and where their sealed copy lies: `ztgate-sealed/sha256-…` beside them.

The server reads its own artifact destination, not its own HTTP. What lies elsewhere is downloaded first, and never
deserialised.
"""

from __future__ import annotations

import os
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zt_gate.domain import Digest, printable
from zt_gate.errors import TargetError
from zt_gate.intake import Freeze, freeze
from zt_gate.intake.sealed import SealedStore

SEALED = "ztgate-sealed"
"""The folder of sealed copies. The server wrapper freezes every path below it."""
DEFAULT_WORKSPACE = "default"
# MLflow hands its command line to its workers in these variables; there is no public way to ask for it.
SERVE_ARTIFACTS = "_MLFLOW_SERVER_SERVE_ARTIFACTS"
ARTIFACTS_DESTINATION = "_MLFLOW_SERVER_ARTIFACT_DESTINATION"
ARTIFACT_ROOT = "_MLFLOW_SERVER_ARTIFACT_ROOT"
_API = "/mlflow-artifacts/artifacts/"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a server keeps artifacts.

    Args:
        root: `--artifacts-destination`, or the default artifact root where the server does not serve artifacts.
        serves: whether clients reach it through the server.
    """

    root: str
    serves: bool

    @classmethod
    def of_server(cls) -> Destination:
        """Return what the MLflow server of this process was started with."""
        serves = os.environ.get(SERVE_ARTIFACTS) == "true"
        return cls(os.environ.get(ARTIFACTS_DESTINATION if serves else ARTIFACT_ROOT, ""), serves)

    def folder(self) -> Path:
        """Return the destination as a folder.

        Raises:
            TargetError: it is none of this machine.
        """
        scheme = urllib.parse.urlparse(self.root).scheme
        if not self.root or scheme not in ("", "file"):
            shown = printable(self.root or "none", 60)
            raise TargetError(
                f"sealed copies need an artifact destination that is a folder, not {shown}",
                "start the server with --artifacts-destination FOLDER, such as a mounted volume",
            )
        return Path(os.path.abspath(urllib.parse.unquote(urllib.parse.urlparse(self.root).path)))

    def sealed(self, workspace: str) -> Path:
        """Return the folder of a workspace's sealed copies."""
        return self._workspace(workspace) / SEALED

    def sealed_uri(self, workspace: str, digest: str) -> str:
        """Return where clients find a sealed copy."""
        place = self.sealed(workspace) / f"sha256-{digest}"
        if not self.serves:
            return str(place)
        return f"mlflow-artifacts:/{place.relative_to(self.folder()).as_posix()}"

    def _workspace(self, workspace: str) -> Path:
        return self.folder() if workspace == DEFAULT_WORKSPACE else self.folder() / "workspaces" / workspace

    def is_sealed(self, workspace: str, digest: str) -> bool:
        """Whether there is a copy under a digest. What it holds was hashed when it got its name."""
        return (self.sealed(workspace) / f"sha256-{digest}").is_dir()

    def seal(self, workspace: str, uri: str, admit: Callable[[Digest], None]) -> Digest:
        """Copy what a URI names under its digest, sealed, and return that.

        Args:
            workspace: whose sealed copies these are.
            uri: where the bytes are.
            admit: raises where the digest has no verdict; then no copy stays.

        Raises:
            ZtGateError: it cannot be read, holds links or the like, the disk refused, or `admit` did.
        """
        with (
            SealedStore(self.sealed(workspace)) as store,
            self._local(uri) as source,
            freeze([source], Freeze.COPY, into=store.incoming) as frozen,
        ):
            if not frozen.subject.manifest.content:
                raise TargetError("the version has no files", "register it again")
            admit(frozen.digest)
            store.keep(frozen)
            return frozen.digest

    @contextmanager
    def _local(self, uri: str) -> Iterator[Path]:
        parsed = urllib.parse.urlparse(uri)
        if parsed.scheme == "mlflow-artifacts" or (parsed.scheme in ("http", "https") and _API in parsed.path):
            path = parsed.path if parsed.scheme == "mlflow-artifacts" else parsed.path.split(_API, 1)[1]
            yield self._inside(urllib.parse.unquote(path).lstrip("/"))
        elif parsed.scheme in ("", "file"):
            # A plain path is no URI: a percent sign in it is part of the name.
            yield Path(urllib.parse.unquote(parsed.path) if parsed.scheme else uri)
        else:
            with tempfile.TemporaryDirectory(prefix="zt-gate-") as folder:
                yield Path(_downloaded(uri, folder))

    def _inside(self, path: str) -> Path:
        if ".." in path.split("/") or "\0" in path or not path:
            raise TargetError(f"{printable(path, 80)} leads out of the artifact destination")
        return self.folder() / path


def _downloaded(uri: str, folder: str) -> str:
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        return str(get_artifact_repository(uri).download_artifacts("", folder))
    except (MlflowException, OSError) as error:
        raise TargetError(f"cannot download {printable(uri, 80)}: {printable(str(error), 60)}") from error
