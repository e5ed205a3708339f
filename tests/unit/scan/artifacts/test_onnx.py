"""ONNX: models of the real library pass; custom operators, stray files and unknown fields do not."""

import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.support.protobuf import message, varint
from zt_gate.domain import Severity, Status


def node(op="Relu", domain="", **attributes):
    return helper.make_node(op, ["x"], ["y"], domain=domain, **attributes)


def graph(*nodes, weights=()):
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    return helper.make_graph(
        list(nodes), "g", value[:1], value[1:], [numpy_helper.from_array(w, n) for n, w in weights]
    )


def model(*nodes, weights=(), functions=(), domains=()):
    opsets = [helper.make_opsetid(domain, 1) for domain in domains] + [helper.make_opsetid("", 17)]
    made = helper.make_model(graph(*nodes, weights=weights), opset_imports=opsets, functions=list(functions))
    helper.set_model_props(made, {"author": "somebody", "note": "nothing calls os.system"})
    return made


def own_function():
    return helper.make_function("pkg.own", "Twice", ["x"], ["y"], [helper.make_node("Add", ["x", "x"], ["y"])],
                                [helper.make_opsetid("", 17)])  # fmt: skip


HONEST = {
    "plain": model(node(), weights=[("w", np.eye(4, dtype="f4"))]),
    "function": model(node("Twice", "pkg.own"), functions=[own_function()], domains=["pkg.own"]),
    "microsoft": model(node("FusedGemm", "com.microsoft"), domains=["com.microsoft"]),
    "subgraph": model(node("If", then_branch=graph(node()), else_branch=graph(node("Tanh")))),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_models_pass(name, rules):
    assert rules("m.onnx", HONEST[name].SerializeToString()) == set()


def test_a_model_under_another_name_is_recognised_by_content(scan, tmp_path):
    (tmp_path / "model.dat").write_bytes(HONEST["plain"].SerializeToString())
    assert [claim.by for claim in scan(tmp_path).claims] == ["onnx"]


@pytest.mark.parametrize(
    ("made", "rule"),
    [
        (model(node("Evil", "my.ops")), "ART-503"),
        (model(node("If", then_branch=graph(node("Evil", "my.ops")), else_branch=graph(node()))), "ART-503"),
        (model(node("PythonOp", "com.microsoft")), "ART-504"),
        (model(node("EPContext", "com.microsoft")), "ART-504"),
    ],
)
def test_custom_operators_are_found_wherever_they_stand(made, rule, rules):
    assert rules("m.onnx", made.SerializeToString()) == {rule}


def test_a_custom_operator_inside_a_function_is_found(rules):
    function = helper.make_function("pkg.own", "Twice", ["x"], ["y"], [helper.make_node("Evil", ["x"], ["y"],
                                    domain="my.ops")], [helper.make_opsetid("", 17)])  # fmt: skip
    made = model(node("Twice", "pkg.own"), functions=[function], domains=["pkg.own"])
    assert rules("m.onnx", made.SerializeToString()) == {"ART-503"}


def test_bytes_that_no_field_accounts_for_are_a_gap(rules):
    data = HONEST["plain"].SerializeToString()
    assert rules("m.onnx", data + message((99, b"hidden"))) == {"gap"}
    assert rules("m.onnx", data + message((7, b""))) == {"gap"}, "a second graph, which readers merge"
    assert rules("m.onnx", data + b"\x00\x00") == {"gap"}
    assert rules("m.onnx", data[:-3]) == {"ART-310", "gap"}


def save_external(folder, size=64):
    made = model(node(), weights=[("w", np.ones((size, 4), dtype="f4"))])
    onnx.save(made, folder / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=0)
    return folder / "m.bin"


def test_external_data_of_the_real_library_is_accounted_for(scan, tmp_path):
    save_external(tmp_path)
    evidence = scan(tmp_path)
    assert (evidence.status, evidence.findings, evidence.gaps) == (Status.PASS, (), ())
    assert {claim.path for claim in evidence.claims} == {"m.onnx", "m.bin"}


def test_external_data_has_to_be_there_fit_and_be_declared(scan, tmp_path):
    weights = save_external(tmp_path)
    whole = weights.read_bytes()
    weights.write_bytes(whole + b"more")
    assert {finding.symbol for finding in scan(tmp_path).findings} == {"undeclared bytes"}
    weights.write_bytes(whole[:-1])
    assert "does not fit" in scan(tmp_path).findings[0].message
    weights.unlink()
    assert [finding.rule for finding in scan(tmp_path).findings] == ["ART-502"]


def test_the_data_file_that_pytorch_leaves_empty_passes(rules):
    assert rules("m.onnx.data", b"") == set()
    assert rules("m.data", b"") == {"ART-305"}


def test_a_pickle_stays_a_pickle_when_a_model_names_it_as_its_weights(scan, tmp_path):
    weights = save_external(tmp_path)
    weights.write_bytes(b"\x80\x04cposixpath\ngetcwd\n)R.".ljust(weights.stat().st_size, b"\0"))
    evidence = scan(tmp_path)
    assert evidence.status is not Status.PASS
    assert {finding.path for finding in evidence.findings} == {"m.bin"}
    assert "onnx-external-data" not in {claim.by for claim in evidence.claims}


@pytest.mark.parametrize("location", ["../m.bin", "/etc/hostname", "a/../../m.bin", "C:/m.bin", "..\\m.bin", "", "~/x"])
def test_external_data_stays_in_the_folder(location, rules):
    tensor = TensorProto(name="w", data_type=1, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    made = model(node())
    made.graph.initializer.append(tensor)
    assert rules("m.onnx", made.SerializeToString()) == {"ART-501"}


def test_external_data_in_a_subgraph_is_seen(scan, tmp_path):
    inner = graph(node("Constant", value=helper.make_tensor("w", 1, [1], [1.0])))
    inner.node[0].attribute[0].t.data_location = TensorProto.EXTERNAL
    inner.node[0].attribute[0].t.external_data.add(key="location", value="../../secret")
    made = model(node("If", then_branch=inner, else_branch=graph(node())))
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    findings = scan(tmp_path).findings
    assert [(finding.rule, finding.severity) for finding in findings] == [("ART-501", Severity.CRITICAL)]


def test_odd_descriptions_of_external_data_are_found(rules):
    for key, value in (("offset", "-5"), ("length", "1e3"), ("basepath", "/")):
        made = model(node())
        tensor = made.graph.initializer.add(name="w", data_type=1, dims=[4], data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="w.bin")
        tensor.external_data.add(key=key, value=value)
        assert rules("m.onnx", made.SerializeToString()) == {"ART-502"}, key


def test_tensors_cost_nothing(scan, tmp_path, monkeypatch):
    """A sparse 200 MB tensor: nearly none of its bytes may be read beyond hashing."""
    from zt_gate.intake.source import FrozenFile

    size = 200 << 20
    tensor = message((1, size), (2, 2)) + varint(9 << 3 | 2) + varint(size)
    body = message((2, "g"), (1, message((1, "x"), (2, "y"), (4, "Relu"))))
    head = (
        message((1, 8))
        + varint(7 << 3 | 2)
        + varint(len(body) + len(field_of(5, len(tensor) + size)) + len(tensor) + size)
    )
    with (tmp_path / "m.onnx").open("wb") as file:
        file.write(head + body + field_of(5, len(tensor) + size) + tensor)
        file.seek(size, os.SEEK_CUR)
        file.write(message((8, message((2, 17)))))
    read = []
    monkeypatch.setattr(FrozenFile, "read_at", counting(FrozenFile.read_at, read))
    assert scan(tmp_path).status is Status.PASS
    assert sum(read) < 2 << 20


def field_of(number, length):
    return varint(number << 3 | 2) + varint(length)


def counting(real, read):
    def read_at(self, offset, length):
        data = real(self, offset, length)
        read.append(len(data))
        return data

    return read_at
