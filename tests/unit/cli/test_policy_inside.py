"""Nothing that a policy names may lie in the target, for every verb that takes both."""

import hashlib
import json

import pytest

from tests.support.policies import KEY
from tests.support.releases import write_release
from tests.support.verbs import call
from zt_gate.cli import admit, approve, check, keygen, verify
from zt_gate.cli.evaluate.measure import _scan_policy
from zt_gate.cli.evaluate.ticket import add_arguments, run
from zt_gate.errors import UsageError
from zt_gate.rulings.backdoor_calibration import DEFAULT, to_json

HEAD = 'apiVersion: zt-gate/v1\nkind: Policy\nmetadata: {name: t}\nextends: ["pack:baseline"]\n'
ROOT = b"{}"
CALIBRATION = json.dumps(to_json(DEFAULT)).encode()
JWKS = b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'
WAIVERS = b"apiVersion: zt-gate/v1\nkind: Waivers\nwaivers: []\n"
NAMED = {
    "key": (KEY.encode(), "trust: {keys: [{id: a, file: %s}]}\n"),
    "certificate authority": (KEY.encode(), "trust: {certificates: [{id: a, subject: a@b.c, file: %s}]}\n"),
    "trusted root": (ROOT, "trust: {trusted_root: {file: %s, sha256: " + hashlib.sha256(ROOT).hexdigest() + "}}\n"),
    "key set": (JWKS, "trust: {issuers: [{issuer: 'https://i', jwks: %s}]}\n"),
    "calibration": (
        CALIBRATION,
        "stages: {production: {backdoor: {calibration: {file: %s, sha256: "
        + hashlib.sha256(CALIBRATION).hexdigest()
        + "}}}}\n",
    ),
    "waivers file": (WAIVERS, "waivers_file: %s\n"),
}


class Ticket:
    add_arguments, run = staticmethod(add_arguments), staticmethod(run)


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.delenv("ZT_GATE_PASSPHRASE", raising=False)
    write_release(tmp_path / "model")
    call(keygen, "--out", tmp_path / "keys", "--name", "team")
    return tmp_path


def words_of(verb, site):
    policy = ("--policy", site / "p.yaml", "--stage", "production")
    key = ("--key", site / "keys" / "team.key")
    if verb is check:
        return (site / "model", *policy)
    if verb is approve:
        return (site / "model", *policy, "--reason", "looked at all of it", *key)
    return (site / "model", *policy, "--data", site / "data.npz", *key, "--out", site / "ticket.json")


@pytest.mark.parametrize("verb", [check, approve, Ticket])
@pytest.mark.parametrize("what", NAMED)
@pytest.mark.parametrize("through", ["directly", "link", "folder"])
def test_a_file_that_the_policy_names_is_refused_in_the_target(site, verb, what, through):
    data, text = NAMED[what]
    (site / "model" / "named").write_bytes(data)
    name = {"directly": "model/named", "link": "link", "folder": "elsewhere/named"}[through]
    (site / "link").symlink_to(site / "model" / "named")
    (site / "elsewhere").symlink_to(site / "model")
    (site / "p.yaml").write_text(HEAD + text % name)
    with pytest.raises(UsageError, match=f"the {what} .* lies inside the target") as caught:
        call(verb, *words_of(verb, site))
    assert caught.value.advice == f"keep the {what} outside, where the model's author cannot write"


@pytest.mark.parametrize("verb", [check, approve, Ticket])
def test_the_policy_itself_is_refused_in_the_target(site, verb):
    (site / "model" / "p.yaml").write_text(HEAD)
    (site / "p.yaml").symlink_to(site / "model" / "p.yaml")
    with pytest.raises(UsageError, match=r"the policy .* lies inside the target"):
        call(verb, *words_of(verb, site))


@pytest.mark.parametrize("option", ["--policy-key", "--summary-key"])
def test_check_takes_no_key_from_the_target(site, option):
    (site / "model" / "k").write_text(KEY)
    (site / "link").symlink_to(site / "model" / "k")
    with pytest.raises(UsageError, match=r"key .* lies inside the target"):
        call(check, site / "model", option, site / "link")


@pytest.mark.parametrize("option", ["--key", "--certificate-authority", "--trusted-root"])
def test_verify_takes_nobody_from_the_target(site, option):
    (site / "model" / "k").write_text(KEY)
    (site / "link").symlink_to(site / "model" / "k")
    who = () if option != "--trusted-root" else ("--key", site / "keys" / "team.pub")
    with pytest.raises(UsageError, match="lies inside the target"):
        call(verify, site / "model", *who, option, site / "link")


@pytest.mark.parametrize("option", ["--key", "--revocation-key", "--revocations"])
def test_admit_takes_nobody_and_no_list_from_the_target(site, option):
    (site / "model" / "k").write_text(KEY)
    (site / "link").symlink_to(site / "model" / "k")
    good = site / "keys" / "team.pub"
    given = {"--key": good, "--revocation-key": good, "--revocations": good, option: site / "link"}
    words = [word for pair in given.items() for word in pair]
    with pytest.raises(UsageError, match="lies inside the target"):
        call(admit, site / "model", "--summary", good, *words)


def test_evaluate_takes_no_waivers_from_the_target(site):
    (site / "model" / "named").write_bytes(WAIVERS)
    (site / "p.yaml").write_text(HEAD + "waivers_file: model/named\n")
    with pytest.raises(UsageError, match=r"the waivers file .* lies inside the target"):
        _scan_policy(str(site / "p.yaml"), None, site / "model")


def test_the_same_files_beside_the_target_are_read(site):
    (site / "named").write_text(KEY)
    (site / "p.yaml").write_text(HEAD + "trust: {keys: [{id: a, file: named}]}\n")
    code, out, err = call(check, *words_of(check, site))
    assert code == 1, out + err
