"""The deploy check: serving and mesh manifests, judged together.

Which files count is decided by name and by what stands in them (`manifests.is_candidate`); where there are none the
check is `not_applicable`. It claims no byte: that a YAML file is nothing but YAML is the business of `artifacts`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import ClassVar

from zt_gate.domain import Evidence, Finding, Gap, Notes, printable
from zt_gate.intake import ByteSource, Frozen
from zt_gate.scan.deploy import envoy, mesh, network, servers, serving
from zt_gate.scan.deploy.manifests import Given, is_candidate, read
from zt_gate.scan.deploy.release import Deployment, Rule
from zt_gate.scan.examination import AskingCheck, ExaminationJob

NAME = "config.pbtxt"
_LARGEST = 1 << 20
# The text format of protocol buffers: literals, comments, names, and single characters (protobuf.dev, "Text Format").
_TOKEN = re.compile(r""" "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' | \#[^\n]* | [A-Za-z_]\w* | \S """, re.VERBOSE)


def is_configuration(source: ByteSource) -> bool:
    """Whether a file configures a model of a Triton model repository."""
    return source.path.rsplit("/", 1)[-1] == NAME


def runs_python(data: bytes) -> int:
    """Return the 1-based line on which a configuration chooses the Python backend; 0 where it does not.

    An escape in the backend's name counts as Python: nobody needs one to write the name of a backend.

    Raises:
        ValueError: it is not UTF-8, or too large to be a configuration.
    """
    if len(data) > _LARGEST:
        raise ValueError(f"a {NAME} of more than {_LARGEST} bytes")
    text = data.decode("utf-8")
    for field, position, value in _literals(text):
        if field in ("backend", "platform") and ("\\" in value or value.startswith("python")):
            return text.count("\n", 0, position) + 1
    return 0


def _literals(text: str) -> Iterator[tuple[str, int, str]]:
    """Yield each field with a literal, its place, and the literal; neighbours are joined, as the format has it."""
    field, place, value = "", 0, ""
    for match in _TOKEN.finditer(text):
        word = match[0]
        if word[0] in "#:":
            continue
        if word[0] in "\"'":
            value += word[1:-1]
            continue
        if value:
            yield field, place, value
        field, place, value = word, match.start(), ""
    if value:
        yield field, place, value


RULES: tuple[Rule, ...] = (
    *mesh.RULES, *envoy.RULES, *network.RULES, *serving.RULES, *servers.RULES
)  # fmt: skip

_MAX_MANIFESTS = 5000
_FIX_ELSEWHERE = "write the option out in the manifest, or render it with its value"


class DeployCheck(AskingCheck):
    """Examines the manifests of a target."""

    id: ClassVar[str] = "deploy"
    version: ClassVar[str] = "2"

    def questions(self, frozen: Frozen) -> Sequence[ExaminationJob]:
        """Ask about all manifests of the target together; the worker finds out which files are manifests."""
        files = [file for _, file in sorted(frozen.files.items())]
        sizes = {"": 0} | {file.path: file.size for file in files}  # "" is all of them together
        return [ExaminationJob("the manifests", sizes, partial(_notes, files))]

    def answered(self, frozen: Frozen, notes: Sequence[Notes]) -> Evidence:
        """Make evidence of the answer; see `AskingCheck`."""
        metrics = notes[0].metrics
        return self.evidence(frozen, notes, metrics, applicable=metrics.get("files") != "0")


def _notes(files: Sequence[ByteSource]) -> Notes:
    """Examine every manifest, and all of them together."""
    given, count = Given(), 0
    for source in files:
        if is_configuration(source):
            count += 1
            given.findings += _backend(source, given)
        elif is_candidate(source):
            inside = read(source)
            given.manifests += inside.manifests
            given.gaps += inside.gaps
            count += bool(inside.manifests or inside.gaps)
    if given.manifests:
        given.findings += _judge(given)
    given.metrics = {"files": str(count), "manifests": str(len(given.manifests))}
    return given


def _backend(source: ByteSource, given: Given) -> Iterator[Finding]:
    try:
        line = runs_python(source.read_at(0, source.size))
    except ValueError as error:
        given.gaps.append(Gap(printable(str(error)), source.path, "keep it small and in UTF-8"))
        return
    if line:
        message = "the model is a Python program (backend python), which the server runs as it stands"
        yield Finding.of("DEP-151", message, source.path, line=line, symbol=NAME)


def _judge(given: Given) -> Iterator[Finding]:
    """Apply every rule to all manifests together. A rule that raises has examined nothing."""
    if len(given.manifests) > _MAX_MANIFESTS:
        given.gaps.append(Gap(f"more than {_MAX_MANIFESTS} manifests", "", "scan the namespaces one by one"))
        return
    together = Deployment(tuple(given.manifests))
    for manifest, reason in servers.unknown_options(together):
        given.gaps.append(Gap(f"{manifest.label}, {reason}", manifest.path, _FIX_ELSEWHERE))
    for rule in RULES:
        try:
            yield from list(rule(together))
        except Exception as error:  # noqa: BLE001 - whatever a hostile manifest provokes is an unfinished examination
            reason = f"the rule {rule.__name__} stopped: {type(error).__name__}: {error}"
            given.gaps.append(Gap(printable(reason), "", "report it with the manifests that caused it"))
