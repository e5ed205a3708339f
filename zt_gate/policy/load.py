"""A policy file, its packs and the files it names, turned into one complete `Policy`."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import re
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from zt_gate.codecs.authored_yaml import AUTHORED, Document, parse
from zt_gate.codecs.authored_yaml import Path as YamlPath
from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import Digest, Severity, printable
from zt_gate.errors import EvidenceError, PolicyError
from zt_gate.policy.login import TokenIssuer, jwks_keys
from zt_gate.policy.merge import merge
from zt_gate.policy.model import LoadedPolicy, Policy, PolicyFile, Stage
from zt_gate.policy.rules_folder import rules_folder
from zt_gate.policy.strictness import Loosening
from zt_gate.policy.trust_roots import Certificate, Key, Trust
from zt_gate.policy.waivers import Waiver, WaiverFile, is_never_waived
from zt_gate.rulings.backdoor_calibration import from_json

PACK_PREFIX = "pack:"
_MAX_KEY_BYTES = 64 << 10
_MAX_ROOT_BYTES = 4 << 20
_MAX_CALIBRATION_BYTES = 4 << 20
_TRUE_AND_FALSE = {"on": "true", "yes": "true", "off": "false", "no": "false"}
_GENERAL = "see docs/policy.md"
_Model = TypeVar("_Model")
_Pem = TypeVar("_Pem", Key, Certificate)


def _ignore_path(path: Path) -> None:
    """Do nothing: most callers load a policy once."""


@dataclass(frozen=True, slots=True)
class _Folder:
    """The folder of a policy file, and the files read for it."""

    path: Path
    files: list[PolicyFile] = field(default_factory=list)
    on_read: Callable[[Path], None] = _ignore_path
    """Called with every path before it is read, also where it cannot be."""

    def read(self, what: str, name: str, source: Document, place: YamlPath, limit: int) -> bytes:
        """Read a file that the policy names, relative to it.

        Raises:
            PolicyError: it cannot be read, or is larger than `limit` bytes.
        """

        def make_error(message: str, advice: str) -> PolicyError:
            return source.error(place, message, advice)

        path = self.path / name
        self.files.append(PolicyFile(what, path))
        self.on_read(path)
        return _read(path, printable(path), limit, "check the path; it is relative to the policy file", make_error)


def load_policy(reference: str, on_read: Callable[[Path], None] = _ignore_path) -> LoadedPolicy:
    """Load a policy file, or a pack by `pack:NAME`.

    Args:
        reference: the file or the pack.
        on_read: called with the path of the policy and of every file that it names, before each is read.

    Raises:
        PolicyError: the file or a file that it names is missing, ambiguous, invalid, or loosens a pack.
    """
    if reference.startswith(PACK_PREFIX):
        return LoadedPolicy(reference, _effective(*_read_pack(reference, None, ()), _Folder(Path()), (reference,)))
    return open_policy(Path(reference), on_read)[0]


def open_policy(path: Path, on_read: Callable[[Path], None] = _ignore_path) -> tuple[LoadedPolicy, Policy, Document]:
    """Load a policy file; also return what the file itself says, and where in it.

    Raises:
        PolicyError: as `load_policy`.
    """
    shown = printable(path)
    on_read(path)
    source = read_document(path, "name a policy file, or a pack such as pack:baseline")
    own = validate(source, Policy)
    folder = _Folder(path.parent, [PolicyFile("policy", path)], on_read)
    policy = _effective(own, source, folder, ())
    return LoadedPolicy(shown, policy, files=tuple(folder.files)), own, source


def read_document(path: Path, advice: str) -> Document:
    """Read a strict YAML file.

    Raises:
        PolicyError: it cannot be read, with the advice, or is not strict YAML.
    """
    return parse(_read(path, printable(path), AUTHORED.size, advice), printable(path))


def pack_names() -> list[str]:
    """Return the packs that ship with zt-gate."""
    return sorted(path.stem for path in (rules_folder() / "packs").glob("*.yaml"))


def validate(source: Document, model: type[_Model]) -> _Model:
    """Turn a parsed document into a typed model.

    Raises:
        PolicyError: the first thing that is wrong, with its place and a suggestion.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        # JSON mode: strict about types, yet lists may become tuples.
        return TypeAdapter(model).validate_json(json.dumps(source.data))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        where = tuple(item for item in problem["loc"])
        if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            message, advice = _unknown_key(str(where[-1]), model, where[:-1])
            raise source.error(where, message, advice, at_key=True) from None
        name = ".".join(str(item) for item in where)
        text = problem["msg"].removeprefix("Value error, ").replace("Input should be", "it should be")
        if problem["type"] == "missing":
            raise source.error(where[:-1], f"{name} is missing", f"add `{where[-1]}:`") from None
        advice = _advice_for(dict(problem), _fields_at(model, where))
        raise source.error(where, f"{name}: {printable(text)}" if name else printable(text), advice) from None


def _advice_for(problem: dict[str, Any], known: Sequence[str]) -> str:
    """Return the fix for one validation error.

    Args:
        problem: an entry of pydantic's `ValidationError.errors()`, with input.
        known: the keys that the place accepts; empty where it is no mapping.
    """
    kind, value = str(problem["type"]), problem.get("input")
    if kind == "literal_error":
        return _did_you_mean(value, re.findall(r"'([^']*)'", problem["msg"]))
    if kind in ("tuple_type", "list_type"):
        return f"write a list: [{printable(value, 60)}]" if isinstance(value, str) else "write a list: [A, B]"
    if kind in ("dict_type", "dataclass_type", "model_type"):
        return f"write keys under it: {', '.join(known)}" if known else _GENERAL
    if kind == "bool_type":
        return f"write {_TRUE_AND_FALSE.get(str(value).lower(), 'true or false')}"
    if kind == "int_type":
        return "write a whole number, without quotes"
    if kind == "string_type":
        return "put it in quotes"
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return f'write "{value}T00:00:00Z"'
    return (
        _did_you_mean(value, [str(severity) for severity in Severity])
        if "not a severity" in problem["msg"]
        else _GENERAL
    )


def _did_you_mean(value: object, names: Sequence[str]) -> str:
    if not isinstance(value, str):
        return _GENERAL
    close = difflib.get_close_matches(value.lower(), names, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else _GENERAL


def _unknown_key(key: str, model: type[object], parent: YamlPath) -> tuple[str, str]:
    known = _fields_at(model, parent)
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    shown = printable(key, 60)
    if close:
        return f"unknown key {shown!r}", f"did you mean {close[0]!r}?"
    return f"unknown key {shown!r}", f"known here: {', '.join(known)}"


def _fields_at(model: Any, path: YamlPath) -> list[str]:
    """Return the keys that a model accepts at a place."""
    here = _unwrap(model)
    for step in path:
        if dataclasses.is_dataclass(here):
            here = _unwrap(typing.get_type_hints(here, include_extras=True).get(str(step)))
        else:
            # dict[str, X] and tuple[X, ...]: what stands inside is the last argument that is a type.
            inner = [argument for argument in typing.get_args(here) if argument is not Ellipsis]
            here = _unwrap(inner[-1]) if inner else None
    return [item.name for item in dataclasses.fields(here)] if dataclasses.is_dataclass(here) else []


def _unwrap(annotation: Any) -> Any:
    while typing.get_origin(annotation) in (typing.Annotated, typing.Union, types.UnionType):
        annotation = next(arg for arg in typing.get_args(annotation) if arg is not type(None))
    return annotation


def _effective(policy: Policy, source: Document, folder: _Folder, seen: tuple[str, ...]) -> Policy:
    """Read the files that a policy names and lay it over its packs."""
    policy = replace(policy, trust=_complete_trust(policy.trust, source, folder))
    policy = replace(policy, waivers=_waivers(policy, source, folder))
    policy = replace(
        policy, stages={name: _calibrated(name, stage, source, folder) for name, stage in policy.stages.items()}
    )
    _check_references(policy, source)
    for index, reference in enumerate(policy.extends):
        pack, pack_source = _read_pack(reference, source.error(("extends", index), ""), seen)
        parent = _effective(pack, pack_source, _Folder(Path()), (*seen, reference))
        try:
            policy = merge(parent, policy, reference)
        except Loosening as error:
            raise source.error(error.path, error.message, error.advice) from None
    _check_roles(policy, source)
    _check_registry(policy, source)
    return replace(policy, extends=())


def _read_pack(reference: str, place: PolicyError | None, seen: tuple[str, ...]) -> tuple[Policy, Document]:
    name = reference.removeprefix(PACK_PREFIX)
    known = pack_names()
    problem, advice = "", ""
    if not reference.startswith(PACK_PREFIX) or name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        problem = f"there is no pack {printable(reference, 60)!r}"
        advice = (
            f"did you mean 'pack:{close[0]}'?" if close else f"packs: {', '.join('pack:' + item for item in known)}"
        )
    elif reference in seen:
        problem, advice = f"{reference} extends itself", "remove one `extends`"
    if problem:
        at = place or PolicyError("")
        raise PolicyError(
            problem, advice, file=at.file, line=at.line, column=at.column, source_line=at.source_line
        ) from None
    path = rules_folder() / "packs" / f"{name}.yaml"
    source = parse(_read(path, reference, AUTHORED.size, "reinstall zt-gate"), reference)
    return validate(source, Policy), source


def _complete_trust(trust: Trust, source: Document, folder: _Folder) -> Trust:
    keys = tuple(_with_pem(key, ("trust", "keys", i), source, folder) for i, key in enumerate(trust.keys))
    certificates = tuple(
        _with_pem(item, ("trust", "certificates", i), source, folder) for i, item in enumerate(trust.certificates)
    )
    root = trust.trusted_root
    if root is not None:
        text = folder.read("trusted root", root.file, source, ("trust", "trusted_root", "file"), _MAX_ROOT_BYTES)
        if Digest.of(text).hex != root.sha256:
            advice = "find out who changed it, then pin the new digest"
            raise source.error(("trust", "trusted_root", "sha256"), f"{root.file} is {Digest.of(text)}", advice)
        root = replace(root, json_text=text.decode("utf-8", "replace"))
    issuers = tuple(_with_jwks(item, ("trust", "issuers", i), source, folder) for i, item in enumerate(trust.issuers))
    return replace(trust, keys=keys, certificates=certificates, trusted_root=root, issuers=issuers)


def _calibrated(name: str, stage: Stage, source: Document, folder: _Folder) -> Stage:
    """Read the calibration that a stage names; it has to be the pinned one, and a calibration."""
    named = stage.backdoor.calibration if stage.backdoor is not None else None
    if stage.backdoor is None or named is None:
        return stage
    place: YamlPath = ("stages", name, "backdoor", "calibration")
    data = folder.read("calibration", named.file, source, (*place, "file"), _MAX_CALIBRATION_BYTES)
    if Digest.of(data).hex != named.sha256:
        advice = "find out who changed it, then pin the new digest"
        raise source.error((*place, "sha256"), f"{named.file} is {Digest.of(data)}", advice)
    try:
        from_json(parse_json(data))
    except (ValueError, EvidenceError) as error:
        reason = error.message if isinstance(error, EvidenceError) else f"this is no strict JSON: {error}"
        advice = "make one: zt-gate evaluate calibrate … --out FILE"
        raise source.error((*place, "file"), f"{named.file}: {printable(reason, 200)}", advice) from None
    calibration = replace(named, json_text=data.decode("utf-8"))
    return replace(stage, backdoor=replace(stage.backdoor, calibration=calibration))


def _with_jwks(issuer: TokenIssuer, place: YamlPath, source: Document, folder: _Folder) -> TokenIssuer:
    """Read the key set that an issuer names."""
    data = folder.read("key set", issuer.jwks, source, (*place, "jwks"), _MAX_KEY_BYTES)
    try:
        jwks_keys(data)
    except ValueError as error:
        advice = "save what the issuer publishes at its jwks_uri"
        raise source.error((*place, "jwks"), f"{issuer.jwks}: {printable(str(error), 120)}", advice) from None
    return replace(issuer, jwks_json=data.decode("utf-8"))


def _with_pem(entry: _Pem, place: YamlPath, source: Document, folder: _Folder) -> _Pem:
    """Read the file that a key or certificate names."""
    if entry.file is not None:
        what = "key" if place[1] == "keys" else "certificate authority"
        pem = folder.read(what, entry.file, source, (*place, "file"), _MAX_KEY_BYTES)
        entry = replace(entry, pem=pem.decode("ascii", "replace"))
    # A policy is read by everybody who runs a pipeline, and they could then all sign.
    if "PRIVATE KEY" in (entry.pem or ""):
        advice = "name the .pub file; keep the private key secret"
        where = (*place, "file" if entry.file else "pem")
        raise source.error(where, f"key {entry.id} is a private key", advice)
    return entry


def _check_references(policy: Policy, source: Document) -> None:
    """Every id in a `by` list must be defined, and every id only once."""
    ids = policy.trust.ids
    for place, name in zip(_places(policy.trust), ids, strict=True):
        if ids.count(name) > 1:
            raise source.error(place, f"id {name!r} is used twice", "rename one of the two")
    if policy.trust.identities and policy.trust.trusted_root is None:
        advice = "add `trusted_root: {file: trusted_root.json, sha256: …}` under `trust`"
        raise source.error(("trust", "identities"), "identities need a pinned trusted root", advice, at_key=True)
    _check_logins(policy.trust, source)
    lists: list[tuple[YamlPath, tuple[str, ...]]] = [
        (("stages", name, check, names), getattr(wanted, names))
        for name, stage in policy.stages.items()
        for check, wanted in stage.statements.items()
        for names in ("by", "tickets")
        if hasattr(wanted, names)
    ]
    if policy.trust.revocations is not None:
        lists.append((("trust", "revocations", "by"), policy.trust.revocations.by))
    if policy.break_glass is not None:
        lists.append((("break_glass", "by"), policy.break_glass.by))
    if policy.registry is not None:
        lists.append((("registry", "by"), policy.registry.by))
    for place, by in lists:
        for index, who in enumerate(by):
            if who not in ids:
                close = difflib.get_close_matches(who, ids, n=1)
                advice = f"did you mean {close[0]!r}?" if close else "add the key or identity under `trust`"
                raise source.error((*place, index), f"nobody is called {who!r}", advice)


def _check_logins(trust: Trust, source: Document) -> None:
    """Every entry that asks for a login must say whose, at a pinned issuer."""
    for place, entry in zip(_places(trust), trust.entries, strict=True):
        try:
            trust.login_of(entry)
        except ValueError as error:
            raise source.error(place, f"{entry.id}: {printable(str(error))}", "see docs/people.md, Logins") from None


def _waivers(policy: Policy, source: Document, folder: _Folder) -> tuple[Waiver, ...]:
    """Read the file that holds the waivers."""
    if policy.waivers_file is None:
        return ()
    text = folder.read("waivers file", policy.waivers_file, source, ("waivers_file",), AUTHORED.size)
    listed = parse(text, printable(folder.path / policy.waivers_file))
    waivers = validate(listed, WaiverFile).waivers
    ids = [waiver.id for waiver in waivers]
    for index, waiver in enumerate(waivers):
        place: YamlPath = ("waivers", index)
        if ids.index(waiver.id) != index:
            raise listed.error((*place, "id"), f"id {waiver.id!r} is used twice", "rename one of the two")
        if is_never_waived(waiver.rule) or waiver.rule in policy.never_waive:
            message = f"{printable(waiver.rule, 40)} is never waived"
            raise listed.error((*place, "rule"), message, "fix what it found; a waiver would change nothing")
    return waivers


def _check_roles(policy: Policy, source: Document) -> None:
    """Every role that somebody has must be defined."""
    known = policy.roles or {}
    for place, entry in zip(_places(policy.trust), policy.trust.entries, strict=True):
        for index, role in enumerate(entry.roles):
            if role not in known:
                close = difflib.get_close_matches(role, known, n=1)
                advice = f"did you mean {close[0]!r}?" if close else "add it under `roles`"
                raise source.error((*place[:-1], "roles", index), f"no role is called {role!r}", advice)


def _check_registry(policy: Policy, source: Document) -> None:
    """Gates sign summaries with keys, and what a registry protects demands a stage that there is."""
    if policy.registry is None:
        return
    keys = [key.id for key in policy.trust.keys]
    for index, who in enumerate(policy.registry.by):
        if who not in keys:
            raise source.error(("registry", "by", index), f"{who} is no key", "gates sign summaries with keys")
    for kind in ("aliases", "models", "stages", "tags"):
        for name, stage in (getattr(policy.registry, kind) or {}).items():
            if stage not in policy.stages:
                advice = f"stages: {', '.join(sorted(policy.stages)) or 'none is defined'}"
                raise source.error(("registry", kind, name), f"no stage is called {stage!r}", advice)


def _places(trust: Trust) -> list[YamlPath]:
    """Where the ids of `trust.ids` stand in the file, in the same order."""
    kinds = (
        ("keys", len(trust.keys)),
        ("certificates", len(trust.certificates)),
        ("identities", len(trust.identities)),
    )
    return [("trust", kind, index, "id") for kind, count in kinds for index in range(count)]


def _read(
    path: Path, shown: str, limit: int, advice: str, make_error: Callable[[str, str], PolicyError] = PolicyError
) -> bytes:
    """Read a small regular file whole."""
    try:
        # Opening a named pipe would wait for a writer for ever.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise make_error(f"cannot read {shown}: {error.strerror}", advice) from None
    except ValueError as error:
        raise make_error(f"cannot read {shown}: {error}", advice) from None
    if len(data) > limit:
        raise make_error(f"{shown} is larger than {limit} bytes", "this is hardly the right file")
    return data
