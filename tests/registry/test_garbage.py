"""Garbage collection of sealed copies: nothing goes that a version or a verdict in force needs."""

from datetime import UTC, datetime, timedelta

import pytest

from zt_gate.audit import read_events
from zt_gate.cli import registry
from zt_gate.cli.main import main
from zt_gate.domain import Digest
from zt_gate.errors import TargetError
from zt_gate.intake import Freeze, freeze
from zt_gate.registry import garbage
from zt_gate.registry.garbage import Unneeded, need, remove, unneeded
from zt_gate.registry.gatekeeper import Gatekeeper
from zt_gate.registry.tables import SUMMARIES

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=60)
WEEK = timedelta(days=7)


class Memory:
    """A place of sealed copies that is a dictionary."""

    root = "memory://sealed"

    def __init__(self, **copies):
        self.copies = {Digest(digest.removeprefix("d")): NOW - timedelta(days=days) for digest, days in copies.items()}
        self.locked = False

    def kept(self):
        yield from list(self.copies.items())

    def remove(self, digest):
        if self.locked:
            raise TargetError("the bucket keeps it until 2099-01-01")
        self.copies.pop(digest, None)


@pytest.fixture
def digest(model):
    with freeze([model], Freeze.HOLD) as frozen:
        return frozen.digest


@pytest.fixture
def place(digest):
    return Memory(**{f"d{digest.hex}": 30})


@pytest.fixture
def promoted(store, version, site, model):
    """Return the store with models:/x/1 promoted, by a verdict that ends in 30 days."""
    store.gate.submit_summary(store.workspace(), site.summary(model))
    store.set_registered_model_alias("x", "champion", 1)
    return store


def garbage_of(store, place, now=NOW):
    return [copy.digest for copy in unneeded(store.gate.ledger, place, WEEK, now)]


def test_what_a_version_is_sealed_under_stays_even_when_its_verdict_has_ended(promoted, place):
    assert garbage_of(promoted, place) == []
    assert garbage_of(promoted, place, LATER) == []
    promoted.delete_registered_model_alias("x", "champion")
    assert garbage_of(promoted, place, LATER) == []


def test_what_was_deleted_goes_when_its_verdict_has_ended(promoted, place, digest):
    promoted.delete_registered_model_alias("x", "champion")
    promoted.delete_model_version("x", "1")
    assert need(promoted.gate.ledger, digest, NOW) == "a verdict in force"
    assert garbage_of(promoted, place) == []
    assert garbage_of(promoted, place, LATER) == [digest]


def test_a_deleted_model_goes_and_one_of_its_name_keeps_nothing(promoted, place, digest, model):
    promoted.delete_registered_model_alias("x", "champion")
    promoted.delete_registered_model("x")
    promoted.create_registered_model("x")
    promoted.create_model_version("x", "mlflow-artifacts:/0/model")
    assert garbage_of(promoted, place, LATER) == [digest]


def test_a_renamed_model_keeps_its_copy(promoted, place):
    promoted.delete_registered_model_alias("x", "champion")
    promoted.rename_registered_model("x", "y")
    assert garbage_of(promoted, place, LATER) == []


def test_a_verdict_in_force_keeps_what_may_be_promoted_any_moment(store, version, site, model, place):
    store.gate.submit_summary(store.workspace(), site.summary(model))
    assert garbage_of(store, place) == []
    assert len(garbage_of(store, place, LATER)) == 1


def test_a_block_keeps_nothing(store, version, site, model, place, digest):
    store.gate.submit_summary(store.workspace(), site.summary(model, allow=False))
    assert garbage_of(store, place) == [digest]


def test_a_verdict_that_does_not_say_when_it_ends_keeps(store, version, site, model, place):
    store.gate.submit_summary(store.workspace(), site.summary(model))
    with store.gate.ledger.database.engine.begin() as connection:
        connection.execute(SUMMARIES.update().values(data="{}"))
    assert garbage_of(store, place, LATER) == []


def test_what_this_registry_never_heard_of_is_another_registrys(store, place, digest):
    assert garbage_of(store, place, LATER) == []
    assert "another registry" in need(store.gate.ledger, digest, LATER)


def test_young_copies_stay(store, version, site, model, digest):
    store.gate.submit_summary(store.workspace(), site.summary(model, allow=False))
    assert garbage_of(store, Memory(**{f"d{digest.hex}": 6})) == []
    with pytest.raises(ValueError, match="being sealed"):
        list(unneeded(store.gate.ledger, Memory(), timedelta(hours=23), NOW))


def test_what_is_promoted_meanwhile_is_not_lost(store, version, site, model, place, digest):
    store.gate.submit_summary(store.workspace(), site.summary(model, allow=False, verified=NOW - timedelta(hours=1)))
    (copy,) = unneeded(store.gate.ledger, place, WEEK, NOW)
    store.gate.submit_summary(store.workspace(), site.summary(model))
    assert remove(store.gate.ledger, place, copy, NOW) == "kept: needed meanwhile by a verdict in force"
    assert digest in place.copies


def test_what_is_promoted_in_the_same_moment_is_said(store, version, site, model, place, digest, monkeypatch):
    answers = iter(["", "models:/x/1"])
    monkeypatch.setattr(garbage, "need", lambda *_: next(answers))
    store.gate.ledger.keep_pin(place.root, digest.hex, "pin")
    assert "promote it again" in remove(store.gate.ledger, place, Unneeded(digest, NOW), NOW)


def test_a_pin_goes_with_its_copy(store, place, digest):
    ledger = store.gate.ledger
    ledger.keep_pin(place.root, digest.hex, "pin")
    ledger.keep_pin("memory://other", digest.hex, "other")
    (copy,) = unneeded(ledger, place, WEEK, LATER)
    assert remove(ledger, place, copy, LATER) == ""
    assert (ledger.pin(place.root, digest.hex), ledger.pin("memory://other", digest.hex)) == ("", "other")
    assert place.copies == {}


@pytest.fixture
def command(store, version, site, model, place, tmp_path, monkeypatch):
    """Return a function that runs the verb; nothing needs the one copy."""
    store.gate.submit_summary(store.workspace(), site.summary(model, allow=False))
    monkeypatch.setattr(Gatekeeper, "place", lambda gate: place)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    return lambda *more: main(["registry", "gc", "--store", uri, "--older", "7", *more])


def test_a_dry_run_removes_nothing(command, place, digest, capsys):
    assert command() == 0
    said = capsys.readouterr()
    assert str(digest) in said.out
    assert "1 copies in memory://sealed can go" in said.err
    assert digest in place.copies


def test_what_is_applied_is_on_record(command, place, digest, site, capsys):
    assert command("--apply") == 0
    assert place.copies == {}
    assert f"{digest} removed" in capsys.readouterr().out
    kinds = [event["event"] for event in read_events(site.log)]
    assert kinds[-2:] == ["sealed.removing", "sealed.removed"]
    assert command("--apply") == 0


def test_what_a_lock_keeps_is_said(command, place, digest, site, capsys):
    place.locked = True
    assert command("--apply") == 1
    assert "not removed: the bucket keeps it until 2099" in capsys.readouterr().out
    assert [event["event"] for event in read_events(site.log)][-1] == "sealed.kept"


def test_nothing_is_removed_without_a_record(command, place, monkeypatch, capsys):
    monkeypatch.delenv("ZT_GATE_AUDIT_LOG")
    assert command("--apply") == 2
    assert "on record" in capsys.readouterr().err
    assert len(place.copies) == 1


@pytest.mark.parametrize("days", ["0", "-3", "99999999", "x"])
def test_an_age_that_means_nothing(command, days, capsys):
    assert command("--older", days) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "uri", ["", "https://ann:hunter2hunter2@host", "nonsense://ann:hunter2hunter2@x/y", "sqlite:////no/x.db"]
)
def test_a_store_that_cannot_be_opened(tmp_path, monkeypatch, uri, capsys):
    for name in registry.STORE:
        monkeypatch.delenv(name, raising=False)
    assert main(["registry", "gc", "--older", "7", *(["--store", uri] if uri else [])]) == 2
    said = capsys.readouterr().err
    assert "hunter2" not in said
    assert "Traceback" not in said
