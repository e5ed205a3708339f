"""`zt-gate policy`: write, validate, show, lint, compare, test and sign policies; list the packs; write waivers."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from zt_gate.cli.common.console import Console
from zt_gate.cli.policy import allow as policy_allow
from zt_gate.cli.policy import lint as policy_lint
from zt_gate.cli.policy import sign as policy_sign
from zt_gate.cli.policy import test as policy_test

if TYPE_CHECKING:
    from zt_gate.policy.model import LoadedPolicy

_NEW = """\
# yaml-language-server: $schema=zt-gate-policy.schema.json
# Made by: zt-gate policy schema > zt-gate-policy.schema.json
# Who may release this model, and what has to be shown before it goes anywhere.
# Keep this file where the authors of models cannot write.
apiVersion: zt-gate/v1
kind: Policy
metadata:
  name: {name}
  expires: "{expires}"   # an expired policy blocks; review it before then
extends: ["pack:baseline"]
trust:
  keys:
{keys}
stages:
  staging:
    signature: {{by: [{ids}]}}
  production:
    signature: {{by: [{ids}]}}
"""


_ACTS = {
    "allow": policy_allow.run,
    "lint": policy_lint.run_lint,
    "diff": policy_lint.run_diff,
    "test": policy_test.run_test,
    "suggest": policy_test.run_suggest,
    "sign": policy_sign.run,
}
"""Acts with a module of their own."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    acts = parser.add_subparsers(dest="act", metavar="ACT", required=True)
    new = acts.add_parser("new", help="print a policy that trusts the given public keys")
    new.add_argument(
        "--key", action="append", type=Path, required=True, metavar="PUB", help="public key; may be repeated"
    )
    new.add_argument("--name", default="my-models", help="name of the policy")
    new.add_argument("--days", type=int, default=365, help="days until the policy expires (default: 365)")
    validate = acts.add_parser(
        "validate",
        help="load a policy and every file that it names; exit 2 if anything is wrong",
    )
    validate.add_argument("policy", metavar="FILE", nargs="+")
    show = acts.add_parser("show", help="print the effective policy, packs merged in, and its digest")
    show.add_argument("policy", metavar="FILE", help="a file, or pack:NAME")
    allow = acts.add_parser("allow", help="print waivers for names not on the allowlist; refuses known bad ones")
    policy_allow.add_arguments(allow)
    lint = acts.add_parser("lint", help="warn about valid settings that are probably mistakes; exit 1 if there are any")
    policy_lint.add_lint_arguments(lint)
    diff = acts.add_parser("diff", help="compare two policies; exit 1 unless the new one is only stricter")
    policy_lint.add_diff_arguments(diff)
    test = acts.add_parser("test", help="judge a table of cases; exit 1 if one is not as expected")
    policy_test.add_test_arguments(test)
    suggest = acts.add_parser(
        "suggest",
        help="suggest stricter settings that the runs in the audit log would pass; changes nothing",
    )
    policy_test.add_suggest_arguments(suggest)
    sign = acts.add_parser("sign", help="sign the effective policy; zt-gate check --policy-key verifies it")
    policy_sign.add_arguments(sign)
    acts.add_parser("schema", help="print the JSON Schema of a policy, for editors")
    acts.add_parser("packs", help="list the packs that come with zt-gate")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do one act."""
    from zt_gate.policy.load import load_policy, pack_names

    if args.act in _ACTS:
        return _ACTS[args.act](args, console)
    if args.act == "schema":
        from zt_gate.policy.schema import policy_schema

        console.result(json.dumps(policy_schema(), indent=2))
    elif args.act == "new":
        console.result(new_policy(args.key, args.name, args.days).rstrip())
    elif args.act == "packs":
        for name in pack_names():
            console.result(f"pack:{name}")
    else:
        for name in args.policy if args.act == "validate" else [args.policy]:
            loaded = load_policy(name)
            if args.act == "validate":
                _check_signers(loaded)
            if args.act == "show":
                console.result(_shown(_plain(dataclasses.asdict(loaded.policy))))
            stages = ", ".join(sorted(loaded.policy.stages))
            console.result(f"# {loaded.source}: {loaded.digest}, stages: {stages}")
    return 0


def _check_signers(loaded: LoadedPolicy) -> None:
    """Read every key, and see that nobody is listed as two persons: a check would say so only then."""
    from zt_gate.trust.people.signers import Signers

    Signers(loaded.policy.trust, datetime.now(UTC))


def new_policy(keys: Sequence[Path], name: str, days: int) -> str:
    """Return a policy that trusts public keys, each under the name of its file.

    Raises:
        EvidenceError: a file holds no public key.
    """
    from zt_gate.trust.signatures.keys import load_public, read_key_file

    blocks, ids = [], []
    for path in keys:
        pem = read_key_file(path)
        load_public(pem, str(path))
        ids.append(path.stem)
        text = "".join(f"        {line}\n" for line in pem.decode("ascii").strip().splitlines())
        blocks.append(f"    - id: {path.stem}\n      pem: |\n{text}")
    expires = (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT00:00:00Z")
    return _NEW.format(name=name, expires=expires, keys="".join(blocks).rstrip(), ids=", ".join(ids))


def _plain(value: object) -> object:
    """Leave out what was not said, and turn tuples into lists."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None and item != ()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def _shown(value: object) -> str:
    import yaml

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=False, width=110)).rstrip()
