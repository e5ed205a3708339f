"""One more requirement takes two files: the table, and a module under trust/ that answers it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
KIND = '''
@dataclass(frozen=True, slots=True)
class Licence:
    """Somebody who may says that the release may be used."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    by: tuple[Identifier, ...] = ordered(AllowedList())
    seats: Count | None = ordered(HigherIsStricter(default=3))


@dataclass(frozen=True, slots=True)
class Requirements:
'''
ANSWER = """
from zt_gate.trust.requirements.requirement import missing

KINDS = ("https://example.com/licence/v1",)


def licence_evidence(context, requirement, statements):
    return missing("licence", context.subject, f"licence for {requirement.seats} seats", "buy one", statements)
"""
PROOF = """
import json
from datetime import UTC, datetime
from tests.support.policies import SUBJECT, loaded, policy
from zt_gate.policy.break_glass import OVERRIDABLE
from zt_gate.policy.diff import compare
from zt_gate.policy.judge import judge
from zt_gate.policy.lint import check_for_rule
from zt_gate.policy.merge import merge
from zt_gate.policy.roles import ACT_OF, DUTY_OF
from zt_gate.policy.schema import policy_schema
from zt_gate.policy.strictness import Loosening
from zt_gate.policy.waivers import is_never_waived
from zt_gate.trust.collect import Context, collect

NOW = datetime(2026, 1, 1, tzinfo=UTC)
pack, lax = (policy(stages={"s": {"licence": value}}) for value in ({}, {"seats": 2}))
assert policy_schema()["$defs"]["Stage"]["properties"]["licence"]
try:
    merge(pack, lax, "pack:p")
except Loosening as error:
    assert error.path == ("stages", "s", "licence", "seats"), error.path
else:
    raise AssertionError("merged")
assert [(c.setting, c.direction) for c in compare(pack, lax)] == [("licence.seats", "looser")]
assert (ACT_OF["licence"], DUTY_OF.get("licence"), check_for_rule("LIC-001")) == ("approve", None, "licence")
assert "licence" in OVERRIDABLE and is_never_waived("LIC-001")
stage = pack.stages["s"]
context = Context(SUBJECT, "s", loaded(pack).digest, NOW)
(found,) = collect(context, stage, pack.trust, [], pack)
assert (found.check, str(found.status)) == ("licence", "missing"), found
assert {r.check for r in judge(SUBJECT, [found], loaded(pack), "s", NOW).reasons} >= {"licence"}
"""


def test_a_requirement_is_a_class_and_a_row_and_who_answers_it(tmp_path):
    shutil.copytree(ROOT / "zt_gate", tmp_path / "zt_gate", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "rules").symlink_to(ROOT / "rules")
    table = tmp_path / "zt_gate" / "policy" / "requirements.py"
    text = table.read_text()
    field = "    continuity: Continuity | None = ordered(Obligation())\n"
    row = '    "continuity": Requirement('
    more = '    "licence": Requirement("zt_gate.trust.licence:licence_evidence", "approve", "LIC"),\n'
    for old, new in (
        ("\n@dataclass(frozen=True, slots=True)\nclass Requirements:\n", KIND),
        (field, field + field.replace("continuity", "licence").replace("Continuity", "Licence")),
        (row, more + row),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    table.write_text(text)
    (tmp_path / "zt_gate" / "trust" / "licence.py").write_text(ANSWER)
    path = os.pathsep.join(map(str, (tmp_path, ROOT / "tests")))
    done = subprocess.run(
        [sys.executable, "-c", PROOF], env=os.environ | {"PYTHONPATH": path}, cwd=tmp_path, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
