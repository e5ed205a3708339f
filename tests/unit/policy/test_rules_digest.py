from zt_gate.domain import Digest
from zt_gate.policy import rules


def test_the_rules_digest_follows_every_name_and_byte(tmp_path, monkeypatch):
    (tmp_path / "packs").mkdir()
    monkeypatch.setattr(rules, "rules_folder", lambda: tmp_path)
    seen = [rules.rules_digest()]
    (tmp_path / "a.yaml").write_text("1")
    seen.append(rules.rules_digest())
    (tmp_path / "a.yaml").write_text("2")
    seen.append(rules.rules_digest())
    (tmp_path / "a.yaml").rename(tmp_path / "b.yaml")
    seen.append(rules.rules_digest())
    assert len(set(seen)) == 4
    assert rules.rules_digest() == seen[-1]
    assert seen[0] == Digest.of(b"")
