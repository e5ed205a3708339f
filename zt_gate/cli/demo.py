"""`zt-gate demo`: an honest release is allowed, then a dozen hostile edits of it are blocked, before your eyes.

Every step runs the command line as a user types it. The demo itself fails, with exit code 1, if the honest release
is blocked or any attack gets through.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import struct
import tempfile
import textwrap
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from zt_gate.cli.common.console import Console

_BUILDER = "https://zt-gate.dev/examples/digits-builder"
# Imports os.system and would call `true`; nobody ever loads it.
_HOSTILE_PICKLE = b"cos\nsystem\n(S'true'\ntR."


@dataclass(slots=True)
class _Stage:
    """A working copy of the release with everything that the gate needs to judge it."""

    folder: Path

    @property
    def release(self) -> Path:
        return self.folder / "release"

    @property
    def evidence(self) -> Path:
        return self.folder / "release.evidence"

    @property
    def policy(self) -> Path:
        return self.folder / "zt-gate.yaml"

    @property
    def summary(self) -> Path:
        return self.folder / "summary.dsse.json"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def weights(self) -> Path:
        return next(self.release.rglob("*.safetensors"))

    def sign_all(self, release_key: str = "release") -> None:
        """Sign the manifest and the two statements about it, as the build would."""
        shutil.rmtree(self.evidence, ignore_errors=True)
        _quietly("sign", str(self.release), "--key", str(self.keys / f"{release_key}.key"))
        for key, kind, name in (("builder", "provenance", "provenance"), ("tester", "tests", "test-result")):
            predicate = str(self.folder / "statements" / f"{name}.json")
            signer = str(self.keys / f"{key}.key")
            _quietly("attest", kind, str(self.release), "--key", signer, "--predicate", predicate)


@dataclass(frozen=True, slots=True)
class _Attack:
    """One hostile edit, and how the gate has to answer it."""

    title: str
    edit: Callable[[_Stage], None]
    code: int = 1
    verb: str = "check"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--release", type=Path, metavar="DIR", help="the example release (default: a tiny one, made here)"
    )
    parser.add_argument("--statements", type=Path, metavar="DIR", help="its two unsigned statements")


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the demo; 0 when the honest release was allowed and every attack was blocked."""
    with tempfile.TemporaryDirectory(prefix="zt-gate-demo-") as folder:
        honest = _prepare(Path(folder) / "honest", args)
        console.result(("An honest release", "bold"), ": signed, with provenance and passed tests")
        failures = int(not _show(honest, "check", 0, console))
        console.result("")
        console.result((f"{len(ATTACKS)} attacks on it", "bold"))
        for number, attack in enumerate(ATTACKS, 1):
            stage = _Stage(Path(folder) / f"attack-{number}")
            shutil.copytree(honest.folder, stage.folder, symlinks=True)
            console.result("")
            console.result(f"{number:2}. ", (attack.title, "cyan"))
            attack.edit(stage)
            failures += int(not _show(stage, attack.verb, attack.code, console))
    console.result("")
    if failures:
        console.result((f"{failures} of these went wrong.", "bad"))
        return 1
    console.result((f"Allowed 1 of 1 honest releases, blocked {len(ATTACKS)} of {len(ATTACKS)} attacks.", "good"))
    return 0


def _show(stage: _Stage, verb: str, expected: int, console: Console) -> bool:
    """Run one verb, show the answer in a few lines, and return whether it was the expected one."""
    if verb == "check":
        words = [
            "check",
            str(stage.release),
            "--policy",
            str(stage.policy),
            "--audit-log",
            str(stage.folder / "audit.jsonl"),
        ]
        code, out, _ = _run([*words, "--format", "json"])
        lines = _summary(json.loads(out))
    else:
        words = ["admit", str(stage.release), "--summary", str(stage.summary), "--key", str(stage.keys / "gate.pub")]
        code, out, _ = _run(words)
        lines = out.strip().splitlines()[:4]
    console.result("    $ zt-gate " + " ".join(_short(word, stage) for word in words))
    answer = {0: "ALLOW", 1: "BLOCK"}.get(code, "CANNOT DECIDE")
    console.result("    ", (answer, "good" if code == 0 else "bad"), f"  (exit {code})")
    for line in lines:
        console.result(f"      {_short(line, stage)}")
    if code != expected:
        console.result((f"    expected exit {expected}", "bad"))
    return code == expected


def _summary(report: dict[str, object]) -> list[str]:
    error = report["error"]
    if isinstance(error, dict):
        return [f"✗ {error['place']} {error['message']}", f"→ {error['fix']}"]
    reasons: list[dict[str, str]] = report["reasons"]  # type: ignore[assignment]
    if not reasons:
        subject: dict[str, object] = report["subject"]  # type: ignore[assignment]
        return [f"✓ {subject['files']} files, {subject['digest']}"]
    lines = [f"✗ {reason['message']} [{reason['rule'] or reason['code']}]" for reason in reasons[:2]]
    if len(reasons) > 2:
        lines.append(f"  and {len(reasons) - 2} more")
    fix = next((" ".join(reason["fix"].split()) for reason in reasons if reason["fix"]), "")
    return [*lines, *textwrap.wrap(fix, 100, initial_indent="→ ", subsequent_indent="  ")]


def _short(text: str, stage: _Stage) -> str:
    return text.replace(str(stage.folder) + os.sep, "")


def _run(words: list[str]) -> tuple[int, str, str]:
    from zt_gate.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    return code, out.getvalue(), err.getvalue()


def _quietly(*words: str) -> None:
    from zt_gate.errors import ToolError

    code, _, err = _run([*words, "--quiet"])
    if code:
        raise ToolError(f"the demo could not run zt-gate {words[0]}: {err.strip()}")


def _prepare(folder: Path, args: argparse.Namespace) -> _Stage:
    """Lay out release, keys, policy and signed statements."""
    stage = _Stage(folder)
    folder.mkdir()
    if args.release is not None:
        shutil.copytree(args.release, stage.release, symlinks=True)
        shutil.copytree(args.statements, folder / "statements")
    else:
        _tiny_release(stage.release)
        _tiny_statements(folder / "statements")
    for name in ("release", "builder", "tester", "stranger", "gate"):
        _quietly("keygen", "--out", str(stage.keys), "--name", name)
    stage.policy.write_text(_policy(datetime.now(UTC) + timedelta(days=30)))
    stage.sign_all()
    return stage


def _policy(expires: datetime) -> str:
    return (
        "apiVersion: zt-gate/v1\nkind: Policy\nmetadata:\n  name: digits\n"
        f'  expires: "{expires:%Y-%m-%dT%H:%M:%SZ}"\n'
        'extends: ["pack:baseline"]\ntrust:\n  keys:\n'
        "    - {id: release, file: keys/release.pub}\n"
        "    - {id: builder, file: keys/builder.pub}\n"
        "    - {id: tester, file: keys/tester.pub}\n"
        "stages:\n  production:\n    signature: {by: [release]}\n"
        f'    provenance: {{by: [builder], builders: ["{_BUILDER}"], max_age_days: 30}}\n'
        "    tests: {by: [tester], max_age_days: 30}\n    audit_log: true\n"
    )


def _tiny_release(folder: Path) -> None:
    """Write a release of three files without any framework: weights, configuration, model card."""
    folder.mkdir()
    data = struct.pack("<4f", 0.25, -1.0, 0.5, 2.0)
    header = json.dumps({"weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, len(data)]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
    (folder / "config.json").write_text('{"architecture": "linear", "inputs": 2, "outputs": 2}\n')
    (folder / "README.md").write_text("# A linear layer\n\nTwo inputs, two outputs.\n")
    (folder / "MLmodel").write_text("flavors:\n  linear:\n    weights: model.safetensors\nmodel_uuid: tiny\n")


def _tiny_statements(folder: Path) -> None:
    folder.mkdir()
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    definition = {
        "buildType": "https://zt-gate.dev/examples/digits/v1",
        "externalParameters": {},
        "resolvedDependencies": [],
    }
    details = {"builder": {"id": _BUILDER}, "metadata": {"finishedOn": now}}
    provenance = {"buildDefinition": definition, "runDetails": details}
    tests = {"result": "PASSED", "configuration": [], "passedTests": ["shape"], "failedTests": [], "finishedOn": now}
    (folder / "provenance.json").write_text(json.dumps(provenance))
    (folder / "test-result.json").write_text(json.dumps(tests))


def _flip_byte(stage: _Stage) -> None:
    data = bytearray(stage.weights.read_bytes())
    data[-1] ^= 1
    stage.weights.write_bytes(data)


def _swap_names(stage: _Stage) -> None:
    one, other, spare = stage.release / "config.json", stage.release / "README.md", stage.folder / "spare"
    one.rename(spare)
    other.rename(one)
    spare.rename(other)


def _add_file(stage: _Stage) -> None:
    (stage.release / "helper.json").write_text('{"extra": true}\n')


def _add_symlink(stage: _Stage) -> None:
    (stage.release / "vocabulary.txt").symlink_to("/etc/hostname")


def _add_pickle(stage: _Stage) -> None:
    (stage.release / "preprocess.pkl").write_bytes(_HOSTILE_PICKLE)
    stage.sign_all()


def _second_data_pkl(stage: _Stage) -> None:
    import warnings

    with warnings.catch_warnings(), zipfile.ZipFile(stage.release / "model.pt", "w") as archive:
        warnings.simplefilter("ignore")  # zipfile itself warns about the duplicate name
        archive.writestr("archive/data.pkl", _HOSTILE_PICKLE)
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
        archive.writestr("archive/version", b"3\n")
    stage.sign_all()


def _own_loader(stage: _Stage) -> None:
    (stage.release / "code").mkdir(exist_ok=True)
    (stage.release / "code" / "loader.py").write_text("def _load_pyfunc(path):\n    return path\n")
    mlmodel = stage.release / "MLmodel"
    flavor = "  python_function:\n    loader_module: loader\n    code: code\n    data: .\n"
    mlmodel.write_text(mlmodel.read_text().replace("flavors:\n", "flavors:\n" + flavor, 1))
    stage.sign_all()


def _stranger(stage: _Stage) -> None:
    stage.sign_all(release_key="stranger")


def _expired_policy(stage: _Stage) -> None:
    stage.policy.write_text(_policy(datetime.now(UTC) - timedelta(days=1)))


def _empty_tests(stage: _Stage) -> None:
    statement = stage.folder / "statements" / "test-result.json"
    statement.write_text(json.dumps({**json.loads(statement.read_text()), "passedTests": []}))
    stage.sign_all()


def _changed_later(stage: _Stage) -> None:
    """The gate allows and signs its verdict; then, before the deploy job takes the bytes, one of them changes."""
    words = ["check", str(stage.release), "--policy", str(stage.policy), "--audit-log", str(stage.folder / "a.jsonl")]
    code, _, _ = _run([*words, "--summary", str(stage.summary), "--summary-key", str(stage.keys / "gate.key")])
    if code == 0:
        _flip_byte(stage)


def _typo(stage: _Stage) -> None:
    stage.policy.write_text(stage.policy.read_text().replace("    tests:", "    test:"))


def _emptied_checks(stage: _Stage) -> None:
    stage.policy.write_text(stage.policy.read_text() + "    checks: {}\n")


ATTACKS = (
    _Attack("one byte flipped in the weights", _flip_byte),
    _Attack("two file names swapped", _swap_names),
    _Attack("an unsigned file added", _add_file),
    _Attack("a symbolic link out of the release", _add_symlink),
    _Attack("a pickle that imports os.system, signed by the right key", _add_pickle),
    _Attack("a second data.pkl in a torch archive, signed by the right key", _second_data_pkl),
    _Attack("a loader_module in the model's own code, signed by the right key", _own_loader),
    _Attack("a signature by a stranger", _stranger),
    _Attack("an expired policy", _expired_policy),
    _Attack("a test statement that lists no test, signed by the right key", _empty_tests),
    _Attack("a policy whose checks were emptied", _emptied_checks, code=2),
    _Attack("a policy with a typo", _typo, code=2),
    _Attack("a file changed between check and promotion", _changed_later, verb="admit"),
)
"""Every attack, in the order in which they are shown."""
