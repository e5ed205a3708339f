"""TensorFlow Lite, OpenVINO, Core ML and PaddlePaddle, in the layouts of their own writers."""

import io
import struct
import zipfile

import pytest

from tests.support.protobuf import message
from zt_gate.domain import Status

# --- TensorFlow Lite ---------------------------------------------------------------------------------------------


def tflite(*codes, delegate=0, tail=b""):
    """Return a model with these operator codes: (builtin, custom name)."""
    flatbuffers = pytest.importorskip("flatbuffers", reason="the flatbuffers package is not installed")
    builder = flatbuffers.Builder(256)
    offsets = []
    for builtin, name in codes:
        text = builder.CreateString(name) if name else None
        builder.StartObject(4)
        builder.PrependInt8Slot(0, min(builtin, 127), 0)
        if text:
            builder.PrependUOffsetTRelativeSlot(1, text, 0)
        builder.PrependInt32Slot(3, builtin, 0)
        offsets.append(builder.EndObject())
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    vector = builder.EndVector()
    builder.StartObject(8)
    builder.PrependUint32Slot(0, 3, 0)
    builder.PrependUOffsetTRelativeSlot(1, vector, 0)
    builder.Finish(builder.EndObject(), b"TFL3")
    return bytes(builder.Output()) + tail


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ((3, ""), set()),
        ((206, ""), set()),
        ((32, "TFLite_Detection_PostProcess"), set()),
        ((32, "FlexErf"), set()),
        ((32, "MyOwn"), {"ART-520"}),
        ((32, ""), {"ART-520"}),
        ((51, ""), {"ART-520"}),
        ((32, "FlexReadFile"), {"ART-510"}),
        ((32, "FlexNothing"), {"ART-520"}),
        ((999, ""), {"gap"}),
    ],
)
def test_tflite_operators(code, expected, rules):
    assert rules("m.tflite", tflite((3, ""), code)) == expected


def test_tflite_metadata_is_examined_and_broken_offsets_are_found(rules):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("labels.txt", "cat\n")
    assert rules("m.tflite", tflite((3, ""), tail=packed.getvalue())) == set()
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("a.so", b"\x7fELF" + bytes(60))
    assert rules("m.tflite", tflite((3, ""), tail=packed.getvalue())) == {"ART-308"}
    data = tflite((3, ""))
    assert rules("m.tflite", struct.pack("<L", 10**6) + data[4:]) == {"ART-310", "gap"}
    assert rules("m.tflite", data[:20]) == {"ART-310", "gap"}


# --- OpenVINO ----------------------------------------------------------------------------------------------------

NET = """<?xml version="1.0"?>{before}
<net name="n" version="11"><layers>
<layer id="0" name="x" type="Parameter" version="opset1"><data shape="1,4" element_type="f32"/></layer>
<layer id="1" name="w" type="Const" version="opset1"><data element_type="f32" offset="0" size="{size}"/></layer>
<layer id="2" name="y" type="{kind}" version="{version}" {more}/></layers><edges/></net>"""


@pytest.fixture
def network(tmp_path, scan):
    def run(before="", size=16, kind="MatMul", version="opset1", more=""):
        (tmp_path / "m.xml").write_text(NET.format(before=before, size=size, kind=kind, version=version, more=more))
        (tmp_path / "m.bin").write_bytes(bytes(range(1, 17)))
        return scan(tmp_path)

    return run


def test_openvino_networks_pass_with_their_weights(network):
    evidence = network()
    assert (evidence.status, evidence.findings, evidence.gaps) == (Status.PASS, (), ())
    assert len(evidence.claims) == 2


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"before": '<!DOCTYPE net [<!ENTITY a SYSTEM "file:///etc/hostname">]>'}, "ART-560"),
        ({"version": "extension"}, "ART-561"),
        ({"version": ""}, "ART-561"),
        ({"more": 'library="x.so"'}, "ART-561"),
        ({"size": 8}, "ART-502"),
        ({"size": 80}, "ART-502"),
    ],
)
def test_openvino_networks_with_more_in_them(change, rule, network):
    assert rule in {finding.rule for finding in network(**change).findings}


def test_openvino_xml_that_is_broken_or_of_another_version_is_a_gap(rules):
    assert "gap" in rules("m.xml", b'<net name="n" version="11"><layers>')
    assert "gap" in rules("m.xml", b'<net name="n" version="7"><layers/></net>')


# --- Core ML -----------------------------------------------------------------------------------------------------


def program(kind="linear", blob="@model_path/weights/weight.bin"):
    value = message((1, "val"), (2, message((5, message((1, blob), (2, 64))))))
    operation = message((1, kind), (5, value))
    block = message((1, "CoreML7"), (2, message((3, operation))))
    return message((1, "main"), (2, message((2, "CoreML7"), (3, block))))


def coreml(*fields):
    return message((1, 8), (2, message((1, b""))), *fields)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (coreml((502, message((1, 1), (2, program())))), set()),
        (coreml((500, message((1, message((1, "a"), (140, b"")))))), set()),
        (coreml((302, b"\x08\x01")), set()),
        (coreml((500, message((1, message((1, "a"), (500, message((10, "Evil")))))))), {"ART-570"}),
        (coreml((202, message((1, coreml((555, message((10, "Evil")))))))), {"ART-570"}),
        (coreml((556, message((1, b"")))), {"ART-570"}),
        (coreml((502, message((1, 1), (2, program("custom_thing"))))), {"ART-570"}),
        (coreml((502, message((1, 1), (2, program(blob="@model_path/../../x"))))), {"ART-501"}),
        (coreml((4000, b"")), {"gap", "ART-306"}),
    ],
)
def test_coreml_models(data, expected, rules):
    found = rules("m.mlmodel", data)
    assert found == expected or (expected >= {"gap"} and "gap" in found)


def test_coreml_weights_are_walked_to_their_end(rules):
    head = struct.pack("<LL", 1, 2).ljust(64, b"\0")
    record = struct.pack("<LLQQ", 0xDEADBEEF, 1, 100, 128).ljust(64, b"\0")
    assert rules("weight.bin", head + record + bytes(100)) == set()
    assert rules("weight.bin", head + record + bytes(128) + b"hidden") == {"gap"}
    assert rules("weight.bin", head + record + bytes(50)) == {"gap"}


# --- PaddlePaddle ------------------------------------------------------------------------------------------------


def paddle(*operators):
    return message((1, message((1, 0), (2, 0), *((4, message((3, name))) for name in operators))), (4, message((1, 0))))


@pytest.mark.parametrize(
    ("operators", "expected"),
    [
        (("feed", "conv2d", "fetch"), set()),
        (("feed", "py_func"), {"ART-580"}),
        (("load_combine",), {"ART-580"}),
        (("my_own",), {"ART-581"}),
    ],
)
def test_paddle_programs(operators, expected, rules):
    assert rules("m.pdmodel", paddle(*operators)) == expected


def test_paddle_parameters_are_walked_to_their_end(rules):
    description = message((1, 5), (2, 2), (2, 3))
    one = bytes(16) + struct.pack("<L", len(description)) + description + bytes(24)
    assert rules("m.pdiparams", one * 3) == set()
    assert rules("m.pdiparams", one + b"hidden") == {"gap"}
    assert rules("m.pdiparams", one[:-1]) == {"gap"}
