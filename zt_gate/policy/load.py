"""A policy file, its packs and the files it names, turned into one complete `Policy`."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import types
import typing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from zt_gate.domain import Digest, printable
from zt_gate.domain.backdoor_calibration import from_json
from zt_gate.domain.strict_json import parse_json
from zt_gate.errors import EvidenceError, PolicyError
from zt_gate.policy import document
from zt_gate.policy.advice import advice_for
from zt_gate.policy.evaluations import Measured
from zt_gate.policy.login import TokenIssuer, jwks_keys
from zt_gate.policy.merge import merge
from zt_gate.policy.model import LoadedPolicy, Policy, Stage
from zt_gate.policy.people import Certificate, Key, Trust
from zt_gate.policy.rules import rules_folder
from zt_gate.policy.tightening import Loosening
from zt_gate.policy.waivers import Waiver, WaiverFile, is_never_waived

PACK_PREFIX = "pack:"
_MAX_KEY_BYTES = 64 << 10
_MAX_ROOT_BYTES = 4 << 20
_MAX_CALIBRATION_BYTES = 4 << 20
_Model = TypeVar("_Model")
_Pem = TypeVar("_Pem", Key, Certificate)


def load_policy(reference: str) -> LoadedPolicy:
    """Load a policy file, or a pack by `pack:NAME`.

    Raises:
        PolicyError: the file or a file that it names is missing, ambiguous, invalid, or loosens a pack.
    """
    if reference.startswith(PACK_PREFIX):
        return LoadedPolicy(reference, _effective(*_read_pack(reference, None, ()), Path(), (reference,)))
    return open_policy(Path(reference))[0]


def open_policy(path: Path) -> tuple[LoadedPolicy, Policy, document.Document]:
    """Load a policy file; also return what the file itself says, and where in it.

    Raises:
        PolicyError: as `load_policy`.
    """
    shown = printable(path)
    source = read_document(path, "name a policy file, or a pack such as pack:baseline")
    own = validate(source, Policy)
    return LoadedPolicy(shown, _effective(own, source, path.parent, ())), own, source


def read_document(path: Path, advice: str) -> document.Document:
    """Read a strict YAML file.

    Raises:
        PolicyError: it cannot be read, with the advice, or is not strict YAML.
    """
    return document.parse(_read(path, printable(path), document.MAX_BYTES, advice), printable(path))


def pack_names() -> list[str]:
    """Return the packs that ship with zt-gate."""
    return sorted(path.stem for path in (rules_folder() / "packs").glob("*.yaml"))


def validate(source: document.Document, model: type[_Model]) -> _Model:
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
        advice = advice_for(dict(problem), _fields_at(model, where))
        raise source.error(where, f"{name}: {printable(text)}" if name else printable(text), advice) from None


def _unknown_key(key: str, model: type[object], parent: document.Path) -> tuple[str, str]:
    known = _fields_at(model, parent)
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    shown = printable(key, 60)
    if close:
        return f"unknown key {shown!r}", f"did you mean {close[0]!r}?"
    return f"unknown key {shown!r}", f"known here: {', '.join(known)}"


def _fields_at(model: Any, path: document.Path) -> list[str]:
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


def _effective(policy: Policy, source: document.Document, folder: Path, seen: tuple[str, ...]) -> Policy:
    """Read the files that a policy names and lay it over its packs."""
    policy = replace(policy, trust=_complete_trust(policy.trust, source, folder))
    policy = replace(policy, waivers=_waivers(policy, source, folder))
    policy = replace(
        policy, stages={name: _calibrated(name, stage, source, folder) for name, stage in policy.stages.items()}
    )
    _check_references(policy, source)
    for index, reference in enumerate(policy.extends):
        pack, pack_source = _read_pack(reference, source.error(("extends", index), ""), seen)
        parent = _effective(pack, pack_source, Path(), (*seen, reference))
        try:
            policy = merge(parent, policy, reference)
        except Loosening as error:
            raise source.error(error.path, error.message, error.advice) from None
    _check_roles(policy, source)
    _check_registry(policy, source)
    return replace(policy, extends=())


def _read_pack(reference: str, place: PolicyError | None, seen: tuple[str, ...]) -> tuple[Policy, document.Document]:
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
    source = document.parse(_read(path, reference, document.MAX_BYTES, "reinstall zt-gate"), reference)
    return validate(source, Policy), source


def _complete_trust(trust: Trust, source: document.Document, folder: Path) -> Trust:
    keys = tuple(_with_pem(key, ("trust", "keys", i), source, folder) for i, key in enumerate(trust.keys))
    certificates = tuple(
        _with_pem(item, ("trust", "certificates", i), source, folder) for i, item in enumerate(trust.certificates)
    )
    root = trust.trusted_root
    if root is not None:
        text = _named_file(source, ("trust", "trusted_root", "file"), folder / root.file, _MAX_ROOT_BYTES)
        if Digest.of(text).hex != root.sha256:
            advice = "find out who changed it, then pin the new digest"
            raise source.error(("trust", "trusted_root", "sha256"), f"{root.file} is {Digest.of(text)}", advice)
        root = replace(root, json_text=text.decode("utf-8", "replace"))
    issuers = tuple(_with_jwks(item, ("trust", "issuers", i), source, folder) for i, item in enumerate(trust.issuers))
    return replace(trust, keys=keys, certificates=certificates, trusted_root=root, issuers=issuers)


def _calibrated(name: str, stage: Stage, source: document.Document, folder: Path) -> Stage:
    """Read the calibration that a stage names; it has to be the pinned one, and a calibration."""
    named = stage.backdoor.calibration if stage.backdoor is not None else None
    if stage.backdoor is None or named is None:
        return stage
    place: document.Path = ("stages", name, "backdoor", "calibration")
    data = _named_file(source, (*place, "file"), folder / named.file, _MAX_CALIBRATION_BYTES)
    if Digest.of(data).hex != named.sha256:
        advice = "find out who changed it, then pin the new digest"
        raise source.error((*place, "sha256"), f"{named.file} is {Digest.of(data)}", advice)
    try:
        from_json(parse_json(data))
    except (ValueError, EvidenceError) as error:
        said = error.message if isinstance(error, EvidenceError) else f"this is no strict JSON: {error}"
        advice = "make one: zt-gate evaluate calibrate … --out FILE"
        raise source.error((*place, "file"), f"{named.file}: {printable(said, 200)}", advice) from None
    calibration = replace(named, json_text=data.decode("utf-8"))
    return replace(stage, backdoor=replace(stage.backdoor, calibration=calibration))


def _with_jwks(issuer: TokenIssuer, place: document.Path, source: document.Document, folder: Path) -> TokenIssuer:
    """Read the key set that an issuer names."""
    data = _named_file(source, (*place, "jwks"), folder / issuer.jwks, _MAX_KEY_BYTES)
    try:
        jwks_keys(data)
    except ValueError as error:
        advice = "save what the issuer publishes at its jwks_uri"
        raise source.error((*place, "jwks"), f"{issuer.jwks}: {printable(str(error), 120)}", advice) from None
    return replace(issuer, jwks_json=data.decode("utf-8"))


def _with_pem(entry: _Pem, place: document.Path, source: document.Document, folder: Path) -> _Pem:
    """Read the file that a key or certificate names."""
    if entry.file is not None:
        pem = _named_file(source, (*place, "file"), folder / entry.file, _MAX_KEY_BYTES)
        entry = replace(entry, pem=pem.decode("ascii", "replace"))
    if "PRIVATE KEY" in (entry.pem or ""):
        advice = "name the .pub file; keep the private key secret"
        where = (*place, "file" if entry.file else "pem")
        raise source.error(where, f"key {entry.id} is a private key", advice)
    return entry


def _check_references(policy: Policy, source: document.Document) -> None:
    """Every id in a `by` list must be somebody; every id must be one body only."""
    ids = policy.trust.ids
    for place, name in zip(_places(policy.trust), ids, strict=True):
        if ids.count(name) > 1:
            raise source.error(place, f"id {name!r} is used twice", "rename one of the two")
    if policy.trust.identities and policy.trust.trusted_root is None:
        advice = "add `trusted_root: {file: trusted_root.json, sha256: …}` under `trust`"
        raise source.error(("trust", "identities"), "identities need a pinned trusted root", advice, at_key=True)
    _check_logins(policy.trust, source)
    lists: list[tuple[document.Path, tuple[str, ...]]] = [
        (("stages", name, field, "by"), demand.by)
        for name, stage in policy.stages.items()
        for field, demand in stage.statements.items()
    ]
    lists += [
        (("stages", name, field, "tickets"), demand.tickets)
        for name, stage in policy.stages.items()
        for field, demand in stage.statements.items()
        if isinstance(demand, Measured)
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


def _check_logins(trust: Trust, source: document.Document) -> None:
    """Every entry that asks for a login must say whose, at a pinned issuer."""
    for place, entry in zip(_places(trust), trust.entries, strict=True):
        try:
            trust.login_of(entry)
        except ValueError as error:
            raise source.error(place, f"{entry.id}: {printable(str(error))}", "see docs/people.md, Logins") from None


def _waivers(policy: Policy, source: document.Document, folder: Path) -> tuple[Waiver, ...]:
    """Read the file that holds the waivers."""
    if policy.waivers_file is None:
        return ()
    path = folder / policy.waivers_file
    text = _named_file(source, ("waivers_file",), path, document.MAX_BYTES)
    listed = document.parse(text, printable(path))
    waivers = validate(listed, WaiverFile).waivers
    ids = [waiver.id for waiver in waivers]
    for index, waiver in enumerate(waivers):
        place: document.Path = ("waivers", index)
        if ids.index(waiver.id) != index:
            raise listed.error((*place, "id"), f"id {waiver.id!r} is used twice", "rename one of the two")
        if is_never_waived(waiver.rule) or waiver.rule in policy.never_waive:
            message = f"{printable(waiver.rule, 40)} is never waived"
            raise listed.error((*place, "rule"), message, "fix what it found; a waiver would change nothing")
    return waivers


def _check_roles(policy: Policy, source: document.Document) -> None:
    """Every role that somebody has must be defined."""
    known = policy.roles or {}
    for place, entry in zip(_places(policy.trust), policy.trust.entries, strict=True):
        for index, role in enumerate(entry.roles):
            if role not in known:
                close = difflib.get_close_matches(role, known, n=1)
                advice = f"did you mean {close[0]!r}?" if close else "add it under `roles`"
                raise source.error((*place[:-1], "roles", index), f"no role is called {role!r}", advice)


def _check_registry(policy: Policy, source: document.Document) -> None:
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


def _places(trust: Trust) -> list[document.Path]:
    """Where the ids of `trust.ids` stand in the file, in the same order."""
    kinds = (
        ("keys", len(trust.keys)),
        ("certificates", len(trust.certificates)),
        ("identities", len(trust.identities)),
    )
    return [("trust", kind, index, "id") for kind, count in kinds for index in range(count)]


def _named_file(source: document.Document, place: document.Path, path: Path, limit: int) -> bytes:
    def complain(message: str, advice: str) -> PolicyError:
        return source.error(place, message, advice)

    return _read(path, printable(path), limit, "check the path; it is relative to the policy file", complain)


def _read(
    path: Path, shown: str, limit: int, advice: str, complain: Callable[[str, str], PolicyError] = PolicyError
) -> bytes:
    """Read a small regular file whole."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise complain(f"cannot read {shown}: {error.strerror}", advice) from None
    except ValueError as error:
        raise complain(f"cannot read {shown}: {error}", advice) from None
    if len(data) > limit:
        raise complain(f"{shown} is larger than {limit} bytes", "this is hardly the right file")
    return data
