"""Files and modules of this repository that the documentation names are there."""

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "tests").rglob("*.md")]
PAGES = sorted({*PAGES, *(ROOT / "examples").rglob("*.md"), ROOT / "docs" / "adr" / "0014-one-house.md"})
OURS = "zt_gate|tests|tools|rules|benchmarks|examples|templates"
FILE = re.compile(rf"(?<![\w/.-])((?:{OURS})/[\w./-]*[\w/])")
ROOM_FILE = re.compile(r"`((?:policy|scan|trust|report|registry|cli|rulings|codecs|intake|audit)/[\w/]+\.py)`")
MODULE = re.compile(r"`(zt_gate(?:\.[a-z_]+){2,})`")
PLACEHOLDER = re.compile(r"NAME|FAMILY|KIND|/ID\.")


def resolves(name):
    """Tell whether a dotted name is a module, or something public that a module holds."""
    parent, _, last = name.rpartition(".")
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return hasattr(import_module(parent), last)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_a_page_names_are_there(page):
    if page.name in {"CHANGELOG.md", "rules.md"}:
        pytest.skip("a history, and a page made of references to other sites")
    text = page.read_text(encoding="utf-8")
    named = {name for name in FILE.findall(text) if not PLACEHOLDER.search(name)}
    named |= {f"zt_gate/{name}" for name in ROOM_FILE.findall(text) if not PLACEHOLDER.search(name)}
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_rooms_of_the_architecture_are_those_of_the_package():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| `([a-z]+)/` \|.*\| (.*) \|$", text)
    rooms = {path.name for path in (ROOT / "zt_gate").iterdir() if (path / "__init__.py").exists()}
    assert {room for room, _ in rows} == rooms
    starts = {f"zt_gate/{room}/{file}" for room, files in rows for file in re.findall(r"`([\w.]+)`", files)}
    assert sorted(start for start in starts if not (ROOT / start).exists()) == []
    assert len(starts) >= len(rooms)


def test_modules_that_a_page_names_are_there():
    named = {name for page in PAGES if page.name != "CHANGELOG.md" for name in MODULE.findall(page.read_text())}
    assert named
    assert sorted(name for name in named if not resolves(name)) == []
