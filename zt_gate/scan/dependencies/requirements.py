"""Requirement files as pip reads them (pip documentation, "Requirements File Format"; PEP 508 for each line)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from zt_gate.scan.dependencies.model import Dependency, Origin, Stated, normal_name

OFFICIAL = re.compile(r"https://(?:pypi\.org|pypi\.python\.org|files\.pythonhosted\.org)(?:/|$)")
_COMMENT = re.compile(r"(^|\s)#.*$")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_COMMIT = re.compile(r"@[0-9a-f]{40}(?:[#?]|$)")
_VCS = re.compile(r"\b(git|hg|svn|bzr)\+")
_OPTION = re.compile(r"(-{1,2}[A-Za-z][A-Za-z-]*)(?:[ \t]*=[ \t]*|[ \t]+|$)(.*)")
_PER_LINE = re.compile(r"\s(?:--hash|--config-settings?|--global-option|--install-option)[= ].*$")
_INDEX = frozenset({"-i", "--index-url", "--extra-index-url", "--pypi-url", "-f", "--find-links"})
_HARMLESS = frozenset({"--no-index", "--require-hashes", "--only-binary", "--no-binary", "--prefer-binary", "--pre",
                       "--use-feature"})  # fmt: skip


def read_requirements(text: str) -> Stated:
    """Read a requirement file. A line that is not understood is kept as unread, never passed over."""
    stated = Stated()
    for number, line in _lines(text):
        if line.startswith("-"):
            _option(stated, line, number)
        else:
            add_requirement(stated, line, number)
    return stated


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield logical lines with the number of their first line: continued lines joined, comments dropped."""
    pending, began = "", 0
    for number, raw in enumerate([*text.removeprefix("\ufeff").splitlines(), ""], 1):
        began = began or number
        # pip does not continue a line that is a comment.
        if raw.endswith("\\") and not raw.lstrip().startswith("#"):
            pending += raw[:-1]
            continue
        line = _COMMENT.sub("", pending + raw).strip()
        if line:
            yield began, line
        pending, began = "", 0


def _option(stated: Stated, line: str, number: int) -> None:
    found = _OPTION.match(line)
    name, value = (found[1], found[2].strip()) if found else (line, "")
    if re.match(r"-[A-Za-z]\S", line) and not line.startswith("--"):
        name, value = line[:2], line[2:].strip()  # pip takes -rFILE as well
    if name in ("-r", "--requirement", "-c", "--constraint"):
        stated.includes.append((value, number))
    elif name in ("-e", "--editable"):
        add_requirement(stated, value, number, editable=True)
    elif name == "--trusted-host":
        stated.origins.append(Origin(name, number, insecure=True))
    elif name in _INDEX:
        if not OFFICIAL.match(value):
            stated.origins.append(Origin(name, number, insecure=value.lower().startswith("http:")))
    elif name not in _HARMLESS:
        stated.unread.append(("an option that pip does not define", number))


def add_requirement(stated: Stated, line: str, number: int | None, *, editable: bool = False) -> None:
    """Add one PEP 508 requirement, URL or path."""
    hashed = "--hash" in line
    line = _PER_LINE.sub("", line).strip()
    elsewhere = _elsewhere(line, editable=editable)
    if elsewhere:
        named = re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*@", line) or re.search(r"#.*?egg=([A-Za-z0-9._-]+)", line)
        fixed = hashed or "#sha256=" in line or (elsewhere == "git" and _COMMIT.search(line) is not None)
        stated.dependencies.append(
            Dependency(normal_name(named[1]) if named else "", "", number, elsewhere, fixed and not editable)
        )
        return
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        stated.unread.append(("no requirement as PEP 508 defines it", number or 0))
        return
    stated.dependencies.append(Dependency(normal_name(requirement.name), exact(str(requirement.specifier)), number))


def _elsewhere(line: str, *, editable: bool) -> str:
    vcs = _VCS.search(line)
    if vcs:
        return "git" if vcs[1] == "git" else vcs[1]
    if "://" in line or re.search(r"@\s*file:|^file:", line):
        return "url"
    head = line.split(";", maxsplit=1)[0].strip()
    if editable or head.startswith((".", "/", "~")) or head.endswith((".whl", ".tar.gz", ".zip")) or "/" in head:
        return "path"
    return ""


def exact(specifier: str) -> str:
    """Return the version that a specifier such as `==1.2` pins, without wild card; empty where it pins none."""
    found = re.fullmatch(r"={2,3}\s*([^\s,*]+)", specifier.strip())
    return found[1] if found else ""


def is_name(text: str) -> bool:
    """Whether a text is a package name."""
    return _NAME.fullmatch(text) is not None
