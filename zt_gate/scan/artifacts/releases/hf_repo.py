"""The Hugging Face folder as a whole: which code its configurations name, and whether every shard is there."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zt_gate.codecs.strict_json import DuplicateKeyError, parse_json
from zt_gate.domain import Notes, Severity, printable
from zt_gate.intake import Frozen, FrozenFile
from zt_gate.scan.artifacts.tensors.gguf import split_count
from zt_gate.scan.artifacts.tensors.safetensors import tensor_names
from zt_gate.scan.interface import Examination

_MAX_JSON = 64 << 20
_SENTENCE = re.compile(
    r"sentence_transformers\.(models\.|base\.modules\.|sentence_transformer\.modules\.|sparse_encoder\.models\."
    r"|sparse_encoder\.modules\.|cross_encoder\.modules\.)[A-Za-z_.]{1,60}\Z"
)
_MEANT = ("config.json", "modules.json", "model_index.json", ".index.json")
_LIBRARIES = frozenset({"diffusers", "transformers"})
_PARENTS = re.compile(r"(transformers|diffusers|timm|torch\.nn)(\.[A-Za-z0-9_]+)*\Z|torch\Z")
_CLASS = re.compile(r"[A-Z]\w*\Z")


@dataclass(slots=True)
class _JsonFile:
    """One JSON file and the names beside it."""

    exam: Examination
    folder: str
    paths: frozenset[str]
    files: Mapping[str, FrozenFile]

    def find(self, rule: str, message: str, symbol: str, *, severity: Severity | None = None, fix: str = "") -> None:
        """Note a finding."""
        self.exam.finding(rule, message, severity=severity, symbol=printable(symbol, 120), fix=fix)

    def file(self, name: str) -> FrozenFile | None:
        """Return a file of the release by its path relative to this one."""
        return self.files.get(posixpath.normpath(posixpath.join(self.folder, name)))

    def has(self, name: str) -> bool:
        """Whether a path relative to this file is part of the release; a folder counts when something is in it."""
        path = posixpath.normpath(posixpath.join(self.folder, name))
        return path in self.paths or path == "."


def examine_repository(frozen: Frozen) -> Notes:
    """Examine every configuration whose meaning depends on the files around it."""
    notes = Notes()
    paths = frozenset(_with_folders(frozen.files))
    for path, file in sorted(frozen.files.items()):
        exam = Examination(path, file.size, notes)
        if path.lower().endswith(".gguf"):
            with exam.guarded(path):
                _parts(_JsonFile(exam, posixpath.dirname(path), paths, frozen.files), posixpath.basename(path), file)
        if not path.lower().endswith(".json"):
            continue
        with exam.guarded(path):
            _examine(
                _JsonFile(exam, posixpath.dirname(path), paths, frozen.files), posixpath.basename(path).lower(), file
            )
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
    base = mapping.get("base_model_class") if isinstance(mapping, dict) else None
    if base is not None and not _CLASS.match(str(base)):
        # `load` of `torch.hub` would be called like a class is.
        here.find("ART-661", f"adapter_config.json calls {printable(str(base), 100)}, which is no class", str(base))


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
    if isinstance(weights, dict):
        _tensors(here, weights)
    for name in sorted(names):
        shown = printable(name, 100)
        if "/" in name or not _is_inside(name):
            here.find(
                "ART-653", f"the index names {shown}, which leads out of its folder", name, severity=Severity.CRITICAL
            )
        elif not here.has(name):
            here.find("ART-653", f"the index names {shown}, which is not part of the release", name,
                      fix="add the missing shard, or write the index again")  # fmt: skip


def _tensors(here: _JsonFile, weights: dict[str, Any]) -> None:
    """Hold the tensors that an index names against those that its shards have (huggingface_hub#4728).

    A name without a tensor leaves random weights in the model, and one tensor in two shards is read by the loader that
    goes by the index and by the one that goes by files as two different ones.
    """
    holders: dict[str, list[str]] = {}
    shards = sorted({name for name in map(str, weights.values()) if name.endswith(".safetensors")})
    for shard in shards:
        file = here.file(shard)
        for tensor in tensor_names(file) if file is not None else ():
            holders.setdefault(tensor, []).append(shard)
    for tensor, shard in sorted(weights.items()):
        if here.file(str(shard)) is not None and str(shard) in shards and shard not in holders.get(tensor, ()):
            shown, where = printable(tensor, 100), printable(str(shard), 100)
            here.find("ART-653", f"the index names {shown} in {where}, which has no such tensor", tensor,
                      fix="write the index again from the shards")  # fmt: skip
    for tensor, found in sorted(holders.items()):
        shown = printable(tensor, 100)
        if len(found) > 1:
            here.find("ART-656", f"{shown} is in {len(found)} shards, {printable(found[0], 60)} among them", tensor)
        elif tensor not in weights:
            here.find("ART-656", f"the shard {printable(found[0], 100)} has {shown}, which the index does not name",
                      tensor)  # fmt: skip


_PART = re.compile(r"(.+)-([0-9]{5})-of-([0-9]{5})\.gguf", re.IGNORECASE)


def _parts(here: _JsonFile, name: str, file: FrozenFile) -> None:
    """Every part of a split GGUF has to be there: llama.cpp opens the others by their names (llama.cpp#6187)."""
    match = _PART.fullmatch(name)
    declared = split_count(file)
    if match is None and declared <= 1:
        return
    count = declared if declared > 1 or match is None else int(match[3])
    if match is None or int(match[3]) != count or not 1 <= int(match[2]) <= count:
        here.find("ART-653", f"the file is a part of {count} and is not named as one", "part")
        return
    missing = [at for at in range(1, min(count, _MAX_PARTS) + 1)
               if not here.has(f"{match[1]}-{at:05}-of-{match[3]}.gguf")]  # fmt: skip
    if missing or count > _MAX_PARTS:
        here.find("ART-653", f"part {missing[0] if missing else _MAX_PARTS} of {count} is not part of the release",
                  "part", fix="download every part")  # fmt: skip


_MAX_PARTS = 10_000
