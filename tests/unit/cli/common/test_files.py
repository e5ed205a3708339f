import os

import pytest

from zt_gate.cli.common.files import write_atomically
from zt_gate.errors import ToolError


def test_writing_is_whole_and_leaves_nothing_else(tmp_path) -> None:
    path = tmp_path / "m.evidence" / "x.json"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["x.json"]
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ToolError, match="cannot write"):
        write_atomically(tmp_path / "file" / "x.json", b"")
