import json

import pytest

from zt_gate.domain import Digest
from zt_gate.errors import PolicyError
from zt_gate.policy.load import load_policy, pack_names
from zt_gate.rulings.backdoor_calibration import DEFAULT, to_json

HEAD = 'apiVersion: zt-gate/v1\nkind: Policy\nmetadata: {name: t}\nextends: ["pack:baseline"]\n'
KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""


@pytest.fixture
def policy(tmp_path):
    def write(text, head=HEAD):
        path = tmp_path / "policy.yaml"
        path.write_text(head + text)
        return str(path)

    return write


@pytest.mark.parametrize(
    ("text", "line", "column", "message", "advice"),
    [
        ("stages:\n  production:\n    blok_at: high\n", 7, 5, "unknown key 'blok_at'", "did you mean 'block_at'?"),
        ("stages:\n  production: {block_at: hihg}\n", 6, 26, "'hihg' is not a severity", ""),
        ("stages:\n  production: {block_at: critical}\n", 6, 26, "pack:baseline blocks at high", "use high"),
        ("stages:\n  production: {checks: {}}\n", 6, 15, "an empty `checks` asks for nothing", ""),
        ("stages:\n  production: {checks: {code: opinion}}\n", 6, 31, "requires the check code", "leave it out"),
        ("stages:\n  production: {signature: {by: [nobody]}}\n", 6, 33, "nobody is called 'nobody'", "under `trust`"),
        ("trust: {keys: [{id: a, file: nowhere.pub}]}\n", 5, 30, "cannot read", "relative to the policy file"),
        ("trust: {keys: [{id: a}]}\n", 5, 16, "a key needs `file` or `pem`", ""),
        ("trust: {identities: [{id: a, issuer: i, subject: s}]}\n", 5, 9, "pinned trusted root", "trusted_root"),
        ("metadata: {name: u}\n", 5, 1, "key 'metadata' appears twice", "remove"),
        ("rules: {X: {severity: low}, X: {severity: high}}\n", 5, 29, "appears twice", "remove"),
        ("rules: &a {}\n", 5, 8, "anchors and aliases", "write the value out"),
        ("rules: !!python/object:os.system {}\n", 5, 8, "tag", "remove the tag"),
        ("1: x\n", 5, 1, "key '1' is not text", "quotes"),
        ("rules: [\n", 6, 1, "", "fix the YAML"),
        ("waivers_file: nowhere.yaml\n", 5, 15, "cannot read", "relative to the policy file"),
    ],
)
def test_a_mistake_is_shown_where_it_stands(policy, text, line, column, message, advice):
    with pytest.raises(PolicyError) as caught:
        load_policy(policy(text))
    assert (caught.value.line, caught.value.column) == (line, column)
    assert message in caught.value.message
    assert advice in caught.value.advice


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("apiVersion: zt-gate/v2\nkind: Policy\nmetadata: {name: t}\n", "zt-gate/v1"),
        ("kind: Policy\n", "apiVersion is missing"),
        ("", "object"),
        (HEAD + "---\na: 1\n", "another document"),
        (HEAD.replace("pack:baseline", "pack:baselin"), "there is no pack"),
        (HEAD.replace("pack:baseline", "baseline"), "there is no pack"),
        ('apiVersion: zt-gate/v1\nkind: Policy\nmetadata: {name: t, expires: 2027-06-30}\n', "not a UTC instant"),
        ('apiVersion: zt-gate/v1\nkind: Policy\nmetadata: {name: 7}\n', "valid string"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_policy_is_refused(policy, head, message):
    with pytest.raises(PolicyError, match=message):
        load_policy(policy("", head=head))


def test_a_private_key_in_a_policy_is_refused(policy, tmp_path):
    (tmp_path / "a.key").write_text("-----BEGIN PRIVATE KEY-----\n")
    with pytest.raises(PolicyError, match="private key"):
        load_policy(policy("trust: {keys: [{id: a, file: a.key}]}\n"))


def test_a_swapped_trusted_root_is_refused(policy, tmp_path):
    (tmp_path / "root.json").write_text("{}")
    text = "trust: {trusted_root: {file: root.json, sha256: %s}}\n"
    assert load_policy(policy(text % Digest.of(b"{}").hex)).policy.trust.trusted_root.json_text == "{}"
    with pytest.raises(PolicyError, match=r"root.json is sha256"):
        load_policy(policy(text % Digest.of(b"other").hex))


def test_the_digest_covers_the_key_and_not_where_it_lies(policy, tmp_path):
    for name in ("a.pub", "b.pub"):
        (tmp_path / name).write_text(KEY)
    text = "trust: {keys: [{id: a, file: %s}]}\n"
    one, other = load_policy(policy(text % "a.pub")).digest, load_policy(policy(text % "b.pub")).digest
    assert one == other
    (tmp_path / "a.pub").write_text(KEY.replace("Gb9", "Gb8"))
    assert load_policy(policy(text % "a.pub")).digest != one


def test_a_waiver_runs_for_at_most_90_days_and_has_two_people(policy, tmp_path):
    waiver = (
        "apiVersion: zt-gate/v1\nkind: Waivers\nwaivers:\n"
        "  - {id: w, rule: ART-102, subject: 'sha256:%s', owner: ann, approved_by: %s,\n"
        "     reason: 'reviewed by hand on the ticket', ticket: ML-1, created: '2026-01-01T00:00:00Z', expires: '%s'}\n"
    )
    digest = Digest.of(b"").hex

    def load(who, expires):
        (tmp_path / "waivers.yaml").write_text(waiver % (digest, who, expires))
        return load_policy(policy("waivers_file: waivers.yaml\n")).policy

    assert load("bob", "2026-04-01T00:00:00Z").waivers[0].id == "w"
    with pytest.raises(PolicyError, match="90 days"):
        load("bob", "2026-04-02T00:00:00Z")
    with pytest.raises(PolicyError, match="same person"):
        load("ann", "2026-02-01T00:00:00Z")


@pytest.mark.parametrize("name", pack_names())
def test_packs_load_trust_nobody_and_require_the_artifact_check(name):
    loaded = load_policy(f"pack:{name}").policy
    assert loaded.trust.ids == []
    assert loaded.waivers == ()
    assert all(stage.checks["artifacts"] == "required" for stage in loaded.stages.values())


def test_strict_is_nowhere_looser_than_baseline():
    baseline, strict = load_policy("pack:baseline").policy, load_policy("pack:strict").policy
    for name, stage in baseline.stages.items():
        assert strict.stages[name].threshold <= stage.threshold
        assert stage.checks.items() <= strict.stages[name].checks.items()
        assert (strict.stages[name].signature is None) <= (stage.signature is None)


@pytest.mark.parametrize("target", ["/dev/zero", "/proc/self/mem", "/", "/dev/null"])
def test_a_policy_that_is_no_file_is_an_error(target):
    with pytest.raises(PolicyError):
        load_policy(target)


CALIBRATED = "stages: {s: {backdoor: {calibration: {file: %s, sha256: %s}}}}\n"


def test_a_calibration_is_read_and_counts_for_the_digest_by_what_it_says(policy, tmp_path):
    data = json.dumps(to_json(DEFAULT)).encode()
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_bytes(data)
    first, second = (load_policy(policy(CALIBRATED % (name, Digest.of(data).hex))) for name in ("a.json", "b.json"))
    assert first.policy.stages["s"].backdoor.calibration.json_text == data.decode()
    assert first.digest == second.digest
    other = json.dumps({**to_json(DEFAULT), "name": "others"}).encode()
    (tmp_path / "a.json").write_bytes(other)
    assert load_policy(policy(CALIBRATED % ("a.json", Digest.of(other).hex))).digest != first.digest


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{}", "this is no calibration"),
        (b"not json", "no strict JSON"),
        (b'{"a": 1, "a": 2}', "no strict JSON"),
        (json.dumps({**to_json(DEFAULT), "schema": "zt-gate/backdoor-calibration/v9"}).encode(), "no calibration"),
    ],
    ids=["empty", "text", "twice", "schema"],
)
def test_what_is_no_calibration_is_refused_where_it_is_named(policy, tmp_path, data, said):
    (tmp_path / "c.json").write_bytes(data)
    with pytest.raises(PolicyError, match=said) as caught:
        load_policy(policy(CALIBRATED % ("c.json", Digest.of(data).hex)))
    assert (caught.value.line, caught.value.column) == (5, 45)
    assert "zt-gate evaluate calibrate" in caught.value.advice


def test_an_edited_calibration_is_refused(policy, tmp_path):
    (tmp_path / "c.json").write_text(json.dumps(to_json(DEFAULT)))
    with pytest.raises(PolicyError, match=r"c\.json is sha256:") as caught:
        load_policy(policy(CALIBRATED % ("c.json", "0" * 64)))
    assert "who changed it" in caught.value.advice
