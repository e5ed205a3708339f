"""A GitLab pipeline put together from its files: `include`, `spec: inputs`, `extends`, `!reference`.

Source: docs.gitlab.com/ci/yaml (keyword reference), /ci/inputs and /ci/yaml/yaml_optimization. Merging is deep for
mappings and replaces everything else, as GitLab does.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping as Files
from dataclasses import dataclass, field
from typing import Any

from zt_gate.codecs.strict_yaml import YamlMapping, YamlReference, items, mapping, text
from zt_gate.domain import printable
from zt_gate.pipelines.model import UNPINNED, PipelineReading, finding

_INPUT = re.compile(r"\$\[\[\s*inputs\.([A-Za-z0-9_-]+)\s*\]\]")
_SHA = re.compile(r"[0-9a-f]{40}")
_HARMLESS = re.compile(r"Security/|Jobs/(?:SAST|Secret|Dependency|Container|Code-Quality|License)")
_MAX_FILES = 150
"""GitLab's own bound on includes of one pipeline."""
_MAX_EXTENDS = 11
_FIX = "read it there, then add its jobs to a file of this tree, or name them with --exempt"


@dataclass(slots=True)
class Pipeline:
    """One pipeline, all files merged and nothing resolved yet."""

    document: YamlMapping
    origins: dict[str, str] = field(default_factory=dict)
    """In which file each top-level key stands."""
    ours: list[YamlMapping] = field(default_factory=list)
    """The inputs of every include of the zt-gate component, with the line."""


class Assembler:
    """Puts a pipeline together."""

    def __init__(self, files: Files[str, list[Any]], reading: PipelineReading) -> None:
        self._files = files
        self._reading = reading
        self._count = 0

    def assemble(self, path: str, inputs: YamlMapping | None = None) -> Pipeline:
        """Read one file and all that it includes."""
        pipeline = Pipeline(YamlMapping(1))
        self._take(path, inputs or YamlMapping(1), pipeline, ())
        return pipeline

    def _take(self, path: str, inputs: YamlMapping, pipeline: Pipeline, chain: tuple[str, ...]) -> None:
        self._count += 1
        documents = self._files[path]
        if path in chain or self._count > _MAX_FILES:
            self._reading.gap(path, 0, "files include each other in a circle, or there are too many")
            return
        head = mapping(documents[0]) if documents else YamlMapping(1)
        # The header with `spec` is a document of its own in front of the configuration.
        has_head = len(documents) > 1 and "spec" in head
        if len(documents) > 1 + has_head:
            self._reading.gap(path, 0, "it holds more than one document")
        body = documents[1] if has_head else head
        if has_head:
            body = self._filled(path, body, mapping(head, "spec", "inputs"), inputs)
        if not isinstance(body, YamlMapping):
            self._reading.gap(path, 0, "it is no mapping of jobs")
            return
        for entry in _entries(body.get("include")):
            self._include(path, entry, body.at("include"), pipeline, (*chain, path))
        own = YamlMapping(body.line)
        for key, value in body.items():
            if key != "include":
                own[key], own.lines[key] = value, body.at(key)
                pipeline.origins[key] = path
        pipeline.document = merged(pipeline.document, own)

    def _filled(self, path: str, body: Any, specified: YamlMapping, inputs: YamlMapping) -> Any:
        """Put inputs in their places."""
        values: dict[str, Any] = {}
        for name, about in specified.items():
            given = inputs.get(name, mapping(about).get("default"))
            options = items(about, "options")
            if given is None and "default" not in mapping(about):
                # What a caller gives is unknown; anything that depends on it cannot be judged as if it were.
                given = f"$INPUT_{name}"
            elif options and name in inputs and given not in options:
                self._reading.gap(path, specified.at(name), f"input {printable(name, 60)} is none of its options")
            values[name] = given
        return filled(body, values)

    def _include(self, path: str, entry: Any, line: int, pipeline: Pipeline, chain: tuple[str, ...]) -> None:
        given = mapping(entry)
        local = entry if isinstance(entry, str) else text(entry, "local")
        if isinstance(entry, str) and re.match(r"https?://", entry):
            # A bare address is short for `remote`.
            local, given = "", YamlMapping(line)
            given["remote"] = entry
        line = given.line or line
        if not local:
            self._elsewhere(path, given, line, pipeline)
            return
        wanted = local.lstrip("/")
        found = sorted(name for name in self._files if name == wanted or fnmatch.fnmatchcase(name, wanted))
        if not found:
            self._reading.gap(path, line, f"the included file {printable(local, 100)} is not in the tree")
        for name in found:
            self._take(name, mapping(given, "inputs"), pipeline, chain)

    def _elsewhere(self, path: str, given: YamlMapping, line: int, pipeline: Pipeline) -> None:
        """An include from elsewhere: is it pinned, and is it the component that comes with zt-gate."""
        component, template = text(given, "component"), text(given, "template")
        if template and _HARMLESS.match(template):
            return
        name, _, version = component.partition("@")
        shown = component or template or text(given, "project") or text(given, "remote") or "something"
        pinned = template or text(given, "integrity") or _SHA.fullmatch(version or text(given, "ref"))
        if not pinned:
            message = f"includes {printable(shown, 120)}, which is not pinned to a commit"
            self._reading.findings.append(finding(UNPINNED, path, line, f"include {printable(shown, 100)}", message))
        if re.fullmatch(r"[^@]+/zt-gate/(?:check|zt-gate)", name):
            inputs = YamlMapping(line)
            inputs.update(mapping(given, "inputs"))
            pipeline.ours.append(inputs)
            return
        self._reading.gap(path, line, f"what {printable(shown, 100)} includes is not in the tree", _FIX)


def _entries(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def merged(base: YamlMapping, over: YamlMapping) -> YamlMapping:
    """Merge two mappings deeply; what stands in the second wins."""
    result = YamlMapping(over.line or base.line)
    for source in (base, over):
        for key, value in source.items():
            old = result.get(key)
            result[key] = (
                merged(old, value) if isinstance(old, YamlMapping) and isinstance(value, YamlMapping) else value
            )
            result.lines[key] = source.at(key)
    return result


def filled(value: Any, values: dict[str, Any]) -> Any:
    """Return a value with its inputs in their places; text that is one input alone becomes the input itself."""
    if isinstance(value, str):
        whole = _INPUT.fullmatch(value.strip())
        if whole and whole.group(1) in values:
            return values[whole.group(1)]
        return _INPUT.sub(lambda match: str(values.get(match.group(1), match.group())), value)
    if isinstance(value, YamlMapping):
        result = YamlMapping(value.line)
        for key, item in value.items():
            name = filled(key, values)
            name = name if isinstance(name, str) else key
            result[name], result.lines[name] = filled(item, values), value.at(key)
        return result
    if isinstance(value, list):
        return type(value)(filled(item, values) for item in value)
    return value


def resolved(document: YamlMapping, name: str, reading: PipelineReading, path: str) -> YamlMapping:
    """Return a job with `extends` and `!reference` resolved."""
    job = _extended(document, name, reading, path, 0)
    return _followed(document, job, reading, path, 0)  # type: ignore[no-any-return]  # a mapping stays one


def _extended(document: YamlMapping, name: str, reading: PipelineReading, path: str, depth: int) -> YamlMapping:
    body = mapping(document, name)
    result = YamlMapping(body.line)
    for base in _entries(body.get("extends")):
        if not isinstance(base, str) or base not in document or depth >= _MAX_EXTENDS:
            shown = printable(str(base), 60)
            reading.gap(path, body.at("extends"), f"job {printable(name, 60)} extends {shown}, which is not there")
            continue
        result = merged(result, _extended(document, base, reading, path, depth + 1))
    return merged(result, body)


def _followed(document: YamlMapping, value: Any, reading: PipelineReading, path: str, depth: int) -> Any:
    if isinstance(value, YamlReference):
        target: Any = document
        for key in value:
            target = target.get(key) if isinstance(target, YamlMapping) and isinstance(key, str) else None
        if target is None or depth >= _MAX_EXTENDS:
            shown = printable(", ".join(str(key) for key in value), 80)
            reading.gap(path, 0, f"the reference to {shown} leads nowhere")
            return None
        return _followed(document, target, reading, path, depth + 1)
    if isinstance(value, YamlMapping):
        result = YamlMapping(value.line)
        for key, item in value.items():
            result[key], result.lines[key] = _followed(document, item, reading, path, depth), value.at(key)
        return result
    if isinstance(value, list):
        flat: list[Any] = []
        for item in value:
            followed = _followed(document, item, reading, path, depth)
            # GitLab splices a list that a reference names into the list around it.
            flat += followed if isinstance(item, YamlReference) and isinstance(followed, list) else [followed]
        return flat
    return value


def lines_of(value: Any) -> str:
    """Return a script as the shell gets it: nested lists are one list, and every item is a line or more."""
    if isinstance(value, str):
        return value
    return "\n".join(lines_of(item) for item in value) if isinstance(value, list) else ""
