"""What lies on a real server is signed, checked and promoted where it is, by the verbs alone."""

from tests.support.registry_site import GATE, write_model
from zt_gate.cli.main import main
from zt_gate.trust.signatures.keys import write_pair


def test_sign_check_and_promote_what_lies_on_a_server(client, admin, site, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_pair(tmp_path / "keys", "gate", GATE)
    key = ["--key", str(tmp_path / "keys" / "gate.key")]
    version = admin.register(write_model(tmp_path / "m", b"in place"), "place")
    target = f"models:/place/{version}"
    text = site.policy.read_text()
    strict = text.replace("production: {checks", "production: {signature: {by: [gate]}, checks")
    assert strict != text
    (tmp_path / "strict.yaml").write_text(strict)
    policy = ["--policy", str(tmp_path / "strict.yaml"), "--audit-log", str(tmp_path / "log.jsonl")]
    assert main(["check", target, *policy]) == 1
    assert main(["sign", target, *key]) == 0
    assert f"place-{version}.evidence" in capsys.readouterr().out
    assert main(["check", target, *policy]) == 0
    words = ["--alias", "champion", "--policy", str(site.policy), "--audit-log", str(tmp_path / "log.jsonl")]
    assert main(["promote", target, *words, "--summary-key", key[1]]) == 0
    # By its alias the server hands out the sealed copy: the same bytes, the same digest, the same evidence.
    assert main(["check", "models:/place@champion", *policy]) == 0
    assert main(["verify", "models:/place@champion", "--key", str(tmp_path / "keys" / "gate.pub")]) == 0
    assert "VERIFIED" in capsys.readouterr().out
    run = admin.must("POST", "runs/create", {"experiment_id": "0"})["run"]["info"]
    admin.put(tmp_path / "m", f"{run['artifact_uri']}/model")
    assert main(["sign", f"runs:/{run['run_id']}/model", *key, "--out", "run.json"]) == 0
    signed = capsys.readouterr().err
    with_digest = next(word for word in signed.split() if word.startswith("sha256:"))
    assert with_digest in str(admin.location("place", version).json()["artifact_uri"]).replace("sha256-", "sha256:")
