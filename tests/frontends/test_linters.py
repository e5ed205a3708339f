"""What we ship, and what `zt-gate init` writes, before the linters of others and our own."""

import json
import re
import shutil

import pytest
import yaml

from tests.support import runners
from tests.support.verbs import call
from zt_gate.cli import init, lint_pipeline
from zt_gate.errors import UsageError
from zt_gate.policy.load import load_policy

pytestmark = pytest.mark.frontends
SHIPPED = ("action.yml", "actions", ".github", "gitlab", "templates", "jenkins", ".pre-commit-hooks.yaml")
WHATS = ("github", "gitlab", "jenkins", "pre-commit")
PIN = re.compile(r"uses: [^@\s]+@[0-9a-f]{40} # v[0-9.]+$")


@pytest.fixture
def shipped(tmp_path):
    root = tmp_path / "shipped"
    root.mkdir()
    for name in SHIPPED:
        source = runners.ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, root / name)
    return root


@pytest.fixture
def started(tmp_path):
    root = tmp_path / "started"
    root.mkdir()
    for what in WHATS:
        assert call(init, what, "--root", root)[0] == 0
    return root


def passes(root, *command):
    done = runners.run([runners.tool(command[0]), *command[1:]], root, runners.environment(root.parent))
    assert done.returncode == 0, done.stdout + done.stderr


def lint_github(root):
    passes(root, "zizmor", "--offline", "--no-progress", "--persona=auditor", ".")
    for path in sorted((root / ".github" / "workflows").glob("*.yml")):
        passes(root, "actionlint", "-color=false", path.relative_to(root))
        passes(root, "check-jsonschema", "--builtin-schema", "vendor.github-workflows", path)


def test_github(shipped):
    runners.repository(shipped)
    lint_github(shipped)
    actions = [shipped / "action.yml", *sorted(shipped.glob("actions/*/action.yml"))]
    assert len(actions) == 5
    passes(shipped, "check-jsonschema", "--builtin-schema", "vendor.github-actions", *actions)
    for path in (*actions, shipped / ".github" / "workflows" / "zt-gate.yml"):
        uses = [line.strip().removeprefix("- ") for line in path.read_text().splitlines() if "uses:" in line]
        assert [line for line in uses if not line.startswith("#") and not PIN.match(line)] == []
    (numpy,) = re.findall(r"numpy==\S+", (shipped / ".github" / "workflows" / "zt-gate.yml").read_text())
    assert numpy in (runners.ROOT / "constraints.txt").read_text().splitlines()


def test_no_input_is_put_into_a_script(shipped):
    for path in (*shipped.glob("**/action.yml"), *shipped.glob(".github/workflows/*.yml")):
        scripts = re.findall(r"run: (?:\|\n((?: {8,}.*\n)+)|(.*)\n)", path.read_text())
        assert scripts
        assert all("${{" not in "".join(script) for script in scripts)


def test_the_root_action_is_that_of_the_folder(shipped):
    """The Marketplace wants one at the root; it differs in nothing but where it finds the others."""
    inner = (shipped / "actions" / "check" / "action.yml").read_text()
    assert (shipped / "action.yml").read_text() == inner.replace("action_path }}/../..", "action_path }}")


def component_parts(text):
    """Return the header of a component, and its jobs as GitLab fills them in, which no schema of pipelines knows."""
    header, jobs = yaml.safe_load_all(text)
    inputs = {name: about.get("default", "given") for name, about in header["spec"]["inputs"].items()}
    assert set(re.findall(r"\$\[\[ inputs\.(.*?) \]\]", json.dumps(jobs))) == set(inputs)
    filled = re.sub(r"\$\[\[ inputs\.(.*?) \]\]", lambda found: inputs[found[1]], json.dumps(jobs))
    return json.dumps(header), filled


def test_gitlab(shipped):
    schema = ("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci")
    passes(shipped, *schema, shipped / "gitlab" / "zt-gate.gitlab-ci.yml")
    for name in ("check", "evaluate"):
        component = (shipped / "gitlab" / "templates" / name / "template.yml").read_text()
        assert component == (shipped / "templates" / name / "template.yml").read_text()
        assert "allow_failure: false" in component
        for part, text in zip(("spec", "jobs"), component_parts(component), strict=True):
            (shipped / f"{name}.{part}.yml").write_text(text)
            passes(shipped, *schema, shipped / f"{name}.{part}.yml")
    component = (shipped / "gitlab" / "templates" / "check" / "template.yml").read_text()
    classic = (shipped / "gitlab" / "zt-gate.gitlab-ci.yml").read_text()
    assert "allow_failure: false" in classic
    assert re.findall(r"    - .*(?:zt-gate|set --).*", component)[-1].split("--dotenv")[0] in classic


def test_hooks(shipped):
    passes(shipped, "pre-commit", "validate-manifest", shipped / ".pre-commit-hooks.yaml")
    ids = re.findall(r"^- id: (\S+)", (shipped / ".pre-commit-hooks.yaml").read_text(), re.MULTILINE)
    assert ids == ["zt-gate", "zt-gate-code", "zt-gate-policy", "zt-gate-pipeline"]


@pytest.mark.parametrize("folder", ["shipped", "started"])
def test_our_own_linter(request, folder):
    code, out, _ = call(lint_pipeline, request.getfixturevalue(folder), "--verbose")
    assert code == 0, out


def test_the_example_for_jenkins_is_gated(shipped):
    (shipped / "Jenkinsfile").write_text(
        (shipped / "jenkins" / "Jenkinsfile").read_text().replace("ztAdmit", "echo //")
    )
    assert call(lint_pipeline, shipped)[0] == 0
    ungated = (shipped / "Jenkinsfile").read_text().replace("ztGate target", "echo target")
    (shipped / "Jenkinsfile").write_text(ungated)
    assert call(lint_pipeline, shipped)[0] == 1


def test_what_init_writes(started):
    runners.repository(started)
    lint_github(started)
    schema = ("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci")
    passes(started, *schema, started / ".gitlab-ci.yml")
    passes(started, "pre-commit", "validate-config", started / ".pre-commit-config.yaml")
    passes(started, "prek", "validate-config", started / ".pre-commit-config.yaml")


def test_init_never_writes_over_a_file_unasked(tmp_path):
    (tmp_path / "Jenkinsfile").write_text("mine\n")
    with pytest.raises(UsageError, match="already"):
        call(init, "jenkins", "--root", tmp_path)
    assert (tmp_path / "Jenkinsfile").read_text() == "mine\n"
    assert call(init, "jenkins", "--root", tmp_path, "--force")[0] == 0
    assert "zt-gate" in (tmp_path / "Jenkinsfile").read_text()


@pytest.mark.parametrize("name", ["a b", "$(x)", "-x", "a'b", "a\nb", "${{x}}", ""])
def test_init_takes_no_path_that_would_be_a_command(tmp_path, name):
    with pytest.raises(UsageError, match="unsafe in a pipeline"):
        call(init, "github", "--root", tmp_path, f"--target={name}")
    assert list(tmp_path.iterdir()) == []


def test_init_writes_a_policy_that_loads(tmp_path):
    from zt_gate.cli import keygen

    assert call(keygen, "--out", tmp_path / "keys", "--name", "release")[0] == 0
    with pytest.raises(UsageError, match="must name the keys"):
        call(init, "policy", "--root", tmp_path)
    assert call(init, "policy", "--root", tmp_path, "--key", tmp_path / "keys" / "release.pub")[0] == 0
    assert load_policy(str(tmp_path / "zt-gate.yaml")).policy.trust.keys[0].id == "release"
