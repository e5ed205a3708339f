"""Small files that cost other readers minutes or gigabytes, through the command line: refused soon, and never passed.

The bounds on time are wide, since machines that test are shared; without the readers' own bounds each file here takes
minutes or is ended by a signal.
"""

import json
import os
import subprocess
import sys

import pytest

SECONDS = 10.0
MEGABYTES = 200
LAUGHS = "a: &a [l,l,l,l,l,l,l,l,l]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{previous}'] * 9)}]\n"
    for previous, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def merged(depth=60, keys=5000):
    """Mappings inside each other, each of which takes all keys of the one inside."""
    head = "".join(f"<<: &a{number} {{" for number in range(depth))
    return "{" + head + ", ".join(f"k{number}: v" for number in range(keys)) + "}" * (depth + 1)


BOMBS = {
    "aliases": LAUGHS + "dependencies: [*i]\n",
    "aliases as keys": LAUGHS + "dependencies: {*i : a}\n",
    "long text": f"a: &a {'x' * 100_000}\ndependencies: [{{pip: [" + "*a, " * 100_000 + "]}]\n",
    "merge keys": "a: &a {" + ", ".join(f"k{number}: v" for number in range(2000)) + "}\n"
    "dependencies:\n" + "- <<: *a\n" * 50_000,
    "merge keys inside each other": merged(),
    "brackets": "a: " + "[" * 60_000 + "]" * 60_000 + "\n",
    "braces": "{a: " * 40_000 + "}" * 40_000 + "\n",
    "dashes": "- " * 60_000 + "a\n",
    "questions": "? " * 60_000 + "a\n",
    "wide": "dependencies:\n" + "".join(f"- a{number}\n" for number in range(670_000)),
    "many packages": "dependencies:\n" + "".join(f"- abcde{number}\n" for number in range(100_000)),
    "wide map": "".join(f"a{number}: b\n" for number in range(200_000)),
    "documents": "--- a\n" * 100_000,
    "directives": "".join(f"%TAG !a{number}! x:\n" for number in range(40_000)) + "--- a\n",
}
MEASURED = """
import resource, sys
from zt_gate.cli import main
code = main(sys.argv[1:])
sys.stdout.flush()
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
seconds = sum(usage.ru_utime + usage.ru_stime for usage in used)
print("MEASURED", seconds, max(usage.ru_maxrss for usage in used) / 1024, file=sys.stderr)
sys.exit(code)
"""


def scan(folder):
    """Scan in a process of its own; return its exit status, report, processor seconds and peak memory in MB.

    A shell stands between: Linux counts as a process's peak also what it was forked from, and this one may be large.
    """
    command = [sys.executable, "-c", MEASURED, "scan", "--format", "json", str(folder)]
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@"; exit $?', "sh", *command],
        capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    assert "MEASURED" in done.stderr, done.stderr[-500:]
    _, seconds, megabytes = done.stderr.strip().splitlines()[-1].split()
    return done.returncode, json.loads(done.stdout), float(seconds), float(megabytes)


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_a_bomb_is_an_unfinished_examination_and_soon(make_tree, name):
    code, report, seconds, megabytes = scan(make_tree({"conda.yaml": BOMBS[name].encode()}))
    assert code == 1
    statuses = {check["id"]: check["status"] for check in report["checks"]}
    assert statuses["dependencies"] == "incomplete"
    assert "SIG" not in json.dumps(report), "a reader was ended by a signal in place of its own bounds"
    assert seconds < SECONDS
    assert megabytes < MEGABYTES


def test_the_smallest_bomb_takes_no_longer_than_an_honest_file(make_tree):
    assert len(BOMBS["aliases"]) < 380
    honest = scan(make_tree({"conda.yaml": b"name: a\ndependencies: [python=3.11]\n"}, "honest"))
    bomb = scan(make_tree({"conda.yaml": BOMBS["aliases"].encode()}, "bomb"))
    assert bomb[2] < honest[2] + 1.0
    assert (honest[0], bomb[0]) == (0, 1)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("MLmodel", LAUGHS + "flavors: {python_function: {loader_module: *i}}\n"),
        ("python_env.yaml", LAUGHS + "dependencies: *i\n"),
        ("k8s/a.yaml", LAUGHS + "apiVersion: v1\nkind: Pod\nspec: *i\n"),
        ("config.yaml", "a: " + "[" * 60_000 + "]" * 60_000 + "\n"),
        ("config.json", "[" * 60_000 + "]" * 60_000),
        ("Pipfile.lock", "[" * 60_000 + "]" * 60_000),
    ],
)
def test_every_reader_has_the_bounds(make_tree, path, text):
    code, report, seconds, megabytes = scan(make_tree({path: text.encode()}))
    assert code == 1
    assert "incomplete" in {check["status"] for check in report["checks"]}
    assert "SIG" not in json.dumps(report)
    assert seconds < SECONDS
    assert megabytes < MEGABYTES


def test_honest_anchors_in_an_environment_are_followed(make_tree):
    text = b"x: &pins [numpy==2.0.0]\nname: a\ndependencies: [python=3.11, {pip: *pins}]\n"
    code, report, _, _ = scan(make_tree({"conda.yaml": text}))
    assert (code, report["decision"]) == (0, "allow")
