"""TorchScript and exported programs: what the real library saves passes, code with a way out does not."""

import io
import json
import pickle
import zipfile

import pytest
import torch

from zt_gate.domain import Status


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 4)
        self.layers = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2), torch.nn.ReLU())

    def forward(self, x):
        y = torch.relu(self.linear(x))
        if bool(y.sum() > 0):
            y = y + 1
        for i in range(3):
            y = y * i
        return y, self.layers(y.view(1, 1, 2, -1))


def test_what_the_real_library_saves_passes(tmp_path, scan):
    net = Net().eval()
    torch.jit.script(net).save(tmp_path / "scripted.pt")
    torch.jit.trace(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.GELU()), torch.zeros(1, 3)).save(
        tmp_path / "t.pt"
    )
    torch.jit.freeze(torch.jit.script(net)).save(tmp_path / "frozen.pt")
    program = torch.export.export(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU()), (torch.zeros(1, 3),))
    torch.export.save(program, tmp_path / "exported.pt2")
    evidence = scan(tmp_path)
    assert (evidence.status, evidence.findings, evidence.gaps) == (Status.PASS, (), ())
    assert len(evidence.claims) == 4


@pytest.fixture(scope="module")
def scripted():
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), buffer)
    return buffer.getvalue()


def changed(data, **members):
    """Return the archive with members replaced or added; `__` in a keyword stands for a slash."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        names = {name.split("/", 1)[1]: name for name in old.namelist()}
        root = next(iter(names.values())).split("/")[0]
        for inner, name in names.items():
            new.writestr(name, members.pop(inner, None) or old.read(name))
        for inner, content in members.items():
            new.writestr(f"{root}/{inner}", content)
    return out.getvalue()


CODE = "def forward(self, x: Tensor) -> Tensor:\n  {}\n  return x\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("y = torch.add(x, x)", set()),
        ("y = ops.prim.min(x, x)", set()),
        ("torch.save(x, 'file')", {"ART-550"}),
        ("y = torch.from_file('file')", {"ART-550"}),
        ("y = ops.aten.from_file('file')", {"ART-550"}),
        ("y = torch.ops.aten.from_file('file')", {"ART-550"}),
        ("y = rpc_sync('worker', x)", {"ART-550"}),
        ("f = torch.save", {"ART-550"}),
        ("import os", {"ART-550"}),
        ("a = torch\n  y = a.from_file('file')", {"ART-550"}),
        ("a, b = torch, x", {"ART-550"}),
        ("y = [torch][0].from_file('file')", {"ART-550"}),
        ("y = getattr(torch, 'from_file')('file')", {"ART-550"}),
        ("a = ops.aten\n  y = a.from_file('file')", {"ART-551"}),
        ("y = (torch if True else ops).save(x, 'file')", {"ART-550"}),
        ("import torch as a\n  y = a.from_file('file')", {"ART-550"}),
        ("from torch import from_file as a\n  y = a('file')", {"ART-550", "ART-551"}),
        ("y = ops.evil.run(x)", {"ART-551"}),
        ("y = torch.ops.evil.run(x)", {"ART-551"}),
        ("y = torch.classes.evil.C(x)", {"ART-551"}),
        ("torch.load_library('x')", {"ART-551"}),
        ("y = unknown(x)", {"ART-551"}),
        ("y = (", {"gap"}),
    ],
)
def test_code_is_judged_name_by_name(line, expected, scripted, rules):
    data = changed(scripted, **{"code/__torch__/extra.py": CODE.format(line)})
    assert rules("m.pt", data) == expected


def lite(module):
    """Return a program for PyTorch Mobile, whose operators are texts of a pickle."""
    return torch.jit.script(module.eval())._save_to_buffer_for_lite_interpreter()


class Mobile(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.lstm = Net(), torch.nn.LSTM(2, 3, batch_first=True)

    def forward(self, x):
        y, z = self.net(x)
        out, _ = self.lstm(z[0].transpose(1, 2)[:, :, :2])
        return {"y": torch.softmax(y, -1), "out": torch.sort(out)[0]}


class Reader(torch.nn.Module):
    def forward(self, x):
        return x + torch.from_file("never-made", True, 4, dtype=torch.uint8).sum()


@pytest.mark.filterwarnings("ignore")
def test_a_program_for_mobile_is_judged_by_its_operators_and_not_by_the_code_beside_it(rules, tmp_path):
    assert rules("m.ptl", lite(Mobile())) == set()
    hostile = lite(Reader())
    assert "ART-550" in rules("m.ptl", hostile)
    names = [name for name in zipfile.ZipFile(io.BytesIO(hostile)).namelist() if "/code/" in name]
    harmless = {name.split("/", 1)[1]: b"def forward(self, x):\n  return x\n" for name in names if name.endswith(".py")}
    hidden = changed(hostile, **harmless)
    assert rules("m.ptl", hidden) >= {"ART-550"}
    program = zipfile.ZipFile(io.BytesIO(hidden)).read("archive/bytecode.pkl")
    assert rules(
        "m.ptl", changed(hidden, **{"bytecode.pkl": program.replace(b"aten::from_file", b"evil::from_file")})
    ) >= {"ART-551"}
    # A name without its length before it is nothing that PyTorch would write.
    assert "gap" in rules("m.ptl", changed(hidden, **{"bytecode.pkl": b"\x80\x02U\x0faten::from_file."}))


def test_pickles_of_a_script_may_name_its_own_classes_and_no_others(scripted, rules):
    bad = pickle.dumps(print, 2)
    for member in ("data.pkl", "constants.pkl", "traced_inputs.pkl", "code/__torch__.py.debug_pkl"):
        assert rules("m.pt", changed(scripted, **{member: bad})) & {"ART-101", "ART-102"}, member
    assert rules("m.pt", changed(scripted, **{"data.pkl": b"\x80\x02c__torch__.torch.classes.evil\nC\n."})) == {
        "ART-551"
    }
    assert rules("m.pt", changed(scripted, **{"constants.pkl": b"\x80\x02).more"})) == {"gap"}


def test_own_classes_are_for_scripts_alone(rules):
    """Without `constants.pkl` it is an ordinary checkpoint, read by Python's own machine."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02c__torch__\nM\n)R.")
    assert rules("m.pt", out.getvalue()) & {"ART-101", "ART-102"}


def exported(target="torch.ops.aten.relu.default", fields=None, payload=None, weight=bytes(range(16)), **members):
    graph = {"graph_module": {"graph": {"nodes": [{"target": target, "inputs": []}]}, **(fields or {})}}
    config = {"config": {"w": {"path_name": "weight_0", "use_pickle": False, "is_param": True} | (payload or {})}}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("e/archive_format", "pt2")
        archive.writestr("e/.data/version", "3")
        archive.writestr("e/models/model.json", json.dumps(graph))
        archive.writestr("e/data/weights/weight_0", weight)
        archive.writestr("e/data/weights/model_weights_config.json", json.dumps(config))
        for name, content in members.items():
            archive.writestr("e/" + name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("torch.ops.aten.relu.default", set()),
        ("torch.ops.higher_order.cond", set()),
        ("_operator.add", set()),
        ("torch.sym_max", set()),
        ("math.ceil", set()),
        ("torch.ops.aten.from_file.default", {"ART-550"}),
        ("torch.load", {"ART-550"}),
        ("torch.ops.load_library", {"ART-550"}),
        ("torch.serialization.os.system", {"ART-550"}),
        ("_operator.attrgetter", {"ART-550"}),
        ("os.system", {"ART-550"}),
        ("torch.ops.evil.run.default", {"ART-551"}),
        ("torch.ops.aten.nothing.default", {"ART-551"}),
    ],
)
def test_targets_of_an_exported_program(target, expected, rules):
    assert rules("m.pt2", exported(target)) == expected


def test_compiled_code_and_pickles_inside_an_exported_program(rules):
    library = {"data/aotinductor/model/a.so": b"\x7fELF" + bytes(60)}
    assert rules("m.pt2", exported(**library)) == {"ART-552", "ART-308"}
    assert rules("m.pt2", exported(**{"data/aotinductor/model/a.cpp": "int x;"})) == {"ART-552"}
    assert rules("m.pt2", exported(**{"data/weights/w": pickle.dumps(print)})) & {"ART-101", "ART-102"}
    assert rules("m.pt2", exported(**{"models/other.json": "{"})) == {"gap"}
