"""`zt-gate sign`: sign the manifest of a release. Other statements about it are made by `attest` and `approve`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from zt_gate.cli.common.console import Console
from zt_gate.cli.common.sign_statement import sign_about
from zt_gate.cli.common.signer import TARGET, StatementSigner, add_signer_arguments, signer_from
from zt_gate.errors import UsageError
from zt_gate.trust.signatures.model_signing import model_bundle, model_statement
from zt_gate.trust.statements.statement import manifest_statement


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument(
        "targets",
        metavar="TARGET",
        nargs="+",
        help=f"{TARGET}; several make one bundle",
    )
    add_signer_arguments(parser)
    parser.add_argument("--format", choices=("dsse", "oms"), default="dsse", help="oms: OpenSSF Model Signing")
    parser.add_argument("--out", metavar="FILE", type=Path, help="where to write (default: into TARGET.evidence/)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Freeze the target, sign its manifest, and write the envelope.

    Raises:
        UsageError: arguments that do not fit together, or an output inside the target.
        TargetError: the target cannot be read, holds what is never signed, or changed meanwhile.
        EvidenceError: the signer cannot be used.
        ToolError: the envelope cannot be written.
    """
    signer = signer_from(args)
    if args.format == "oms":
        return _model_signature(args, signer, console)
    return sign_about(
        args.targets,
        lambda _: f"manifest.{signer.mark}",
        lambda frozen: manifest_statement(frozen.subject),
        signer,
        args.out,
        console,
    )


def _model_signature(args: argparse.Namespace, signer: StatementSigner, console: Console) -> int:
    if len(args.targets) > 1:
        raise UsageError("OMS signs one folder or one file", "name one, or leave out --format oms")
    return sign_about(
        args.targets,
        lambda _: f"model.{signer.mark}",
        lambda frozen: model_statement(frozen.subject, single_file=frozen.single_file),
        replace(signer, sign=lambda payload: model_bundle(signer.sign(payload), signer.public)),
        args.out,
        console,
    )
