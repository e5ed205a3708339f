"""Reading asks again: what was promoted by other means, or no longer holds, is not served."""

import sqlite3
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.registry_site import STRANGER, write_model
from tests.support.registry_store import bring, denied


@pytest.fixture
def promoted(store, version, site, model):
    bring(store, "x", 1, site.summary(model))
    store.set_registered_model_alias("x", "champion", 1)
    store.transition_model_version_stage("x", 1, "Production", False)
    store.copy_model_version(store.get_model_version("x", 1), "prod.x")
    return store


def sql(tmp_path, text, *values):
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute(text, values)
    connection.close()


READS = {
    "alias": lambda store: store.get_model_version_by_alias("x", "champion"),
    "stage": lambda store: store.get_latest_versions("x", ["Production"]),
    "download": lambda store: store.get_model_version_download_uri("prod.x", 1),
}


@pytest.mark.parametrize("read", READS)
def test_a_promoted_version_is_served(promoted, read):
    assert READS[read](promoted)


def test_the_download_leads_to_the_sealed_copy(promoted, model, site):
    (model / "weights.txt").write_bytes(b"evil")
    uri = promoted.get_model_version_download_uri("x", 1)
    assert site.bytes_at(uri, "weights.txt") == b"one"


def test_a_version_whose_verdict_was_taken_back_can_still_be_looked_at(promoted, site, model):
    (model / "weights.txt").write_bytes(b"evil")
    bring(promoted, "x", 1, site.summary(model, allow=False, verified=datetime.now(UTC) + timedelta(seconds=2)))
    assert "ztgate-sealed" in promoted.get_model_version_download_uri("x", 1)


def test_a_promoted_version_is_promoted_again_from_its_sealed_copy(promoted, model):
    (model / "weights.txt").write_bytes(b"evil")
    promoted.set_registered_model_alias("x", "live", 1)
    assert promoted.get_model_version_by_alias("x", "live").version == 1


@pytest.mark.parametrize("read", READS)
def test_a_newer_verdict_that_blocks_takes_back_an_older_one(promoted, read, site, model):
    bring(promoted, "x", 1, site.summary(model, allow=False, verified=datetime.now(UTC) + timedelta(seconds=2)))
    assert "blocked this release" in denied(lambda: READS[read](promoted))


def test_an_older_verdict_that_is_handed_in_again_changes_nothing(store, version, site, model):
    old = site.summary(model, verified=datetime.now(UTC) - timedelta(hours=2))
    bring(store, "x", 1, old)
    bring(store, "x", 1, site.summary(model, allow=False))
    bring(store, "x", 1, old)
    denied(lambda: store.set_registered_model_alias("x", "champion", 1))


def test_of_two_verdicts_of_one_second_the_one_that_blocks_counts(store, version, site, model):
    now = datetime.now(UTC)
    bring(store, "x", 1, site.summary(model, allow=False, verified=now))
    bring(store, "x", 1, site.summary(model, verified=now))
    denied(lambda: store.set_registered_model_alias("x", "champion", 1))


@pytest.mark.parametrize("read", READS)
def test_another_worker_serves_no_verdict_that_this_one_took_back(promoted, open_store, read, site, model):
    other = open_store()
    assert READS[read](other)
    bring(promoted, "x", 1, site.summary(model, allow=False, verified=datetime.now(UTC) + timedelta(seconds=2)))
    denied(lambda: READS[read](other))


def test_a_verdict_ends_by_the_clock(store, version, site, model):
    bring(store, "x", 1, site.summary(model, days=2 / 86400))
    store.set_registered_model_alias("x", "champion", 1)
    time.sleep(2.5)
    assert "expired" in denied(lambda: store.get_model_version_by_alias("x", "champion"))


def test_an_alias_by_plain_sql_does_not_resolve(store, version, tmp_path, site):
    sql(
        tmp_path,
        "INSERT INTO registered_model_aliases (workspace, name, alias, version) VALUES ('default', 'x', 'champion', 1)",
    )
    assert "never admitted" in denied(lambda: store.get_model_version_by_alias("x", "champion"))
    assert site.events()[-1]["outcome"].startswith("deny: ")


def test_a_stage_by_plain_sql_is_not_served(store, version, tmp_path):
    sql(tmp_path, "UPDATE model_versions SET current_stage = 'Production'")
    denied(lambda: store.get_latest_versions("x", ["Production"]))
    assert store.get_latest_versions("x")


def test_a_version_by_plain_sql_in_a_protected_model_has_no_download(store, version, tmp_path):
    store.create_registered_model("prod.x")
    sql(
        tmp_path,
        "INSERT INTO model_versions (workspace, name, version, creation_time, source, status, current_stage)"
        " VALUES ('default', 'prod.x', 1, 5, 'mlflow-artifacts:/0/model', 'READY', 'None')",
    )
    denied(lambda: store.get_model_version_download_uri("prod.x", 1))


def test_a_forged_row_serves_approved_bytes_or_none(promoted, tmp_path, site):
    evil = write_model(tmp_path / "artifacts" / "0" / "evil", b"evil")
    promoted.create_model_version("x", "mlflow-artifacts:/0/evil")
    sql(
        tmp_path,
        "INSERT INTO zt_gate_versions SELECT v.workspace, v.name, 2, v.stage, m.creation_time, v.digest"
        " FROM zt_gate_versions v JOIN model_versions m ON m.name = v.name AND m.version = 2",
    )
    sql(tmp_path, "UPDATE registered_model_aliases SET version = 2 WHERE alias = 'champion'")
    assert promoted.get_model_version_by_alias("x", "champion").version == 2
    uri = promoted.get_model_version_download_uri("x", 2)
    assert site.bytes_at(uri, "weights.txt") == b"one"
    assert (evil / "weights.txt").read_bytes() == b"evil"


def test_a_forged_summary_in_the_table_counts_for_nothing(store, version, tmp_path, site, model):
    forged = site.summary(model, key=STRANGER)
    bring(store, "x", 1, site.summary(model, allow=False))
    sql(tmp_path, "UPDATE zt_gate_summaries SET data = ?, passed = 1", forged)
    assert "none of the keys" in denied(lambda: store.set_registered_model_alias("x", "champion", 1))


def unmark(store):
    store.delete_registered_model_alias("x", "champion")
    store.transition_model_version_stage("x", 1, "Archived", False)


def test_a_model_that_was_deleted_and_made_again_starts_without_a_verdict(promoted, tmp_path):
    unmark(promoted)
    promoted.delete_registered_model("x")
    write_model(tmp_path / "artifacts" / "0" / "evil", b"evil")
    promoted.create_registered_model("x")
    time.sleep(0.01)
    promoted.create_model_version("x", "mlflow-artifacts:/0/evil")
    denied(lambda: promoted.set_registered_model_alias("x", "champion", 1))
    sql(
        tmp_path,
        "INSERT INTO registered_model_aliases (workspace, name, alias, version) VALUES ('default', 'x', 'champion', 1)",
    )
    denied(lambda: promoted.get_model_version_by_alias("x", "champion"))


SPOILS = {
    "gone": lambda copy: copy.rename(copy.with_name("elsewhere")),
    "a file": lambda copy: (copy.rename(copy.with_name("elsewhere")), copy.write_text("evil")),
    "a link": lambda copy: (copy.rename(copy.with_name("elsewhere")), copy.symlink_to("elsewhere")),
    "open to changes": lambda copy: copy.chmod(0o700),
    "in a root that is open to others": lambda copy: copy.parent.chmod(0o777),
    "in a root that is gone": lambda copy: copy.parent.rename(copy.parent.with_name("elsewhere")),
}


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_sealed_copy_in_trouble_is_not_served_and_nothing_in_its_place(promoted, site, spoil):
    [copy] = site.copies()
    SPOILS[spoil](copy)
    for read in (*READS.values(), lambda store: store.get_model_version_download_uri("x", 1)):
        assert "sealed cop" in (said := denied(lambda read=read: read(promoted))) or "open to others" in said


def test_a_resolve_asks_once_about_a_copy_however_many_stages_it_has(store, version, site, model, monkeypatch):
    from zt_gate.intake.sealed.folder import SealedFolder

    site.write_policy("  aliases: {champion: production, 'champ*': staging}")
    for stage in ("production", "staging"):
        bring(store, "x", 1, site.summary(model, stage=stage))
    store.set_registered_model_alias("x", "champion", 1)
    asked, trouble = [], SealedFolder.trouble
    monkeypatch.setattr(SealedFolder, "trouble", lambda self, copy: asked.append(copy) or trouble(self, copy))
    store.get_model_version_by_alias("x", "champion")
    assert len(asked) == 1
    store.get_model_version_download_uri("x", 1)
    assert len(asked) == 2


def test_a_free_copy_of_an_admitted_version_is_served_sealed_and_can_be_promoted(promoted, site, model):
    promoted.copy_model_version(promoted.get_model_version("x", 1), "free")
    (model / "weights.txt").write_bytes(b"evil")
    assert site.bytes_at(promoted.get_model_version_download_uri("free", 1), "weights.txt") == b"one"
    promoted.set_registered_model_alias("free", "champion", 1)
    assert len(site.copies()) == 1
    site.copies()[0].chmod(0o700)
    denied(lambda: promoted.get_model_version_download_uri("free", 1))
