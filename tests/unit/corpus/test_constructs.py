"""The constructs themselves: many, of every family, the same each time, and inert."""

import io
import re
import zipfile

import pytest

from zt_gate.cli.selftest import ConstructAnswer, examine
from zt_gate.corpus.archives import HONEST_WEIGHTS, Member, npy, raw_zip
from zt_gate.corpus.construct import Construct, Link, Pipe
from zt_gate.corpus.messages import hdf5, hdf5_attribute, hdf5_external_target, hdf5_link, varint
from zt_gate.corpus.opcodes import HOSTILE, OLD_HOSTILE, call, program, stack_name, text
from zt_gate.corpus.registry import all_constructs, families
from zt_gate.intake import MemorySource
from zt_gate.scan.artifacts.pickles.machine import Machine
from zt_gate.scan.artifacts.pickles.rules import PickleJudge
from zt_gate.scan.artifacts.pickles.window import MalformedError
from zt_gate.scan.interface import Examination

CONSTRUCTS = all_constructs()
PUBLISHED = {
    "model-format",
    "archive",
    "array",
    "code",
    "compressed",
    "dependencies",
    "engine",
    "gguf",
    "hdf5",
    "holdings",
    "hugging-face",
    "import-path",
    "intake",
    "keras",
    "metadata",
    "mlflow",
    "onnx",
    "pickle-callable",
    "pickle-machine",
    "polyglot",
    "renamed",
    "safetensors",
    "schema",
    "secrets",
    "skops",
    "tar",
    "tensorflow",
    "torch",
    "trees",
    "zip",
}
CVES = [
    "CVE-2022-25882",
    "CVE-2024-27318",
    "CVE-2024-34359",
    "CVE-2024-3660",
    "CVE-2025-10155",
    "CVE-2025-10156",
    "CVE-2025-10157",
    "CVE-2025-12058",
    "CVE-2025-1550",
    "CVE-2025-1716",
    "CVE-2025-1889",
    "CVE-2025-1944",
    "CVE-2025-1945",
    "CVE-2025-23304",
    "CVE-2025-32434",
    "CVE-2025-49655",
    "CVE-2025-51480",
    "CVE-2025-54412",
    "CVE-2025-54413",
    "CVE-2025-54886",
    "CVE-2025-8747",
    "CVE-2025-9905",
    "CVE-2025-9906",
    "CVE-2026-1669",
    "CVE-2026-1839",
    "CVE-2026-24747",
    "CVE-2026-27489",
    "CVE-2026-4372",
    "CVE-2026-5241",
    "CVE-2026-5760",
]


def test_there_are_enough_of_every_family():
    assert len(CONSTRUCTS) >= 500
    assert set(families()) == PUBLISHED


@pytest.mark.parametrize("number", CVES)
def test_every_published_number_is_covered(number):
    assert any(number in construct.reference for construct in CONSTRUCTS)


def test_ids_are_unique_and_everything_says_where_it_comes_from():
    assert len({construct.id for construct in CONSTRUCTS}) == len(CONSTRUCTS)
    for construct in CONSTRUCTS:
        assert re.fullmatch(r"[a-z0-9-]+/[A-Za-z0-9_.>-]+", construct.id), construct.id
        assert len(construct.title.split()) >= 2
        assert len(construct.reference) >= 6


def test_no_two_constructs_are_the_same_files():
    seen = {}
    for construct in CONSTRUCTS:
        key = tuple(sorted((name, repr(content)) for name, content in construct.build().items()))
        assert key not in seen, f"{construct.id} and {seen[key]}"
        seen[key] = construct.id


def test_building_twice_gives_the_same_bytes():
    assert all(dict(construct.build()) == dict(construct.build()) for construct in CONSTRUCTS)


def test_nothing_in_them_reaches_the_network_or_harms():
    for construct in CONSTRUCTS:
        for content in construct.build().values():
            data = content if isinstance(content, bytes) else b""
            hosts = re.findall(rb"(?:https?|ftp)://([A-Za-z0-9.-]+)", data)
            assert all(host.endswith((b".invalid", b"git-lfs.github.com")) for host in hosts), construct.id
            assert not re.search(rb"rm -rf|curl |wget |/bin/bash|nc -", data), construct.id


def test_writing_makes_files_links_and_pipes(tmp_path):
    files = {"a/b.txt": b"x", "l": Link("a"), "p": Pipe()}
    Construct("f/n", "a title", "CWE-1", lambda: files).write(tmp_path)
    assert (tmp_path / "a" / "b.txt").read_bytes() == b"x"
    assert (tmp_path / "l").is_symlink()
    assert (tmp_path / "p").is_fifo()


class Names(PickleJudge):
    """Keeps what is imported and how often something is called."""

    def __init__(self, source):
        super().__init__(Examination("m", source.size), source)
        self.names, self.calls = [], 0

    def imported(self, found, offset):
        self.names.append(found.name)
        return False

    def called(self, callee, args, offset, use):
        self.calls += 1


def walked(data):
    source = MemorySource("m", "", data)
    names = Names(source)
    try:
        Machine(source, names).run()
    except MalformedError:
        names.names.append("broken")
    return names


@pytest.mark.parametrize("construct", [c for c in CONSTRUCTS if c.family == "pickle-callable"], ids=lambda c: c.id)
def test_a_callable_is_imported_and_called(construct):
    names = walked(construct.build()["model.pkl"])
    assert names.names == [
        construct.id.partition("/")[2].replace("__builtin__", "builtins").replace("commands", "subprocess")
    ] or ("broken" not in names.names)
    assert names.calls == 1


def test_the_classic_calls_in_both_forms():
    assert walked(HOSTILE).names == walked(OLD_HOSTILE).names == ["os.system"]
    long = walked(program(call(stack_name("a", "b"), text("x" * 300))))
    assert (long.names, long.calls) == (["a.b"], 1)


def test_a_truthful_zip_is_what_zipfile_reads():
    data = raw_zip([Member(b"a.txt", b"hello"), Member(b"b.txt", b"x" * 500, method=8)])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.read("a.txt") == b"hello"


def test_the_writers_agree_with_the_real_libraries(tmp_path):
    np = pytest.importorskip("numpy", reason="numpy is not installed")
    from safetensors.numpy import load

    assert np.load(io.BytesIO(npy("<f4")), allow_pickle=False).shape == (4,)
    assert load(HONEST_WEIGHTS)["weight"].shape == (4,)
    assert varint(300) == b"\xac\x02"


def test_the_hdf5_writer_agrees_with_the_real_library(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    target = hdf5_external_target("/elsewhere", "/w")
    (tmp_path / "m.h5").write_bytes(hdf5([hdf5_attribute("keras_version", "3"), hdf5_link("w", 64, target)]))
    with h5py.File(tmp_path / "m.h5") as file:
        assert file.attrs["keras_version"] == b"3"
        assert file.get("w", getlink=True).filename == "/elsewhere"


@pytest.mark.parametrize(("family", "rules"), [("secrets", "SEC-"), ("dependencies", "DPD-")])
def test_what_travels_beside_the_weights_is_named_by_its_own_rules(family, rules):
    for result in examine(construct for construct in CONSTRUCTS if construct.family == family):
        assert result.answer is ConstructAnswer.NAMED, result.construct.id
        assert all(rule.startswith(rules) for rule in result.rules), result.construct.id
