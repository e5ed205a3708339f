"""What the gate says about itself, and what `doctor mlflow`, `promote` and `watch` make of it."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.registry.test_promote import promote, watch
from tests.support.registry_site import Site
from zt_gate.cli.doctor import _ending, _sealed
from zt_gate.errors import ToolError
from zt_gate.intake.sealed.place import Probe
from zt_gate.registry import probes
from zt_gate.registry.gatekeeper import Gatekeeper


def ends_on(days):
    return f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}"


def test_promote_says_until_when(shop, tmp_path, capsys):
    assert promote(tmp_path, "models:/x/1", "--dry-run") == 0
    assert f"would set @staging on models:/x/1 until {ends_on(30)}" in capsys.readouterr().out
    assert promote(tmp_path, "models:/x/1", "--summary-days", "20") == 0
    assert f"@staging until {ends_on(20)}" in capsys.readouterr().out


def test_the_policy_of_the_server_may_end_a_verdict_sooner(shop, tmp_path, capsys):
    Site(tmp_path / "site", "  max_age_days: 10")
    assert promote(tmp_path, "models:/x/1") == 0
    assert f"@staging until {ends_on(10)}" in capsys.readouterr().out
    assert f"{shop.until('x', 'staging'):%Y-%m-%d}" == ends_on(10)
    assert watch(tmp_path) == 0
    said = capsys.readouterr()
    assert f"holds until {ends_on(10)}" in said.out
    assert "promote it again" in said.err
    (line,) = _ending(shop)
    assert line.ok
    assert line.soon
    assert ends_on(10) in line.fact


def test_what_ends_late_is_no_warning(shop, tmp_path, capsys):
    assert promote(tmp_path, "models:/x/1") == 0
    assert watch(tmp_path) == 0
    said = capsys.readouterr()
    assert f"models:/x/1 @staging holds until {ends_on(30)}" in said.out
    assert "promote it again" not in said.err
    assert list(_ending(shop)) == []


def test_what_has_ended_is_bad(shop, tmp_path, monkeypatch):
    assert promote(tmp_path, "models:/x/1", "--summary-days", "5") == 0
    monkeypatch.setattr("zt_gate.cli.doctor.datetime", _Later)
    (line,) = _ending(shop)
    assert not line.ok


class _Later(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + timedelta(days=6)


def test_aliases_without_a_verdict_have_no_end(shop):
    shop._client._get_registry_client().store.set_registered_model_alias("x", "mine", 1)
    assert shop.until("x", "mine") is None
    assert shop.until("x", "nobody") is None
    assert shop.until("nothing", "staging") is None
    assert list(_ending(shop)) == []


def test_a_server_without_the_gate_says_nothing(shop, tmp_path, monkeypatch):
    from zt_gate.registry.client import RegistryClient

    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    plain = RegistryClient()
    assert plain.until("x", "staging") is None
    assert plain.sealed_probes() == []
    assert plain.bucket_policy() == ""


class Place:
    """A place of sealed copies that was seen to do what a test says."""

    root = "s3://models/sealed"

    def __init__(self, *found, policy=None):
        self.found, self.asked = list(found), 0
        if policy is not None:
            self.policy = lambda: policy

    def probe(self):
        self.asked += 1
        return self.found


@pytest.fixture
def served(shop, monkeypatch):
    """Return a function that gives the server a place."""

    def serve(place):
        probes._SEEN.clear()
        monkeypatch.setattr(Gatekeeper, "place", lambda gate: place())
        return shop

    return serve


GOOD, BAD = Probe(True, "versions", "kept"), Probe(False, "If-None-Match", 'ignored | by "it" ü', "use another store")


def test_the_doctor_shows_what_the_place_was_seen_to_do(served):
    place = Place(GOOD, BAD)
    lines = list(_sealed(served(lambda: place)))
    assert [(line.ok, line.fact, line.fix) for line in lines] == [
        (True, "sealed place: s3://models/sealed", ""),
        (True, "versions: kept", ""),
        (False, 'If-None-Match: ignored | by "it" ü', "use another store"),
    ]
    assert place.asked == 1


def test_the_policy_of_a_bucket_is_printed_whole(served):
    policy = json.dumps({"Statement": [{"Sid": f"deny-{n}", "Effect": "Deny"} for n in range(40)]}, indent=2)
    client = served(lambda: Place(GOOD, policy=policy))
    assert client.bucket_policy() == policy
    assert json.loads("\n".join(line.fact for line in _sealed(client) if line.name == "")) == json.loads(policy)
    assert served(lambda: Place(GOOD)).bucket_policy() == ""


def test_a_place_that_cannot_be_used_is_said_with_the_reason(served):
    def nowhere():
        raise ToolError("the server has no place for sealed copies; set ZT_GATE_SEALED", "name a folder")

    (line,) = _sealed(served(nowhere))
    assert not line.ok
    assert "set ZT_GATE_SEALED" in line.fact
    assert line.fix == "name a folder"


@pytest.mark.parametrize("length", [0, 1, 110, 111, 5000])
def test_long_texts_are_cut_and_stay_readable(served, length):
    odd = Probe(False, "x" * length, 'ü"\n\\' * (length // 4), "y" * length)
    (_, found) = served(lambda: Place(odd)).sealed_probes()
    assert found.ok is False
    assert found.name.rstrip("…") == "x" * len(found.name.rstrip("…"))
    assert bool(found.name) is bool(length)


@pytest.mark.parametrize("alias", ["sealed.0", "sealed.99", "sealed.x", "sealed.", "sealed", "policy.1", "x" * 900])
def test_odd_questions_get_an_answer(served, alias):
    client = served(lambda: Place(GOOD))
    assert client._ask("zt-gate.probe", alias)


def test_nobody_can_set_an_alias_that_is_a_question(shop):
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException):
        shop._client._get_registry_client().store.set_registered_model_alias("x", "zt-gate.until.staging", 1)
