"""Kinds of files that once passed: lying headers, chains of listed names, unclaimed raw bytes, second archives."""

import io
import json
import pickle
import struct
import tarfile
import zipfile

import joblib
import numpy as np
import pandas as pd
import pytest
import torch

from tests.unit.scan.artifacts.test_torch_programs import exported

SYSTEM = b"cos\nsystem\n(S'true'\ntR"
EVIL = b"\x80\x02" + SYSTEM + b"."


def text(value):
    return b"\x8c" + bytes([len(value)]) + value.encode()


def name(dotted):
    module, _, last = dotted.rpartition(".")
    return text(module) + text(last) + b"\x93"


def call(function, *arguments):
    return name(function) + b"(" + b"".join(arguments) + b"tR"


def pickled(*parts):
    return b"\x80\x04" + b"".join(parts) + b"."


# --- INST and OBJ call the class ---------------------------------------------------------------------------------

CLASS = b"sklearn.linear_model._logistic\nLogisticRegression\n"


@pytest.mark.parametrize("stream", [b"(S'l2'\ni" + CLASS + b".", b"(c" + CLASS + b"S'l2'\no."], ids=["INST", "OBJ"])
def test_a_class_that_may_be_made_may_not_be_called_by_old_opcodes(rules, stream):
    """`_pickle.c`'s `instantiate` runs `__init__` when there are arguments."""
    assert "ART-104" in rules("m.pkl", stream)


@pytest.mark.parametrize("stream", [b"(i" + CLASS + b".", b"(c" + CLASS + b"o."], ids=["INST", "OBJ"])
def test_made_without_arguments_it_passes(rules, stream):
    assert rules("m.pkl", stream) == set()


# --- joblib headers ----------------------------------------------------------------------------------------------


def dtype(kind, size=-1, flags=0, again=b""):
    state = b"(K\x03" + text("|") + b"NNNJ" + struct.pack("<i", size) + b"J\xff\xff\xff\xffK" + bytes([flags]) + b"tb"
    return call("numpy.dtype", text(kind), b"\x89", b"\x88") + state + again


def header(*pairs, data=b"\x01\x02\x03", kind=None):
    usual = [
        text("subclass"), name("numpy.ndarray"), text("shape"), b"K" + bytes([len(data)]) + b"\x85", text("order"),
        text("C"), text("dtype"), kind or dtype("u1"), text("allow_mmap"), b"\x89",
    ]  # fmt: skip
    wrapper = name("joblib.numpy_pickle.NumpyArrayWrapper") + b")\x81}("
    return b"\x80\x04" + wrapper + b"".join([*usual, *pairs]) + b"ub" + data + b"."


COMPUTED = call("builtins.str", text("dtype"))
OBJECTS = dtype("O8", flags=63)
FILLERS = [part for number in range(64) for part in (text(f"f{number}"), dtype("u1") + b"K\x00\x86")]
HEADERS = {
    "computed key": header(COMPUTED, OBJECTS),
    "a key made by numpy": header(call("numpy.str_", text("dtype")), OBJECTS),
    "repeated dtype": header(text("dtype"), OBJECTS),
    "repeated shape": header(text("shape"), b"K\x01\x85"),
    "key behind 64 others": header(*FILLERS, text("dtype"), OBJECTS),
    "a method of the wrapper": header(text("read"), name("numpy.sum")),
    "unknown plain key": header(text("x"), b"K\x01"),
    "key that is no text": header(b"K\x01", b"K\x01"),
    "key in long escapes": header(b"V" + b"".join(b"\\U%08x" % ord(c) for c in "numpy_array_alignment_bytes") + b"\n",
                                  b"K\x10"),
    "flags that say objects": header(kind=dtype("u1", flags=1)),
    "objects without the flag": header(kind=dtype("O8")),
    "another size in the state": header(kind=dtype("V8", size=3)),
    "state put twice": header(kind=dtype("u1", again=dtype("u1")[dtype("u1").rindex(b"(K\x03"):])),
    "a kind that numpy has none of": header(kind=dtype("q1")),
}  # fmt: skip


@pytest.mark.parametrize("kind", HEADERS)
def test_a_header_that_could_say_two_things_is_not_followed(kind, rules):
    assert rules("m.joblib", header()) == set()
    assert "gap" in rules("m.joblib", HEADERS[kind])


def test_honest_arrays_of_every_kind_pass(tmp_path, scan):
    kinds = ["b1", "i1", "<i4", ">f8", "c8", "S3", "U4", "M8[ns]", "m8[s]", "V5", "O", [("a", "i4"), ("b", "U2")]]
    arrays = {str(kind): np.zeros((2, 3), kind) for kind in kinds} | {"wide": {f"k{n}": n for n in range(200)}}
    joblib.dump(arrays, tmp_path / "m.joblib")
    joblib.dump({1: np.ones(3), None: [np.ones(2, order="F")]}, tmp_path / "n.sav")
    evidence = scan(tmp_path)
    assert not evidence.findings
    assert not evidence.gaps


def test_a_state_with_a_key_that_only_the_pickle_knows(rules):
    key = call("builtins.str", text("__class__"))
    state = b"}" + key + b"Nsb"
    assert "ART-105" in rules("m.pkl", pickled(name("argparse.Namespace"), b")\x81", state))
    assert "ART-105" in rules("m.pkl", pickled(name("argparse.Namespace"), b")\x81N}", key, b"Ns\x86b"))
    assert "ART-105" in rules("m.pkl", pickled(name("argparse.Namespace"), b")\x81(", b"N" * 65, b"tb"))
    assert rules("m.pkl", pickled(name("argparse.Namespace"), b")\x81}", text("a"), b"Nsb")) == set()


# --- functions that call what they are given -----------------------------------------------------------------------

NAMESPACE = call("types.SimpleNamespace") + b"}" + text("from_arrays") + name("numpy.abs") + b"sb"
CONSTRUCTOR = "numpy.random._pickle.__bit_generator_ctor"
WRONG = {
    "base is an object": call("copyreg._reconstructor", name("argparse.Namespace"), NAMESPACE, b"N"),
    "base is a class of numpy": call("copyreg._reconstructor", name("argparse.Namespace"), name("numpy.memmap"), b"N"),
    "class is a memmap": call("copyreg._reconstructor", name("numpy.memmap"), name("builtins.object"), b"N"),
    "class is a namespace": call(
        "copyreg._reconstructor", name("types.SimpleNamespace"), name("builtins.object"), b"N"),
    "computed value for the base": call(
        "copyreg._reconstructor", name("sklearn.utils._bunch.Bunch"), name("builtins.dict"), NAMESPACE),
    "too few": call("copyreg._reconstructor", name("argparse.Namespace")),
    "newobj of a memmap": call("copyreg.__newobj__", name("numpy.memmap"), text("x"), text("u1"), text("w+")),
    "newobj of an object": call("copyreg.__newobj__", NAMESPACE),
    "newobj_ex of a memmap": call("copyreg.__newobj_ex__", name("numpy.memmap"), b")", b"}"),
    "newobj_ex with computed words": call("copyreg.__newobj_ex__", name("argparse.Namespace"), b")",
                                          b"}", call("builtins.str"), b"Ns"),
    "random state calls": call("numpy.random._pickle.__randomstate_ctor", text("x"), name("numpy.memmap")),
    "random state calls itself": call("numpy.random._pickle.__randomstate_ctor", text("MT19937"),
                                      name("numpy.random._pickle.__randomstate_ctor")),
    "generator calls": call("numpy.random._pickle.__generator_ctor", text("x"), name("builtins.list")),
    "generator of an object": call("numpy.random._pickle.__generator_ctor", NAMESPACE),
    "bit generator of a class": call(CONSTRUCTOR, name("numpy.memmap")),
    "bit generator of a text": call(CONSTRUCTOR, text("x")),
    "index of an object": call("pandas.core.indexes.interval._new_IntervalIndex", NAMESPACE, b"}"),
    "index of another class": call("pandas.core.indexes.base._new_Index", name("pandas.DataFrame"), b"}"),
    "index of no class": call("pandas.core.indexes.base._new_Index"),
    "index with computed words": call(
        "pandas.core.indexes.base._new_Index", name("pandas.Index"), call("builtins.dict")),
    "array of an object": call("numpy._core.multiarray._reconstruct", NAMESPACE, b"K\x00\x85", b"C\x01b"),
    "masked array of an object": call(
        "numpy.ma.core._mareconstruct", NAMESPACE, name("numpy.ndarray"), b")", b"C\x01b"),
    "cython class that is an object": call(
        "pandas._libs.arrays.__pyx_unpickle_NDArrayBacked", NAMESPACE, b"K\x01", b"N"),
    "computed arguments": name("copyreg._reconstructor") + call("builtins.tuple") + b"R",
    "more arguments than are kept": name("copyreg.__newobj__") + b"(" + name("numpy.memmap") + b"N" * 65 + b"tR",
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_functions_that_call_are_given_what_libraries_give_them(kind, rules):
    assert "ART-115" in rules("m.pkl", pickled(WRONG[kind]))


def test_what_libraries_give_them_passes_in_every_protocol(tmp_path, scan):
    index = pd.Index(["a", "b"])
    values = [
        pd.DataFrame({"x": [1.5, 2.5]}, index=index), pd.Series([1], index=pd.date_range("2024", periods=1)),
        pd.interval_range(0, 3), pd.period_range("2024", periods=2, freq="M"), pd.timedelta_range("1D", periods=2),
        pd.MultiIndex.from_tuples([(1, "a")]), pd.CategoricalIndex(["a"]), pd.RangeIndex(3),
        np.random.RandomState(1), np.random.default_rng(1), np.random.Generator(np.random.Philox(1)),
        np.ma.masked_array([1, 2], [0, 1]), np.float64(1), np.datetime64("2024"), np.rec.array([(1, 2.0)]),
    ]  # fmt: skip
    for protocol in range(6):
        for number, value in enumerate(values):
            (tmp_path / f"{number}-{protocol}.pkl").write_bytes(pickle.dumps(value, protocol))
    evidence = scan(tmp_path)
    assert not evidence.findings
    assert not evidence.gaps


# --- exported programs -------------------------------------------------------------------------------------------

TREE = {"type": "builtins.tuple", "context": "null", "children_spec": []}


@pytest.mark.parametrize("weight", [SYSTEM + b".", EVIL, b"(S'true'\nios\nsystem\n.", b"no tensor of anybody"])
@pytest.mark.parametrize("payload", [{"use_pickle": True}, {"use_pickle": 1}, {"path_name": "opaque_obj_0"}])
def test_what_no_configuration_claims_as_raw_is_examined(payload, weight, rules):
    assert rules("m.pt2", exported(payload=payload, weight=weight)) & {"ART-101", "gap"}


def test_a_claim_does_not_make_a_member_raw_that_is_unpickled(rules):
    member = {"data/weights/model.pt": SYSTEM + b"."}
    assert "ART-101" in rules("m.pt2", exported(payload={"path_name": "model.pt"}, **member))
    other = json.dumps({"config": {"w": {"path_name": "weight_0", "use_pickle": True}}})
    twice = exported(weight=SYSTEM + b".", **{"data/weights/other_weights_config.json": other})
    assert rules("m.pt2", twice) <= {"ART-101"}


@pytest.mark.parametrize(
    ("size", "fine"),
    [
        ("Symbol('s77', positive=True, integer=True)", True),
        ("Add(Mul(Integer(2), Symbol('s0', integer=True)), Integer(-1))", True),
        ("Max(1, FloorDiv(s0, 2)) + 2**s1", True),
        ("Equality(Symbol('u0', integer=True), Float('1.5', precision=53))", True),
        ("__import__('os').system('true')", False),
        ("().__class__", False),
        ("exec('1')", False),
        ("s0.func", False),
        ("[x for x in ()]", False),
        ("Symbol('x', **{})", False),
        ("Symbol(open('x'))", False),
        ("(lambda: 1)()", False),
        ("f'{open}'", False),
        ("Add(s0)(1)", False),
        ("1 +", False),
    ],
)
def test_sizes_are_arithmetic(size, fine, rules):
    assert rules("m.pt2", exported(fields={"sizes": [{"as_expr": {"expr_str": size}}]})) == (
        set() if fine else {"ART-554"}
    )


@pytest.mark.parametrize(
    ("kind", "context", "fine"),
    [
        ("builtins.dict", '["a", 1]', True),
        ("collections.deque", "null", True),
        ("collections.defaultdict", {"default_factory_module": "builtins", "default_factory_name": "list",
                                     "dict_context": []}, True),
        ("collections.defaultdict", {"default_factory_module": "os", "default_factory_name": "system",
                                     "dict_context": []}, False),
        ("collections.defaultdict", {"default_factory_module": "builtins", "default_factory_name": "exec",
                                     "dict_context": []}, False),
        ("builtins.dict", '[{"__enum__": true, "fqn": "antigravity:X", "name": "Y"}]', False),
        ("builtins.dict", [{"__enum__": True, "fqn": "antigravity:X", "name": "Y"}], False),
        ("acme.Thing", "null", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("field", ["in_spec", "out_spec"])
def test_tree_specifications_import_nothing(field, kind, context, fine, rules):
    tree = json.dumps([1, TREE | {"children_spec": [TREE | {"type": kind, "context": context}]}])
    assert rules("m.pt2", exported(fields={"signature": {field: tree}})) == (set() if fine else {"ART-554"})


def test_the_older_layout_is_judged_as_well(rules):
    program = json.dumps({"expr_str": "open('x')"})
    data = zip_of(("version", "8.8"), ("serialized_exported_program.json", program))
    assert "ART-554" in rules("m.pt2", data)


def test_operators_that_are_handed_on_are_judged(rules):
    assert rules("m.pt2", exported(fields={"a": {"as_operator": "os.system"}})) == {"ART-550"}


# --- raw members ---------------------------------------------------------------------------------------------------


def zip_of(*members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for member, data in members:
            archive.writestr(member, data)
    return out.getvalue()


def saved(**tensors):
    out = io.BytesIO()
    torch.save(tensors, out)
    with zipfile.ZipFile(out) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


def object_array():
    out = io.BytesIO()
    np.save(out, np.array([None], object), allow_pickle=True)
    whole = out.getvalue()
    return whole[: whole.index(b"\x80")] + EVIL


@pytest.mark.parametrize("file", ["m.npz", "m.mar", "m.zip", "m.pt"])
@pytest.mark.parametrize("content", [EVIL, SYSTEM + b".", object_array()])
@pytest.mark.parametrize("folder", ["", "a/"])
def test_a_number_in_a_name_makes_nothing_raw(folder, content, file, rules):
    data = zip_of((f"{folder}data.pkl", pickle.dumps({"w": 1})), (f"{folder}version", "3"),
                  (f"{folder}data/0", content))  # fmt: skip
    assert "ART-101" in rules(file, data)


def test_storages_are_raw_where_the_pickle_asks_for_them(rules):
    members = saved(a=torch.zeros(4), b=torch.zeros(3, dtype=torch.bfloat16))
    root = members[0][0].split("/")[0]
    assert rules("m.pt", zip_of(*members)) == set()
    assert rules("m.pt", zip_of(*members, (f"{root}/data/7", EVIL))) == {"ART-101"}
    assert rules("m.pt", zip_of(*members, ("b/data/0", EVIL))) == {"ART-101"}
    longer = [(member, EVIL if member.endswith("data/0") else data) for member, data in members]
    assert rules("m.pt", zip_of(*longer)) == {"ART-101", "ART-116"}
    evil = bytes(EVIL) + bytes(16)
    same = [(m, evil[: len(d)] if m.endswith("data/0") else d) for m, d in saved(a=torch.zeros(8))]
    assert rules("m.npz", zip_of(*same)) & {"ART-101", "gap"}


# --- end records -------------------------------------------------------------------------------------------------


def severities(evidence, rule):
    return {finding.severity.name for finding in evidence.findings if finding.rule == rule}


def end_record(data, start, size, count=1):
    return struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, size, start, 0)


def two_records():
    """A zip whose last end record tells an offset at which another directory stands, inside of a member."""
    hidden = zip_of(("x.txt", b"other"))
    directory = hidden.index(b"PK\x01\x02")
    size = hidden.index(b"PK\x05\x06") - directory
    outer = zip_of(("h.txt", hidden))
    at = outer.index(hidden)
    return outer, end_record(outer, at + directory, size)


@pytest.mark.parametrize("wrap", ["bare", "mar", "nemo"])
@pytest.mark.parametrize("kind", ["comment", "record in a comment", "record behind", "junk behind"])
def test_a_second_end_record_or_a_comment_is_critical(kind, wrap, tmp_path, scan):
    outer, second = two_records()
    tail = {"comment": b"hello", "junk behind": b"junk"}.get(kind, second)
    if "behind" not in kind:
        outer = outer[:-2] + struct.pack("<H", len(tail))
    data, file = outer + tail, "m.zip"
    if wrap == "mar":
        data, file = zip_of(("inner.zip", data)), "m.mar"
    elif wrap == "nemo":
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            info = tarfile.TarInfo("model_weights.zip")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        data, file = out.getvalue(), "m.nemo"
    (tmp_path / file).write_bytes(data)
    assert severities(scan(tmp_path), "ART-208") >= {"CRITICAL"}


def test_archives_that_are_members_are_not_accused(rules):
    inner = zip_of(("a.txt", b"hello"))
    assert rules("m.zip", zip_of(("inner.zip", inner))) == set()
    assert rules("m.zip", zip_of(("a.txt", b"first"), ("b/inner.zip", zip_of(("in.zip", inner))))) == set()
    model = io.BytesIO()
    torch.save({"w": torch.zeros(2)}, model)
    assert rules("m.mar", zip_of(("model.pt", model.getvalue()), ("z.txt", b"last"))) == set()
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        info = tarfile.TarInfo("inner.zip")
        info.size = len(inner)
        archive.addfile(info, io.BytesIO(inner))
    assert rules("m.nemo", tar.getvalue()) == set()


# --- two formats at once -------------------------------------------------------------------------------------------


def safetensors_pickle(opcodes):
    """Safetensors whose length begins with UNICODE: its header is text up to a newline, its tensor is opcodes."""
    opcodes += bytes(-len(opcodes) % 4)
    described = {"w": {"dtype": "U8", "shape": [len(opcodes)], "data_offsets": [0, len(opcodes)]}}
    head = json.dumps(described).encode()
    length = 0x156
    return struct.pack("<Q", length) + head + b" " * (length - len(head) - 1) + b"\n" + opcodes


def tar_pickle():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        info = tarfile.TarInfo("Cd" + "a" * 94 + ".txt")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"hi\n"))
    raw = bytearray(out.getvalue())
    raw[102:104] = b"C\xa1"
    raw[265 : 265 + len(SYSTEM) + 1] = SYSTEM + b"."
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    return bytes(raw)


@pytest.mark.parametrize("file", ["m.sav", "m.dill", "m.p", "m.pk", "model", "m.safetensors", "m.bin", "a.npy"])
@pytest.mark.parametrize("data", [safetensors_pickle(b"0" + SYSTEM + b"."), tar_pickle()])
def test_a_second_format_does_not_hide_a_pickle(data, file, rules):
    assert rules(file, data) >= {"ART-314", "ART-101"}


def test_an_import_is_enough_and_a_break_behind_it_no_excuse(rules):
    assert "ART-314" in rules("m.safetensors", safetensors_pickle(b"0cacme\nthing\n\xff"))


@pytest.mark.parametrize("file", ["m.sav", "m.dill", "m.p", "m.pk", "model", "a.npy", "m.dat", "model.v1"])
@pytest.mark.parametrize(
    "data",
    [EVIL, EVIL[2:], b"C\x01a0" + SYSTEM + b".", b"\x8c\x01a0" + SYSTEM + b".", b"\x89" + SYSTEM + b".",
     b"\x95\x05\0\0\0\0\0\0\0N0N0N0" + SYSTEM + b".", b"\x8e\x01\0\0\0\0\0\0\0a0" + SYSTEM + b"."],
)  # fmt: skip
def test_a_pickle_is_one_under_any_name_and_with_any_first_opcode(data, file, rules):
    assert "ART-101" in rules(file, data)


def test_honest_binaries_are_not_taken_for_pickles(tmp_path, scan):
    np.save(tmp_path / "a.npy", np.arange(100))
    np.savez(tmp_path / "a.npz", w=np.arange(3), v=np.zeros((2, 2)))
    with tarfile.open(tmp_path / "config.tar", "w") as archive:
        info = tarfile.TarInfo("config.json")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"{}\n"))
    (tmp_path / "notes.txt").write_bytes(b"Copyright\nconfig\nmodel\n(a) t R\n")
    evidence = scan(tmp_path)
    assert not evidence.findings
    assert not evidence.gaps
