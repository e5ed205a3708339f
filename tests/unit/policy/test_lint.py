"""Each lint fires on what it is for, at its place, and stays silent on an honest policy."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.policies import HEAD, KEY
from zt_gate.policy.catalog import rule_ids
from zt_gate.policy.lint import check_for_rule, lint
from zt_gate.policy.load import open_policy, pack_names
from zt_gate.policy.model import STATEMENTS
from zt_gate.policy.rules_folder import rules_folder
from zt_gate.scan.plan import CHECKS

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BASE = HEAD + 'extends: ["pack:baseline"]\n'
PEM = "".join(f"        {line}\n" for line in KEY.splitlines())
TRUST = f"trust:\n  keys:\n    - id: ann\n      pem: |\n{PEM}"
HONEST = (
    BASE + TRUST + "stages:\n  staging:\n    signature: {by: [ann]}\n  production:\n    signature: {by: [ann]}\n"
    "rules:\n  ART-541: {severity: high}\n"
)
ROOT = "  trusted_root: {file: root.json, sha256: 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a%s}\n"
IDENTITIES = BASE + "trust:\n" + ROOT % ', fetched: "2026-05-20T00:00:00Z", max_age_days: 90' + "  identities:\n"
GITHUB = "https://token.actions.githubusercontent.com"


@pytest.fixture
def linted(tmp_path):
    (tmp_path / "root.json").write_text("{}")

    def run(text, now=NOW):
        path = tmp_path / "p.yaml"
        path.write_text(text)
        loaded, own, source = open_policy(path)
        return lint(loaded, own, source, now=now, within=timedelta(days=30), checks=CHECKS)

    return run


def test_an_honest_policy_has_no_problem(linted):
    assert linted(HONEST) == []


def with_stage(text):
    return HONEST.replace("  production:\n    signature: {by: [ann]}\n", f"  production:\n{text}")


def identity(text):
    return IDENTITIES + f"    - {{id: bot, {text}}}\n"


@pytest.mark.parametrize(
    ("code", "text", "line", "words"),
    [
        ("no-expiry", HONEST.replace(', expires: "2099-01-01T00:00:00Z"', ""), 3, "never expires"),
        ("expired", HONEST.replace("2099-01-01", "2026-01-01"), 3, "the policy expired"),
        ("expiring", HONEST.replace("2099-01-01", "2026-06-20"), 3, "expires in 19 days"),
        ("unknown-rule", HONEST.replace("ART-541", "ART-5411"), 18, "no rule 'ART-5411'"),
        ("no-effect", HONEST.replace("severity: high", "severity: low"), 18, "ART-541 is medium already"),
        ("dead-rule", HONEST.replace("ART-541: {severity: high", "TST-003: {severity: critical"), 18, "asks for tests"),
        ("unknown-check", with_stage("    signature: {by: [ann]}\n    checks: {artefacts: opinion}\n"), 17, "no ch"),
        ("not-enforced", with_stage("    signature: {by: [ann]}\n    mode: warn\n"), 17, "mode warn"),
        ("effective-past", with_stage("    effective: \"2026-05-31T00:00:00Z\"\n"), 16, "pass"),
        ("unreachable", with_stage("    signature: {by: [ann], count: 2}\n"), 16, "asks for 2 different persons"),
        ("nobody", with_stage("    signature: {count: 1}\n"), 16, "counts nobody"),
        ("no-builder", with_stage("    signature: {by: [ann]}\n    provenance: {by: [ann]}\n"), 17, "no builder"),
        ("unpinned", with_stage("    provenance: {by: [ann], builders: [b]}\n"), 16, "any"),
        ("unused", HONEST.replace("by: [ann]", "by: []"), 7, "nothing asks for 'ann'"),
        ("same-key", HONEST.replace("stages:", f"    - id: ann2\n      pem: |\n{PEM}stages:"), 12, "counts once"),
        (
            "same-key",
            HONEST.replace("stages:", f"    - id: bob\n      person: bob\n      pem: |\n{PEM}stages:"),
            12,
            "bob and ann are one key, registered for two persons",
        ),
        ("no-required-check", HEAD + "stages: {s: {checks: {code: opinion}}}\n", 4, "requires no check"),
        ("no-stage", HEAD, 1, "no stage"),
        ("root-undated", BASE + "trust:\n" + ROOT % "", 6, "how fresh"),
        ("impossible", identity(f'issuer: "{GITHUB[8:]}", subject: "https://github.com/a/b"'), 8, "starts with"),
        ("impossible", identity(f'issuer: "{GITHUB}/", subject: "https://github.com/a/b"'), 8, "slash"),
        ("impossible", identity(f'issuer: "{GITHUB}", subject: "https://github.com/a/*"'), 8, "itself"),
        ("impossible", identity(f'issuer: "{GITHUB}", subject: "ann@acme.example"'), 8, "starts with"),
        ("impossible", identity('issuer: "https://acme.example", subject: "ann @acme.example"'), 8, "white space"),
    ],
)  # fmt: skip
def test_a_lint_fires_where_the_matter_stands(linted, code, text, line, words):
    found = {item.code: item for item in linted(text) if words in item.error.message}
    assert code in found, [(item.code, item.error.message) for item in linted(text)]
    assert found[code].error.line == line
    assert found[code].error.advice


def test_a_root_that_nears_its_end_is_told(linted):
    text = identity(f'issuer: "{GITHUB}", subject_pattern: "https://github.com/acme/*"')
    assert "expiring" not in {item.code for item in linted(text)}
    assert "expiring" in {item.code for item in linted(text, NOW + timedelta(days=60))}
    assert "expired" in {item.code for item in linted(text, NOW + timedelta(days=79))}


def test_problems_stand_in_the_order_of_the_file(linted):
    lines = [item.error.line for item in linted(HONEST.replace(", expires", ", expires").replace("ART-541", "X-1"))]
    assert lines == sorted(lines)


ROLES = "roles:\n  author: {may: [submit]}\n  boss: {may: [waive, break-glass]}\n"


def test_a_role_that_may_not_act_leaves_too_few(linted):
    text = HONEST.replace("      pem", "      roles: [boss]\n      pem") + ROLES
    assert {item.code for item in linted(text)} == {"unreachable"}
    assert "0 who may submit" in linted(text)[0].error.message
    assert linted(text.replace("roles: [boss]", "roles: [author]")) == []


def test_one_person_cannot_have_two_duties_that_are_apart(linted):
    approved = "    signature: {by: [ann]}\n    approvals: {by: [ann]}\n"
    text = with_stage(approved) + "separation_of_duties: [{distinct: [author, approver]}]\n"
    (problem,) = linted(text)
    assert (problem.code, "author and approver apart" in problem.error.message) == ("unreachable", True)


def test_the_glass_that_nobody_can_break_is_told(linted):
    (problem,) = linted(HONEST + "break_glass: {by: [ann]}\n")
    assert (problem.code, "break_glass asks for 2" in problem.error.message) == ("unreachable", True)


def test_a_waiver_that_ends_and_one_of_an_unknown_rule_are_told(linted, tmp_path):
    (tmp_path / "waivers.yaml").write_text(
        "apiVersion: zt-gate/v1\nkind: Waivers\nwaivers:\n  - {id: w, rule: ART-9999, "
        f"subject: 'sha256:{'0' * 64}', owner: ann, approved_by: bob, ticket: ML-1,\n"
        "     reason: reviewed on the ticket, created: '2026-05-01T00:00:00Z', expires: '2026-06-09T00:00:00Z'}\n"
    )
    assert {item.code for item in linted(HONEST + "waivers_file: waivers.yaml\n")} == {"expiring", "unknown-rule"}


def test_what_is_never_waived_need_not_be_named(linted):
    found = linted(HONEST + "never_waive: [SIG-001, ART-101, ART-9999]\n")
    assert [item.code for item in found] == ["no-effect", "unknown-rule"]


@pytest.mark.parametrize("name", pack_names())
def test_a_pack_sets_only_rules_that_exist_can_fire_and_are_raised(linted, name):
    text = (rules_folder() / "packs" / f"{name}.yaml").read_text()
    codes = {item.code for item in linted(text)}
    # A pack trusts nobody and has no date of its own: that is for the policy that extends it.
    assert codes <= {"nobody", "no-builder", "unpinned", "no-expiry"}


def test_the_table_of_who_finds_what_names_nobody_who_is_not_there():
    assert {check_for_rule(rule) for rule in rule_ids()} <= {"", *CHECKS, *STATEMENTS}
