"""What fails closes the protected names, says so in a sentence, is on record once, and leaves the others alone."""

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from mlflow.exceptions import MlflowException

from tests.support.registry_site import GATE, STRANGER, write_model
from tests.support.registry_store import bring, denied, tag
from zt_gate.registry.artifacts import Destination
from zt_gate.registry.refusal import MAX_SENTENCE, sentence
from zt_gate.trust.signatures.keys import write_pair


@pytest.fixture
def promoted(store, version, site, model):
    bring(store, "x", 1, site.summary(model))
    store.set_registered_model_alias("x", "champion", 1)
    store.copy_model_version(store.get_model_version("x", 1), "prod.x")
    return store


def everything_protected_is_closed(store, why):
    for act in (
        lambda: store.set_registered_model_alias("x", "champion", 1),
        lambda: store.get_model_version_by_alias("x", "champion"),
        lambda: store.get_model_version_download_uri("prod.x", 1),
        lambda: store.transition_model_version_stage("x", 1, "Staging", False),
    ):
        assert why in denied(act)


def everything_else_is_open(store):
    store.set_registered_model_alias("x", "challenger", 1)
    assert store.get_model_version_by_alias("x", "challenger").version == 1
    store.set_model_version_tag("x", 1, tag("note"))
    store.create_registered_model("free")
    store.create_model_version("free", "mlflow-artifacts:/0/model")
    assert store.get_model_version_download_uri("free", 1) == "mlflow-artifacts:/0/model"


POLICIES = {
    "missing": (lambda path: path.unlink(), "the policy cannot be read"),
    "torn": (lambda path: path.write_text(path.read_text()[:120]), "the policy cannot be read"),
    "garbage": (lambda path: path.write_bytes(os.urandom(64) + b"\0"), "the policy cannot be read"),
    "expired": (lambda path: path.write_text(path.read_text().replace("2099", "2020")), "the policy expired"),
    "signed": (
        lambda path: path.write_text(path.read_text().replace("name: site", "signed: true, name: site")),
        "the policy has to be signed",
    ),
}


@pytest.mark.parametrize("case", POLICIES)
def test_a_policy_that_cannot_be_used(promoted, site, case):
    spoil, why = POLICIES[case]
    spoil(site.policy)
    everything_protected_is_closed(promoted, why)
    everything_else_is_open(promoted)


@pytest.mark.parametrize("case", POLICIES)
def test_a_server_that_starts_with_a_policy_that_cannot_be_used(promoted, open_store, site, case):
    spoil, why = POLICIES[case]
    spoil(site.policy)
    store = open_store()
    everything_protected_is_closed(store, why)
    everything_else_is_open(store)


def test_a_server_without_a_policy_protects_what_the_last_one_did(promoted, open_store, site, monkeypatch):
    site.write_policy("  aliases: {gold: production}")
    promoted.set_registered_model_alias("x", "gold", 1)
    monkeypatch.delenv("ZT_GATE_POLICY")
    store = open_store()
    assert "no policy" in denied(lambda: store.get_model_version_by_alias("x", "gold"))
    assert "no policy" in denied(lambda: store.get_model_version_by_alias("x", "champion"))
    everything_else_is_open(store)


def test_a_policy_that_is_mended_holds_at_once(promoted, site):
    text = site.policy.read_text()
    site.policy.write_text("")
    denied(lambda: promoted.get_model_version_by_alias("x", "champion"))
    site.policy.write_text(text)
    assert promoted.get_model_version_by_alias("x", "champion").version == 1


def name_a_key_file(site):
    """Let the policy name the gate's key as a file, beside it."""
    text = site.policy.read_text()
    key = site.folder / "gate.pub"
    key.write_text(GATE.public.pem)
    start, end = text.index("      pem: |"), text.index("stages:")
    site.policy.write_text(text[:start] + "      file: gate.pub\n" + text[end:])
    return key


def test_a_key_file_that_changed_is_read_again(promoted, site):
    key = name_a_key_file(site)
    assert promoted.get_model_version_by_alias("x", "champion")
    key.write_text(STRANGER.public.pem)
    assert "none of the keys" in denied(lambda: promoted.get_model_version_by_alias("x", "champion"))
    assert "none of the keys" in denied(lambda: promoted.set_registered_model_alias("x", "champion", 1))
    key.write_text(GATE.public.pem)
    assert promoted.get_model_version_by_alias("x", "champion")


@pytest.mark.parametrize("how", ["gone", "no key", "a folder", "a link to nothing"])
def test_a_key_file_that_cannot_be_read_closes_what_is_protected(promoted, site, how):
    key = name_a_key_file(site)
    assert promoted.get_model_version_by_alias("x", "champion")
    key.unlink()
    {
        "gone": lambda: None,
        "no key": lambda: key.write_text("none"),
        "a folder": key.mkdir,
        "a link to nothing": lambda: key.symlink_to("nowhere"),
    }[how]()
    for act in (
        lambda: promoted.set_registered_model_alias("x", "champion", 1),
        lambda: promoted.get_model_version_by_alias("x", "champion"),
        lambda: promoted.get_model_version_download_uri("prod.x", 1),
    ):
        denied(act)
    everything_else_is_open(promoted)


def test_a_waiver_file_and_a_key_behind_a_link_are_read_again(promoted, site):
    key = name_a_key_file(site)
    for name, pair in (("a.pub", GATE), ("b.pub", STRANGER)):
        (site.folder / name).write_text(pair.public.pem)
    key.unlink()
    key.symlink_to("a.pub")
    assert promoted.get_model_version_by_alias("x", "champion")
    key.unlink()
    key.symlink_to("b.pub")
    assert "none of the keys" in denied(lambda: promoted.get_model_version_by_alias("x", "champion"))
    key.unlink()
    key.symlink_to("a.pub")
    with site.policy.open("a") as policy:
        policy.write("waivers_file: waivers.yaml\n")
    (site.folder / "waivers.yaml").write_text("apiVersion: zt-gate/v1\nkind: Waivers\nwaivers: []\n")
    assert promoted.get_model_version_by_alias("x", "champion")
    (site.folder / "waivers.yaml").unlink()
    everything_protected_is_closed(promoted, "cannot read")


def test_a_gate_that_the_policy_no_longer_names(promoted, site):
    site.write_policy(key=STRANGER)
    assert "none of the keys" in denied(lambda: promoted.get_model_version_by_alias("x", "champion"))


def test_a_verdict_by_another_policy_where_only_this_one_counts(promoted, site, model):
    site.write_policy("  same_policy: true")
    assert "another policy" in denied(lambda: promoted.get_model_version_by_alias("x", "champion"))
    bring(promoted, "x", 1, site.summary(model, verified=datetime.now(UTC) + timedelta(seconds=2)))
    assert promoted.get_model_version_by_alias("x", "champion").version == 1


def test_a_verdict_that_is_older_than_the_policy_lets_it_be(store, version, site, model):
    site.write_policy("  max_age_days: 5")
    bring(store, "x", 1, site.summary(model, verified=datetime.now(UTC) - timedelta(days=6)))
    assert "older than 5 days" in denied(lambda: store.set_registered_model_alias("x", "champion", 1))


@pytest.mark.parametrize(("minutes", "open_to"), [(4, True), (7, False)])
def test_clocks_apart_by_minutes(store, version, site, model, minutes, open_to):
    ahead = site.summary(model, verified=datetime.now(UTC) + timedelta(minutes=minutes))
    if open_to:
        bring(store, "x", 1, ahead)
        store.set_registered_model_alias("x", "champion", 1)
    else:
        assert "compare the clocks" in denied(lambda: bring(store, "x", 1, ahead))


@pytest.mark.parametrize("table", ["zt_gate_summaries", "zt_gate_versions"])
def test_evidence_that_cannot_be_read(promoted, tmp_path, table, site):
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute(f"DROP TABLE {table}")
    connection.close()
    before = len(site.events())
    assert "lacks tables or columns: restart the server" in denied(
        lambda: promoted.get_model_version_by_alias("x", "champion")
    )
    assert len(site.events()) == before + 1
    denied(lambda: promoted.set_registered_model_alias("x", "champion", 1))


def test_a_database_that_somebody_holds_promotes_and_resolves_nothing(promoted, tmp_path, impatient):
    promoted.copy_model_version(promoted.get_model_version("x", 1), "y")
    holder = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with ThreadPoolExecutor(2) as pool:  # both at once, as two clients
        read = pool.submit(promoted.get_model_version_by_alias, "x", "champion")
        write = pool.submit(promoted.set_registered_model_alias, "y", "champion", 1)
        for asked in (read, write):
            with pytest.raises(MlflowException, match="locked"):
                asked.result()
    holder.execute("ROLLBACK")
    holder.close()
    assert promoted.get_registered_model("y").aliases == {}
    assert promoted.get_model_version_by_alias("x", "champion").version == 1


def test_an_audit_log_that_cannot_be_written_promotes_nothing(store, version, site, model):
    bring(store, "x", 1, site.summary(model))
    site.log.unlink(missing_ok=True)
    site.log.mkdir()
    assert "audit log" in denied(lambda: store.set_registered_model_alias("x", "champion", 1))
    assert store.get_registered_model("x").aliases == {}
    everything_else_is_open(store)


def test_a_stage_that_wants_an_audit_log_promotes_nothing_without_one(open_store, site, model, monkeypatch):
    monkeypatch.delenv("ZT_GATE_AUDIT_LOG")
    store = open_store()
    store.create_registered_model("x")
    store.create_model_version("x", "mlflow-artifacts:/0/model")
    bring(store, "x", 1, site.summary(model))
    bring(store, "x", 1, site.summary(model, stage="staging"))
    assert "audit log" in denied(lambda: store.set_registered_model_alias("x", "champion", 1))
    store.set_registered_model_alias("x", "staging", 1)


SOURCES = {
    "vanished": "mlflow-artifacts:/0/nothing",
    "out of the destination": "mlflow-artifacts:/0/../../../etc",
    "encoded out of it": "mlflow-artifacts:/0/%2e%2e/%2e%2e/etc",
    "unknown place": "gopher://somewhere/model",
    "nowhere": "/nonexistent/model",
    "run that is none": "runs:/0123/model",
    "logged model that is none": "models:/m-0123",
}


@pytest.mark.parametrize("case", SOURCES)
def test_a_source_that_leads_nowhere(store, site, case, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    store.create_registered_model("prod.x")
    denied(lambda: store.create_model_version("prod.x", SOURCES[case]))
    assert store.search_model_versions("name='prod.x'") == []


def test_a_source_with_a_link_in_it_is_never_sealed(store, version, site, model):
    (model / "passwd").symlink_to("/etc/passwd")
    denied(lambda: store.set_registered_model_alias("x", "champion", 1))
    assert site.copies() == []


def test_a_source_that_was_cut_short_has_other_bytes(store, version, site, model):
    bring(store, "x", 1, site.summary(model))
    (model / "weights.txt").write_bytes(b"on")
    assert "no verdict" in denied(lambda: store.set_registered_model_alias("x", "champion", 1))


def test_an_artifact_destination_that_mlflow_cannot_read(store, version, site, model):
    bring(store, "x", 1, site.summary(model))
    store.gate.destination = lambda: Destination("gopher://host/models", True)
    assert "cannot download" in denied(lambda: store.set_registered_model_alias("x", "champion", 1))


def test_a_folder_of_sealed_copies_that_others_can_write_to(store, version, site, model):
    bring(store, "x", 1, site.summary(model))
    site.sealed.mkdir(mode=0o777)
    site.sealed.chmod(0o777)
    assert "open to others" in denied(lambda: store.set_registered_model_alias("x", "champion", 1))


ROOTS = {
    "unset": (lambda root, artifacts: None, "set ZT_GATE_SEALED"),
    "empty": (lambda root, artifacts: "", "set ZT_GATE_SEALED"),
    "relative": (lambda root, artifacts: "sealed", "no place for sealed copies"),
    "another scheme": (lambda root, artifacts: "gs://bucket/sealed", "no place for sealed copies"),
    "the destination itself": (lambda root, artifacts: str(artifacts), "inside one another"),
    "inside the destination": (lambda root, artifacts: str(artifacts / "sealed"), "inside one another"),
    "above the destination": (lambda root, artifacts: str(artifacts.parent), "inside one another"),
    "the destination by a link": (lambda root, artifacts: str(root / "link"), "inside one another"),
    "somewhere that cannot be made": (lambda root, artifacts: "/proc/sealed", "sealed"),
}


@pytest.mark.parametrize("case", ROOTS)
def test_a_place_of_sealed_copies_that_cannot_be_one(promoted, tmp_path, monkeypatch, case):
    make, why = ROOTS[case]
    (tmp_path / "link").symlink_to("artifacts")
    root = make(tmp_path, tmp_path / "artifacts")
    if root is None:
        monkeypatch.delenv("ZT_GATE_SEALED")
    else:
        monkeypatch.setenv("ZT_GATE_SEALED", root)
    promoted.create_registered_model("open")
    promoted.create_model_version("open", "mlflow-artifacts:/0/model")
    for act in (
        lambda: promoted.set_registered_model_alias("x", "champion", 1),
        lambda: promoted.get_model_version_by_alias("x", "champion"),
        lambda: promoted.get_model_version_download_uri("prod.x", 1),
        lambda: promoted.get_model_version_download_uri("x", 1),
    ):
        assert why in denied(act)
    everything_else_is_open(promoted)


def test_a_place_that_is_named_anew_is_used_at_once(promoted, site, tmp_path, monkeypatch):
    before = site.sealed
    monkeypatch.setenv("ZT_GATE_SEALED", str(tmp_path / "moved"))
    assert "sealed" in denied(lambda: promoted.get_model_version_by_alias("x", "champion"))
    before.rename(tmp_path / "moved")
    assert promoted.get_model_version_by_alias("x", "champion").version == 1


def test_root_neither_seals_nor_serves_from_a_folder(promoted, monkeypatch):
    from zt_gate.intake.sealed import folder

    monkeypatch.setattr(folder, "is_root", lambda: True)
    for act in (
        lambda: promoted.set_registered_model_alias("x", "champion", 1),
        lambda: promoted.get_model_version_by_alias("x", "champion"),
        lambda: promoted.get_model_version_download_uri("prod.x", 1),
    ):
        assert "by root" in denied(act)
    everything_else_is_open(promoted)


def test_a_model_of_thousands_of_files(store, site, tmp_path):
    folder = write_model(tmp_path / "artifacts" / "0" / "many", b"many")
    for number in range(2000):
        (folder / f"shard-{number:05d}").write_bytes(b"%d" % number)
    store.create_registered_model("many")
    store.create_model_version("many", "mlflow-artifacts:/0/many")
    bring(store, "many", 1, site.summary(folder))
    store.set_registered_model_alias("many", "champion", 1)
    assert "ztgate-sealed" in store.get_model_version_download_uri("many", 1)


def test_a_revocation_list_is_demanded_read_and_read_again(store, version, site, model, tmp_path, monkeypatch):
    from tests.support.registry_site import GATE
    from zt_gate.cli.main import main

    site.policy.write_text(
        site.policy.read_text().replace("stages:", "  revocations: {by: [gate], max_age_days: 7}\nstages:", 1)
    )
    bring(store, "x", 1, site.summary(model))
    assert "demands a revocation list" in denied(lambda: store.set_registered_model_alias("x", "champion", 1))
    write_pair(tmp_path / "keys", "gate", GATE)
    listed = tmp_path / "revoked.json"
    key = ["--list", str(listed), "--key", str(tmp_path / "keys" / "gate.key")]
    assert main(["revoke", *key, "--digest", "sha256:" + "0" * 64, "--reason", "a test"]) == 0
    monkeypatch.setenv("ZT_GATE_REVOCATIONS", str(listed))
    store.set_registered_model_alias("x", "champion", 1)
    digest = site.copies()[0].name.removeprefix("sha256-")
    assert main(["revoke", *key, "--digest", f"sha256:{digest}", "--reason", "it was poisoned"]) == 0
    assert "it was poisoned" in denied(lambda: store.get_model_version_by_alias("x", "champion"))
    listed.unlink()
    assert "cannot be read" in denied(lambda: store.get_model_version_by_alias("x", "champion"))


def test_a_sentence_is_short_whatever_is_in_it():
    text = sentence("alias @" + "\n<b>\x1b" * 100, "why\x00\n" * 200)
    assert len(text.split(". See ")[0]) <= MAX_SENTENCE
    assert text.isprintable()


def test_a_summary_that_is_none(store, version, site, model):
    for text in ("", "{}", "[]", "null", "x" * 100_000, site.summary(model)[:-3]):
        denied(lambda text=text: bring(store, "x", 1, text))


@pytest.mark.parametrize(("act", "open_to"), [("decide", True), ("approve", False)])
def test_where_a_policy_has_roles_a_gate_needs_the_one_that_decides(store, version, site, model, act, open_to):
    text = site.policy.read_text().replace("    - id: gate\n", "    - id: gate\n      roles: [gates]\n")
    site.policy.write_text(text.replace("stages:", f"roles: {{gates: {{may: [{act}]}}}}\nstages:", 1))
    if open_to:
        bring(store, "x", 1, site.summary(model))
        store.set_registered_model_alias("x", "champion", 1)
    else:
        denied(lambda: bring(store, "x", 1, site.summary(model)))
