"""What a release contains in terms that matter to a reviewer, and what is new in it compared with the one before.

A scan says what is wrong; a reviewer of the hundredth release wants to know what *changed*: a name that a pickle
imports for the first time, a call in the code, another chat template, another loader. Both releases are examined by
the same analysers as in a scan, in worker processes under limits. Nothing about the old one is believed: what could
not be examined in the new release counts as new unless the very same bytes could not be examined before.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from zt_gate.codecs.strict_json import parse_json
from zt_gate.codecs.strict_yaml import load_one
from zt_gate.codecs.yaml_events import TIMESTAMP, Odd, Oddity
from zt_gate.domain import Gap, Severity, printable
from zt_gate.errors import ParseError
from zt_gate.intake import Frozen, FrozenFile
from zt_gate.isolation.child_process import run_module
from zt_gate.isolation.fork import isolate
from zt_gate.isolation.limits import WorkerLimits
from zt_gate.isolation.supervise import Failure
from zt_gate.scan.artifacts.check import examine_file, is_source_code
from zt_gate.scan.artifacts.pickles.stream import is_text_pickle
from zt_gate.scan.artifacts.registry import REFERRERS
from zt_gate.scan.interface import Examination, Head
from zt_gate.scan.plan import run_checks

SCHEMA = "zt-gate/ratchet/v1"
KINDS = {
    "import": "a pickle imports",
    "code-import": "the code imports",
    "code-call": "the code calls",
    "model": "MLmodel says",
    "external": "the release refers to",
    "template": "a chat template with the digest",
    "format": "a file of the format",
    "finding": "a finding",
    "unexamined": "not examined",
    "file": "a file",
}
"""What is compared, with the words in which a difference is told, in the order in which it is shown."""

_WORKER = "zt_gate.scan.inventory_worker"
_MAX_TEXT = 64 << 20
# Numbers and dates that every release changes and that no loader acts on.
_VOLATILE = frozenset({"mlflow_version", "model_size_bytes", "model_uuid", "run_id", "utc_time_created", "model_id"})


@dataclass(frozen=True, slots=True, order=True)
class InventoryItem:
    """One thing that a release contains."""

    kind: str
    """A key of `KINDS`."""
    value: str
    """What it is; two releases have it in common when kind and value are the same, wherever it stands."""


Inventory = Mapping[InventoryItem, tuple[str, ...]]
"""What a release contains, with the files in which each thing stands."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What the new release has and the old one has not."""

    added: Inventory
    removed: Inventory

    @property
    def is_empty(self) -> bool:
        """Whether nothing is new. What went away does not count."""
        return not self.added


def take_inventory(frozen: Frozen, limits: WorkerLimits | None = None) -> Inventory:
    """List what a release contains.

    Args:
        frozen: the release.
        limits: what the examination of one file may use; the defaults of `WorkerLimits` when None.

    Raises:
        ToolError: the disk failed, or the lists of rules are not installed.
    """
    found: dict[InventoryItem, set[str]] = {}
    for path, item in _items(frozen, limits or WorkerLimits()):
        found.setdefault(item, set()).add(path)
    return {item: tuple(sorted(paths)) for item, paths in sorted(found.items())}


def compare(old: Inventory, new: Inventory) -> Difference:
    """Tell what is new, and what went away."""
    return Difference(
        added={item: paths for item, paths in new.items() if item not in old},
        removed={item: paths for item, paths in old.items() if item not in new},
    )


def to_json(difference: Difference, old: Frozen, new: Frozen) -> dict[str, Any]:
    """Return the difference as a `zt-gate/ratchet/v1` document."""
    return {
        "schema": SCHEMA,
        "exit_code": 0 if difference.is_empty else 1,
        "old": str(old.subject.digest),
        "new": str(new.subject.digest),
        "added": _listed(difference.added),
        "removed": _listed(difference.removed),
    }


def _listed(inventory: Inventory) -> list[dict[str, Any]]:
    return [{"kind": item.kind, "value": item.value, "paths": list(paths)} for item, paths in inventory.items()]


def _items(frozen: Frozen, limits: WorkerLimits) -> Iterator[tuple[str, InventoryItem]]:
    """Yield everything, each with its file."""
    for entry in frozen.subject.manifest.entries:
        yield entry.path, InventoryItem("file", f"{printable(entry.path)} ({entry.mode})")
    files = sorted(frozen.files.items())
    answers = isolate([partial(_read, file) for _, file in files], limits)
    for (path, _), answer in zip(files, answers, strict=True):
        yield from ((path, item) for item in _told(frozen, path, answer))
    yield from _checked(frozen)
    yield from _code(frozen, [path for path, file in files if is_source_code(Head.of(file))], limits)


def _told(frozen: Frozen, path: str, answer: bytes | Failure) -> Iterator[InventoryItem]:
    """Yield what a worker said about one file; what it did not say, or said badly, was not examined."""
    try:
        if isinstance(answer, Failure):
            raise ValueError(answer.detail)  # noqa: TRY301, TRY004 - both ways of not knowing end the same
        rows = parse_json(answer)
        items = [InventoryItem(_kind(kind), printable(value)) for kind, value in rows]
    except (AttributeError, TypeError, ValueError) as error:
        yield _gap(frozen, Gap(printable(f"it was not examined to the end: {error}"), path))
    else:
        yield from items


def _kind(kind: Any) -> str:
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError("the worker spoke of something unexpected")
    return kind


# --- in the worker -----------------------------------------------------------------------------------------------


def _read(file: FrozenFile) -> bytes:
    """Return what one file holds, as JSON rows of kind and value."""
    head = Head.of(file)
    items = set() if is_source_code(head) and not is_text_pickle(head) else set(_examined(file))
    if posixpath.basename(file.path) == "MLmodel":
        items |= set(_model(file))
    return json.dumps([[item.kind, item.value] for item in sorted(items)]).encode("ascii")


def _examined(file: FrozenFile) -> Iterator[InventoryItem]:
    """Yield what the analysers saw in one file."""
    exam = examine_file(file)
    for kind, value in sorted(exam.facts):
        yield InventoryItem(kind, printable(value))
    for name in exam.formats:
        yield InventoryItem("format", printable(name))
    yield from _external(file)


def _external(file: FrozenFile) -> Iterator[InventoryItem]:
    """Yield the files that a model keeps its numbers in."""
    head = Head.of(file)
    for referrer in REFERRERS:
        if referrer.matches(head):
            with Examination(file.path, file.size).guarded(file.path):  # what goes wrong, the check has said already
                yield from (
                    InventoryItem("external", printable(item.location))
                    for item in sorted(set(referrer.references(file)))
                )
    if file.path.endswith(".index.json"):
        yield from _shards(file)


def _shards(file: FrozenFile) -> Iterator[InventoryItem]:
    """Yield the files that an index of shards refers to."""
    try:
        index = parse_json(file.read_at(0, _MAX_TEXT), constants=True)
    except ValueError:
        return  # the analyser has said so already
    shards = index.get("weight_map") if isinstance(index, dict) else None
    if isinstance(shards, dict):
        for name in sorted({str(value) for value in shards.values()}):
            yield InventoryItem("external", printable(name))


def _model(file: FrozenFile) -> Iterator[InventoryItem]:
    """Yield what an `MLmodel` tells its loaders."""
    oddities: list[Odd] = []
    try:
        content = load_one(file.read_at(0, _MAX_TEXT), tags=frozenset({TIMESTAMP}), oddities=oddities)
    except ParseError:
        content = None
    if not isinstance(content, dict) or any(odd.kind is Oddity.ALIAS for odd in oddities):
        return  # the check has said so already
    yield from (InventoryItem("model", line) for line in _leaves(content.get("flavors"), "flavors"))


def _leaves(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in sorted(value.items()):
            if key not in _VOLATILE:
                yield from _leaves(item, f"{name}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, name)
    else:
        yield printable(f"{name} = {value}")


# --- in the gate -------------------------------------------------------------------------------------------------


def _checked(frozen: Frozen) -> Iterator[tuple[str, InventoryItem]]:
    """Yield what the whole checks say about the release: rules over several files, and rules about code."""
    for evidence in run_checks(frozen, ["artifacts", "code"], lambda _: None):
        for finding in evidence.findings:
            if finding.severity > Severity.INFO:
                item = InventoryItem("finding", printable(f"{finding.rule} {finding.symbol or finding.message}"))
                yield finding.path, item
        yield from ((gap.path, _gap(frozen, gap)) for gap in evidence.gaps)


def _gap(frozen: Frozen, gap: Gap) -> InventoryItem:
    # With the digest in the text, only the same bytes can have been unexamined before.
    digest = frozen.entry(gap.path).sha256[:16] if gap.path in frozen.files else frozen.subject.digest.hex[:16]
    return InventoryItem("unexamined", printable(f"{gap.path or 'the release'} sha256:{digest}: {gap.reason}"))


def _code(frozen: Frozen, paths: list[str], limits: WorkerLimits) -> Iterator[tuple[str, InventoryItem]]:
    """Yield what Python files and notebooks import and call, as a process of its own reads them."""
    if not paths:
        return
    with frozen.materialise(paths) as root:
        answer = run_module(_WORKER, {"root": str(root), "paths": paths}, limits)
    if isinstance(answer, Failure):
        yield "", _gap(frozen, answer.gap("reading the code"))
        return
    for path in paths:
        seen = answer.value.get(path)
        if not isinstance(seen, dict) or set(seen) != {"imports", "calls", "gap"}:
            yield path, _gap(frozen, Gap("the code was not read", path))
            continue
        if seen["gap"]:
            yield path, _gap(frozen, Gap(str(seen["gap"]), path))
        yield from ((path, InventoryItem("code-import", printable(str(name)))) for name in seen["imports"])
        yield from ((path, InventoryItem("code-call", printable(str(name)))) for name in seen["calls"])
