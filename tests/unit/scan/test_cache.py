"""A cache saves work and never changes, let alone clears, a verdict."""

import json
import os
import pickle
import stat

import pytest

from zt_gate.cli.main import main
from zt_gate.domain import Notes
from zt_gate.errors import UsageError
from zt_gate.intake import Freeze, freeze
from zt_gate.intake.authenticated_cache import AuthenticatedCache
from zt_gate.scan import cache as cache_module
from zt_gate.scan.artifacts import ArtifactCheck
from zt_gate.scan.cache import ExaminationCache
from zt_gate.scan.examination import notes_to_json

HOSTILE = b"\x80\x02cos\nsystem\n(S'true'\ntR"
PADDING = b"C" + b"\xff" + bytes(255) + b"0"


def large(head, tail=b"N."):
    return head + PADDING * 300 + tail


@pytest.fixture
def release(tmp_path):
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "hostile.pkl").write_bytes(large(HOSTILE))
    (folder / "honest.pkl").write_bytes(pickle.dumps(list(range(60_000))))
    (folder / "broken.pkl").write_bytes(large(HOSTILE, b""))
    (folder / "small.json").write_text("{}")
    return folder


def evidence(folder, cache=None):
    with freeze([folder], Freeze.HOLD) as frozen:
        return ArtifactCheck(cache).run(frozen)


@pytest.fixture
def cache(tmp_path):
    opened = ExaminationCache(tmp_path / "cache")
    yield opened
    opened.close()


def entries(tmp_path):
    return sorted(path for path in (tmp_path / "cache").iterdir() if path.name != "key")


def without_metrics(item):
    return (item.status, item.findings, item.gaps, item.claims, item.version)


def test_evidence_is_the_same_with_and_without(release, cache):
    plain, first, second = evidence(release), evidence(release, cache), evidence(release, cache)
    assert any(finding.rule == "ART-101" for finding in plain.findings)
    assert without_metrics(plain) == without_metrics(first) == without_metrics(second)
    assert (first.metrics["cached"], second.metrics["cached"]) == ("0", "2")
    assert "cached" not in plain.metrics


def test_a_hit_is_not_examined_again(release, cache, monkeypatch):
    evidence(release, cache)
    asked = []
    monkeypatch.setattr(
        "zt_gate.scan.examination.isolate", lambda jobs, limits: asked.append(len(jobs)) or (b"" for _ in jobs)
    )
    evidence(release, cache)
    assert asked == [2 + 3]  # the broken and the small file, and what depends on several files


def test_a_gap_is_never_kept(release, cache, tmp_path):
    evidence(release, cache)
    assert len(entries(tmp_path)) == 2
    assert not any(b"broken" in path.read_bytes() for path in entries(tmp_path))


def test_only_its_owner_can_read_what_is_in_it(release, cache, tmp_path):
    evidence(release, cache)
    folder = tmp_path / "cache"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert not any(path.name.startswith(".") for path in folder.iterdir())


def test_another_path_is_another_question(release, cache):
    evidence(release, cache)
    os.rename(release / "hostile.pkl", release / "other.pkl")
    again = evidence(release, cache)
    assert again.metrics["cached"] == "1"
    assert {finding.path for finding in again.findings if finding.rule == "ART-101"} == {"other.pkl", "broken.pkl"}


def test_other_rules_are_another_question(release, cache, monkeypatch):
    evidence(release, cache)
    monkeypatch.setattr(cache_module, "_installation", lambda: "another")
    assert evidence(release, cache).metrics["cached"] == "0"


def forge_clean(path):
    kept = json.loads(path.read_text())
    kept["value"] = notes_to_json(Notes())
    path.write_text(json.dumps(kept))


def swap(path):
    first, second = sorted(other for other in path.parent.iterdir() if other.name != "key")
    if path == first:
        one, other = first.read_bytes(), second.read_bytes()
        first.write_bytes(other)
        second.write_bytes(one)


def link(path):
    copy = path.with_name("elsewhere")
    path.rename(copy)
    path.symlink_to(copy)


TAMPERING = {
    "a finding taken out": forge_clean,
    "an entry for another file": swap,
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "emptied": lambda path: path.write_bytes(b""),
    "not JSON": lambda path: path.write_bytes(b"\xff\xfe"),
    "no object": lambda path: path.write_bytes(b"[]"),
    "nested too deeply": lambda path: path.write_bytes(b"[" * 100_000),
    "an absurd size": lambda path: path.write_bytes(bytes(2 << 20)),
    "a link": link,
    "writable by others": lambda path: path.chmod(0o666),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_what_was_tampered_with_is_examined_again(name, release, cache, tmp_path):
    before = evidence(release, cache)
    for path in entries(tmp_path):
        if path.exists() and path.name != "elsewhere":
            TAMPERING[name](path)
    again = evidence(release, cache)
    assert without_metrics(again) == without_metrics(before)
    assert again.metrics["cached"] == "0"


def test_an_entry_under_another_key_does_not_count(release, tmp_path):
    for folder in ("cache", "other"):
        opened = ExaminationCache(tmp_path / folder)
        evidence(release, opened)
        opened.close()
    (tmp_path / "cache" / "key").write_bytes((tmp_path / "other" / "key").read_bytes())
    opened = ExaminationCache(tmp_path / "cache")
    assert evidence(release, opened).metrics["cached"] == "0"
    opened.close()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_can_write_to_is_refused(mode, tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    with pytest.raises(UsageError, match="open to others"):
        ExaminationCache(tmp_path / "open")


def test_a_folder_of_somebody_else_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(UsageError, match="open to others"):
        ExaminationCache(tmp_path / "cache")


def test_a_key_that_others_can_read_or_that_is_damaged_is_refused(tmp_path):
    ExaminationCache(tmp_path / "cache").close()
    key = tmp_path / "cache" / "key"
    key.chmod(0o640)
    with pytest.raises(UsageError, match="open to others"):
        ExaminationCache(tmp_path / "cache")
    key.chmod(0o600)
    key.write_bytes(b"short")
    with pytest.raises(UsageError, match="damaged"):
        ExaminationCache(tmp_path / "cache")


def test_a_full_disk_does_not_stop_the_run(release, cache, monkeypatch, tmp_path):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(AuthenticatedCache, "_write", full)
    assert without_metrics(evidence(release, cache)) == without_metrics(evidence(release))
    assert entries(tmp_path) == []


def test_what_is_kept_can_be_read(cache, release):
    with freeze([release], Freeze.HOLD) as frozen:
        file = frozen.files["honest.pkl"]
        assert cache.get(frozen.entry(file.path), "v") is None
        cache.put(frozen.entry(file.path), "v", Notes())
        assert cache.get(frozen.entry(file.path), "v") == Notes()
        assert cache.get(frozen.entry(file.path), "w") is None


def verdict(capsys, *words):
    code = main(["scan", "--format", "json", *map(str, words)])
    value = json.loads(capsys.readouterr().out)
    del value["timing"], value["judged"]
    metrics = [check.pop("metrics") for check in value["checks"]]
    return code, value, metrics


def test_the_verdict_on_the_command_line_is_the_same(release, tmp_path, capsys):
    plain = verdict(capsys, release)
    first = verdict(capsys, release, "--cache", tmp_path / "c")
    second = verdict(capsys, release, "--cache", tmp_path / "c")
    assert plain[:2] == first[:2] == second[:2]
    assert plain[0] == 1
    assert second[2][0]["cached"] == "2"


def test_a_cache_inside_the_target_is_refused(release, capsys):
    assert main(["scan", str(release), "--cache", str(release / "cache")]) == 2
    assert "inside the target" in capsys.readouterr().err
    assert not (release / "cache").exists()
    assert main(["check", str(release), "--cache", str(release / "cache")]) == 2
