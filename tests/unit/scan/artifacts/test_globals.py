"""The lists of names against the libraries whose files they are for, and against what must never be on them."""

import pickle

import pytest

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
        "builtins.getattr", "builtins.map", "builtins.eval", "functools.partial", "functools.reduce",
        "operator.attrgetter", "operator.methodcaller", "importlib.import_module", "pkgutil.resolve_name",
        "torch.load", "torch.hub.load", "numpy.load", "joblib.load", "pandas.read_pickle", "pandas.eval",
    ],
)  # fmt: skip
def test_what_calls_or_evaluates_is_on_no_list(name):
    assert load_globals().uses(name, torch=True) is None


def test_no_name_that_is_allowed_is_a_known_danger():
    """Names in double underscores count as dangers, except the two helpers that every protocol-2 pickle may use."""
    known = load_globals()
    named = (name.rpartition(".") for name in known.allowed)
    both = {f"{module}.{last}" for module, _, last in named if known.is_dangerous(module, last)}
    assert both == {"copyreg.__newobj__", "copyreg.__newobj_ex__"}
