"""`zt-gate lint-pipeline` as a person runs it."""

import json

import pytest

from tests.support.pipelines import GITHUB, HONEST, WORKFLOW
from tests.support.verbs import call
from zt_gate.cli import lint_pipeline
from zt_gate.errors import TargetError, UsageError


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_repository_is_allowed(make_tree, name):
    path, text = HONEST[name]
    root = make_tree({path: text.encode(), "src/a.py": b"", "node_modules/x/action.yml": b"["})
    code, out, _ = call(lint_pipeline, root)
    assert (code, "ALLOW" in out) == (0, True)


def test_a_bypass_is_blocked_with_its_place_in_every_format(make_tree):
    bad = GITHUB.replace("needs: [notify]", "needs: [build]")
    root = make_tree({WORKFLOW: bad.encode()})
    code, out, _ = call(lint_pipeline, root)
    line = bad.splitlines().index("  deploy:") + 1
    assert (code, f"{WORKFLOW}:{line}" in out, "[PIP-101]" in out) == (1, True, True)
    code, out, _ = call(lint_pipeline, root, "--format", "json")
    report = json.loads(out)
    assert (code, report["decision"], report["reasons"][0]["path"]) == (1, "block", WORKFLOW)
    code, out, _ = call(lint_pipeline, root, "--format", "sarif")
    (result,) = json.loads(out)["runs"][0]["results"]
    assert (code, result["ruleId"]) == (1, "PIP-101")
    assert result["locations"][0]["physicalLocation"]["region"]["startLine"] == line
    assert call(lint_pipeline, root, "--exempt", "deploy")[0] == 0


def test_a_repository_without_pipelines_is_no_pass(make_tree, tmp_path):
    with pytest.raises(UsageError, match="no pipeline"):
        call(lint_pipeline, make_tree({"a.py": b""}))
    with pytest.raises(TargetError):
        call(lint_pipeline, tmp_path / "gone")


def test_a_link_out_of_the_repository_is_an_error(make_tree, tmp_path):
    (tmp_path / "elsewhere.yml").write_text(GITHUB)
    root = make_tree({"a.py": b""})
    (root / ".github" / "workflows").mkdir(parents=True)
    (root / WORKFLOW).symlink_to(tmp_path / "elsewhere.yml")
    with pytest.raises(TargetError, match="lies outside"):
        call(lint_pipeline, root)
