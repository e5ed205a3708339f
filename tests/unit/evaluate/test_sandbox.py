"""What hostile pickles of every kind get to do in a worker: nothing, and it is on record."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.support.models import TABLE, hostile_pickle
from zt_gate.errors import ToolError
from zt_gate.evaluate.remote import OutOfMemoryError, Patience, RemoteModel, TroubleError
from zt_gate.evaluate.sandbox import parent as parent_module
from zt_gate.evaluate.sandbox import start
from zt_gate.evaluate.sandbox.confine import SandboxBounds
from zt_gate.evaluate.sandbox.parent import Sandbox

FORK_EXEC = (
    "import _posixsubprocess, os\n"
    "r, w = os.pipe()\n"
    "_posixsubprocess.fork_exec([b'/usr/bin/touch', b'{mark}'], [b'/usr/bin/touch'], True, (w,), None, None, "
    "-1, -1, -1, -1, -1, -1, r, w, False, False, -1, None, None, None, -1, None, False)\n"
)
QUIET = "try:\n    {code}\nexcept BaseException:\n    pass\n"
PAYLOADS = {
    "os.system": (os.system, "touch {mark}"),
    "posix.system": (exec, "import posix; posix.system('touch {mark}')"),
    "exec of os.system": (exec, "import os; os.system('touch {mark}')"),
    "subprocess.Popen": (subprocess.Popen, ["touch", "{mark}"]),
    "file write": (exec, "open('{mark}', 'w').write('x')"),
    "own memory": (exec, "open('/proc/self/mem', 'r+b', 0)"),
    "socket": (exec, "import socket; socket.create_connection(('127.0.0.1', {port}), 2)"),
    "native fork and exec": (exec, FORK_EXEC),
    "native fork and exec, errors hidden": (exec, QUIET.format(code=FORK_EXEC.replace("\n", "\n    "))),
    "ctypes system": (exec, "import ctypes; ctypes.CDLL(None).system(b'touch {mark}')"),
    "ctypes socket": (exec, "import ctypes; ctypes.CDLL(None).socket(2, 1, 0)"),
    "ctypes fork": (exec, "import ctypes; ctypes.CDLL(None).fork()"),
    "fork": (exec, "import os; os.fork()"),
    "kill the parent": (exec, "import os; os.kill(os.getppid(), 9)"),
    "another user's files": (exec, "import os; os.chmod('{secret}', 0o777)"),
    "more hooks": (exec, "import sys; sys.addaudithook(print)"),
}
SNEAKY = {
    "read the signing key": (exec, "open('{secret}').read()"),
    "list the home folder": (exec, "import os; os.listdir('{home}')"),
}
# The kernel does the same work inside of namespaces, so a few payloads are enough there.
CASES = [(name, False) for name in PAYLOADS] + [(name, True) for name in ("file write", "socket", "ctypes fork")]


@pytest.fixture(scope="module")
def listener():
    """A server that notes whether anybody got through to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        reached = []
        stop = threading.Event()

        def accept():
            while not stop.is_set():
                try:
                    reached.append(server.accept())
                except TimeoutError:
                    continue

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1], reached
        stop.set()
        thread.join()


def load(
    folder: Path, namespaces: bool, patience: Patience | None = None, bounds: SandboxBounds | None = None
) -> Sandbox:
    with Sandbox(folder, bounds, namespaces=namespaces) as sandbox:
        RemoteModel(
            sandbox, "torch-pickle", folder / "m.pt", TABLE, device="cpu", patience=patience or Patience(60, 30, 30)
        )
        return sandbox


def write(folder: Path, function, *arguments) -> None:
    # torch.load(weights_only=False) reads a bare pickle of protocol 2 behind its own magic number; joblib does as well.
    (folder / "m.pt").write_bytes(hostile_pickle(function, *arguments))


def filled(value, **names):
    if isinstance(value, list):
        return [filled(item, **names) for item in value]
    for name, text in names.items():
        value = value.replace("{" + name + "}", str(text))
    return value


@pytest.mark.parametrize(("payload", "namespaces"), CASES)
def test_a_payload_is_contained_and_reported(tmp_path, listener, payload, namespaces):
    port, reached = listener
    needs(namespaces)
    model, mark, secret = tmp_path / "model", tmp_path / "open" / "mark", tmp_path / "secret"
    model.mkdir()
    mark.parent.mkdir(mode=0o777)
    mark.parent.chmod(0o777)
    secret.write_text("key")
    function, argument = PAYLOADS[payload]
    write(model, function, filled(argument, mark=mark, port=port, secret=secret))
    with pytest.raises(TroubleError) as trouble:
        load(model, namespaces)
    assert trouble.value.rule == "EVL-105", trouble.value
    assert not mark.exists()
    assert not reached
    assert secret.stat().st_mode & 0o777 != 0o777


@pytest.mark.parametrize(("payload", "namespaces"), [(name, False) for name in SNEAKY])
def test_what_only_reads_finds_nothing(tmp_path, payload, namespaces):
    needs(namespaces)
    model, secret = tmp_path / "model", tmp_path / "secret"
    model.mkdir()
    secret.write_text("key")
    secret.chmod(0o644)
    function, argument = SNEAKY[payload]
    write(model, function, filled(argument, secret=secret, home=Path.home()))
    with pytest.raises(TroubleError, match=r"PermissionError|FileNotFoundError") as trouble:
        load(model, namespaces)
    assert trouble.value.rule == "EVL-106"


def test_nothing_of_our_environment_reaches_the_worker(tmp_path, monkeypatch):
    monkeypatch.setenv("ZT_GATE_PASSPHRASE", "correct horse")
    write(tmp_path, exec, "import os; raise ValueError(sorted(os.environ))")
    with pytest.raises(TroubleError) as trouble:
        load(tmp_path, namespaces=False)
    assert "OMP_NUM_THREADS" in trouble.value.message
    assert "PASSPHRASE" not in trouble.value.message


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os; os._exit(3)", "status 3"),
        ("while True: pass", "no answer to load: after 5 s"),
        ("import time; time.sleep(600)", "no answer to load: after 5 s"),
        ("raise SystemExit(0)", "status 0"),
        ("raise RuntimeError('no such layer')", "no such layer"),
        ("import os\nfor fd in range(3, 20):\n  try: os.write(fd, b'\\xff' * 4096)\n  except OSError: pass", "E"),
    ],
    ids=["exits", "loops", "sleeps", "leaves quietly", "raises", "writes nonsense on every line"],
)
def test_a_worker_that_does_not_answer_is_named(tmp_path, code, said):
    write(tmp_path, exec, code)
    with pytest.raises(TroubleError, match=r"EVL-10[56]") as trouble:
        load(tmp_path, namespaces=False, patience=Patience(5 if "after 5 s" in said else 60, 60, 60))
    assert said in str(trouble.value)


def test_a_model_that_eats_memory_is_stopped(tmp_path):
    write(tmp_path, exec, "held = []\nwhile True: held.append(bytearray(1 << 28))")
    with pytest.raises(OutOfMemoryError):
        load(tmp_path, namespaces=False, bounds=SandboxBounds(memory=4 << 30))


def test_a_worker_leaves_nothing_behind(tmp_path):
    write(tmp_path, exec, "import time; time.sleep(600)")
    with Sandbox(tmp_path, namespaces=False) as sandbox:
        child, scratch = sandbox._child, sandbox._scratch
        assert not child.exited()
        assert scratch.exists()
    assert child.ended
    assert not scratch.exists()


def test_a_worker_ends_when_its_parent_is_killed(tmp_path):
    write(tmp_path, exec, "import time; time.sleep(600)")
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom zt_gate.evaluate.sandbox.parent import Sandbox\n"
        f"sandbox = Sandbox(Path({str(tmp_path)!r}), namespaces=False)\n"
        "print(sandbox._child.pid, sandbox._scratch, flush=True)\ntime.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        pid, scratch = parent.stdout.readline().split()
        assert Path(f"/proc/{pid}").exists()
        parent.kill()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and ") Z " not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    Path(scratch).rmdir()


def test_without_a_kernel_to_help_the_level_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(parent_module, "level_of", lambda layers, devices: f"{sorted(layers)} {devices}")
    with Sandbox(tmp_path, namespaces=False) as sandbox:
        held = sandbox.level
    assert held.name == "['landlock', 'limits', 'seccomp', 'tripwire', 'user'] False"
    assert held.layers["landlock"].startswith("ABI")


def test_a_worker_that_cannot_start_is_an_error_with_a_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(start, "environment", lambda threads, scratch: {"LD_PRELOAD": "/nonexistent"})
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    with pytest.raises(ToolError, match="no worker process"):
        Sandbox(tmp_path, namespaces=False)


def needs(namespaces: bool) -> None:
    """Skip where bubblewrap does not work, and fail where CI should have it."""
    if namespaces and not start.namespaces_work(start.worker_user()):
        if os.environ.get("CI"):
            pytest.fail("bubblewrap does not work here, and CI installs it")
        pytest.skip("bubblewrap does not work here")


def test_a_model_out_of_others_reach_is_not_handed_to_another_user(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o700)
    assert start.worker_user([tmp_path / "locked" / "model"]) is None
