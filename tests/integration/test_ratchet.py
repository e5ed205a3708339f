"""`zt-gate ratchet`: what is new in a release is said, line by line, and nothing is said where nothing is new."""

import faulthandler
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.support.releases import write_release
from zt_gate.corpus.archives import plain_zip
from zt_gate.corpus.messages import field
from zt_gate.corpus.opcodes import call, program, stack_name
from zt_gate.intake import Freeze, freeze
from zt_gate.isolation.limits import WorkerLimits
from zt_gate.scan import inventory
from zt_gate.scan.inventory import KINDS, compare, take_inventory

ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}


def external_model(location):
    """Return an ONNX model whose one initializer lies in another file."""
    entry = field(13, field(1, "location") + field(2, location))
    weight = field(1, 4) + field(2, 1) + field(8, "w") + entry + field(14, 1)
    node = field(1, "x") + field(1, "w") + field(2, "y") + field(4, "Add")
    graph = field(1, node) + field(2, "g") + field(5, weight)
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17))


HONEST_PICKLE = program(call(stack_name("collections", "OrderedDict")))


def gate(*words):
    done = subprocess.run(
        [sys.executable, "-m", "zt_gate", "ratchet", *map(str, words)],
        env=ENV, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def releases(tmp_path):
    """Two releases that are the same."""
    old = write_release(tmp_path / "old")
    (old / "state.pkl").write_bytes(HONEST_PICKLE)
    (old / "helper.py").write_text("import json\njson.loads('{}')\n")
    shutil.copytree(old, tmp_path / "new")
    return old, tmp_path / "new"


def new_things(releases):
    with freeze([releases[0]], Freeze.HOLD) as old, freeze([releases[1]], Freeze.HOLD) as new:
        added = compare(take_inventory(old), take_inventory(new)).added
    assert {item.kind for item in added} <= set(KINDS)
    return {(item.kind, item.value) for item in added}


def test_nothing_is_new_in_a_copy(releases):
    assert new_things(releases) == set()
    done = gate(*releases)
    assert (done.returncode, done.stdout) == (0, "nothing is new in this release\n")


EDITS = {
    "an import in a pickle": ("state.pkl", program(call(stack_name("acme", "Thing"))), ("import", "acme.Thing")),
    "an import in an archive": (
        "m.zip", plain_zip({"a.pkl": program(call(stack_name("acme", "Inner")))}), ("import", "acme.Inner")),
    "a call in the code": ("helper.py", b"import os\nos.getcwd()\n", ("code-call", "os.getcwd")),
    "an import in the code": ("helper.py", b"import json, socket\njson.loads('{}')\n", ("code-import", "socket")),
    "a loader": ("MLmodel", b"flavors:\n  python_function:\n    loader_module: helper\n",
                 ("model", "flavors.python_function.loader_module = helper")),
    "a shard": ("model.safetensors.index.json", b'{"weight_map": {"w": "other.safetensors"}}',
                ("external", "other.safetensors")),
    "external data": ("m.onnx", external_model("weights.bin"), ("external", "weights.bin")),
    "a format": ("m.pkl", HONEST_PICKLE, ("file", "m.pkl (file)")),
    "a program": ("run.so", b"\x7fELF" + bytes(60), ("format", "executable")),
    "a finding": ("c.yaml", b"_target_: os.system\n", ("finding", "ART-303 os.system")),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_what_is_new_is_named(name, releases):
    path, data, expected = EDITS[name]
    (releases[1] / path).write_bytes(data)
    assert expected in new_things(releases)
    done = gate(*releases)
    assert done.returncode == 1
    assert expected[1] in done.stdout


def test_a_template_is_known_by_its_digest(releases):
    for release, text in zip(releases, ("{{ a }}", "{{ b }}"), strict=True):
        (release / "tokenizer_config.json").write_text(json.dumps({"chat_template": text}))
    assert [kind for kind, _ in new_things(releases)] == ["template"]


def test_what_cannot_be_examined_is_new_unless_the_bytes_are_the_same(releases):
    for release in releases:
        (release / "odd.bin").write_bytes(bytes(range(200, 255)))
    assert new_things(releases) == set()
    (releases[1] / "odd.bin").write_bytes(bytes(range(199, 254)))
    assert {kind for kind, _ in new_things(releases)} == {"unexamined"}


def test_code_that_cannot_be_read_is_new(releases):
    (releases[1] / "helper.py").write_text("def f(:\n")
    assert "unexamined" in {kind for kind, _ in new_things(releases)}


def test_what_went_away_is_not_new(releases):
    (releases[0] / "extra.json").write_text("{}\n")
    (releases[0] / "gone.pkl").write_bytes(program(call(stack_name("acme", "Gone"))))
    assert new_things(releases) == set()
    assert "acme.Gone" in gate(*releases, "--verbose").stdout


def test_json_says_the_same_in_a_document_of_its_own(releases):
    (releases[1] / "more.pkl").write_bytes(program(call(stack_name("acme", "Thing"))))
    done = gate(*releases, "--format", "json")
    value = json.loads(done.stdout)
    assert (value["schema"], value["exit_code"], done.returncode) == ("zt-gate/ratchet/v1", 1, 1)
    assert {"kind": "import", "value": "acme.Thing", "paths": ["more.pkl"]} in value["added"]
    assert value["old"] != value["new"]


def test_an_error_is_no_answer(releases, tmp_path):
    assert gate(releases[0], tmp_path / "nowhere").returncode == 2
    assert gate(releases[0]).returncode == 2


def crash(_file):
    faulthandler.disable()  # pytest's own, which would print a page
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(_file):
    time.sleep(60)


def eat(_file):
    return bytearray(1 << 40)


@pytest.mark.parametrize(("what", "why"), [(crash, "SIGSEGV"), (hang, "longer than the limit"), (eat, "memory")])
def test_a_file_that_breaks_its_reader_is_new_and_the_others_are_told(releases, monkeypatch, what, why):
    """The reader really dies: the worker is a fork, so what is patched here runs there."""
    honest = inventory.examine_file
    broken = releases[1] / "broken.pkl"
    broken.write_bytes(HONEST_PICKLE)
    (releases[1] / "zz.pkl").write_bytes(program(call(stack_name("acme", "Thing"))))
    monkeypatch.setattr(
        inventory, "examine_file", lambda file, *rest: (what if "broken" in file.path else honest)(file, *rest)
    )
    limits = WorkerLimits(wall_seconds=5.0)
    with freeze([releases[1]], Freeze.HOLD) as frozen:
        monkeypatch.setattr(inventory, "_checked", lambda _frozen: iter(()))  # has limits of its own, and tests of them
        found = {
            item for item, paths in take_inventory(frozen, limits).items() if item.kind in ("unexamined", "import")
        }
    assert ("import", "acme.Thing") in {(item.kind, item.value) for item in found}
    [gap] = [item.value for item in found if item.kind == "unexamined"]
    assert gap.startswith("broken.pkl sha256:")
    assert why in gap


@pytest.mark.parametrize(
    "answer", [b"", b"[]]", b"{}x", b'[["import"]]', b'[["nonsense", "x"]]', b'[["import", 7]]', b"7"]
)
def test_a_worker_that_talks_nonsense_has_examined_nothing(releases, answer):
    with freeze([releases[0]], Freeze.HOLD) as frozen:
        [item] = inventory._told(frozen, "state.pkl", answer)
    assert item.kind == "unexamined"


def test_a_text_that_is_code_and_a_pickle_at_once_is_told_as_both(releases):
    (releases[1] / "helper.py").write_bytes(b"cposix\nsystem\n.")
    assert ("import", "posix.system") in new_things(releases)
