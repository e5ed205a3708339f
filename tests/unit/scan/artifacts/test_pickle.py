"""Hostile pickles: every known class of bypass is blocked by the rule that names it. Nothing here is ever loaded."""

import bz2
import gzip
import io
import pickle
import pickletools
import zlib

import joblib
import numpy as np
import pytest

from zt_gate.intake import MemorySource
from zt_gate.scan.artifacts.pickles.machine import Machine
from zt_gate.scan.artifacts.pickles.rules import PickleJudge
from zt_gate.scan.interface import Examination


def short(text):
    return b"\x8c" + bytes([len(text)]) + text.encode()


def stack_global(module, name):
    return short(module) + short(name) + b"\x93"


CALL = b"cos\nsystem\n(S'true'\ntR"
HOSTILE = {
    "global and reduce": (CALL + b".", "ART-101"),
    "python 2 name": (b"c__builtin__\neval\n(S'1'\ntR.", "ART-101"),
    "mapped module": (b"ccommands\ngetoutput\n(S'true'\ntR.", "ART-101"),
    "inst": (b"(S'true'\nios\nsystem\n.", "ART-101"),
    "obj": (b"(cos\nsystem\nS'true'\no.", "ART-101"),
    "stack global": (b"\x80\x04" + stack_global("posix", "system") + short("true") + b"\x85R.", "ART-101"),
    "popped call": (b"\x80\x02" + CALL + b"0N.", "ART-101"),
    "popped import": (b"\x80\x02cos\nsystem\n0N.", "ART-101"),
    "broken after the call": (b"\x80\x02" + CALL + b"\xff", "ART-101"),
    "no stop": (b"\x80\x02" + CALL, "ART-101"),
    "call in the second pickle": (pickle.dumps(1) + b"\x80\x02" + CALL + b".", "ART-101"),
    "dotted walk": (b"\x80\x04" + stack_global("posixpath", "os.system") + b".", "ART-101"),
    "dotted walk from numpy": (b"\x80\x04" + stack_global("numpy", "prod.os.system") + b".", "ART-101"),
    "dotted walk in a listed name": (b"\x80\x04" + stack_global("numpy", "mean.x") + b".", "ART-102"),
    "dunder": (b"\x80\x04" + stack_global("numpy", "__builtins__") + b".", "ART-101"),
    "resolver": (b"\x80\x04" + stack_global("pkgutil", "resolve_name") + b".", "ART-101"),
    "getattr": (b"\x80\x04" + stack_global("builtins", "getattr") + short("a") + short("b") + b"\x86R.", "ART-115"),
    "unknown": (b"\x80\x04" + stack_global("acme", "Thing") + b")R.", "ART-102"),
    "unknown of a known library": (b"\x80\x04" + stack_global("sklearn.utils", "Thing") + b")R.", "ART-102"),
    "computed name": (b"\x80\x04" + stack_global("builtins", "str") + b")R" + short("system") + b"\x93.", "ART-103"),
    "value called": (b"\x80\x04" + stack_global("numpy", "mean") + b")R.", "ART-104"),
    "build on an import": (b"\x80\x04" + stack_global("numpy", "ndarray") + b"}b.", "ART-105"),
    "dunder state": (
        b"\x80\x04" + stack_global("argparse", "Namespace") + b")\x81}" + short("__class__") + b"Nsb.", "ART-105"),
    "dunder slot state": (
        b"\x80\x04" + stack_global("argparse", "Namespace") + b")\x81N}" + short("__class__") + b"Ns\x86b.", "ART-105"),
    "extension 1": (b"\x80\x02\x82\x01.", "ART-106"),
    "extension 4": (b"\x80\x02\x84\x01\x00\x00\x00.", "ART-106"),
    "persistent id": (b"\x80\x04" + short("x") + b"Q.", "ART-107"),
    "text persistent id": (b"\x80\x02Px\n.", "ART-107"),
    "setitem on an import": (b"\x80\x04" + stack_global("numpy", "ndarray") + short("a") + b"Ns.", "ART-108"),
    "append on an instance": (b"\x80\x04" + stack_global("argparse", "Namespace") + b")\x81Na.", "ART-108"),
    "computed call": (b"\x80\x04" + stack_global("builtins", "int") + b")R)R.", "ART-109"),
    "trailing bytes": (pickle.dumps([1]) + b"\0\0\0", "ART-111"),
    "memo overwrite": (
        b"\x80\x04" + short("x") + b"q\x000" + short("os") + b"q\x000h\x00" + short("system") + b"\x93.", "ART-101"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickle_is_blocked_by_its_rule(name, rules):
    data, rule = HOSTILE[name]
    assert rule in rules("model.pkl", data)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, bz2.compress])
def test_hostile_pickle_is_found_under_compression(pack, rules):
    assert "ART-101" in rules("model.joblib", pack(b"\x80\x02" + CALL + b"." + bytes(200)))


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, bz2.compress])
def test_what_follows_a_compressed_stream_is_found(pack, rules):
    packed = pack(pickle.dumps(list(range(99))))
    assert rules("model.joblib", packed) == set()
    assert rules("model.joblib", packed + b"more") == {"ART-112"}
    assert "gap" in rules("model.joblib", packed[:-3])


@pytest.mark.parametrize("name", ["notes.txt", "weights.safetensors", "config.json", "logo.png", "data", "m.npy"])
def test_a_pickle_is_a_pickle_under_any_name(name, rules):
    assert "ART-101" in rules(name, b"\x80\x02" + CALL + b".")
    assert "ART-101" in rules(name, CALL + b".")


def test_a_nested_pickle_is_named_as_such(rules):
    inner = b"cos\nsystem\n(S'true'\ntR."
    data = b"\x80\x04" + stack_global("pickle", "loads") + b"C" + bytes([len(inner)]) + inner + b"\x85R."
    assert rules("m.pkl", data) >= {"ART-101", "ART-110"}


def test_computed_bytes_for_torch_load_are_a_gap(rules):
    encoded = stack_global("_codecs", "encode") + short("x") + short("latin1") + b"\x86R"
    load = stack_global("torch.storage", "_load_from_bytes")
    assert rules("m.pkl", b"\x80\x04" + load + encoded + b"\x85R.") == {"ART-110", "gap"}
    inner = b"\x80\x02" + CALL + b"."
    literal = b"\x80\x04" + load + b"C" + bytes([len(inner)]) + inner + b"\x85R."
    assert "ART-101" in rules("m.pkl", literal)


def test_a_name_may_not_be_split_to_look_allowed(rules):
    # `collections.OrderedDict` is listed; the same text split elsewhere is another import.
    assert "ART-102" in rules("m.pkl", b"\x80\x04" + stack_global("collections", "OrderedDict.fromkeys") + b".")


class ArrayFinder(PickleJudge):
    """Notes where the first raw array begins."""

    start = 0

    def array(self, receiver, offset):
        self.start = self.start or offset
        return super().array(receiver, offset)


def test_array_bytes_of_joblib_are_read_both_ways(tmp_path, scan, rules):
    joblib.dump({"a": np.frombuffer(CALL * 3, dtype=np.uint8)}, tmp_path / "m.joblib")
    assert scan(tmp_path).findings == ()
    data = (tmp_path / "m.joblib").read_bytes()
    finder = ArrayFinder(Examination("m", len(data)), MemorySource("m", "", data))
    Machine(finder.source, finder).run()
    # joblib skips as many bytes as the first one says; a plain unpickler takes that one for NONE and runs the rest.
    end = finder.start + 1 + data[finder.start]
    hostile = data[: finder.start] + b"N" + (CALL + b".").ljust(ord("N"), b"\xff") + data[end:]
    assert rules("m.joblib", hostile) == {"ART-101"}


def test_broken_pickles_are_gaps(rules):
    good = pickle.dumps({"a": [1, 2, 3], "b": "text"}, 4)
    for cut in range(2, len(good)):
        assert "gap" in rules("m.pkl", good[:cut]), cut


@pytest.mark.parametrize(
    "data",
    [b"\x80\x06N.", b"\x80\x04.", b"\x80\x04N0.", b"\x80\x04(t0.", b"\x80\x02h\x05.", b"\x80\x020.", b"\x80\x02e.",
     b"\x80\x04(N(0\x81.", b"\x80\x05\x97.", b"\x80\x04\x95\xff\x00\x00\x00\x00\x00\x00\x00N.", b"\x80\x02(Nd."],
)  # fmt: skip
def test_what_an_unpickler_refuses_is_a_gap(data, rules):
    with pytest.raises(Exception):  # noqa: B017, PT011 - any refusal of the real unpickler; these bytes import nothing
        pickle.loads(data)
    assert "gap" in rules("m.pkl", data)


class Recorder(PickleJudge):
    """Keeps the imports in order."""

    def __init__(self, source):
        super().__init__(Examination("m", source.size), source)
        self.names = []

    def imported(self, found, offset):
        self.names.append(found.name)
        return False


def walk(data):
    source = MemorySource("m", "", data)
    recorder = Recorder(source)
    return Machine(source, recorder).run(), recorder.names


def test_imports_are_those_of_the_real_unpickler():
    class Spy(pickle.Unpickler):
        def find_class(self, module, name):
            seen.append(f"{module}.{name}")
            return super().find_class(module, name)

    import collections
    import datetime as dt
    import decimal

    value = [collections.OrderedDict(a=dt.date(2026, 1, 1)), decimal.Decimal(1), {1, 2}, range(3), 1j, b"x", {}]
    for protocol in range(6):
        seen = []
        data = pickle.dumps(value, protocol)
        Spy(io.BytesIO(data)).load()
        end, names = walk(data)
        assert end == len(data)
        # The C unpickler hands find_class the names before it maps those of Python 2.
        mapped = [n.replace("__builtin__", "builtins").replace("copy_reg", "copyreg") for n in seen]
        assert [n.replace("builtins.xrange", "builtins.range") for n in mapped] == names


def test_positions_are_those_of_pickletools():
    data = pickle.dumps([{"k": (1, 2.5, None)}] * 3, 4) + b"rest"
    assert walk(data)[0] == list(pickletools.genops(data))[-1][2] + 1


_INNER = b"cos\nsystem\n(S'true'\ntR."
_PROXY = b"\x80\x04ctorch._tensor\n_rebuild_from_type_v2\n(%scbuiltins\nobject\n%s\x85}tR."


@pytest.mark.parametrize(
    "data",
    [
        # A rebuild helper that calls its first argument, given the function that unpickles.
        _PROXY % (b"ctorch.storage\n_load_from_bytes\n", b"C" + bytes([len(_INNER)]) + _INNER),
        _PROXY % (b"ctorch.storage\n_load_from_bytes\n", b"C\x04PK\x03\x04"),
        # The same helper, given a class or a computed value.
        _PROXY % (b"cbuiltins\nlist\n", b"C\x01x"),
        _PROXY % (b"K\x01", b"C\x01x"),
        # The function as a method, an item, a key, a default factory.
        b"\x80\x04ctorch.nn.modules.linear\nLinear\n)\x81}S'forward'\nctorch.storage\n_load_from_bytes\nsb.",
        b"\x80\x04](ctorch.storage\n_load_from_bytes\ne.",
        b"\x80\x04]ctorch.storage\n_load_from_bytes\na.",
        b"\x80\x04(ctorch.storage\n_load_from_bytes\nK\x01d.",
        b"\x80\x04ccollections\ndefaultdict\nctorch.storage\n_load_from_bytes\n\x85R.",
        b"\x80\x04ctorch.storage\n_load_from_bytes\n\x940](h\x00e.",
        b"\x80\x04\x8f(ctorch.storage\n_load_from_bytes\n\x90.",
        b"\x80\x04(ctorch.storage\n_load_from_bytes\n\x91.",
    ],
)
def test_a_function_that_unpickles_is_never_handed_on(data, rules):
    assert "ART-113" in rules("m.pkl", data)


def test_nested_tuples_do_not_make_a_bomb(rules):
    """Every tuple holds the one before it twice: 2**4000 paths. Walking it ends at once, and nothing is called."""
    doubled = b"\x80\x04cbuiltins\ntuple\n(K\x01\x85" + b"2\x86" * 4000 + b"tR."
    assert rules("m.pkl", doubled) == set()


def test_a_text_that_is_python_and_a_pickle_is_examined_as_both(rules):
    """Python sees a tuple over two lines; a loader that is pointed at the file by an MLmodel sees a call of exec."""
    import ast

    data = b"cbuiltins\nexec\n(Vprint(1),\ntR.x)\n"
    ast.parse(data)
    assert "ART-101" in rules("model.py", data)
    assert rules("honest.py", b"import numpy\n\nprint(numpy.pi)\n") == set()


ORDERED = (
    stack_global("collections", "OrderedDict") + b")R" + short("__class__") + stack_global("builtins", "dict") + b"s"
)
ESTIMATOR = stack_global("sklearn.linear_model._base", "LinearRegression") + b")\x81"


def test_state_that_a_call_has_made_is_found(rules):
    assert "ART-105" in rules("m.pkl", b"\x80\x04" + ESTIMATOR + ORDERED + b"b.")
    assert "ART-105" in rules("m.pkl", b"\x80\x04" + ESTIMATOR + b"N" + ORDERED + b"\x86b.")
    assert rules("m.pkl", b"\x80\x04" + ESTIMATOR + b"}" + short("coef_") + b"K\x01sb.") == set()
