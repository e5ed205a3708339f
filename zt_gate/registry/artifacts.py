"""Where MLflow keeps a version's own bytes, how to read them as local files, and how a sealed copy is named.

The server reads its own artifact destination, not its own HTTP. What lies elsewhere is downloaded first, and never
deserialised. Sealed copies lie apart, in a `SealedPlace`.
"""

from __future__ import annotations

import os
import re
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zt_gate.domain import Digest, printable
from zt_gate.errors import TargetError
from zt_gate.intake.sealed import SealedPlace
from zt_gate.intake.sealed.folder import local_path
from zt_gate.intake.sealed.place import PREFIX

SEALED = "ztgate-sealed"
"""The name below which a server that serves artifacts serves sealed copies. Nothing is stored under it."""
DEFAULT_WORKSPACE = "default"
# MLflow hands its command line to its workers in these variables; there is no public way to ask for it.
SERVE_ARTIFACTS = "_MLFLOW_SERVER_SERVE_ARTIFACTS"
ARTIFACTS_DESTINATION = "_MLFLOW_SERVER_ARTIFACT_DESTINATION"
ARTIFACT_ROOT = "_MLFLOW_SERVER_ARTIFACT_ROOT"
API = "/mlflow-artifacts/artifacts/"
"""The part of an HTTP address after which the path of an artifact follows."""
_COPY = re.compile(rf"/{PREFIX}([0-9a-f]{{64}})/?$")


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

    def below(self, path: str) -> str:
        """Return where a path below the destination is: a path of this machine, or a URI."""
        folder = local_path(self.root)
        return f"{self.root.rstrip('/')}/{path}" if folder is None else os.path.join(os.path.abspath(folder), path)

    @contextmanager
    def local(self, uri: str) -> Iterator[Path]:
        """Yield a version's own files as a path of this machine: where they lie, or a download.

        Raises:
            TargetError: they cannot be found or downloaded.
        """
        where = self._direct(uri)
        path = local_path(where)
        if path is not None:
            yield Path(path)
            return
        with tempfile.TemporaryDirectory(prefix="zt-gate-") as folder:
            yield _downloaded(where, folder)

    def _direct(self, uri: str) -> str:
        """Return where the bytes of a URI are, with no MLflow server in between."""
        parsed = urllib.parse.urlparse(uri)
        if parsed.scheme == "mlflow-artifacts":
            path = parsed.path
        elif parsed.scheme in ("http", "https") and API in parsed.path:
            path = parsed.path.split(API, 1)[1]
        else:
            return uri
        inside = urllib.parse.unquote(path).lstrip("/")
        if ".." in inside.split("/") or "\0" in inside or not inside or not self.root:
            raise TargetError(f"{printable(inside, 80)} leads out of the artifact destination")
        return self.below(inside)


def _downloaded(uri: str, folder: str) -> Path:
    if uri.startswith("s3://"):
        return _snapshot(uri, folder)
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        return Path(get_artifact_repository(uri).download_artifacts("", folder))
    except (MlflowException, OSError) as error:
        raise TargetError(f"cannot download {printable(uri, 80)}: {printable(str(error), 60)}") from error


def _snapshot(uri: str, folder: str) -> Path:
    """Download a snapshot from a bucket; MLflow's own download reads names, which may change meanwhile."""
    from zt_gate.intake.places.s3 import fetched

    fetched(uri, Path(folder))
    return Path(folder)


def sealed_uri(digest: Digest, place: SealedPlace, *, serves: bool) -> str:
    """Return what the files of an admitted version resolve to.

    Args:
        digest: of the sealed copy.
        place: where it lies.
        serves: whether clients get it through the server.
    """
    return f"mlflow-artifacts:/{SEALED}/{PREFIX}{digest.hex}" if serves else place.location(digest)


def named_copy(uri: str, place: Callable[[], SealedPlace]) -> Digest | None:
    """Return the digest of the sealed copy that a URI names, as `sealed_uri` made it; None where it names none.

    Args:
        uri: such as a copied version has, whose original was admitted.
        place: returns where sealed copies lie; it is only asked where a URI looks like one.
    """
    found = _COPY.search(uri)
    if found is None:
        return None
    digest, here = Digest(found.group(1)), place()
    return digest if uri in {sealed_uri(digest, here, serves=serves) for serves in (True, False)} else None
