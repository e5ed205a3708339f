"""Whatever a code file or notebook says, it is examined or refused with a reason; nothing else gets out."""

import json

from hypothesis import given
from hypothesis import strategies as st

from zt_gate.scan.code.notebook import NotebookCommand
from zt_gate.scan.code.rules import RULE_IDS
from zt_gate.scan.code.source import SourceError, command_hits, read_unit
from zt_gate.scan.code.torch_version import oldest_torch

names = st.sampled_from(["a", "b", "os", "eval", "torch", "kw", "getattr", "load", "x.y", "a.b", "dict"])
PIECES = """
import os | import torch as a | from os import * | a = b | b = a[b] | a = a(b) | a.x = a.x(a.y) | kw = {**kw}
kw.update(kw) | a, *b = b | for a in a: b = a | with a as b: pass | def a(b=a, *c, **kw): return a(b) | exec(a)
a = lambda: a() | a(*a, **kw) | a = f'{a}{b!r}' + a % b | a = a.format(a).join([a, b])[::-1] | class a(a): b = a
a(trust_remote_code=a) | a = b if a else (a := b) | del a | a['x']['y'] = a | getattr(a, b)(a) | setattr(a, a, a)
a = chr(9999999) | type X = int | kw = dict(kw, **kw) | getattr(a, 'b' + a)(**kw) | a = globals()[a]
"""
pieces = st.sampled_from([piece.strip() for line in PIECES.strip().splitlines() for piece in line.split(" | ")])


def examined(path, data):
    try:
        hits = read_unit(path, data).hits()
    except SourceError as error:
        assert str(error)  # noqa: PT017 - both ways out are right
        return
    assert {hit.rule for hit in hits} <= set(RULE_IDS)


@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_arbitrary_bytes_are_examined_or_refused(data):
    examined("a.py", data)


@given(st.lists(pieces, max_size=14))
def test_code_that_hands_everything_on_to_itself_comes_to_an_end(lines):
    examined("a.py", "\n".join(lines).encode())


@given(st.lists(names, min_size=1, max_size=6), st.text(max_size=20))
def test_calls_of_anything_with_anything_are_examined(parts, text):
    examined("a.py", f"{parts[0]}({', '.join(parts[1:])}, {text!r})".encode("utf-8", "surrogatepass"))


@given(st.lists(st.lists(pieces | st.text(max_size=30), max_size=4), max_size=3))
def test_notebooks_are_examined_or_refused(cells):
    cells = [{"cell_type": "code", "source": "\n".join(cell)} for cell in cells]
    examined("a.ipynb", json.dumps({"nbformat": 4, "metadata": {}, "cells": cells}).encode())


@given(st.text(max_size=100))
def test_any_command_is_a_finding(text):
    assert command_hits(NotebookCommand(1, "!", text))[0].rule == "COD-120"


@given(st.lists(st.text(max_size=60), max_size=3))
def test_any_requirement_is_read(texts):
    assert all(isinstance(part, int) for part in oldest_torch(texts))
