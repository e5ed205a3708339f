"""Nothing that lies in the working folder is run, whatever it is called and however the gate is started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import zt_gate

ROOT = Path(zt_gate.__file__).parents[1]
CANARIES = (
    "__future__", "argparse", "bandit", "collections", "contextlib", "cryptography", "dataclasses", "gc", "getpass",
    "google", "hashlib", "json", "logging", "mlflow", "multiprocessing", "numpy", "pathlib", "pickle",
    "pydantic", "re", "rich", "runpy", "sigstore", "sitecustomize", "socket", "sqlite3", "ssl", "subprocess",
    "tempfile", "torch", "typing", "unicodedata", "urllib", "usercustomize", "yaml", "zipfile", "zlib", "zstandard",
)  # fmt: skip
"""Modules that the gate, its libraries or its children import."""
TRAP = "import os\nopen(os.environ['ZT_MARK'], 'a').write(__name__ + '\\n')\n"
WAYS = {
    "-m": [sys.executable, "-m", "zt_gate"],
    "-P -m": [sys.executable, "-P", "-m", "zt_gate"],
    "script": [sys.executable, "-c", "import sys; sys.path.pop(0)\nfrom zt_gate.__main__ import run; sys.exit(run())"],
}


@pytest.fixture(scope="module")
def early(tmp_path_factory):
    """Return what Python itself imports for `python -m`, before the first line of any package."""
    folder = tmp_path_factory.mktemp("empty")
    (folder / "probe").mkdir()
    (folder / "probe" / "__init__.py").write_text("import sys; print(*sys.modules)")
    (folder / "probe" / "__main__.py").write_text("")
    return subprocess.check_output([sys.executable, "-m", "probe"], cwd=folder, text=True).split()


@pytest.fixture
def place(tmp_path, early):
    """Return a working folder full of canaries, some of them packages, with something to scan in it."""
    folder = tmp_path / "repository"
    folder.mkdir()
    canaries = [name for name in CANARIES if name not in early]
    assert len(canaries) > len(CANARIES) / 2
    for number, name in enumerate(canaries):
        path = folder / f"{name}.py"
        if number % 3 == 0:
            (folder / name).mkdir()
            path = folder / name / "__init__.py"
        path.write_text(TRAP)
    (folder / "model.py").write_text("import os\nos.system('true')\n")
    return folder


def run(place, way, *words, **variables):
    mark = place.parent / "mark"
    environment = {"PATH": os.environ["PATH"], "HOME": str(place.parent), "ZT_MARK": str(mark), **variables}
    done = subprocess.run(
        [*WAYS[way], *words], cwd=place, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    return done, mark.read_text().split() if mark.exists() else []


@pytest.mark.parametrize("way", WAYS)
def test_a_scan_runs_nothing_of_the_working_folder(place, way):
    done, run_ones = run(place, way, "scan", "model.py", "--format", "json")
    assert run_ones == []
    assert done.returncode == 1, done.stderr
    assert "COD-" in done.stdout


@pytest.mark.parametrize("words", [["doctor"], ["keygen", "--out", "k"], ["policy", "packs"], ["doctor", "mlflow"]])
def test_nor_does_any_other_verb(place, words):
    done, run_ones = run(place, "-m", *words)
    assert run_ones == []
    assert "Traceback" not in done.stderr


def test_an_empty_part_of_pythonpath_names_no_folder(place):
    # Before the first line of the gate, Python itself looks there.
    for name in ("sitecustomize", "usercustomize"):
        for path in (place / f"{name}.py", place / name / "__init__.py"):
            path.unlink(missing_ok=True)
    for value in (f"{place.parent}:", f":{place.parent}", "."):
        done, run_ones = run(place, "-m", "scan", "model.py", PYTHONPATH=value)
        assert run_ones == [], value
        assert done.returncode == 1, done.stderr


def test_the_canaries_would_sing(place):
    done = subprocess.run(
        [sys.executable, "-c", "import yaml, rich"],
        cwd=place,
        env={"PATH": os.environ["PATH"], "ZT_MARK": str(place.parent / "mark")},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert (place.parent / "mark").read_text().split() == ["yaml", "rich"]


def test_where_the_gate_itself_lies_its_libraries_are_found():
    done = subprocess.run(
        [sys.executable, "-m", "zt_gate", "policy", "packs"], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0
