"""The Hugging Face folder as a whole: which code its configurations name, and whether every shard is there."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from zt_gate.codecs.strict_json import DuplicateKeyError, parse_json
from zt_gate.domain import Notes, Severity, printable
from zt_gate.intake import Frozen, FrozenFile
from zt_gate.scan.interface import Examination

_MAX_JSON = 64 << 20
_SENTENCE = re.compile(
    r"sentence_transformers\.(models\.|base\.modules\.|sentence_transformer\.modules\.|sparse_encoder\.models\."
    r"|sparse_encoder\.modules\.|cross_encoder\.modules\.)[A-Za-z_.]{1,60}\Z"
)
_MEANT = ("config.json", "modules.json", "model_index.json", ".index.json")
_LIBRARIES = frozenset({"diffusers", "transformers"})
_PARENTS = re.compile(r"(transformers|diffusers|torch|timm)(\.[A-Za-z0-9_]+)*\Z")


@dataclass(slots=True)
class _JsonFile:
    """One JSON file and the names beside it."""

    exam: Examination
    folder: str
    paths: frozenset[str]

    def find(self, rule: str, message: str, symbol: str, *, severity: Severity | None = None, fix: str = "") -> None:
        """Note a finding."""
        self.exam.finding(rule, message, severity=severity, symbol=printable(symbol, 120), fix=fix)

    def has(self, name: str) -> bool:
        """Whether a path relative to this file is part of the release; a folder counts when something is in it."""
        path = posixpath.normpath(posixpath.join(self.folder, name))
        return path in self.paths or path == "."


def examine_repository(frozen: Frozen) -> Notes:
    """Examine every configuration whose meaning depends on the files around it."""
    notes = Notes()
    paths = frozenset(_with_folders(frozen.files))
    for path, file in sorted(frozen.files.items()):
        if not path.lower().endswith(".json"):
            continue
        exam = Examination(path, file.size, notes)
        with exam.guarded(path):
            _examine(_JsonFile(exam, posixpath.dirname(path), paths), posixpath.basename(path).lower(), file)
    return notes


def _with_folders(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        yield path
        folder = path
        while folder := posixpath.dirname(folder):
            yield folder


def _examine(here: _JsonFile, name: str, file: FrozenFile) -> None:
    if file.size > _MAX_JSON:
        if name.endswith(_MEANT):
            raise ValueError(f"a configuration of more than {_MAX_JSON} bytes")
        return  # a table of words; the file's own format examines it
    try:
        content = parse_json(file.read_at(0, file.size), constants=True)
    except (DuplicateKeyError, ValueError):
        return  # the file's own format says so, as a finding or a gap
    if name == "modules.json":
        _modules(here, content)
    if not isinstance(content, dict):
        return
    _auto_map(here, content)
    if name == "adapter_config.json":
        _adapter(here, content)
    elif name == "model_index.json":
        _components(here, content)
    elif name.endswith(".index.json"):
        _shards(here, content)


def _auto_map(here: _JsonFile, content: Any) -> None:
    """Name the files that a loader would run, wherever in the configuration they are named."""
    for target in sorted(set(_targets(content))):
        _target(here, target)


def _targets(content: Any) -> Iterator[str]:
    """Yield the texts anywhere below `auto_map`, in one walk: one may stand within another."""
    stack, named = [content], list[Any]()
    while stack or named:
        is_named = bool(named)
        value = named.pop() if is_named else stack.pop()
        if isinstance(value, dict):
            for key, item in value.items():
                # Everything below `auto_map` names code, however it is nested.
                (named if is_named or key == "auto_map" else stack).append(item)
        elif isinstance(value, list):
            (named if is_named else stack).extend(value)
        elif is_named and isinstance(value, str):
            yield value


def _target(here: _JsonFile, target: str) -> None:
    repository, separator, rest = target.rpartition("--")
    module = rest.rpartition(".")[0]
    # `owner/name--module.Class` is code of another repository, which is fetched when the model is loaded.
    if separator:
        shown = printable(repository, 80)
        message = f"auto_map fetches and runs code from the repository {shown}"
        here.find("ART-660", message, target, severity=Severity.CRITICAL)
        return
    file = module.replace(".", "/") + ".py"
    where = "is part of the release" if here.has(file) else "is not in the release"
    message = f"auto_map makes a loader run {printable(file, 100)}, which {where}"
    here.find("ART-660", message, file)


def _modules(here: _JsonFile, content: Any) -> None:
    """Judge the modules that sentence-transformers imports by their dotted name, and the folders that it opens."""
    for item in content if isinstance(content, list) else []:
        kind = str(item.get("type", "")) if isinstance(item, dict) else str(item)
        if not _SENTENCE.match(kind):
            here.find("ART-661", f"modules.json imports {printable(kind, 100)}", kind)
        path = item.get("path", "") if isinstance(item, dict) else ""
        if path and not (isinstance(path, str) and _is_inside(path) and here.has(path)):
            message = f"modules.json names the folder {printable(str(path), 100)}, which is not part of the release"
            here.find("ART-653", message, str(path))


def _is_inside(path: str) -> bool:
    return not (path.startswith(("/", "~")) or "\\" in path or ".." in path.split("/") or ":" in path)


def _adapter(here: _JsonFile, content: dict[str, Any]) -> None:
    """PEFT imports `parent_library` and takes the class from it that the file names."""
    mapping = content.get("auto_mapping")
    parent = mapping.get("parent_library") if isinstance(mapping, dict) else None
    if parent is not None and not _PARENTS.match(str(parent)):
        shown = printable(str(parent), 100)
        here.find("ART-661", f"adapter_config.json imports {shown}", str(parent))


def _components(here: _JsonFile, content: dict[str, Any]) -> None:
    """Diffusers imports the library of each component; any other name is a file of the repository."""
    for name, value in content.items():
        if name.startswith("_"):
            if name == "_class_name" and not isinstance(value, str):
                message = "the pipeline class is code of the repository"
                here.find("ART-661", message, name)
            continue
        library = value[0] if isinstance(value, list) and value else None
        if library is not None and library not in _LIBRARIES:
            shown = printable(str(library), 80)
            message = f"the component {printable(name, 60)} comes from {shown}, which is no library of the pipeline"
            here.find("ART-661", message, str(library), severity=Severity.HIGH)


def _shards(here: _JsonFile, content: dict[str, Any]) -> None:
    """Every shard that an index names has to be part of the release, in the index's own folder."""
    weights = content.get("weight_map")
    if weights is None:
        return
    names = set(map(str, weights.values())) if isinstance(weights, dict) else {str(weights)}
    for name in sorted(names):
        shown = printable(name, 100)
        if "/" in name or not _is_inside(name):
            here.find(
                "ART-653", f"the index names {shown}, which leads out of its folder", name, severity=Severity.CRITICAL
            )
        elif not here.has(name):
            here.find("ART-653", f"the index names {shown}, which is not part of the release", name,
                      fix="add the missing shard, or write the index again")  # fmt: skip
