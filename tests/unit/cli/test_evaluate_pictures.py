"""Recovered triggers are left as pictures beside the statement, whatever sizes an untrusted worker gives."""

from types import SimpleNamespace

import pytest

numpy = pytest.importorskip("numpy")

from zt_gate.cli.evaluate import measure  # noqa: E402 - numpy has to be there first


def test_triggers_become_pictures_and_oversized_or_empty_ones_are_left_out(tmp_path):
    triggers = {
        "patch.mask": numpy.zeros((1, 4, 5), dtype="float32"),
        "additive.pattern": numpy.zeros((3, 4, 5), dtype="float32"),
        "patch.pattern": numpy.zeros((3, 1000, 1000), dtype="float32"),
    }
    measure._show_triggers(tmp_path, SimpleNamespace(triggers=triggers))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "backdoor-additive-pattern.png",
        "backdoor-patch-mask.png",
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())
