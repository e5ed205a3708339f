"""Plain bandit, started as its users start it, finds our rules by their entry points."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from zt_gate.scan.code.rules import RULES

ROOT = Path(__file__).parents[4]
ENTRY_POINTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["bandit.plugins"]
CODE = """import torch, yaml
from grpc import insecure_channel as c
c("a.example:1"); c("b.example:1")
torch.hub.load("a/b", "c")
yaml.load(x)
exec(y)  # nosec B908
"""


@pytest.fixture
def bandit(tmp_path):
    """A way to run plain bandit where zt-gate is installed with the entry points of this pyproject."""
    info = tmp_path / "site" / "entries-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: entries\nVersion: 0\n")
    lines = [f"{name} = {target}" for name, target in ENTRY_POINTS.items()]
    (info / "entry_points.txt").write_text("\n".join(["[bandit.plugins]", *lines, ""]))

    def run(code, *options):
        path = tmp_path / "a.py"
        path.write_text(code)
        site = str(tmp_path / "site")
        program = f"import sys; sys.path[:0] = [{site!r}, {str(ROOT)!r}]; import bandit.cli.main as m; m.main()"
        command = [sys.executable, "-c", program, "-q", "-f", "json", *options, str(path)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={"XDG_CACHE_HOME": str(tmp_path)}
        )
        return {(item["test_id"], item["line_number"]) for item in json.loads(done.stdout)["results"]}

    return run


def test_every_rule_is_offered_to_bandit():
    assert {target.rsplit("_", 1)[-1] for target in ENTRY_POINTS.values()} == {rule.id[4:] for rule in RULES}


def test_plain_bandit_reports_our_rules_beside_its_own(bandit):
    found = bandit(CODE)
    assert {("B918", 3), ("B903", 4), ("B933", 5), ("B506", 5), ("B907", 6)} <= found
    assert ("B908", 6) not in found, "plain bandit honours what its user wrote; the gate does not"


def test_bandit_can_be_asked_for_one_of_our_rules(bandit):
    assert bandit(CODE, "-t", "B918") == {("B918", 3)}


def test_honest_code_is_left_alone(bandit):
    assert bandit("import json\n\n\ndef f(x):\n    return json.dumps(x)\n") == set()
