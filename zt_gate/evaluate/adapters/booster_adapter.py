"""XGBoost and LightGBM, from the formats that hold trees and nothing else; their margins are the scores."""

from __future__ import annotations

from typing import Any

from zt_gate.evaluate.adapters.declaration import Declaration
from zt_gate.evaluate.adapters.score_adapter import ScoreAdapter


def load_xgboost(path: str, declared: Declaration, device: str) -> ScoreAdapter:
    """Load JSON or UBJSON of `Booster.save_model`."""
    import xgboost

    del device
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(path)

    def scores(raw: Any) -> Any:
        table = xgboost.DMatrix(raw.reshape(len(raw), -1), nthread=1)
        table.feature_names = booster.feature_names
        return booster.predict(table, output_margin=True)

    return ScoreAdapter(scores, declared, probabilities=False)


def load_lightgbm(path: str, declared: Declaration, device: str) -> ScoreAdapter:
    """Load the text of `Booster.save_model`."""
    import lightgbm

    del device
    booster = lightgbm.Booster(params={"num_threads": 1}, model_file=path)

    def scores(raw: Any) -> Any:
        return booster.predict(raw.reshape(len(raw), -1), raw_score=True, num_threads=1)

    return ScoreAdapter(scores, declared, probabilities=False)
