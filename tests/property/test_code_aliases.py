"""However a risky function is named, and however its dangerous value reaches it, the rule for it fires."""

import ast

from hypothesis import given
from hypothesis import strategies as st

from zt_gate.scan.code.rules import apply_rules

FUNCTIONS = {
    "pickle.loads": ("COD-104", "x"),
    "joblib.load": ("COD-104", "x"),
    "torch.hub.load": ("COD-103", "'a/b', 'c'"),
    "torch.jit.load": ("COD-114", "x"),
    "torch.serialization.add_safe_globals": ("COD-113", "[x]"),
    "grpc.insecure_channel": ("COD-118", "'a.example:1'"),
    "hydra.utils.instantiate": ("COD-116", "x"),
    "yaml.unsafe_load": ("COD-133", "x"),
    "marshal.loads": ("COD-108", "x"),
    "ctypes.CDLL": ("COD-115", "'x.so'"),
}
SETTINGS = {
    "trust_remote_code": ("COD-101", "pipeline", "True"),
    "weights_only": ("COD-102", "torch.load", "False"),
    "safe_mode": ("COD-105", "keras.models.load_model", "False"),
    "allow_pickle": ("COD-104", "numpy.load", "True"),
}


def imported(name):
    """Ways to have a function under some name: source before, and the expression that stands for it."""
    module, _, attribute = name.rpartition(".")
    return st.sampled_from(
        [
            (f"import {module}", name),
            (f"import {module} as m", f"m.{attribute}"),
            (f"from {module} import {attribute}", attribute),
            (f"from {module} import {attribute} as g", "g"),
            (f"from {module} import *", attribute),
            (f"import {module} as m", f"getattr(m, {attribute!r})"),
            (f"import {module} as m", f"getattr(m, {attribute[:2]!r} + {attribute[2:]!r})"),
            (f"import {module} as m", f"m.__dict__[{attribute!r}]"),
            (f"import {module} as m", f"vars(m)[{attribute!r}]"),
            ("import importlib", f"importlib.import_module({module!r}).{attribute}"),
            (
                "import operator",
                f"operator.attrgetter({attribute!r})(__import__('importlib').import_module({module!r}))",
            ),
            (f"import sys, {module}", f"sys.modules[{module!r}].{attribute}"),
        ]
    )


def handed_on(expression):
    """Ways to hand an expression on: source, and what stands for it now."""
    return st.sampled_from(
        [
            ("", expression),
            (f"h = {expression}", "h"),
            (f"h, other = {expression}, 1", "h"),
            (f"h: object = {expression}", "h"),
            (f"table = {{'k': {expression}}}", "table['k']"),
            (f"items = [{expression}]", "items[0]"),
            (f"class A:\n  h = {expression}", "A.h"),
            (f"this.h = {expression}", "this.h"),
            (f"def get():\n  return {expression}", "get()"),
            (f"get = lambda: {expression}", "get()"),
            (f"h = {expression} if cond else print", "h"),
            (f"import functools\nh = functools.partial({expression})", "h"),
            (f"if (h := {expression}): pass", "h"),
        ]
    )


def given_as(key, value):
    """Ways to give a keyword: source before, and what stands between the brackets."""
    return st.sampled_from(
        [
            ("", f"{key}={value}"),
            (f"FLAG = {value}", f"{key}=FLAG"),
            (f"kw = {{{key!r}: {value}}}", "**kw"),
            (f"kw = dict({key}={value})", "**kw"),
            (f"kw = {{}}\nkw[{key!r}] = {value}", "**kw"),
            (f"kw = {{}}\nkw.update({key}={value})", "**kw"),
            (f"kw = {{}}\nkw.setdefault({key[:3]!r} + {key[3:]!r}, {value})", "**kw"),
            (f"base = {{{key!r}: {value}}}\nkw = {{**base, 'a': 1}}", "**kw"),
            (f"base = {{{key!r}: {value}}}\nkw = base | {{'a': 1}}", "**kw"),
        ]
    )


def calls(function, arguments):
    """Ways to call a function; inside a function of its own, so that nothing runs at import."""
    return st.sampled_from(
        [
            f"def run(x):\n  return {function}({arguments})",
            f"async def run(x):\n  return await {function}({arguments})",
            f"run = lambda x: {function}({arguments})",
            f"def run(xs):\n  return [{function}({arguments}) for x in xs]",
        ]
    )


@given(st.data())
def test_an_alias_hides_no_function(data):
    name = data.draw(st.sampled_from(sorted(FUNCTIONS)))
    rule, arguments = FUNCTIONS[name]
    before, first = data.draw(imported(name))
    between, second = data.draw(handed_on(first))
    call = data.draw(calls(second, arguments))
    code = "\n".join([before, between, call])
    assert rule in {hit.rule for hit in apply_rules(ast.parse(code))}, code


@given(st.data())
def test_no_way_of_giving_a_value_hides_it(data):
    key = data.draw(st.sampled_from(sorted(SETTINGS)))
    rule, function, value = SETTINGS[key]
    before, first = data.draw(imported(function)) if "." in function else ("", function)
    between, second = data.draw(handed_on(first))
    given_before, arguments = data.draw(given_as(key, value))
    call = data.draw(calls(second, f"p, {arguments}"))
    code = "\n".join([before, between, given_before, call])
    assert rule in {hit.rule for hit in apply_rules(ast.parse(code))}, code


@given(st.data())
def test_honest_functions_are_left_alone_however_they_are_named(data):
    before, first = data.draw(imported("json.loads"))
    between, second = data.draw(handed_on(first))
    code = "\n".join([before, between, data.draw(calls(second, "x"))])
    assert {hit.rule for hit in apply_rules(ast.parse(code))} <= {"COD-134"}, code
