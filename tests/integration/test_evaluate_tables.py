"""Tables by the verb: what a declaration says nobody can do is in no evidence, and the gate looks for it again."""

import base64
import json

import numpy as np
import pytest

from tests.support.evaluate_walks import check, evaluate, predicate, rules, ticket, write_policy, zt
from tests.support.evaluations import stored
from zt_gate.evaluate.adapters.declaration import Declaration
from zt_gate.evaluate.sample import pack, unpack
from zt_gate.trust.signatures.envelope import sign_statement

CONSTRAINTS = {"immutable": [0], "integer": [1, 2], "growing": [1], "shrinking": [3], "one_hot": [[4, 5, 6]]}
ROWS = 110


def loans() -> tuple[np.ndarray, np.ndarray]:
    """Rows of a made-up table of loans: score, age, months, share, and three kinds of home."""
    luck = np.random.default_rng(1)
    x = np.zeros((600, 7))
    x[:, 0], x[:, 3] = luck.uniform(-3, 3, 600), luck.uniform(0, 1, 600)
    x[:, 1], x[:, 2] = luck.integers(18, 80, 600), luck.integers(1, 120, 600)
    x[np.arange(600), luck.choice([4, 5, 6], 600)] = 1
    y = (x[:, 0] + x[:, 1] / 40 - x[:, 2] / 60 + x[:, 3] + x[:, 4] > 1.5).astype(np.int64)
    return x, y


@pytest.fixture
def place(tmp_path):
    import skops.io
    from sklearn.tree import DecisionTreeClassifier

    (tmp_path / "release").mkdir()
    x, y = loans()
    tree = DecisionTreeClassifier(max_depth=6, random_state=0).fit(x[ROWS:].astype(np.float32), y[ROWS:])
    skops.io.dump(tree, tmp_path / "release" / "model.skops")
    declared = Declaration("tabular", 2, (7,)).to_json() | {"constraints": CONSTRAINTS}
    (tmp_path / "release" / "architecture.json").write_text(json.dumps(declared))
    np.savez(tmp_path / "data.npz", x=x[:ROWS], y=y[:ROWS])
    write_policy(tmp_path, "least: 1%\n      black_box: true")
    text = (tmp_path / "policy.yaml").read_text().replace('eps: "0.03"', 'eps: "0.2"')
    (tmp_path / "policy.yaml").write_text(text)
    for name in ("gate", "runner"):
        assert zt(tmp_path, "keygen", "--out", name).returncode == 0
    return tmp_path


def test_no_adversarial_in_the_evidence_breaks_a_constraint(place):
    ticket(place)
    done = evaluate(place)
    assert done.returncode == 0, done.stderr
    said = predicate(place / "out" / "robustness.dsse.json")
    assert said["robustness"]["stages"] == ["random-search-1000"]
    declared = Declaration.from_json(said["model"]["declaration"])
    assert declared.constraints.one_hot == ((4, 5, 6),)
    lines = map(json.loads, (place / "out" / "journal.jsonl").read_text().splitlines())
    parts = [unpack(base64.b64decode(line["sample"])) for line in lines if "sample" in line]
    assert len(parts) >= 2
    parts.append(unpack(base64.b64decode(said["sample"]["npz"])))
    assert sum(int((part.code >= 0).sum()) for part in parts) > 20
    for part in parts:
        before, after = declared.raw(part.x), declared.raw(part.adversarial)
        moved = after - before
        assert np.abs(moved[:, 0]).max() < 1e-3
        assert np.abs(after[:, [1, 2]] - np.round(after[:, [1, 2]])).max() < 1e-2
        assert moved[:, 1].min() > -1e-2
        assert moved[:, 3].max() < 1e-3
        assert (np.sort(after[:, 4:7]) == [0, 0, 1]).all()
        assert not declared.impossible(part.x, part.adversarial).any()
    assert check(place, "out")["decision"] == "allow"
    _forge(place, said)
    assert rules(check(place, "out")) == {"EVL-010"}


def _forge(place, said):
    """Move the column that nobody can change, in every stored input that fooled the model."""
    sample = unpack(base64.b64decode(said["sample"]["npz"]))
    sample = sample.rows(sample.code >= 0)
    sample.adversarial[:, 0] += np.where(sample.x[:, 0] > 0.5, -0.1, 0.1)
    path = place / "out" / "robustness.dsse.json"
    payload = json.loads(base64.b64decode(json.loads(path.read_text())["payload"]))
    payload["predicate"]["sample"] = stored(pack(sample))
    path.write_bytes(sign_statement(json.dumps(payload).encode(), (place / "runner" / "zt-gate.key").read_bytes()))


def test_constraints_and_data_that_do_not_fit_are_named(place):
    path = place / "release" / "architecture.json"
    whole = path.read_text()
    path.write_text(json.dumps(json.loads(whole) | {"constraints": {"immutable": [7]}}))
    ticket(place)
    done = evaluate(place)
    assert done.returncode == 2
    assert "constraints name column 7, and the table has 7" in done.stderr
    path.write_text(whole)
    x, y = loans()
    x[5, 1] += 0.5
    np.savez(place / "data.npz", x=x[:ROWS], y=y[:ROWS])
    ticket(place)
    done = evaluate(place)
    assert done.returncode == 2
    assert "row 5 has" in done.stderr
    assert "Traceback" not in done.stderr
