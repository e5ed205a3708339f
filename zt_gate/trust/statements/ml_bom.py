"""Build the CycloneDX 1.6 ML-BOM of a release from its manifest and its own metadata files.

Only the hashes are certain; flavours, architecture and libraries are claims of the release about itself, which is why
a bill of materials counts as a signed description only. The same release, time and data sets give the same bytes.

Source: https://cyclonedx.org/docs/1.6/json/; the official schema is applied in the tests.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zt_gate.codecs import authored_yaml
from zt_gate.codecs.strict_json import parse_object
from zt_gate.domain import Digest, Subject, printable
from zt_gate.domain.secret_shapes import mask
from zt_gate.errors import EvidenceError, PolicyError

if TYPE_CHECKING:
    from zt_gate.intake import Frozen

DESCRIPTIONS = ("MLmodel", "config.json", "requirements.txt")
"""Files at the root of a release that are read."""
MAX_DESCRIPTION = 1 << 20
_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(\[[^\]]*\])?\s*(===?\s*(?P<version>[^\s;,*]+)|(?P<other>[^;]*))\s*(;.*)?\Z"
)


def read_descriptions(frozen: Frozen) -> dict[str, bytes]:
    """Return the bytes of those of `DESCRIPTIONS` that a release holds and that can be read."""
    texts = {}
    for name in DESCRIPTIONS:
        if name in frozen.files:
            with contextlib.suppress(OSError), frozen.files[name].open() as stream:
                texts[name] = stream.read(MAX_DESCRIPTION + 1)
    return texts


def ml_bom(
    subject: Subject, texts: Mapping[str, bytes], datasets: Mapping[str, Digest], created: str
) -> dict[str, Any]:
    """Return the bill of materials as a JSON value.

    Args:
        subject: the frozen release.
        texts: bytes of those of `DESCRIPTIONS` that the release holds.
        datasets: what it was trained on, by name.
        created: RFC 3339 time.

    Raises:
        EvidenceError: a description cannot be read with certainty.
    """
    libraries, unread = _libraries(texts.get("requirements.txt", b""))
    properties = [{"name": "zt-gate:manifest-sha256", "value": subject.digest.hex}]
    properties += [{"name": "zt-gate:mlflow:flavor", "value": flavor} for flavor in _flavors(texts.get("MLmodel"))]
    properties += [{"name": "zt-gate:requirement", "value": line} for line in unread]
    model: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": f"model:{subject.digest.hex}",
        "name": printable(subject.label),
        "version": subject.digest.hex[:12],
        "modelCard": {"modelParameters": _parameters(texts.get("config.json"), datasets)},
        "properties": properties,
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        # From the digest and the time, not at random, so that the same inputs give the same bytes.
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{subject.digest} {created}')}",
        "version": 1,
        "metadata": {"timestamp": created, "component": model},
        "components": [*_files(subject), *libraries, *_datasets(datasets)],
    }


def _files(subject: Subject) -> list[dict[str, Any]]:
    return [
        {
            "type": "file",
            "bom-ref": f"file:{entry.path}",
            "name": entry.path,
            "hashes": [{"alg": "SHA-256", "content": entry.sha256}],
        }
        for entry in subject.manifest.content
    ]


def _datasets(datasets: Mapping[str, Digest]) -> list[dict[str, Any]]:
    return [
        {
            "type": "data",
            "bom-ref": f"data:{name}",
            "name": name,
            "hashes": [{"alg": "SHA-256", "content": digest.hex}],
            "data": [{"type": "dataset", "name": name}],
        }
        for name, digest in sorted(datasets.items())
    ]


def _parameters(config: bytes | None, datasets: Mapping[str, Digest]) -> dict[str, Any]:
    """Return `modelParameters`: architecture from a Hugging Face `config.json`, and references to the data sets."""
    parameters: dict[str, Any] = (
        {"datasets": [{"ref": f"data:{name}"} for name in sorted(datasets)]} if datasets else {}
    )
    value = parse_object(config, "config.json", MAX_DESCRIPTION) if config else {}
    if isinstance(family := value.get("model_type"), str):
        parameters["architectureFamily"] = _printable_text(family)
    architectures = value.get("architectures")
    if isinstance(architectures, list) and architectures and isinstance(architectures[0], str):
        parameters["modelArchitecture"] = _printable_text(architectures[0])
    return parameters


def _flavors(mlmodel: bytes | None) -> list[str]:
    if mlmodel is None:
        return []
    try:
        value = authored_yaml.parse(mlmodel, "MLmodel").data
    except PolicyError as error:
        raise EvidenceError(
            f"MLmodel line {error.line}: {error.message}", "fix it, or name a BOM: --predicate"
        ) from None
    flavors = value.get("flavors") if isinstance(value, dict) else None
    return sorted(_printable_text(name) for name in flavors) if isinstance(flavors, dict) else []


def _libraries(requirements: bytes) -> tuple[list[dict[str, Any]], list[str]]:
    """Return a component for each requirement, and the other lines, such as options and URLs."""
    found: dict[str, dict[str, Any]] = {}
    unread = []
    for raw in requirements.decode("utf-8", "replace").splitlines():
        # A line may hold an index URL with a password, and a bill of materials is published.
        line = mask(re.sub(r"(^|\s)#.*", "", raw).strip())
        match = _REQUIREMENT.match(line)
        if match is None or "@" in (match["other"] or ""):
            unread += [printable(line, 200)] if line else []
            continue
        # PEP 503: `Foo_Bar` and `foo-bar` are one project, and a package URL names it in this form.
        name = re.sub(r"[-_.]+", "-", match["name"]).lower()
        version = {"version": match["version"]} if match["version"] else {}
        purl = f"pkg:pypi/{name}" + (f"@{match['version']}" if match["version"] else "")
        # A requirement that stands twice under other markers is one component per version.
        found[purl] = {"type": "library", "bom-ref": purl, "name": name, "purl": purl, **version}
    return [found[purl] for purl in sorted(found)], unread


def _printable_text(value: object) -> str:
    """Return a claim of the release in printable form, with secrets masked."""
    return printable(mask(str(value)))
