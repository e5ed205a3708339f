"""The lists of names against the libraries whose files they are for, and against what must never be on them."""

import pickle

import pytest

from zt_gate.corpus.opcodes import call, name, program, text
from zt_gate.scan.artifacts.pickles.arguments import is_judged
from zt_gate.scan.artifacts.pickles.frozen import libraries, library_of
from zt_gate.scan.artifacts.pickles.globals import load_globals

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


def test_pandas_tables_pass(rules):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"number": [1.5], "text": ["x"], "kind": pd.Categorical(["u"])})
    frame["when"] = pd.to_datetime(["2026-01-01"])
    values = [frame, frame["text"], pd.MultiIndex.from_tuples([(1, "a")]), pd.date_range("2026", periods=2, tz="UTC")]
    for value in values:
        for protocol in PROTOCOLS:
            assert rules("table.pkl", pickle.dumps(value, protocol=protocol)) == set()


def test_a_whole_module_in_the_older_torch_format_passes(rules, tmp_path):
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "m.pth", _use_new_zipfile_serialization=False)
    assert rules("module.pth", (tmp_path / "m.pth").read_bytes()) == set()


@pytest.mark.parametrize(
    "name",
    [
        "builtins.map", "builtins.eval", "builtins.setattr", "functools.partialmethod", "functools.reduce",
        "operator.attrgetter", "operator.methodcaller", "importlib.import_module", "pkgutil.resolve_name",
        "torch.load", "torch.hub.load", "numpy.load", "joblib.load", "pandas.read_pickle", "pandas.eval",
    ],
)  # fmt: skip
def test_what_calls_or_evaluates_is_on_no_list(name):
    assert load_globals().uses(name, torch=True) is None


RESOLVED = {"builtins.getattr", "dill._dill._import_module", "functools.partial"}
"""What the machine resolves itself where the arguments are literals; any other argument is a finding (ART-115)."""


def test_no_name_that_is_allowed_is_a_known_danger():
    """Names in double underscores count as dangers, except the two helpers that every protocol-2 pickle may use."""
    known = load_globals()
    frozen = [name for library in libraries() for name in library_of(library).uses]
    named = (name.rpartition(".") for name in [*known.allowed, *frozen])
    both = {f"{module}.{last}" for module, _, last in named if known.is_dangerous(module, last)}
    assert both - RESOLVED == {"copyreg.__newobj__", "copyreg.__newobj_ex__"}
    assert {name for name in RESOLVED if not is_judged(name) and name != "functools.partial"} == set()


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (call(name("builtins", "getattr"), name("datetime", "date"), text("today")), "ART-102"),
        (call(name("builtins", "getattr"), name("os", "path"), text("system")), "ART-101"),
        (call(name("builtins", "getattr"), name("numpy", "ndarray"), text("__class__")), "ART-101"),
        (call(name("builtins", "getattr"), name("numpy", "ndarray"), call(name("builtins", "str"), text("tofile"))),
         "ART-115"),
        (call(name("builtins", "getattr"), b"]", text("append")), "ART-115"),
        (call(name("builtins", "getattr"), name("numpy", "ndarray"), text("a.b")), "ART-115"),
        (call(name("builtins", "getattr"), name("numpy", "ndarray"), text("x"), b"N"), "ART-115"),
        (call(call(name("builtins", "getattr"), name("numpy", "ndarray"), text("tofile")), text("x")), "ART-102"),
        (call(name("functools", "partial"), text("true")), "ART-115"),
        (call(name("dateutil.tz.tz", "tzfile"), text("/etc/localtime")), "ART-115"),
        (call(name("functools", "partial"), name("pandas.core.frame", "DataFrame")), "ART-117"),
        (call(name("dill._dill", "_import_module"), text("os")), "ART-115"),
        (call(name("dill._dill", "_get_attr"), call(name("dill._dill", "_import_module"), text("numpy")), text("load")),
         "ART-101"),
        (call(name("dill._dill", "_load_type"), text("CodeType")), "ART-115"),
        (call(name("dill._dill", "_create_array"), name("os", "getcwd"), b")", b")", b"N"), "ART-115"),
    ],
)  # fmt: skip
def test_what_looks_names_up_by_text_is_held_to_the_lists(body, rule, rules):
    assert rule in rules("model.pkl", program(body))


@pytest.mark.parametrize(
    "body",
    [
        call(name("builtins", "getattr"), name("scipy.interpolate._interpolate", "interp1d"), text("_call_linear")),
        call(name("functools", "partial"), name("numpy", "log1p")),
        call(name("dateutil.tz.tz", "tzfile"), b"N", text("Europe/Berlin")),
        call(name("dill._dill", "_load_type"), text("bytearray")),
        call(name("dill._dill", "_get_attr"), call(name("dill._dill", "_import_module"), text("numpy")), text("log1p")),
    ],
)
def test_bound_methods_and_what_dill_writes_of_listed_names_pass(body, rules):
    assert rules("model.pkl", program(body)) == set()
