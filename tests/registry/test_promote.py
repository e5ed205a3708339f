"""`zt-gate promote` against the gated store, without a server between them."""

import os
import signal
import time

import pytest

from tests.support.registry_site import Site
from tests.support.registry_store import denied
from zt_gate.cli.main import main
from zt_gate.registry.client import RefusedError, RegistryClient


def promote(tmp_path, target, *more, stage="staging", alias="staging"):
    words = ["promote", target, "--alias", alias, "--stage", stage, "--policy", str(tmp_path / "site" / "policy.yaml")]
    return main([*words, "--summary-key", str(tmp_path / "keys" / "gate.key"), "--cache", str(tmp_path / "c"), *more])


def test_a_good_version_is_promoted_and_served_sealed(shop, tmp_path, capsys):
    assert promote(tmp_path, "models:/x/1") == 0
    assert "PROMOTED" in capsys.readouterr().out
    assert shop.resolve("x", "staging").number == 1
    [copy] = (tmp_path / "site" / "sealed").iterdir()
    assert shop._client.get_model_version_download_uri("x", "1") == str(copy)


def test_a_bad_version_is_not(shop, tmp_path, capsys):
    (tmp_path / "artifacts" / "0" / "model-1" / "evil.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert promote(tmp_path, "models:/x/1") == 1
    assert "ART-101" in capsys.readouterr().out
    assert shop.aliases("x") == {}


def demand_a_signature(tmp_path):
    text = (tmp_path / "site" / "policy.yaml").read_text()
    demand = "staging: {checks: {artifacts: required}, signature: {by: [gate]}}"
    (tmp_path / "site" / "policy.yaml").write_text(text.replace("staging: {checks: {artifacts: required}}", demand))


@pytest.mark.parametrize("more", [(), ("--summary", "kept.json")])
def test_a_block_is_handed_in_so_that_an_older_allow_no_longer_counts(shop, tmp_path, capsys, more):
    assert promote(tmp_path, "models:/x/1", *more) == 0
    demand_a_signature(tmp_path)
    time.sleep(1.1)
    assert promote(tmp_path, "models:/x/1", *more) == 1
    assert "no longer counts" in capsys.readouterr().err
    with pytest.raises(RefusedError, match="blocked this release"):
        shop.resolve("x", "staging")
    assert (tmp_path / "kept.json").exists() is bool(more)


def test_a_block_counts_even_where_the_report_cannot_be_written(shop, tmp_path):
    assert promote(tmp_path, "models:/x/1") == 0
    demand_a_signature(tmp_path)
    time.sleep(1.1)
    (tmp_path / "taken").write_text("")
    assert promote(tmp_path, "models:/x/1", "--out", str(tmp_path / "taken" / "report")) != 0
    with pytest.raises(RefusedError):
        shop.resolve("x", "staging")


def test_ctrl_c_while_a_block_is_handed_in_does_not_keep_it_from_the_server(shop, tmp_path, monkeypatch, capsys):
    assert promote(tmp_path, "models:/x/1") == 0
    demand_a_signature(tmp_path)
    time.sleep(1.1)
    submit = RegistryClient.submit_summary

    def interrupted(self, version, summary):
        os.kill(os.getpid(), signal.SIGINT)
        submit(self, version, summary)

    monkeypatch.setattr(RegistryClient, "submit_summary", interrupted)
    assert promote(tmp_path, "models:/x/1") == 2
    assert "interrupted" in capsys.readouterr().err
    with pytest.raises(RefusedError, match="blocked this release"):
        shop.resolve("x", "staging")


def test_a_dry_run_hands_in_nothing(shop, tmp_path):
    assert promote(tmp_path, "models:/x/1") == 0
    demand_a_signature(tmp_path)
    time.sleep(1.1)
    assert promote(tmp_path, "models:/x/1", "--dry-run", "--summary", "kept.json") == 1
    assert (tmp_path / "kept.json").exists()
    assert shop.resolve("x", "staging").number == 1


def test_a_verdict_of_an_earlier_run_is_handed_in_by_nobody(shop, tmp_path):
    assert promote(tmp_path, "models:/x/1", "--dry-run", "--summary", "kept.json") == 0
    assert promote(tmp_path, "models:/x/1", "--policy", "absent.yaml", "--summary", "kept.json") == 2
    with pytest.raises(RefusedError, match="no verdict"):
        shop.set_alias(shop.version("models:/x/1"), "staging")


def test_a_dry_run_changes_nothing(shop, tmp_path, capsys):
    assert promote(tmp_path, "models:/x/1", "--dry-run") == 0
    assert "would set @staging on models:/x/1" in capsys.readouterr().out
    assert shop.aliases("x") == {}


def test_a_verdict_for_another_stage_than_the_alias_demands(shop, tmp_path, capsys):
    assert promote(tmp_path, "models:/x/1", alias="champion") == 1
    assert "no verdict for the stage production" in capsys.readouterr().out
    assert shop.aliases("x") == {}


def test_going_back_to_the_last_version_that_is_admitted(shop, tmp_path, capsys):
    assert promote(tmp_path, "models:/x/1") == 0
    assert promote(tmp_path, "models:/x/2") == 0
    assert shop.resolve("x", "staging").number == 2
    assert promote(tmp_path, "models:/x", "--rollback") == 0
    assert "2 → 1" in capsys.readouterr().out
    assert shop.resolve("x", "staging").number == 1
    assert promote(tmp_path, "models:/x", "--rollback") == 1
    assert shop.resolve("x", "staging").number == 1


def test_by_an_alias_the_version_of_that_moment(shop, tmp_path):
    store = shop._client._get_registry_client().store
    store.set_registered_model_alias("x", "challenger", 2)
    assert promote(tmp_path, "models:/x@challenger") == 0
    assert shop.resolve("x", "staging").number == 2


@pytest.mark.parametrize("target", ["models:/x/9", "models:/nothing/1", "models:/m-0123", "runs:/1/model", "/tmp"])
def test_what_is_no_version(shop, tmp_path, target, capsys):
    assert promote(tmp_path, target) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_registry_without_the_gate_is_not_promoted_in(shop, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert promote(tmp_path, "models:/x/1") == 2
    assert "not gated" in capsys.readouterr().err


def test_report_only_promotes_nothing(shop, tmp_path):
    assert promote(tmp_path, "models:/x/1", "--report-only") == 2
    assert shop.aliases("x") == {}


def test_a_version_that_changed_after_the_check_is_refused(shop, tmp_path, monkeypatch, capsys):
    from zt_gate.registry.client import RegistryClient as Client

    submit = Client.submit_summary

    def and_then_change(self, version, summary):
        submit(self, version, summary)
        (tmp_path / "artifacts" / "0" / "model-1" / "weights.txt").write_bytes(b"changed")

    monkeypatch.setattr(Client, "submit_summary", and_then_change)
    assert promote(tmp_path, "models:/x/1") == 1
    assert "no verdict" in capsys.readouterr().out
    assert shop.aliases("x") == {}


def test_checking_a_version_gives_the_digest_that_the_store_seals(shop, tmp_path, capsys):
    words = ["check", "models:/x/1", "--policy", str(tmp_path / "site" / "policy.yaml"), "--stage", "staging"]
    assert main([*words, "--format", "json"]) == 0
    import json

    report = json.loads(capsys.readouterr().out)
    assert report["subject"]["name"] == "models:/x/1"
    assert promote(tmp_path, "models:/x/1") == 0
    digest = report["subject"]["digest"].removeprefix("sha256:")
    assert (tmp_path / "site" / "sealed" / f"sha256-{digest}").is_dir()
    denied(lambda: shop._client._get_registry_client().store.set_registered_model_alias("x", "champion", 1))


def watch(tmp_path, *more):
    return main(["watch", "--once", "--policy", str(tmp_path / "site" / "policy.yaml"), *more])


def set_policy(tmp_path, more):
    Site(tmp_path / "site", more)


def test_watching_what_holds(shop, tmp_path, capsys):
    assert promote(tmp_path, "models:/x/1") == 0
    assert watch(tmp_path) == 0
    assert "models:/x/1 @staging holds" in capsys.readouterr().out


@pytest.mark.parametrize("withdraw", [False, True])
def test_watching_an_alias_by_plain_sql(shop, tmp_path, capsys, withdraw):
    import sqlite3

    set_policy(tmp_path, "  withdraw: true" if withdraw else "")
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute(
            "INSERT INTO registered_model_aliases (workspace, name, alias, version) VALUES ('default','x','champion',1)"
        )
    connection.close()
    log = tmp_path / "watch.jsonl"
    assert watch(tmp_path, "--audit-log", str(log)) == 1
    assert "never admitted" in capsys.readouterr().out
    assert shop.aliases("x") == ({} if withdraw else {"champion": 1})
    assert ("promotion.withdrawn" if withdraw else "promotion.unheld") in log.read_text()


def test_watching_with_new_eyes_takes_back_what_a_check_blocks_now(shop, tmp_path, capsys):
    assert promote(tmp_path, "models:/x/1") == 0
    key = ["--recheck", "--summary-key", str(tmp_path / "keys" / "gate.key")]
    assert watch(tmp_path, *key) == 0
    text = (tmp_path / "site" / "policy.yaml").read_text()
    demand = "staging: {checks: {artifacts: required}, signature: {by: [gate]}}"
    (tmp_path / "site" / "policy.yaml").write_text(text.replace("staging: {checks: {artifacts: required}}", demand))
    assert watch(tmp_path, *key) == 1
    assert "blocks it now" in capsys.readouterr().out
    with pytest.raises(RefusedError, match="blocked this release"):
        shop.resolve("x", "staging")


def test_watching_prompts_and_what_calls_itself_one(shop, tmp_path, capsys):
    from mlflow.entities.model_registry import RegisteredModelTag

    store, mark = shop._client._get_registry_client().store, RegisteredModelTag("mlflow.prompt.is_prompt", "true")
    store.create_prompt("p")
    store.create_prompt_version("p", "Hi")
    store.set_prompt_alias("p", "staging", 1)
    assert promote(tmp_path, "models:/x/1") == 0
    store.set_registered_model_tag("x", mark)
    assert watch(tmp_path) == 0
    told = capsys.readouterr().out
    assert "models:/x/1 @staging holds" in told
    assert "models:/p/1 @staging holds" in told
    assert watch(tmp_path, "--recheck", "--summary-key", str(tmp_path / "keys" / "gate.key")) == 1
    told = capsys.readouterr().out
    assert "models:/p/1 @staging holds" in told
    # MLflow's client fetches nothing that calls itself a prompt: what is none cannot be checked, and so does not hold.
    assert "models:/x/1 @staging does not hold: it cannot be checked again" in told


@pytest.mark.parametrize(
    "words", [["--recheck"], ["--listen", "127.0.0.1:0"], ["--interval", "0"], ["--summary-key", "x"]]
)
def test_arguments_that_do_not_fit_together(shop, tmp_path, words):
    assert watch(tmp_path, *words) == 2


def test_watching_a_registry_without_the_gate(shop, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert watch(tmp_path) == 2


def test_the_doctor_knows_when_nothing_is_there(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert main(["doctor", "mlflow"]) == 1
    assert "does not say (0)" in capsys.readouterr().out
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert main(["doctor", "mlflow"]) == 1
