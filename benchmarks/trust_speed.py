"""Time what stands between a signed verdict and a running model, in turn with plain hashing and with model-signing.

    python benchmarks/trust_speed.py [--gigabytes 4] [--runs 5] [--out benchmarks/results]

All commands get the same folder of safetensors files, in one run and in turn: hashlib over its bytes, `zt-gate admit`,
`zt-gate admit --fast`, and `model_signing verify key`, which is installed into an environment of its own below
build/peers. Inside one process are timed: one Sigstore bundle with everything loaded, and freezing the unchanged
folder with the hashes of an earlier run. The page cache is warm, so the disk is not measured.
Writes trust_speed.json and trust_speed.md; its files lie below build/ and are removed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from peer_sets import write_safetensors
from scan_speed import measure

ROOT = Path(__file__).parent.parent
PEER = ROOT / "build" / "peers" / "model-signing"
PACKAGES = ["model-signing==1.1.1", "pyOpenSSL"]  # it needs pyOpenSSL without declaring it
FILES = 4
HASH = """
import hashlib, sys
for path in sys.argv[1:]:
    with open(path, 'rb') as stream:
        print(hashlib.file_digest(stream, 'sha256').hexdigest())
"""


def install_peer() -> Path:
    """Return the command of model-signing, installed once."""
    command = PEER / "bin" / "model_signing"
    if not command.exists():
        venv.create(PEER, clear=True, with_pip=True)
        words = ["install", "--quiet", "--disable-pip-version-check", "-c", str(ROOT / "constraints.txt"), *PACKAGES]
        subprocess.run([str(PEER / "bin" / "python"), "-m", "pip", *words], check=True)
    return command


def gate(folder: Path, *words: str) -> None:
    """Run zt-gate in a folder, and stop where it does not allow."""
    subprocess.run([sys.executable, "-m", "zt_gate", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def prepare(folder: Path, gigabytes: float, signer: Path) -> None:
    """Write the release, the gate's signed summary of it, and an OMS signature over it."""
    (folder / "model").mkdir(parents=True)
    for number in range(FILES):
        path = folder / "model" / f"model-{number}.safetensors"
        write_safetensors(path, int(gigabytes * 1e9 / FILES))
    gate(folder, "keygen", "--name", "gate", "--type", "ecdsa")
    summary = ("--summary", "summary.json", "--summary-key", "gate.key", "--summary-fast")
    gate(folder, "check", "model", "--policy", "pack:baseline", "--stage", "dev", *summary)
    words = ["sign", "key", "model", "--private_key", "gate.key", "--signature", "model.sig"]
    subprocess.run([str(signer), *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def commands(folder: Path, signer: Path) -> dict[str, list[str]]:
    """Return what is timed as whole processes."""
    model = str(folder / "model")
    files = sorted(str(path) for path in (folder / "model").iterdir())
    admit = [sys.executable, "-m", "zt_gate", "admit", model, "--summary", str(folder / "summary.json")]
    admit += ["--key", str(folder / "gate.pub"), "--stage", "dev"]
    peer = [str(signer), "verify", "key", model, "--public_key", str(folder / "gate.pub")]
    return {
        "hashlib sha256": [sys.executable, "-c", HASH, *files],
        "zt-gate admit": admit,
        "zt-gate admit --fast": [*admit, "--fast"],
        "model_signing verify key": [*peer, "--signature", str(folder / "model.sig")],
    }


def timed(work: Callable[[], object], runs: int) -> dict[str, float]:
    """Return the median, smallest and largest of the wall seconds; the first, cold, run is left out."""
    seconds = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    warm = seconds[1:]
    return {"median_s": statistics.median(warm), "min_s": min(warm), "max_s": max(warm)}


def time_bundle(runs: int) -> dict[str, float]:
    """Time the verification of one Sigstore bundle, from its bytes to the names of its signers."""
    sys.path.insert(0, str(ROOT / "tests"))
    from tests.support.private_sigstore import PrivateSigstore
    from zt_gate.domain import Digest, Entry, Manifest, Mode, Subject
    from zt_gate.policy.trust_roots import Identity, Trust, TrustedRoot
    from zt_gate.trust.evidence_folder import EvidenceFile
    from zt_gate.trust.people.signers import Signers
    from zt_gate.trust.statements.statement import manifest_statement
    from zt_gate.trust.verify import verify_evidence_file

    now = datetime(2026, 11, 1, 12, tzinfo=UTC)
    sigstore = PrivateSigstore(now)
    subject = Subject("model", Manifest.of([Entry("model.bin", 1, Mode.FILE, Digest.of(b"1").hex)]))
    who, issuer = "https://forge.test/acme/release.yml@refs/heads/main", "https://token.test"
    bundle = json.dumps(sigstore.sign_statement(manifest_statement(subject), who, issuer)).encode()
    root = TrustedRoot(file="root.json", sha256="0" * 64, json_text=sigstore.trusted_root())
    signers = Signers(Trust(identities=(Identity("ci", issuer, subject=who),), trusted_root=root), now)
    item = verify_evidence_file(EvidenceFile("bundle.json", bundle), signers, subject)
    if not item.signers:
        raise SystemExit(f"the bundle does not verify: {item.problem or item.untrusted_signer}")
    return timed(lambda: verify_evidence_file(EvidenceFile("bundle.json", bundle), signers, subject), max(runs, 50))


def time_unchanged(folder: Path, runs: int) -> dict[str, float]:
    """Time the freezing of the release where every hash is known from an earlier run."""
    from zt_gate.intake import Freeze, freeze
    from zt_gate.intake.authenticated_cache import AuthenticatedCache
    from zt_gate.intake.hash_cache import HashCache

    kept = AuthenticatedCache(folder / "cache")
    reused = []

    def once() -> None:
        with freeze([folder / "model"], Freeze.HOLD, hash_cache=HashCache(kept)) as frozen:
            assert frozen.subject.digest  # held files are hashed beside the process until somebody asks
            reused.append(frozen.reused)

    row = timed(once, max(runs, 5))
    kept.close()
    if set(reused[1:]) != {FILES}:
        raise SystemExit(f"hashes were not reused on this file system: {reused}")
    return row


def main() -> None:
    """Measure, print, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    signer, folder = install_peer(), ROOT / "build" / "trust-speed"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        prepare(folder, args.gigabytes, signer)
        rows = measure(commands(folder, signer), args.runs)
        rows["unchanged folder frozen again, in process"] = time_unchanged(folder, args.runs)
        rows["one Sigstore bundle, in process"] = time_bundle(args.runs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    failed = [name for name, row in rows.items() if row.get("exit", 0) != 0]
    if failed:
        raise SystemExit(f"did not verify, so nothing was measured: {', '.join(failed)}")
    facts = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux, Python {platform.python_version()}",
        "gigabytes": args.gigabytes,
        "runs": args.runs,
        "rows": rows,
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "trust_speed.json").write_text(json.dumps(facts, indent=2) + "\n")
    (args.out / "trust_speed.md").write_text(table(facts))
    print(table(facts))


def table(facts: dict) -> str:
    """Return the figures as Markdown."""
    lines = [
        (
            f"{facts['date']}, {facts['machine']}; {facts['gigabytes']:g} GB in {FILES} files, page cache warm; "
            f"median of {facts['runs']} in turn after a warm-up."
        ),
        "",
        "| what | median s | min-max s | times hashlib |",
        "|---|---|---|---|",
    ]
    base = facts["rows"]["hashlib sha256"]["median_s"]
    for name, row in facts["rows"].items():
        spread = f"{row['min_s']:.4f}-{row['max_s']:.4f}"
        times = f"{row['median_s'] / base:.2f}" if "exit" in row else "-"
        lines.append(f"| {name} | {row['median_s']:.4f} | {spread} | {times} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
