"""Raw members of archives cost no search where something in the archive claims them; all others are searched."""

import io
import zipfile

import numpy as np
import pytest

from tests.support.secret_values import tokens
from zt_gate.intake import MemorySource
from zt_gate.scan.secrets import extract as places
from zt_gate.scan.secrets.check import search_file

TOKEN = tokens(11)["openai"].encode()
SECRET = b"\x01\x02 " + TOKEN + b" \x03\x04" + bytes(8)


def found(name, data):
    exam = search_file(MemorySource(name, "", data))
    assert exam.gaps == []
    return {finding.member for finding in exam.findings}


def searched(name, data):
    return sum(len(part.data) for part in places.parts(MemorySource(name, "", data)))


def arrays(**values):
    out = io.BytesIO()
    np.savez(out, **values)
    return out.getvalue()


def saved(value):
    torch = pytest.importorskip("torch")
    out = io.BytesIO()
    torch.save(value, out)
    return out.getvalue()


def with_members(data, **members):
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.infolist():
            new.writestr(member.filename, members.pop(member.filename, old.read(member)))
        for name, content in members.items():
            new.writestr(name, content)
    return out.getvalue()


def test_many_tensors_are_not_searched():
    torch = pytest.importorskip("torch")
    size = 3_000
    tensors = saved({f"layers.{i}.weight": torch.randn(size) for i in range(300)})
    assert searched("m.pt", tensors) < 100_000 < 300 * size
    state = {i: {"step": torch.tensor(1.0), "exp_avg": torch.randn(size)} for i in range(100)}
    assert searched("m.ckpt", saved({"optimizer": {"state": state}})) < 100_000
    many = arrays(**{f"layer_{i}": np.random.default_rng(i).standard_normal(size) for i in range(300)})
    assert searched("m.npz", many) < 100_000


def test_many_tensors_of_an_exported_program_are_not_searched(tmp_path):
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(*(torch.nn.Linear(64, 64) for _ in range(20)))
    torch.export.save(torch.export.export(net, (torch.zeros(1, 64),)), tmp_path / "m.pt2")
    data = (tmp_path / "m.pt2").read_bytes()
    assert searched("m.pt2", data) < len(data) - 20 * 64 * 64 * 4
    assert found("m.pt2", data) == set()


def test_the_claim_is_for_exactly_the_members_that_the_pickle_asks_for():
    torch = pytest.importorskip("torch")
    data = saved([torch.zeros(len(SECRET), dtype=torch.uint8)])
    root = zipfile.ZipFile(io.BytesIO(data)).namelist()[0].split("/")[0]
    assert found("m.pt", with_members(data, **{f"{root}/data/0": SECRET})) == set()
    for name in (f"{root}/data/1", f"{root}/data/00", "data/0", f"{root}/other/0", f"{root}/data/0x"):
        assert found("m.pt", with_members(data, **{name: SECRET})) == {name}, name
    assert found("m.pt", with_members(data, **{f"{root}/data/0": SECRET + b"more"})) == {f"{root}/data/0"}
    assert found("m.npz", with_members(data, **{f"{root}/data/0": SECRET})) == {f"{root}/data/0"}


def test_a_member_whose_name_readers_cut_is_searched():
    torch = pytest.importorskip("torch")
    data = saved([torch.zeros(8)])
    root = zipfile.ZipFile(io.BytesIO(data)).namelist()[0].split("/")[0]
    hidden = with_members(data, **{f"{root}/data/0?x": SECRET}).replace(b"data/0?x", b"data/0\0x")
    exam = search_file(MemorySource("m.pt", "", hidden))
    assert exam.findings or exam.gaps


@pytest.mark.parametrize(
    "value",
    [
        np.array([TOKEN]),
        np.array([TOKEN.decode()]),
        np.frombuffer(SECRET, dtype=f"V{len(SECRET)}"),
        np.array([(1, TOKEN)], dtype=[("a", "i4"), ("b", f"S{len(TOKEN)}")]),
        np.array([TOKEN.decode()], dtype=object),
    ],
    ids=["bytes", "text", "void", "structured", "objects"],
)
def test_arrays_of_anything_but_numbers_are_searched(value):
    data = arrays(numbers=np.zeros(100), secret=value)
    wide = value.dtype.kind == "U"  # four bytes a letter, which no shape of a secret has
    assert found("m.npz", data) == (set() if wide else {"secret.npy"})


def test_numbers_have_to_fill_the_array_to_its_end():
    array = io.BytesIO()
    np.save(array, np.zeros(10))
    data = with_members(arrays(a=np.zeros(2)), **{"b.npy": array.getvalue() + SECRET})
    assert found("m.npz", data) == {"b.npy"}


def test_names_of_members_are_searched():
    assert found("m.npz", arrays(**{TOKEN.decode(): np.zeros(3)})) == {"(names)"}
