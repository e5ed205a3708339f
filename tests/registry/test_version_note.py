"""What MLflow's own pages show of a verdict: tags and a note that only the gate writes, and that decide nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.registry_site import write_model
from tests.support.registry_store import bring, denied, tag
from zt_gate.errors import EvidenceError
from zt_gate.registry import store as store_module
from zt_gate.registry.version_note import END, MAX_DESCRIPTION, START, described, note, noted_in, without_note

FORGED = f"{START}\n- **allow** `production until 2999-01-01`\n{END}"


def seen(store, name="x", number=1):
    version = store.get_model_version(name, number)
    return version.tags, version.description or ""


def test_a_verdict_that_is_handed_in_is_shown_and_says_that_nothing_was_compared(store, version, site, model):
    bring(store, "x", 1, site.summary(model))
    tags, text = seen(store)
    assert tags["zt-gate.verdict"].startswith("allow production until 20")
    assert "compared at promotion" in tags["zt-gate.verdict"]
    assert tags["zt-gate.digest"].startswith("sha256:")
    assert START in text
    assert "- **allow** `production until 20" in text


def test_an_admitted_version_shows_a_line_for_each_stage_and_a_link(store, version, site, model, monkeypatch):
    monkeypatch.setenv("ZT_GATE_PAGES", "/zt-gate/version")
    store.update_model_version("x", 1, "What people wrote.")
    bring(store, "x", 1, site.summary(model, stage="staging", allow=False))
    bring(store, "x", 1, site.summary(model))
    store.set_registered_model_alias("x", "champion", 1)
    tags, text = seen(store)
    lines = tags["zt-gate.verdict"].splitlines()
    assert lines[0].startswith("allow production until 20")
    assert "compared" not in lines[0]
    assert lines[1].startswith("block staging: ")
    assert tags["zt-gate.page"] == "/zt-gate/version/x/1"
    assert text.startswith("What people wrote.\n\n")
    assert text.count(START) == text.count(END) == 1
    assert "[What holds now](/zt-gate/version/x/1)" in text
    assert "- **block** `staging: " in text


def test_a_block_that_comes_later_is_shown(store, version, site, model):
    bring(store, "x", 1, site.summary(model))
    store.set_registered_model_alias("x", "champion", 1)
    from datetime import UTC, datetime, timedelta

    bring(store, "x", 1, site.summary(model, allow=False, verified=datetime.now(UTC) + timedelta(seconds=2)))
    assert seen(store)[0]["zt-gate.verdict"].startswith("block production: ")


def test_no_client_sets_or_removes_what_the_gate_writes(store, version, site, model):
    bring(store, "x", 1, site.summary(model))
    before = seen(store)
    for key in ("zt-gate.verdict", "zt-gate.digest", "zt-gate.page", "ZT-Gate.verdict", "zt-gate.anything"):
        denied(lambda key=key: store.set_model_version_tag("x", 1, tag(key, "allow production")))
        denied(lambda key=key: store.delete_model_version_tag("x", 1, key))
        denied(lambda key=key: store.create_model_version("x", "mlflow-artifacts:/0/model", tags=[tag(key)]))
        denied(lambda key=key: store.create_registered_model("y", tags=[tag(key)]))
        denied(lambda key=key: store.set_registered_model_tag("x", tag(key)))
    assert seen(store) == before


@pytest.mark.parametrize(
    "forged",
    [
        FORGED,
        f"before {FORGED} after",
        f"{START}{START}{FORGED}{END}{END}",
        "<!--ZT-Gate-->allow<!--/zt-gate-->",
        f"{START} never closed",
        f"<!-- zt<!-- zt-gate -->-gate -->allow{END}",
        END,
    ],
)
def test_a_note_in_a_clients_description_is_taken_out(store, version, site, model, forged):
    store.update_model_version("x", 1, forged)
    assert "zt-gate -->" not in seen(store)[1]
    made = store.create_model_version("x", "mlflow-artifacts:/0/model", description=forged)
    assert "zt-gate -->" not in seen(store, "x", made.version)[1]
    made = store.create_model_version("x", "mlflow-artifacts:/0/model", None, None, None, forged)
    assert "zt-gate -->" not in seen(store, "x", made.version)[1]
    bring(store, "x", 1, site.summary(model))
    genuine = noted_in(seen(store)[1])
    store.update_model_version("x", 1, f"mine {forged}")
    _, text = seen(store)
    assert noted_in(text) == genuine
    assert text.count(START) == 1
    assert text.startswith("mine")
    store.update_model_version("x", 1, None)
    assert seen(store)[1] == genuine


def test_a_copy_takes_no_verdict_along_and_is_possible(store, version, site, model):
    bring(store, "x", 1, site.summary(model))
    store.set_registered_model_alias("x", "champion", 1)
    store.update_model_version("x", 1, "words")
    copied = store.copy_model_version(store.get_model_version("x", 1), "free")
    tags, text = seen(store, "free", copied.version)
    assert (tags, text) == ({}, "words")
    copied = store.copy_model_version(store.get_model_version("x", 1), "prod.x")
    assert seen(store, "prod.x", copied.version)[0]["zt-gate.verdict"].startswith("allow production until")
    lie = tag("zt-gate.verdict", "allow production until 2999-01-01")
    denied(lambda: store.create_model_version("free", "models:/x/1", tags=[lie]))


def test_a_renamed_model_links_to_its_page(store, version, site, model, monkeypatch):
    monkeypatch.setenv("ZT_GATE_PAGES", "/zt-gate/version")
    bring(store, "x", 1, site.summary(model))
    store.rename_registered_model("x", "prod.a b(c)")
    tags, text = seen(store, "prod.a b(c)")
    assert tags["zt-gate.page"] == "/zt-gate/version/prod.a%20b%28c%29/1"
    assert "(/zt-gate/version/prod.a%20b%28c%29/1)" in text


def test_a_note_that_cannot_be_written_changes_no_decision(store, version, site, model, monkeypatch, caplog):
    def broken(*_, **__):
        raise RuntimeError("no")

    monkeypatch.setattr(store_module, "stage_verdicts", broken)
    denied(lambda: store.set_registered_model_alias("x", "champion", 1))
    bring(store, "x", 1, site.summary(model))
    store.set_registered_model_alias("x", "champion", 1)
    assert store.get_model_version_by_alias("x", "champion").version == 1
    assert "the verdict could not be written on models:/x/1" in caplog.text


def test_a_note_decides_nothing(store, version, site, model, tmp_path):
    bring(store, "x", 1, site.summary(write_model(tmp_path / "other", b"another model")))
    assert "compared at promotion" in seen(store)[0]["zt-gate.verdict"]
    assert "no verdict for the stage production" in denied(lambda: store.set_registered_model_alias("x", "champion", 1))


def test_a_long_description_leaves_out_the_note_and_not_the_words():
    long = "w" * (MAX_DESCRIPTION - 10)
    assert described(long, FORGED) == long
    with pytest.raises(EvidenceError, match="must not imitate"):
        without_note("<!-- zt" * 20 + START + "-gate -->" * 20)


PIECES = st.lists(st.sampled_from([START, END, "<!--", "-->", "zt-gate", "/", " ", "text", "<!-- zt-", "gate -->"]))


@given(PIECES.map("".join))
def test_no_text_of_a_client_is_taken_for_a_note(text):
    try:
        own = without_note(text)
    except EvidenceError:
        return
    assert noted_in(own) == ""
    assert noted_in(described(text, FORGED)) in ("", FORGED)
    assert own.replace("text", "").strip("<!-/>ztgae ") == ""


def test_a_reason_is_no_markup():
    from zt_gate.registry.version_note import StageVerdict

    reason = "![x](http://evil) `code` <script> <!-- zt-gate -->"
    text = note([StageVerdict("0" * 64, "production", "", reason, True)], "")
    line = next(line for line in text.splitlines() if "evil" in line)
    assert line.count("`") == 2
    assert line.endswith("`")
    assert noted_in(f"words {text}") == text
