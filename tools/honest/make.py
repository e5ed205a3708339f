"""Make honest pickles with many versions of many libraries, each in an environment of its own.

    python tools/honest/make.py tools/honest/environments_core.yaml --pythons ~/.pyenv/versions [--only NAME] [--keep]

An environment file is a list of `{name, python, packages, makers}`. For each entry this makes a virtual environment of
that Python, installs the pinned wheels (nothing is ever built), runs the maker modules in it (`run_makers.py`), loads
what they wrote once to describe every name that it imports (`describe_globals.py`), and removes the environment. What
stays is `OUT/NAME/objects/*` and `OUT/NAME/about.json`:

    {python, packages: {name: version}, objects: [{file, library, class, label, how, protocol}],
     failed: [[label, reason]], absent: [[label, reason]] (this version lacks it),
     globals: {"module.name": {kind, mro, hooks, signature, module_file_sha256}}}

A run picks up where the last one stopped: an environment with a `done` file is skipped, unless `--again` is given.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
"""Threads cost more than they bring on data this small; a fixed hash seed makes a second run write the same files."""
NEWER_PIP = {"3.6": "pip==21.3.1", "3.7": "pip==24.0"}
"""Python 3.6 brings pip 18, which knows no wheel newer than manylinux1."""
OLD_VIRTUALENV = "virtualenv==16.7.12"
"""The last virtualenv that is one file and makes environments of Python 2.7 from Python 2.7."""


@dataclass(frozen=True)
class Environment:
    """One entry of an environment file."""

    name: str
    python: str
    packages: tuple[str, ...]
    makers: tuple[str, ...]


def environments(path: Path) -> list[Environment]:
    """Read an environment file; packages and makers that every entry shares may be given as lists within lists."""
    entries: list[dict[str, Any]] = yaml.safe_load(path.read_text())
    return [
        Environment(e["name"], str(e["python"]), tuple(flat(e.get("packages", []))), tuple(flat(e["makers"])))
        for e in entries
        if "makers" in e
    ]


def flat(items: list[Any]) -> list[str]:
    """Flatten lists that YAML anchors nest."""
    return [part for item in items for part in (flat(item) if isinstance(item, list) else [str(item)])]


def interpreter(version: str, pythons: Path | None) -> str:
    """Find the program of a Python version below a folder of installations (as pyenv lays them out), or on PATH."""
    for folder in sorted(pythons.glob(f"{version}*")) if pythons else []:
        program = folder / "bin" / f"python{version}"
        if program.exists():
            return str(program)
    program_on_path = shutil.which(f"python{version}")
    if program_on_path is None:
        raise FileNotFoundError(f"Python {version} is neither below --pythons nor on PATH")
    return program_on_path


def call(command: Sequence[str], *, log: Path, extra: dict[str, str] | None = None) -> None:
    """Run a command quietly at low priority; its output goes to a log file, whose end is shown when it fails."""
    with log.open("ab") as out:
        ended = subprocess.run(
            ["nice", *command],
            stdout=out,
            stderr=out,
            check=False,
            env={**os.environ, **QUIET, **(extra or {})},
        )
    if ended.returncode:
        tail = log.read_text(errors="replace")[-1500:]
        raise RuntimeError(f"{' '.join(command[:6])} … ended with {ended.returncode}:\n{tail}")


def create(env: Environment, place: Path, pythons: Path | None, log: Path) -> Path:
    """Make the virtual environment with its packages, unless it stands; return its interpreter."""
    program = place / "bin" / "python"
    if (place / "installed").exists():
        return program
    shutil.rmtree(place, ignore_errors=True)
    base, wheels = interpreter(env.python, pythons), "--only-binary=:all:"
    if env.python.startswith("2"):
        old_environment(base, place, log)
    elif shutil.which("uv") and not any("torch" in package for package in env.packages):
        # A tenth of pip's time, and it takes every Python 3 of ours; but torch comes from where pip is told to look.
        call(["uv", "venv", "-q", "--no-project", "--python", base, str(place)], log=log)
        call(["uv", "pip", "install", "-q", "--python", str(program), wheels, *env.packages], log=log)
        (place / "installed").touch()
        return program
    else:
        call([base, "-m", "venv", str(place)], log=log)
    install = [str(program), "-m", "pip", "install", "-q", "--no-cache-dir", "--no-compile", wheels]
    if env.python in NEWER_PIP:
        call([*install, NEWER_PIP[env.python]], log=log)
    call([*install, *env.packages], log=log)
    (place / "installed").touch()
    return program


def old_environment(base: str, place: Path, log: Path) -> None:
    """Make a virtual environment of Python 2.7, which has no `venv`."""
    tool = place.with_name("virtualenv")
    call([base, "-m", "pip", "install", "-q", "--target", str(tool), OLD_VIRTUALENV], log=log)
    call([base, "-m", "virtualenv", "--no-download", str(place)], log=log, extra={"PYTHONPATH": str(tool)})
    shutil.rmtree(tool)


def installed(place: Path) -> dict[str, str]:
    """Return the packages of an environment with their versions, by the folders that wheels leave."""
    folders = [folder.name.rpartition(".")[0].split("-") for folder in place.rglob("*.dist-info")]
    return dict(sorted(folders))


def make(env: Environment, out: Path, pythons: Path | None, keep: bool) -> dict[str, Any]:
    """Make one environment's objects and return its `about.json`."""
    folder = out / env.name
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.txt"
    log.unlink(missing_ok=True)
    program = create(env, folder / "env", pythons, log)
    shutil.rmtree(folder / "objects", ignore_errors=True)
    call([str(program), str(HERE / "run_makers.py"), str(folder), *env.makers], log=log)
    call([str(program), str(HERE / "describe_globals.py"), str(folder)], log=log)
    about: dict[str, Any] = json.loads((folder / "about.json").read_text())
    about["packages"] = installed(folder / "env")
    (folder / "about.json").write_text(json.dumps(about, indent=1, sort_keys=True))
    if not keep:
        shutil.rmtree(folder / "env")
    (folder / "done").touch()
    return about


def main() -> int:
    """Make every environment that is asked for; one that fails does not stop the others, but the exit code tells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="environments, as YAML")
    parser.add_argument("--only", action="append", help="the name of an environment (may be repeated)")
    parser.add_argument("--out", type=Path, default=Path("build/frozen"))
    parser.add_argument("--pythons", type=Path, help="a folder of Python installations, such as pyenv's versions")
    parser.add_argument("--keep", action="store_true", help="keep the virtual environments")
    parser.add_argument("--jobs", type=int, default=1, help="how many environments at a time")
    parser.add_argument("--again", action="store_true", help="run the makers again though they ran before")
    asked = parser.parse_args()
    chosen = [env for env in environments(asked.file) if not asked.only or env.name in asked.only]
    with ThreadPoolExecutor(asked.jobs) as several:
        made = list(several.map(lambda env: report(env, asked), chosen))
    return 0 if all(made) else 1


def report(env: Environment, asked: argparse.Namespace) -> bool:
    """Make one environment unless it is done, and print how that went; return whether it did."""
    done = asked.out.resolve() / env.name / "done"
    if done.exists() and not asked.again:
        return True
    done.unlink(missing_ok=True)
    started = time.monotonic()
    try:
        about = make(env, asked.out.resolve(), asked.pythons, asked.keep)
    except Exception as error:
        print(f"{env.name}: FAILED: {error}", file=sys.stderr, flush=True)
        return False
    print(
        f"{env.name}: {len(about['objects'])} objects, {len(about['failed'])} failed, "
        f"{len(about['globals'])} names, {time.monotonic() - started:.0f} s",
        flush=True,
    )
    return True


if __name__ == "__main__":
    sys.exit(main())
