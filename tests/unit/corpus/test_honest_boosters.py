"""What pickles of XGBoost and LightGBM consist of is listed, and nothing near it is."""

import pytest

from zt_gate.corpus.opcodes import program, stack_name, text
from zt_gate.intake import Freeze, freeze
from zt_gate.scan.artifacts import ArtifactCheck

LISTED = [
    ("xgboost.sklearn", "XGBClassifier"),
    ("xgboost.core", "Booster"),
    ("lightgbm.sklearn", "LGBMRegressor"),
    ("lightgbm.basic", "Booster"),
]


def found(folder, body):
    (folder / "m.pkl").write_bytes(program(body))
    with freeze([folder / "m.pkl"], Freeze.HOLD) as frozen:
        return {finding.rule for finding in ArtifactCheck().run(frozen).findings}


@pytest.mark.parametrize(("module", "name"), LISTED)
def test_a_booster_and_its_state_pass(tmp_path, module, name):
    assert found(tmp_path, stack_name(module, name) + b")\x81}" + text("handle") + b"Nsb") == set()


@pytest.mark.parametrize(("module", "name"), LISTED)
def test_a_booster_is_not_called_and_gets_no_dunder(tmp_path, module, name):
    assert found(tmp_path, stack_name(module, name) + b")R") == {"ART-104"}
    assert found(tmp_path, stack_name(module, name) + b")\x81}" + text("__class__") + b"Nsb") == {"ART-105"}


@pytest.mark.parametrize("name", ["xgboost.core _LIB", "xgboost.core Booster.load_model", "lightgbm.basic _LIB"])
def test_what_stands_beside_it_is_unknown(tmp_path, name):
    assert found(tmp_path, stack_name(*name.split()) + b"0N") == {"ART-102"}
