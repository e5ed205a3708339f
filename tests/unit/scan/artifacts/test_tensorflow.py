"""TensorFlow: graphs laid out as its own exporters do pass; operators with a way out are found wherever they stand."""

import struct

import pytest

from tests.support.protobuf import message, varint
from zt_gate.domain import Status

STRING = 7


def const(name, *texts):
    tensor = message((1, STRING), *((8, text) for text in texts))
    return node(name, "Const", value=message((8, tensor)))


def call(name, function, *inputs):
    return node(name, "StatefulPartitionedCall", *inputs, f=message((10, message((1, function)))))


def node(name, op, *inputs, **attrs):
    pairs = [(5, message((1, key), (2, value))) for key, value in attrs.items()]
    return message((1, name), (2, op), *((3, one) for one in inputs), *pairs)


def function(name, *nodes):
    return message((1, message((1, name))), *((3, one) for one in nodes))


SAVE = (const("a", ".part"), const("b", "_temp/part"), node("c", "ShardedFilename"), node("d", "SaveV2"),
        node("e", "MergeV2Checkpoints"), node("f", "Assert"))  # fmt: skip
MAIN = (node("saver_filename", "Placeholder"), node("w", "VarHandleOp"), call("serve", "__inference_serve"),
        call("save", "__inference__traced_save_1", "saver_filename"),
        call("load", "__inference__traced_restore_2"))  # fmt: skip
SAVER = message((1, "saver_filename:0"), (2, "save:0"), (3, "load"))


def saved_model(serve=(), *, main=MAIN, save=SAVE, extra=(), saver=SAVER, exposed=(), assets=(), metadata=""):
    library = [function("__inference_serve", node("m", "MatMul"), *serve),
               function("__inference__traced_save_1", *save),
               function("__inference__traced_restore_2", node("r", "RestoreV2")), *extra]  # fmt: skip
    graph = message(*((1, one) for one in main), (2, message(*((1, one) for one in library))), (4, message((1, 2000))))
    objects = message((1, message((4, message((1, "_tf_keras_layer"), (3, metadata))))),
                      *((2, message((1, name), (2, b""))) for name in exposed))  # fmt: skip
    meta = message((1, message((4, "serve"), (5, "2.21.0"))), (2, graph), (3, saver),
                   *((6, message((1, b""), (2, name))) for name in assets), (7, objects))  # fmt: skip
    return message((1, 1), (2, meta))


def test_a_model_as_keras_exports_it_passes(rules):
    assert rules("saved_model.pb", saved_model()) == set()
    vocabulary = (const("a", "/home/me/vocab.txt"), node("t", "InitializeTableFromTextFileV2"))
    assert rules("saved_model.pb", saved_model(vocabulary, assets=["vocab.txt"])) == set()


def test_a_saver_of_tensorflow_1_passes(rules):
    main = (const("save/Const", "model"), node("save/filename", "PlaceholderWithDefault"),
            node("save/SaveV2", "SaveV2"),
            node("save/MergeV2Checkpoints", "MergeV2Checkpoints"), node("save/RestoreV2", "RestoreV2"))  # fmt: skip
    saver = message((1, "save/filename:0"), (2, "save/Identity:0"), (3, "save/restore_all"))
    assert rules("saved_model.pb", saved_model(main=main, saver=saver, save=())) == {"ART-510"}, "restore is a function"
    graph = message(*((1, one) for one in main))
    assert rules("m.meta", message((2, graph), (3, saver))) == set()
    assert rules("m.meta", message((2, graph), (3, message((1, "x:0"))))) == {"ART-510"}


@pytest.mark.parametrize("op", ["ReadFile", "WriteFile", "PyFunc", "EagerPyFunc", "PyFuncStateless", "MatchingFiles",
                                "MergeV2Checkpoints", "SaveV2", "RestoreV2", "ShellExecute", "DebugIdentityV2",
                                "ImmutableConst", "TextLineDataset", "XlaCustomCallV2"])  # fmt: skip
def test_operators_with_a_way_out_are_found(op, rules):
    bad = (node("n", op),)
    assert rules("saved_model.pb", saved_model(bad)) == {"ART-510"}
    assert rules("saved_model.pb", saved_model(main=MAIN + bad)) == {"ART-510"}
    assert rules("saved_model.pb", saved_model(extra=[function("f", *bad)])) == {"ART-510"}
    assert rules("saved_model.pb", saved_model((call("c", op),))) == {"ART-510"}, "by way of a function's name"
    assert rules("frozen.pb", message((1, node("n", op)))) == {"ART-510"}


def test_unknown_operators_and_functions_are_found(rules):
    assert rules("saved_model.pb", saved_model((node("n", "MyOwnOp"),))) == {"ART-511"}
    assert rules("saved_model.pb", saved_model((call("n", "nowhere"),))) == {"ART-511"}
    assert rules("saved_model.pb", saved_model((node("n", "f"),), extra=[function("f", node("x", "Relu"))])) == set()


def test_the_savers_operators_pass_in_the_savers_place_alone(rules):
    calls = (call("n", "__inference__traced_save_1"),)
    assert rules("saved_model.pb", saved_model(calls)) == {"ART-510"}, "called from the serving function"
    assert rules("saved_model.pb", saved_model(main=MAIN + calls)) == {"ART-510"}, "called a second time"
    assert rules("saved_model.pb", saved_model(exposed=["__inference__traced_save_1"])) == {"ART-510"}
    fixed = (const("saver_filename", "/etc/x"), *MAIN[1:])
    assert rules("saved_model.pb", saved_model(main=fixed)) == {"ART-510"}, "the file name is a constant"
    assert rules("saved_model.pb", saved_model(save=(*SAVE, const("p", "/etc/cron.d/x")))) == {"ART-510"}
    assert rules("saved_model.pb", saved_model(save=(*SAVE, node("n", "WriteFile")))) == {"ART-510"}


def test_prints_go_to_the_log_alone(rules):
    assert rules("saved_model.pb", saved_model((node("n", "PrintV2", output_stream=message((2, "stderr"))),))) == set()
    bad = node("n", "PrintV2", output_stream=message((2, "file:///tmp/x")))
    assert rules("saved_model.pb", saved_model((bad,))) == {"ART-510"}


def test_assets_and_tables_stay_in_the_model(rules):
    assert rules("saved_model.pb", saved_model(assets=["../../x"])) == {"ART-512"}
    assert rules("saved_model.pb", saved_model((node("t", "InitializeTableFromTextFileV2"),))) == {"ART-510"}


def test_keras_lambdas_in_the_metadata_are_found(rules):
    metadata = '{"class_name": "Sequential", "layers": [{"class_name": "Lambda", "config": {}}]}'
    assert rules("saved_model.pb", saved_model(metadata=metadata)) == {"ART-513"}
    keras = message((1, message((2, 0), (3, "root"), (4, "_tf_keras_layer"), (5, metadata))))
    assert rules("keras_metadata.pb", keras) == {"ART-513"}
    assert rules("keras_metadata.pb", keras.replace(b"Lambda", b"Dense_")) == set()


def test_what_is_not_understood_is_a_gap(rules):
    data = saved_model()
    assert rules("saved_model.pb", data + message((50, b"x"))) == {"gap"}
    assert rules("saved_model.pb", data[:-2]) == {"ART-310", "gap"}
    assert rules("other.pb", b"\xff\xff") == {"gap"}
    assert rules("fingerprint.pb", message((1, 2**63), (6, message((1, 1))), (7, "id"))) == set()


def test_a_saved_model_under_another_name_is_recognised(rules):
    assert rules("model.dat", saved_model((node("n", "ReadFile"),))) == {"ART-510"}


def table(*entries):
    """An index as TensorFlow writes it: one data block, no compression."""

    def block(*pairs):
        body = b"".join(varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in pairs)
        return body + struct.pack("<LL", 0, 1)

    data, empty = block(*entries), struct.pack("<LL", 0, 1)
    index_at = len(data) + 5 + len(empty) + 5
    index = block((b"z", varint(0) + varint(len(data))))
    footer = varint(len(data) + 5) + varint(len(empty)) + varint(index_at) + varint(len(index))
    return (
        data
        + bytes(5)
        + empty
        + bytes(5)
        + index
        + bytes(5)
        + footer.ljust(40, b"\0")
        + bytes.fromhex("57fb808b247547db")
    )


HEADER = (b"", message((1, 1), (3, message((1, 1)))))


def variable(offset, size, shard=0):
    return message((1, 1), (3, shard), (4, offset), (5, size))


@pytest.fixture
def variables(tmp_path, scan):
    def run(*entries, data=bytes(range(1, 33)), index=None):
        folder = tmp_path / "variables"
        folder.mkdir(exist_ok=True)
        (folder / "variables.index").write_bytes(index or table(HEADER, *entries))
        (folder / "variables.data-00000-of-00001").write_bytes(data)
        return scan(tmp_path)

    return run


def test_variables_are_accounted_for_by_their_index(variables):
    evidence = variables((b"a", variable(0, 16)), (b"b", variable(16, 16)))
    assert (evidence.status, evidence.findings, evidence.gaps) == (Status.PASS, (), ())
    assert len(evidence.claims) == 2


def test_an_index_that_does_not_fit_is_told(variables):
    assert {f.rule for f in variables((b"a", variable(0, 16))).findings} == {"ART-502"}, "undeclared bytes"
    assert {f.rule for f in variables((b"a", variable(0, 64))).findings} == {"ART-502"}, "too short"
    assert variables((b"b", variable(0, 16)), (b"a", variable(16, 16))).gaps, "out of order"
    assert variables((b"a", variable(0, 32, shard=7))).gaps, "no such shard"
    whole = table(HEADER, (b"a", variable(0, 32)))
    assert variables(index=whole[:20] + b"hidden" + whole[20:]).gaps
    assert variables(index=b"x" + whole).gaps
