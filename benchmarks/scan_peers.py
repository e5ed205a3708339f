"""Measure the gate beside other scanners on the same files: what is stopped, what is let in, how long it takes.

    python benchmarks/scan_peers.py [--every 1] [--timeout 120] [--speed-timeout 300] [--only NAME] [--skip speed]

Every scanner is installed into an environment of its own below build/peers and run as a whole process with its
defaults. Hostile files are those of `zt-gate selftest`, honest ones those of honest_corpus.py. Nothing is ever loaded.
Writes scan_peers.json and scan_peers.md.

What an exit code means: *flagged* names something, *blocked* stops a pipeline without naming it (an error, a file that
was skipped, an unfinished examination, a time-out), *silent* is exit code 0.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import pickle
import platform
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from honest_corpus import install as install_honest
from honest_corpus import make as make_honest
from honest_corpus import samples as honest_samples

HERE = Path(__file__).parent
ROOT = HERE.parent / "build" / "peers"
QUIET = {**os.environ, "CI": "1", "PROMPTFOO_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "NO_COLOR": "1"}


@dataclass(frozen=True, slots=True)
class Tool:
    """One scanner."""

    name: str
    words: tuple[str, ...]
    """The command, without the path that is scanned."""
    packages: tuple[str, ...] = ()
    flagged: frozenset[int] = frozenset({1})
    folders: bool = True
    """Whether it takes folders; otherwise each file is given to it and the worst answer counts."""


@dataclass(slots=True)
class Run:
    """One finished process."""

    code: int
    wall: float
    cpu: float
    peak_mb: float
    timed_out: bool = False


@dataclass(slots=True)
class Figures:
    """What one tool did on one set."""

    answers: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    rows: dict[str, str] = field(default_factory=dict)


def peer(name: str, *words: str, command: str = "", **more: object) -> Tool:
    """Describe a scanner in an environment of its own."""
    binary = str(ROOT / name / "bin" / (command or name))
    return Tool(" ".join([name, *[word for word in words if word == "--strict"]]), (binary, *words), **more)  # type: ignore[arg-type]


TOOLS = (
    Tool("zt-gate", (sys.executable, "-m", "zt_gate", "scan", "--format", "json")),
    peer("modelscan", "-p", packages=("modelscan",)),
    peer("picklescan", "-l", "ERROR", "-p", packages=("picklescan",)),
    peer("picklescan", "-l", "ERROR", "--strict", "-p", packages=("picklescan",)),
    # fickling 0.1.12 imports typing_extensions below Python 3.12 without asking for it.
    peer("fickling", "--check-safety", packages=("fickling", "typing_extensions"), folders=False),
    peer("modelaudit", "scan", "--no-cache", packages=("modelaudit",)),
    peer("hayward", "scan", packages=("hayward",)),
)


def install(tool: Tool) -> str:
    """Install a scanner and return its version, or an empty string where that fails."""
    if not tool.packages:
        from zt_gate import __version__

        return __version__
    folder = ROOT / tool.packages[0]
    python = str(folder / "bin" / "python")
    if not Path(python).exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *tool.packages]
    if subprocess.run(pip, check=False, capture_output=True, timeout=900).returncode:
        return ""
    ask = f"import importlib.metadata as m; print(m.version({tool.packages[0]!r}))"
    return subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False).stdout.strip()


def execute(words: list[str], timeout: float) -> tuple[Run, bytes]:
    """Run a command to its end or the time-out; children are killed with it."""
    with tempfile.TemporaryFile() as out:
        start = time.perf_counter()
        process = subprocess.Popen(
            words, stdout=out, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=QUIET, start_new_session=True
        )
        status, usage, late = _wait(process.pid, timeout)
        process.returncode = os.waitstatus_to_exitcode(status)
        run = Run(
            process.returncode,
            time.perf_counter() - start,
            usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss / 1024,
            late,
        )
        out.seek(0)
        return run, out.read()


def _wait(pid: int, timeout: float) -> tuple[int, resource.struct_rusage, bool]:
    late = threading.Event()

    def end() -> None:
        late.set()
        os.killpg(pid, signal.SIGKILL)

    timer = threading.Timer(timeout, end)
    timer.start()
    try:
        _, status, usage = os.wait4(pid, 0)
    finally:
        timer.cancel()
    return status, usage, late.is_set()


def answer(tool: Tool, path: Path, timeout: float) -> tuple[str, Run]:
    """Scan one path and tell what the tool's exit code amounts to."""
    if path.is_dir() and not tool.folders:
        parts = [answer(tool, file, timeout) for file in sorted(path.rglob("*")) if file.is_file()]
        if not parts:
            return "blocked", Run(2, 0, 0, 0)
        worst = min(parts, key=lambda part: ("flagged", "blocked", "silent").index(part[0]))
        total = Run(
            worst[1].code, sum(p[1].wall for p in parts), sum(p[1].cpu for p in parts), max(p[1].peak_mb for p in parts)
        )
        return worst[0], total
    run, out = execute([*tool.words, str(path)], timeout)
    if run.timed_out:
        return "blocked", run
    if tool.name == "zt-gate" and run.code == 1:
        named = any(reason["code"] == "finding" for reason in json.loads(out)["reasons"])
        return ("flagged" if named else "blocked"), run
    if run.code in tool.flagged:
        return "flagged", run
    return ("silent" if run.code == 0 else "blocked"), run


def prepared(kind: str, folder: Path) -> list[tuple[str, Path]]:
    """Have a set written by another process: the peak memory of a child begins with that of whoever started it."""
    folder.mkdir(parents=True)
    subprocess.run([sys.executable, __file__, "--prepare", kind, str(folder)], check=True)
    return [(name, Path(path)) for name, path in json.loads((folder / "cases.json").read_text())]


# --- the sets ----------------------------------------------------------------------------------------------------


def hostile(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write the constructs out and yield them: the file where there is one, else the folder."""
    from zt_gate.scan.selftest.construct import Pipe
    from zt_gate.scan.selftest.registry import all_constructs

    for construct in all_constructs():
        if any(isinstance(content, Pipe) for content in construct.build().values()):
            continue  # a scanner that opens a pipe would wait for ever; this is no contest about that
        place = folder / construct.id
        place.mkdir(parents=True)
        construct.write(place)
        files = [path for path in place.rglob("*") if not path.is_dir()]
        yield construct.id, files[0] if len(files) == 1 else place


def speed(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write the files whose scanning time is compared."""
    folder.mkdir(parents=True, exist_ok=True)
    tiny = folder / "tiny.pkl"
    tiny.write_bytes(pickle.dumps({"a": 1}, 4))
    yield "tiny pickle", tiny
    yield "7 MB pickle, 2.3 M opcodes", _pickle(folder / "small.pkl", 1)
    yield "120 MB pickle, 39 M opcodes", _pickle(folder / "large.pkl", 17)
    block = os.urandom(1 << 20)
    path = folder / "big.safetensors"
    header = json.dumps({"w": {"dtype": "U8", "shape": [1 << 30], "data_offsets": [0, 1 << 30]}}).encode()
    _write(path, struct.pack("<Q", len(header)) + header, block, 1024)
    yield "1 GB safetensors", path
    yield "560 MB torch zip", _torch_zip(folder / "model.pt", block, 560)
    yield "500 MB ONNX", _onnx(folder / "model.onnx", block, 500)
    many = folder / "many"
    many.mkdir()
    for number in range(2000):
        (many / f"{number}.json").write_text(f'{{"id": {number}}}\n')
    yield "2,000 small files", many


def _pickle(path: Path, times: int) -> Path:
    """Write nested lists, dicts and tuples of small numbers and short texts, 2.3 million opcodes a time."""
    rows = [
        {"id": i % 256, "xy": (i % 7, i % 11, i * 0.5), "n": [i % 256] * 6 + [i % 60000], "t": f"t{i}"}
        for i in range(115_000)
    ]
    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, 2)
    pickler.dump(rows)
    body = stream.getvalue()[2:-1]
    path.write_bytes(b"\x80\x02(" + body * times + b"l.")
    return path


def _write(path: Path, head: bytes, block: bytes, megabytes: int) -> None:
    with path.open("wb") as stream:
        stream.write(head)
        for _ in range(megabytes):
            stream.write(block)


def _torch_zip(path: Path, block: bytes, megabytes: int) -> Path:
    from zt_gate.scan.selftest.opcodes import call, name, program, text

    storage = b"(" + text("storage") + name("torch", "FloatStorage") + text("0") + text("cpu")
    size = megabytes << 18
    count = b"J" + struct.pack("<i", size)
    tensor = call(name("torch._utils",
     "_rebuild_tensor_v2"), storage + count + b"tQ", b"K\x00", count + b"\x85", b"K\x01\x85",
                  b"\x89", call(name("collections", "OrderedDict")))  # fmt: skip
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program(b"}" + text("w") + tensor + b"s", 2))
        archive.writestr("archive/version", b"3\n")
        with archive.open("archive/data/0", "w", force_zip64=True) as stream:
            for _ in range(megabytes):
                stream.write(block)
    return path


def _onnx(path: Path, block: bytes, megabytes: int) -> Path:
    from zt_gate.scan.selftest.messages import field as proto
    from zt_gate.scan.selftest.messages import varint

    size = megabytes << 20
    fields = proto(1, size // 4) + proto(2, 1) + proto(8, "w")
    raw = varint(9 << 3 | 2) + varint(size)
    tensor_size = len(fields) + len(raw) + size
    node = proto(1, proto(1, "x") + proto(1, "w") + proto(2, "y") + proto(4, "Add"))
    start = proto(2, "g") + node + varint(5 << 3 | 2) + varint(tensor_size) + fields + raw
    graph_size = len(start) + size
    head = proto(1, 8) + proto(8, proto(1, "") + proto(2, 17)) + varint(7 << 3 | 2) + varint(graph_size) + start
    _write(path, head, block, megabytes)
    return path


# --- the measurement ---------------------------------------------------------------------------------------------


def detect(tools: list[Tool], cases: list[tuple[str, Path]], timeout: float) -> dict[str, Figures]:
    """Give every case to every tool, in turn."""
    figures = {tool.name: Figures() for tool in tools}
    for name, path in cases:
        for tool in tools:
            said, run = answer(tool, path, timeout)
            mine = figures[tool.name]
            mine.answers[said] += 1
            mine.seconds += run.wall
            mine.rows[name] = f"{said} {run.code}" + (" time-out" if run.timed_out else "")
    return figures


def clock(tools: list[Tool], cases: list[tuple[str, Path]], timeout: float) -> dict[str, dict[str, dict[str, object]]]:
    """Time every tool on every case: one run each after a run on a tiny file, so that imports are warm."""
    rows: dict[str, dict[str, dict[str, object]]] = {}
    for name, path in cases:
        rows[name] = {}
        for tool in tools:
            if path.is_dir() and not tool.folders:
                continue
            said, run = answer(tool, path, timeout)
            rows[name][tool.name] = {
                "answer": said, "exit": run.code, "wall_s": round(run.wall, 3), "cpu_s": round(run.cpu, 3),
                "peak_mb": round(run.peak_mb), "timed_out": run.timed_out,
            }  # fmt: skip
    return rows


def main() -> None:
    """Install, measure, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="take each N-th case only")
    parser.add_argument("--timeout", type=float, default=120, help="seconds for one detection run")
    parser.add_argument("--speed-timeout", type=float, default=300, help="seconds for one speed run")
    parser.add_argument("--only", action="append", default=[], help="only this tool; may be repeated")
    parser.add_argument("--skip", action="append", default=[], choices=["hostile", "honest", "speed"])
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--prepare", nargs=2, metavar=("KIND", "DIR"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.prepare:
        maker = {"hostile": hostile, "speed": speed}[args.prepare[0]]
        folder = Path(args.prepare[1])
        cases = [(name, str(path)) for name, path in maker(folder)]
        (folder / "cases.json").write_text(json.dumps(cases))
        return
    wanted = [tool for tool in TOOLS if not args.only or tool.name in args.only]
    versions = {tool.name: install(tool) for tool in wanted}
    tools = [tool for tool in wanted if versions[tool.name]]
    facts: dict[str, object] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux, Python {platform.python_version()}",
        "every": args.every,
        "timeout_s": args.timeout,
        "versions": {name: version or "did not install" for name, version in versions.items()},
    }
    with tempfile.TemporaryDirectory() as scratch:
        if "hostile" not in args.skip:
            cases = prepared("hostile", Path(scratch, "hostile"))[:: args.every]
            facts["hostile"] = _plain(detect(tools, cases, args.timeout))
            write(facts, args.out)
        if "honest" not in args.skip:
            install_honest(ROOT.parent / "honest")
            make_honest(ROOT.parent / "honest")
            honest = [(sample.name, sample.path) for sample in honest_samples(ROOT.parent / "honest")][:: args.every]
            facts["honest"] = _plain(detect(tools, honest, args.timeout))
            write(facts, args.out)
        if "speed" not in args.skip:
            facts["speed"] = clock(tools, prepared("speed", Path(scratch, "speed")), args.speed_timeout)
            write(facts, args.out)
    print(table(facts))


def write(facts: dict[str, object], folder: Path) -> None:
    """Write what has been measured so far: each part takes long enough to be interrupted."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scan_peers.json").write_text(json.dumps(facts, indent=1) + "\n")
    (folder / "scan_peers.md").write_text(table(facts))


def _plain(figures: dict[str, Figures]) -> dict[str, dict[str, object]]:
    return {
        name: {**{said: mine.answers[said] for said in ("flagged", "blocked", "silent")},
               "seconds": round(mine.seconds, 1), "rows": mine.rows}
        for name, mine in figures.items()
    }  # fmt: skip


def table(facts: dict) -> str:
    """Return the figures as Markdown."""
    lines = [
        f"{facts['date']}, {facts['machine']}; whole processes with default options, one after the other"
        + (f", each {facts['every']}th case" if facts["every"] > 1 else "") + ".",
        "",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in facts["versions"].items()) + ".",
    ]  # fmt: skip
    titles = {"hostile": ("Hostile constructs", "named", "stopped without a name", "**let through**"),
              "honest": ("Honest models",
               "**false alarm**", "**stopped without a finding**", "let through")}  # fmt: skip
    for part, (title, flagged, blocked, silent) in titles.items():
        if part in facts:
            lines += [
                "",
                f"| {title} | cases | {flagged} | {blocked} | {silent} | seconds |",
                "|---|---|---|---|---|---|",
            ]
            for name, row in facts[part].items():
                cases = len(row["rows"])
                lines.append(
                    f"| {name} | {cases} | {row['flagged']} | {row['blocked']} | {row['silent']} | {row['seconds']} |"
                )
    if "speed" in facts:
        names = [name for name, version in facts["versions"].items() if version != "did not install"]
        lines += ["", "| wall s / peak MB (answer) | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        for case, row in facts["speed"].items():
            cells = [_cell(row.get(name)) for name in names]
            lines.append(f"| {case} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(run: dict | None) -> str:
    if run is None:
        return "-"
    late = "> " if run["timed_out"] else ""
    return f"{late}{run['wall_s']:.2f} / {run['peak_mb']} ({run['answer']})"


if __name__ == "__main__":
    main()
