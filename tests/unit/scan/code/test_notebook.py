"""Notebooks: magics are taken out only where IPython would take them for magics."""

import ast
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.scan.code.notebook import MAX_MAGICS, NotebookError, read_notebook
from zt_gate.scan.code.source import read_unit


def notebook(*sources, **changes):
    cells = [{"cell_type": "code", "source": source} for source in sources]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells} | changes).encode()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("!ls", ["!"]),
        ("if x:\n    !ls\n", ["!"]),
        ("files = !ls", ["!"]),
        ("out = %sx ls", ["%sx"]),
        ("%pip install x", ["%pip"]),
        ("%run other.py", ["%run"]),
        ("%load_ext evil", ["%load_ext"]),
        ("%matplotlib {f()}", ["%matplotlib"]),
        ("%config A.b = f()", ["%config"]),
        ("%%bash\nls\nfi", ["%%bash"]),
        ("\n\n%%sh\nls", ["%%sh"]),
        ("%%capture {f()}\nx = 1", ["%%capture"]),
        ("%matplotlib inline\n%load_ext autoreload\n%autoreload 2", []),
        ("%config InlineBackend.figure_format = 'retina'", []),
        ("%%capture out\nx = 1", []),
        ("%%markdown\n# not (python", []),
        ("print?\n?print", []),
    ],
)
def test_commands(source, expected):
    read = read_notebook(notebook(source))
    ast.parse(read.text)
    assert [command.symbol for command in read.commands] == expected


@pytest.mark.parametrize(
    "source",
    [
        "x = (5\n%matplotlib (os.system('true')))",
        "x = 5 \\\n%matplotlib (os.system('true'))",
        "x = f'''\n!{os.system('true')}\n'''",
        "%time os.system('true')",
        "%timeit -n 10 -r 3 os.system('true')",
        "%%timeit os.system('true')\npass",
        "%%time\nos.system('true')",
        "y = %time os.system('true')",
    ],
)
def test_code_in_reach_of_a_magic_is_still_examined(source):
    calls = [ast.unparse(node) for node in ast.walk(ast.parse(read_notebook(notebook(source)).text))]
    assert "os.system('true')" in calls


def test_lines_are_traced_to_their_cells():
    data = json.dumps(
        {
            "nbformat": 4,
            "metadata": {"kernelspec": {"language": "python"}},
            "cells": [
                {"cell_type": "markdown", "source": "# hi"},
                {"cell_type": "code", "source": ["a = 1\n", "b = 2"]},
                {"cell_type": "code", "source": ["%%time\n", "c = 3\n"]},
            ],
        }
    ).encode()
    read = read_notebook(data)
    assert read.lines == ["a = 1", "b = 2", "pass", "c = 3", ""]
    assert [read.place(line) for line in range(1, 6)] == [(2, 1), (2, 2), (3, 1), (3, 2), (3, 3)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"nbformat": 3, "worksheets": []}',
        b'{"nbformat": 4, "cells": [], "cells": [], "metadata": {}}',
        b'{"nbformat": 4, "cells": [NaN], "metadata": {}}',
        b"[" * 100_000,
        b"\xff\xfe{}",
        notebook(metadata={"kernelspec": {"language": "R"}}),
        notebook(metadata={"language_info": {"name": "julia"}}),
        notebook(metadata=[]),
        notebook(metadata={"kernelspec": 1}),
        notebook(cells={}),
        notebook(cells=[1]),
        notebook(cells=[{"cell_type": "code"}]),
        notebook(cells=[{"cell_type": "code", "source": [1]}]),
        notebook(cells=[{"cell_type": "heading", "source": ""}]),
        notebook("%%html\n<script>"),
        notebook("%%cython\ncdef int x"),
        notebook("%who\n" * (MAX_MAGICS + 1)),
    ],
)
def test_what_cannot_be_examined_is_refused(data):
    with pytest.raises(NotebookError):
        read_notebook(data)


@given(st.lists(st.text(alphabet="ab!%?=() \n'\"\\#{$", max_size=40), max_size=4))
def test_every_line_has_a_place_and_nothing_else_is_raised(sources):
    try:
        read = read_notebook(notebook(*sources))
    except NotebookError:
        return
    assert len(read.lines) == len(read.places)
    assert [cell for cell, _ in read.places] == sorted(cell for cell, _ in read.places)
    assert all(1 <= command.line <= len(read.lines) for command in read.commands)


@pytest.mark.parametrize(
    ("line", "rules"),
    [
        ("!ls", {"COD-120"}),
        ("!pip install numpy", {"COD-120", "COD-123"}),
        ("%pip install numpy", {"COD-120", "COD-123"}),
        ("!pip install git+https://example.org/x", {"COD-120", "COD-124"}),
        ("!pip install --extra-index-url https://example.org/ x", {"COD-120", "COD-124"}),
        ("!curl -s https://example.org/x.sh | bash", {"COD-120", "COD-124"}),
        ("%%bash\nwget -qO- https://example.org/x | sh", {"COD-120", "COD-124"}),
        ("%env TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1", {"COD-120", "COD-121"}),
        ("%env TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=0", {"COD-120"}),
    ],
)
def test_what_a_command_does_is_told(line, rules):
    cells = [{"cell_type": "code", "source": line}]
    data = json.dumps({"nbformat": 4, "metadata": {}, "cells": cells}).encode()
    assert {hit.rule for hit in read_unit("a.ipynb", data).hits()} == rules
