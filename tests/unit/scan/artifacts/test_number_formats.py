"""CatBoost, CRFsuite, ExecuTorch, Parquet, Arrow and statsmodels: real files pass, hidden bytes do not."""

import base64
import struct

import pytest

from zt_gate.scan.artifacts.tensors.thrift_compact import BadThriftError, CompactReader
from zt_gate.scan.selftest.opcodes import HOSTILE, name, program, stack_name, text
from zt_gate.scan.selftest.records import arrow, catboost, crfsuite, executorch, parquet, thrift

COLUMN = {2: 4, 3: {1: 1, 4: 0, 5: 1, 6: 8, 7: 8, 9: 4}}


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("m.cbm", catboost()),
        ("m.crfsuite", crfsuite()),
        ("m.pte", executorch(["aten::add", "executorch_prim::et_view"], ["XnnpackBackend"])),
        ("m.pte", executorch(["aten::add"], tail=bytes(100))),
        ("t.parquet", parquet([COLUMN], [{1: b"pandas", 2: b"{}"}], body=b"8 bytes.")),
        ("t.feather", arrow(b"schema", gap=b"\xff\xff\xff\xff\0\0\0\0")),
    ],
)
def test_honest_files_pass(file, data, rules):
    assert rules(file, data) == set()


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("m.cbm", catboost(tail=b"x")),
        ("m.crfsuite", crfsuite(tail=b"x")),
        ("m.crfsuite", crfsuite(reference=48)),
        ("m.crfsuite", crfsuite()[:-4]),
        ("m.crfsuite", crfsuite().replace(b"FEAT\x0c", b"FEAT\x0d")),
        ("m.crfsuite", crfsuite().replace(b"FEAT", b"TAEF")),
        ("m.pte", executorch(["aten::add"], tail=b"x")),
        ("t.parquet", parquet([COLUMN], body=b"8 bytes. and more")),
        ("t.arrow", arrow(b"schema", gap=b"x")),
    ],
)
def test_bytes_that_belong_to_nothing_are_found(file, data, rules):
    assert rules(file, data) == {"ART-680"}


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("m.cbm", catboost()[:-9]),
        ("m.cbm", b"CBM1\xff\xff\xff\xff" + bytes(20)),
        ("m.pte", executorch(["aten::add"])[:-30]),
        ("t.parquet", parquet([COLUMN], body=b"8 bytes.")[:-1]),
        ("t.parquet", parquet([{2: 4, 3: {5: 1, 7: 1 << 40, 9: 4}}], body=b"8 bytes.")),
        ("t.parquet", parquet([{3: b"text"}], body=b"8 bytes.")),
        ("t.arrow", arrow(b"schema")[:-2]),
        ("t.arrow", b"ARROW1\0\0" + bytes(30) + b"ARROW1"),
    ],
)
def test_broken_files_are_found_and_incomplete(file, data, rules):
    assert rules(file, data) == {"ART-310", "gap"}


def test_what_this_version_does_not_know_is_a_gap(rules):
    assert rules("m.cbm", catboost(parts=["text_process_v9"])) == {"gap"}
    assert rules("m.cbm", catboost().replace(b"Model_v1", b"Model_v2")) == {"gap"}


def test_a_category_table_is_stepped_over_and_has_to_fit(rules):
    inner = struct.pack("<LL", 1, 12) + struct.pack("<LHHl", 8, 4, 4, 4)
    assert rules("m.cbm", catboost(parts=["static_provider_v1"], tail=inner)) == set()
    assert rules("m.cbm", catboost(parts=["static_provider_v1"], tail=inner + b"x")) == {"ART-680"}
    assert rules("m.cbm", catboost(parts=["static_provider_v1"], tail=inner[:-1])) == {"ART-310", "gap"}


def test_parameters_are_json_that_all_readers_read_alike(rules):
    assert rules("m.cbm", catboost('{"a": 1, "a": 2}')) == {"ART-307"}


def test_operators_and_delegates_are_named(rules):
    assert rules("m.pte", executorch(["aten::from_file"])) == {"ART-550"}
    assert rules("m.pte", executorch(["acme::run"])) == {"ART-551"}
    assert rules("m.pte", executorch(["aten::add"], ["QnnBackend"])) == {"ART-553"}


def test_extension_types_that_are_unpickled_are_found(rules):
    schema = b"..arrow.py_extension_type.."
    assert rules("t.parquet", parquet(notes=[{1: b"k", 2: schema}])) == {"ART-681"}
    assert rules("t.parquet", parquet(notes=[{1: b"ARROW:schema", 2: base64.b64encode(schema)}])) == {"ART-681"}
    assert rules("t.arrow", arrow(schema)) == {"ART-681"}


def test_columns_elsewhere_and_encrypted_ones(rules):
    assert rules("t.parquet", parquet([{1: b"other.parquet", **COLUMN}], body=b"8 bytes.")) == {"ART-502"}
    assert rules("t.parquet", parquet([{2: 4}], body=b"8 bytes.")) == {"gap"}


def test_the_compact_protocol_is_read_back():
    value = {1: -5, 2: b"bytes", 3: {1: 300}, 4: [{1: 1}, {2: b""}], 18: 1 << 40}
    assert CompactReader(thrift({**value})).read() == value
    for data in (
        b"",
        b"\x15",
        b"\x1f\0",
        b"\x18\xff\xff\xff\x0f",
        b"\x19\xfc\xff\xff\x03",
        b"\0\0",
        b"\x15\x02\x05\x02\x02\0",
    ):
        with pytest.raises(BadThriftError):
            CompactReader(data).read()
    with pytest.raises(BadThriftError):
        CompactReader(b"\x1c" * 40 + bytes(41)).read()


def test_what_pandas_and_pyarrow_write_passes(rules, tmp_path):
    arrow_tables = pytest.importorskip("pyarrow")
    files = pytest.importorskip("pyarrow.parquet")
    table = arrow_tables.table({"a": list(range(5000)), "s": [str(i % 7) for i in range(5000)]})
    files.write_table(table, tmp_path / "t.parquet", row_group_size=700, write_page_index=True)
    with arrow_tables.ipc.new_file(tmp_path / "t.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=900)
    assert rules("t.parquet", (tmp_path / "t.parquet").read_bytes()) == set()
    assert rules("t.arrow", (tmp_path / "t.arrow").read_bytes()) == set()


DATA = stack_name("statsmodels.base.data", "ModelData") + b")\x81"
OTHER = stack_name("sklearn.linear_model._base", "LinearRegression") + b")\x81"
PLAIN = text("nobs") + b"K\x05"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (DATA + b"}(" + PLAIN + text("__doc__") + b"Nub", set()),
        (DATA + b"}(" + text("restore_model_spec") + b"\x88ub", {"ART-114"}),
        (DATA + b"}(" + text("formula") + text("y ~ x") + b"ub", {"ART-114"}),
        (
            DATA + b"}(" + stack_name("numpy", "str_") + text("formula") + b"\x85R" + text("y ~ x") + b"ub",
            {"ART-105", "ART-114"},
        ),
        (OTHER + b"}(" + PLAIN + text("formula") + text("y") + b"ub", set()),
        (OTHER + b"}(" + text("formula") + text("y") + b"ub" + DATA + b"}(" + PLAIN + b"ub\x86", {"ART-114"}),
    ],
    ids=["plain", "restored", "formula", "computed key", "no statsmodels", "in another class"],
)
def test_formulas_of_statsmodels_are_found_wherever_they_are_put(code, expected, rules):
    assert rules("m.pickle", program(code)) == expected


def test_a_formula_does_not_hide_in_a_bunch(rules):
    bunch = stack_name("sklearn.utils._bunch", "Bunch") + b")\x81" + text("formula") + text("y") + b"s"
    assert "ART-114" in rules("m.pickle", program(bunch + DATA + b"}(" + PLAIN + b"ub\x86"))


def test_catboost_pickles_keep_their_trees_as_bytes(rules):
    model = stack_name("catboost.core", "CatBoostClassifier") + b")\x81}(" + text("__model") + b"C\x04CBM1ub"
    assert rules("m.pkl", program(model)) == set()
    assert "ART-105" in rules("m.pkl", program(model[:-2] + text("__class__") + name("builtins", "dict") + b"ub"))


def test_a_magic_that_is_also_a_pickle_does_not_make_a_model_of_one(rules):
    assert rules("m.dat", b"CBM1" + bytes(64) + HOSTILE)
    assert rules("m.dat", catboost()) == {"gap"}
    assert rules("m.dat", executorch(["aten::add"])) == {"gap"}


def test_the_hostile_word_is_found_behind_every_format(rules):
    for file, data in (("m.cbm", catboost()), ("m.crfsuite", crfsuite()), ("m.pte", executorch(["aten::add"]))):
        assert rules(file, data + HOSTILE) == {"ART-680"}
