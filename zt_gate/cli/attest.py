"""`zt-gate attest`: make and sign one statement about a target, of one of the kinds in `trust.attest.KINDS`."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zt_gate.cli.common.console import Console
from zt_gate.cli.common.signer import TARGET, add_signer_arguments, signer_from
from zt_gate.domain import Digest, printable
from zt_gate.errors import EvidenceError, UsageError

if TYPE_CHECKING:
    from zt_gate.intake import Frozen

_OWN_VERBS = ("manifest/v1", "approval/v1", "revocations/v1", "verification_summary/v1")
_NAMED = "NAME=sha256:… or NAME=PATH; may be repeated"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    from zt_gate.trust.statements.attest import KINDS

    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    for kind in _ARGUMENTS:
        summary = KINDS[kind].summary
        sub = kinds.add_parser(kind, help=summary, description=summary[0].upper() + summary[1:] + ".")
        sub.add_argument("target", metavar="TARGET", help=TARGET)
        add_signer_arguments(sub)
        sub.add_argument("--out", metavar="FILE", type=Path, help="where to write (default: into TARGET.evidence/)")
        sub.add_argument("-q", "--quiet", action="store_true", default=argparse.SUPPRESS, help="no hints")
        if kind in ("provenance", "tests", "bom", "release"):
            sub.add_argument("--predicate", metavar="FILE", type=Path, help="a JSON predicate, instead of what follows")
        _ARGUMENTS[kind](sub)


def _provenance_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--builder", metavar="ID", help="id of the platform that built it")
    sub.add_argument("--build-type", metavar="URI", help="how it was built")
    sub.add_argument("--source", metavar="URI@REF", default="", help="such as git+https://host/name@refs/heads/main")
    sub.add_argument("--commit", metavar="HEX", default="", help="commit of the source")
    sub.add_argument(
        "--material", metavar="NAME=…", action="append", default=[], help=f"data set or base model: {_NAMED}"
    )
    _finished(sub)


def _tests_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--junit", metavar="FILE", type=Path, action="append", default=[], help="JUnit XML of the run")
    sub.add_argument("--passed", metavar="NAME", action="append", default=[], help="a test that passed")
    sub.add_argument("--failed", metavar="NAME", action="append", default=[], help="a test that failed")
    sub.add_argument("--config", metavar="NAME=…", action="append", default=[], help=f"what it ran with: {_NAMED}")
    _finished(sub)


def _bom_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--dataset", metavar="NAME=…", action="append", default=[], help=f"what it learnt from: {_NAMED}")


def _dataset_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--source", metavar="URI", default="", help="where the data come from")


def _scan_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--report", metavar="FILE", type=Path, required=True, help="from: zt-gate scan --format json")


def _sarif_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--sarif", metavar="FILE", type=Path, required=True, help="what the scanner wrote about TARGET")
    _finished(sub)


def _release_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--purl", metavar="PURL", help="package URL, such as pkg:mlflow/credit-risk@3")
    sub.add_argument("--release-id", metavar="ID", default="", help="a stable id of the release, where it has one")


def _custom_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--type", metavar="URI", dest="predicate_type", required=True, help="the predicate type")
    sub.add_argument("--predicate", metavar="FILE", type=Path, required=True, help="the predicate, as JSON")


def _finished(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--finished-on", metavar="TIME", help="when it finished, such as 2026-01-31T12:00:00Z (now)")


_ARGUMENTS: Mapping[str, Callable[[argparse.ArgumentParser], None]] = {
    "provenance": _provenance_arguments,
    "tests": _tests_arguments,
    "bom": _bom_arguments,
    "dataset": _dataset_arguments,
    "scan": _scan_arguments,
    "sarif": _sarif_arguments,
    "release": _release_arguments,
    "custom": _custom_arguments,
}


def run(args: argparse.Namespace, console: Console) -> int:
    """Freeze the target, make the statement, sign it, and write the envelope.

    Raises:
        UsageError: arguments that do not fit together, or an output inside the target.
        TargetError: the target cannot be read, holds what is never signed, or changed meanwhile.
        EvidenceError: an input cannot be read, or no requirement would accept the statement.
        ToolError: the envelope cannot be written.
    """
    from zt_gate.cli.common.sign_statement import numbered, sign_about
    from zt_gate.trust.statements.attest import KINDS, check_predicate
    from zt_gate.trust.statements.statement import statement

    predicate_type = _custom_type(args.predicate_type) if args.kind == "custom" else KINDS[args.kind].predicate_type
    make = _given(args) or _MAKERS[args.kind](args, console)
    signer = signer_from(args)

    def payload(frozen: Frozen) -> bytes:
        predicate = make(frozen)
        check_predicate(args.kind, predicate, frozen.subject)
        return statement(predicate_type, predicate, frozen.subject)

    return sign_about([args.target], numbered(args.kind, signer), payload, signer, args.out, console)


def _given(args: argparse.Namespace) -> Callable[[Frozen], dict[str, Any]] | None:
    """Return a builder of the predicate that the user gave, or None where zt-gate builds it."""
    path = args.report if args.kind == "scan" else getattr(args, "predicate", None)
    if path is None:
        return None
    made = [name for name in _MADE_FROM.get(args.kind, ()) if getattr(args, name)]
    if made:
        raise UsageError(f"--predicate and --{made[0].replace('_', '-')} exclude each other", "give one of the two")
    value = _json(path)
    return lambda _: value


_MADE_FROM = {
    "provenance": ("builder", "build_type", "source", "commit", "material", "finished_on"),
    "tests": ("junit", "passed", "failed", "config", "finished_on"),
    "bom": ("dataset",),
    "release": ("purl", "release_id"),
}


def _make_provenance(args: argparse.Namespace, console: Console) -> Callable[[Frozen], dict[str, Any]]:
    from zt_gate.trust.statements.attest import provenance_predicate

    del console
    if args.builder is None or args.build_type is None:
        raise UsageError("provenance needs --builder and --build-type", "or a whole predicate: --predicate FILE")
    if args.commit and not args.source:
        raise UsageError("--commit belongs to --source", "name the repository with --source")
    if args.commit and not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", args.commit):
        raise UsageError("--commit is no full commit id", "git rev-parse HEAD prints it")
    value = provenance_predicate(
        args.builder, args.build_type, args.source, args.commit, _digests(args.material), _time(args.finished_on)
    )
    return lambda _: value


def _make_tests(args: argparse.Namespace, console: Console) -> Callable[[Frozen], dict[str, Any]]:
    from zt_gate.cli.common.sign_statement import read_input
    from zt_gate.trust.statements.attest import result_predicate
    from zt_gate.trust.statements.junit_reader import read_junit
    from zt_gate.trust.statements.statement import MAX_OTHER_STATEMENT

    if not (args.junit or args.passed or args.failed):
        raise UsageError("no test is named", "give --junit FILE, --passed NAME or --predicate FILE")
    passed, failed, skipped = list(args.passed), list(args.failed), []
    for path in args.junit:
        found = read_junit(read_input(path, MAX_OTHER_STATEMENT))
        passed += found.passed
        failed += found.failed
        skipped += found.skipped
    if skipped:
        console.note(f"{len(skipped)} tests were skipped; they count as neither passed nor failed")
    value = result_predicate(passed, failed, skipped, _digests(args.config), _time(args.finished_on))
    if value["result"] != "PASSED":
        console.note("the statement says FAILED; a gate that requires passed tests will block")
    return lambda _: value


def _make_bom(args: argparse.Namespace, console: Console) -> Callable[[Frozen], dict[str, Any]]:
    from zt_gate.trust.statements.ml_bom import ml_bom, read_descriptions

    del console
    datasets, created = _digests(args.dataset), _time(None)
    return lambda frozen: ml_bom(frozen.subject, read_descriptions(frozen), datasets, created)


def _make_dataset(args: argparse.Namespace, console: Console) -> Callable[[Frozen], dict[str, Any]]:
    from zt_gate.trust.statements.attest import dataset_predicate

    del console
    created = _time(None)
    return lambda frozen: dataset_predicate(frozen.subject, args.source, created)


def _make_sarif(args: argparse.Namespace, console: Console) -> Callable[[Frozen], dict[str, Any]]:
    from zt_gate.scan.engines.sarif import Results, read_results, read_sarif
    from zt_gate.trust.statements.attest import sarif_predicate

    brought, finished = read_sarif(args.sarif), _time(args.finished_on)

    def make(frozen: Frozen) -> dict[str, Any]:
        found = Results()
        read_results(brought, frozen, found)
        # An unfinished scan with few results would look like a clean one once it is signed.
        if found.gaps:
            first = found.gaps[0]
            raise EvidenceError(f"an unfinished result is not signed: {first.reason}", first.fix)
        console.note(f"{len(found.findings)} results are in the statement")
        return sarif_predicate(sorted(found.tools), Digest.of(brought.data), found.findings, finished)

    return make


def _make_release(args: argparse.Namespace, console: Console) -> Callable[[Frozen], dict[str, Any]]:
    from zt_gate.trust.statements.attest import release_predicate

    del console
    if args.purl is None:
        raise UsageError("a release needs --purl", "such as --purl pkg:mlflow/credit-risk@3")
    value = release_predicate(args.purl, args.release_id)
    return lambda _: value


_MAKERS: Mapping[str, Callable[[argparse.Namespace, Console], Callable[[Frozen], dict[str, Any]]]] = {
    "provenance": _make_provenance,
    "tests": _make_tests,
    "bom": _make_bom,
    "dataset": _make_dataset,
    "sarif": _make_sarif,
    "release": _make_release,
}


def _custom_type(text: str) -> str:
    if not re.fullmatch(r"[a-z]+:[\x21-\x7e]{1,300}", text):
        raise UsageError("--type is not a URI", "for instance: --type https://example.org/predicate/v1")
    # The verbs check what they sign; a handwritten approval or revocation list would skip that.
    if text.endswith(_OWN_VERBS):
        raise UsageError(f"{text} is not made by hand", "use sign, approve, revoke, or check --summary")
    return text


def _json(path: Path) -> dict[str, Any]:
    from zt_gate.cli.common.sign_statement import read_input
    from zt_gate.codecs.strict_json import parse_object
    from zt_gate.trust.statements.statement import MAX_OTHER_STATEMENT

    return parse_object(read_input(path, MAX_OTHER_STATEMENT), printable(path), MAX_OTHER_STATEMENT)


def _time(text: str | None) -> str:
    from zt_gate.policy.fields import parse_instant

    if text is None:
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        parse_instant(text)
    except ValueError as error:
        raise UsageError(str(error), "write the time in UTC, to the second") from None
    return text


def _digests(words: Sequence[str]) -> dict[str, Digest]:
    """Read `NAME=sha256:…` and `NAME=PATH`: a file's SHA-256, or the manifest digest of a folder."""
    found: dict[str, Digest] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals or not value or name in found:
            raise UsageError(f"{printable(word)} is not NAME=sha256:… or NAME=PATH, or its name stands twice", _NAMED)
        try:
            found[name] = Digest.parse(value) if value.startswith("sha256:") else _digest_of(value)
        except ValueError as error:
            raise UsageError(str(error), "64 hexadecimal digits follow sha256:") from None
    return found


def _digest_of(path: str) -> Digest:
    from zt_gate.intake import Freeze, freeze

    with freeze([path], Freeze.HOLD) as frozen:
        manifest = frozen.subject.manifest
        if not os.path.isdir(path):
            return Digest(manifest.entries[0].sha256)
        return manifest.digest
