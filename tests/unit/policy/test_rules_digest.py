from zt_gate.domain import Digest
from zt_gate.policy import rules_folder


def test_the_rules_digest_follows_every_name_and_byte(tmp_path, monkeypatch):
    (tmp_path / "packs").mkdir()
    monkeypatch.setattr(rules_folder, "rules_folder", lambda: tmp_path)
    seen = [rules_folder.rules_digest()]
    (tmp_path / "a.yaml").write_text("1")
    seen.append(rules_folder.rules_digest())
    (tmp_path / "a.yaml").write_text("2")
    seen.append(rules_folder.rules_digest())
    (tmp_path / "a.yaml").rename(tmp_path / "b.yaml")
    seen.append(rules_folder.rules_digest())
    assert len(set(seen)) == 4
    assert rules_folder.rules_digest() == seen[-1]
    assert seen[0] == Digest.of(b"")
