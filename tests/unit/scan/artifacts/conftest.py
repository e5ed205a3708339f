"""Helpers shared by the artifact tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from zt_gate.domain import Evidence
from zt_gate.intake import Freeze, freeze
from zt_gate.scan.artifacts import ArtifactCheck


@pytest.fixture
def scan() -> Callable[[Path], Evidence]:
    """Run the check on a folder or file."""

    def run(target: Path) -> Evidence:
        with freeze([target], Freeze.HOLD) as frozen:
            return ArtifactCheck().run(frozen)

    return run


@pytest.fixture
def rules(scan, tmp_path: Path) -> Callable[..., set[str]]:
    """Write one file and return the rules that fire on it; a gap shows as `gap`."""

    def run(name: str, data: bytes) -> set[str]:
        folder = tmp_path / f"t{len(list(tmp_path.iterdir()))}"
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(data)
        evidence = scan(folder)
        return {finding.rule for finding in evidence.findings} | ({"gap"} if evidence.gaps else set())

    return run
