"""Boosted trees of XGBoost, LightGBM and CatBoost as people save them: with callbacks, early stopping and histories."""

import os
import tempfile

import numpy as np
import small_data
from optional import optional

X, THREE, TWO, REAL = small_data.X, small_data.THREE, small_data.TWO, small_data.REAL
ROWS = len(X)


def _xgboost(keep):
    xgb = optional("xgboost")
    if xgb is None:
        return

    def train(target=TWO, early=None, **given):
        settings = {"objective": "binary:logistic", "max_depth": 2, "nthread": 1}
        settings.update(given)
        data = xgb.DMatrix(X, label=target)
        return xgb.train(settings, data, 3, evals=[(data, "train")], verbose_eval=False, early_stopping_rounds=early)

    keep("xgboost", "Booster", train)
    keep("xgboost", "Booster early", lambda: train(early=2))
    for booster in ("gbtree", "gblinear", "dart"):
        keep("xgboost", "Booster " + booster, lambda booster=booster: train(booster=booster))
    for objective in (
        "reg:squarederror",
        "reg:linear",
        "count:poisson",
        "rank:pairwise",
        "reg:gamma",
        "binary:hinge",
        "survival:aft",
    ):
        keep(
            "xgboost",
            "Booster " + objective,
            lambda objective=objective: train(REAL if ":s" in objective else TWO, objective=objective),
        )
    keep("xgboost", "Booster multi", lambda: train(THREE, objective="multi:softprob", num_class=3))
    for method in ("hist", "approx", "exact"):
        keep("xgboost", "Booster " + method, lambda method=method: train(tree_method=method))
    keep("xgboost", "dictionary", lambda: {"model": train(), "features": ["a", "b"], "threshold": np.float64(0.5)})

    def with_attributes():
        made = train()
        made.set_attr(best_score="0.5", note="kept")
        made.feature_names = ["a", "b", "c", "d"]
        made.feature_types = ["float", "int", "q", "i"]
        return made

    keep("xgboost", "Booster with attributes", with_attributes)
    _xgboost_estimators(keep, xgb)


def _xgboost_estimators(keep, xgb):
    def fitted(kind, target=TWO, fit=None, **given):
        given.setdefault("n_estimators", 3)
        return getattr(xgb, kind)(max_depth=2, n_jobs=1, **given).fit(X, target, **(fit or {}))

    for kind, target in (
        ("XGBClassifier", TWO),
        ("XGBRegressor", REAL),
        ("XGBRFClassifier", TWO),
        ("XGBRFRegressor", REAL),
    ):
        keep("xgboost", kind + " unfitted", lambda kind=kind: getattr(xgb, kind)())
        keep("xgboost", kind, lambda kind=kind, target=target: fitted(kind, target))
        evaluated = {"eval_set": [(X, target)], "verbose": False}
        keep("xgboost", kind + " evaluated", lambda k=kind, t=target, e=evaluated: fitted(k, t, e))
        early = dict(evaluated, early_stopping_rounds=2)
        keep("xgboost", kind + " early by fit", lambda k=kind, t=target, e=early: fitted(k, t, e))
        keep("xgboost", kind + " early", lambda k=kind, t=target, e=evaluated: fitted(k, t, e, early_stopping_rounds=2))
        keep(
            "xgboost",
            kind + " metric",
            lambda k=kind, t=target, e=evaluated: fitted(k, t, e, eval_metric=["rmse", "mae"]),
        )
        for number in (np.nan, -1, 0):
            keep("xgboost", kind + " missing", lambda k=kind, t=target, n=number: fitted(k, t, missing=n))
        keep("xgboost", kind + " seed", lambda k=kind, t=target: fitted(k, t, random_state=np.random.RandomState(1)))
        keep(
            "xgboost",
            kind + " numpy",
            lambda k=kind, t=target: fitted(k, t, learning_rate=np.float64(0.1), n_estimators=np.int64(3)),
        )
        keep(
            "xgboost",
            kind + " kwargs",
            lambda k=kind, t=target: fitted(k, t, nthread=1, silent=True, tree_method="hist"),
        )
        keep("xgboost", kind + " constraints", lambda k=kind, t=target: fitted(k, t, monotone_constraints=(1, 0, 0, 0)))
        keep(
            "xgboost",
            kind + " interactions",
            lambda k=kind, t=target: fitted(k, t, interaction_constraints=[[0, 1], [2, 3]]),
        )
        keep("xgboost", kind + " linear", lambda k=kind, t=target: fitted(k, t, booster="gblinear"))
        keep("xgboost", kind + " categories", lambda k=kind, t=target: _categorical(xgb, k, t))
        keep(
            "xgboost",
            kind + " frame",
            lambda k=kind, t=target: getattr(xgb, k)(n_estimators=2).fit(small_data.frame(), t),
        )
    keep("xgboost", "XGBClassifier three", lambda: fitted("XGBClassifier", THREE, objective="multi:softprob"))
    keep("xgboost", "XGBClassifier strings", lambda: fitted("XGBClassifier", small_data.NAMES))
    keep(
        "xgboost",
        "XGBClassifier labels off",
        lambda: fitted("XGBClassifier", TWO, use_label_encoder=False, eval_metric="logloss"),
    )
    keep("xgboost", "XGBRanker", lambda: xgb.XGBRanker(n_estimators=2).fit(X, TWO, group=[18, 18]))
    callback = getattr(xgb, "callback", None)
    for name, given in (
        ("EarlyStopping", {"rounds": 2}),
        ("EarlyStopping", {"rounds": 2, "save_best": True, "metric_name": "logloss", "maximize": False}),
        ("LearningRateScheduler", {"learning_rates": [0.3, 0.2, 0.1]}),
        ("EvaluationMonitor", {"rank": 0, "period": 1}),
        ("TrainingCheckPoint", {"directory": tempfile.gettempdir(), "name": "model"}),
        ("TrainingCallback", {}),
    ):

        def called(name=name, given=given):
            made = getattr(callback, name)(**given)
            evaluated = {"eval_set": [(X, TWO)], "verbose": False}
            return [made, fitted("XGBClassifier", TWO, evaluated, callbacks=[made])]

        keep("xgboost", "callback " + name + " ".join(sorted(given)), called)
        keep("xgboost", "callback alone " + name, lambda name=name, given=given: getattr(callback, name)(**given))
    keep("xgboost", "pipeline", lambda: _pipeline(xgb.XGBClassifier(n_estimators=2)))
    keep("xgboost", "grid", lambda: _grid(xgb.XGBClassifier(n_estimators=2), {"max_depth": [1, 2]}))
    keep("xgboost", "calibrated", lambda: _calibrated(xgb.XGBClassifier(n_estimators=2)))


def _categorical(xgb, kind, target):
    table = small_data.mixed()[["age", "size"]]
    return getattr(xgb, kind)(n_estimators=2, enable_categorical=True, tree_method="hist").fit(table, target)


def _pipeline(model):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), model).fit(X, TWO)


def _grid(model, values):
    from sklearn.model_selection import GridSearchCV

    return GridSearchCV(model, values, cv=2).fit(X, TWO)


def _calibrated(model):
    from sklearn.calibration import CalibratedClassifierCV

    return CalibratedClassifierCV(model, cv=2).fit(X, TWO)


def _lightgbm(keep):
    lgb = optional("lightgbm")
    if lgb is None:
        return
    small = {"min_child_samples": 2, "num_leaves": 4, "n_jobs": 1}

    def train(target=TWO, **given):
        settings = {"objective": "binary", "min_data_in_leaf": 2, "num_leaves": 4, "verbose": -1, "num_threads": 1}
        more = {
            name: given.pop(name)
            for name in ("callbacks", "valid_sets", "early_stopping_rounds", "keep_training_booster")
            if name in given
        }
        settings.update(given)
        data = lgb.Dataset(X, label=target)
        if "valid_sets" in more:
            more["valid_sets"] = [data]
        return lgb.train(settings, data, 3, **more)

    keep("lightgbm", "Booster", train)
    for objective in ("regression", "regression_l1", "huber", "poisson", "quantile", "cross_entropy"):
        keep("lightgbm", "Booster " + objective, lambda objective=objective: train(TWO, objective=objective))
    keep("lightgbm", "Booster multi", lambda: train(THREE, objective="multiclass", num_class=3))
    for kind in ("gbdt", "dart", "goss", "rf"):
        keep(
            "lightgbm", "Booster " + kind, lambda kind=kind: train(boosting=kind, bagging_fraction=0.8, bagging_freq=1)
        )
    keep("lightgbm", "Booster early", lambda: train(valid_sets=True, early_stopping_rounds=2))
    keep("lightgbm", "Booster early call", lambda: train(valid_sets=True, callbacks=[lgb.early_stopping(2)]))
    keep("lightgbm", "Booster kept", lambda: train(keep_training_booster=True))
    keep("lightgbm", "Booster linear", lambda: train(REAL, objective="regression", linear_tree=True))
    for kind, target in (("LGBMClassifier", TWO), ("LGBMRegressor", REAL)):

        def fitted(kind=kind, target=target, fit=None, **given):
            given.setdefault("n_estimators", 3)
            given.update(small)
            return getattr(lgb, kind)(**given).fit(X, target, **(fit or {}))

        keep("lightgbm", kind + " unfitted", lambda kind=kind: getattr(lgb, kind)())
        keep("lightgbm", kind, fitted)
        evaluated = {"eval_set": [(X, target)]}
        keep("lightgbm", kind + " evaluated", lambda f=fitted, e=evaluated: f(fit=e))
        keep("lightgbm", kind + " early", lambda f=fitted, e=evaluated: f(fit=dict(e, early_stopping_rounds=2)))
        keep(
            "lightgbm",
            kind + " callbacks",
            lambda f=fitted, e=evaluated: f(fit=dict(e, callbacks=[lgb.early_stopping(2)])),
        )
        keep("lightgbm", kind + " metrics", lambda f=fitted, e=evaluated: f(fit=dict(e, eval_metric=["l1", "l2"])))
        keep("lightgbm", kind + " importances", lambda f=fitted: f(importance_type="gain"))
        keep("lightgbm", kind + " kwargs", lambda f=fitted: f(metric="auc", is_unbalance=True, max_bin=15))
        keep("lightgbm", kind + " seed", lambda f=fitted: f(random_state=np.random.RandomState(1)))
        keep("lightgbm", kind + " numpy", lambda f=fitted: f(learning_rate=np.float64(0.1), n_estimators=np.int64(3)))
        keep(
            "lightgbm",
            kind + " frame",
            lambda k=kind, t=target: getattr(lgb, k)(n_estimators=2, **small).fit(small_data.frame(), t),
        )
        table = small_data.mixed()[["age", "size", "count"]]
        keep(
            "lightgbm",
            kind + " categories",
            lambda k=kind, t=target, x=table: getattr(lgb, k)(n_estimators=2, **small).fit(x, t),
        )
    keep("lightgbm", "LGBMClassifier three", lambda: lgb.LGBMClassifier(n_estimators=2, **small).fit(X, THREE))
    keep(
        "lightgbm",
        "LGBMClassifier strings",
        lambda: lgb.LGBMClassifier(n_estimators=2, class_weight="balanced", **small).fit(X, small_data.NAMES),
    )
    keep("lightgbm", "LGBMRanker", lambda: lgb.LGBMRanker(n_estimators=2, **small).fit(X, TWO, group=[18, 18]))
    for name, given in (
        ("early_stopping", (2,)),
        ("log_evaluation", (1,)),
        ("print_evaluation", (1,)),
        ("record_evaluation", ({},)),
    ):
        keep("lightgbm", "callback " + name, lambda name=name, given=given: getattr(lgb, name)(*given))
    keep("lightgbm", "reset_parameter", lambda: lgb.reset_parameter(learning_rate=[0.1, 0.2]))
    keep("lightgbm", "pipeline", lambda: _pipeline(lgb.LGBMClassifier(n_estimators=2, **small)))
    keep("lightgbm", "grid", lambda: _grid(lgb.LGBMClassifier(n_estimators=2, **small), {"max_depth": [1, 2]}))
    keep("lightgbm", "calibrated", lambda: _calibrated(lgb.LGBMClassifier(n_estimators=2, **small)))
    keep(
        "lightgbm",
        "cv",
        lambda: lgb.cv({"objective": "regression", "verbose": -1}, lgb.Dataset(X, REAL), 2, nfold=2, stratified=False),
    )


def _catboost(keep):
    cat = optional("catboost")
    if cat is None:
        return
    small = {"iterations": 3, "depth": 2, "verbose": False, "allow_writing_files": False, "thread_count": 1}

    def fitted(kind, target, table=X, fit=None, **given):
        return getattr(cat, kind)(**dict(small, **given)).fit(table, target, **(fit or {}))

    for kind, target in (("CatBoostClassifier", TWO), ("CatBoostRegressor", REAL), ("CatBoost", REAL)):
        keep("catboost", kind + " unfitted", lambda kind=kind: getattr(cat, kind)())
        if kind == "CatBoost":
            keep("catboost", kind, lambda: cat.CatBoost(dict(small, loss_function="RMSE")).fit(X, REAL))
            continue
        keep("catboost", kind, lambda k=kind, t=target: fitted(k, t))
        evaluated = {"eval_set": (X, target)}
        keep("catboost", kind + " evaluated", lambda k=kind, t=target, e=evaluated: fitted(k, t, fit=e))
        keep(
            "catboost",
            kind + " early",
            lambda k=kind, t=target, e=evaluated: fitted(k, t, fit=dict(e, early_stopping_rounds=2)),
        )
        keep(
            "catboost",
            kind + " best",
            lambda k=kind, t=target, e=evaluated: fitted(k, t, fit=dict(e, use_best_model=True)),
        )
        keep("catboost", kind + " frame", lambda k=kind, t=target: fitted(k, t, small_data.frame()))
        table = small_data.mixed()[["income", "city"]]
        keep(
            "catboost",
            kind + " categories",
            lambda k=kind, t=target, x=table: fitted(k, t, x, {"cat_features": ["city"]}),
        )
        keep(
            "catboost", kind + " categories given", lambda k=kind, t=target, x=table: fitted(k, t, x, cat_features=[1])
        )
        keep(
            "catboost",
            kind + " seed",
            lambda k=kind, t=target: fitted(k, t, random_seed=np.int64(7), learning_rate=np.float64(0.1)),
        )
        keep(
            "catboost", kind + " constraints", lambda k=kind, t=target: fitted(k, t, monotone_constraints=[1, 0, 0, 0])
        )
        for metric in ("Logloss", "CrossEntropy", "MAE", "Quantile:alpha=0.9", "Poisson"):
            keep(
                "catboost",
                kind + metric,
                lambda k=kind, m=metric, t=target: fitted(k, t, loss_function=m, eval_metric=m),
            )
    keep("catboost", "strings", lambda: fitted("CatBoostClassifier", small_data.NAMES, loss_function="MultiClass"))
    keep("catboost", "weights", lambda: fitted("CatBoostClassifier", THREE, class_weights=[1, 2, 3]))
    keep("catboost", "balanced", lambda: fitted("CatBoostClassifier", THREE, auto_class_weights="Balanced"))
    keep("catboost", "texts", lambda: fitted("CatBoostClassifier", TWO, _texts(), {"text_features": ["text"]}))
    keep("catboost", "pipeline", lambda: _pipeline(cat.CatBoostClassifier(**small)))
    keep("catboost", "grid", lambda: _grid(cat.CatBoostClassifier(**small), {"depth": [1, 2]}))
    keep("catboost", "Pool", lambda: cat.Pool(X, TWO))
    keep("catboost", "CatBoostRanker", lambda: cat.CatBoostRanker(**small).fit(X, TWO, group_id=np.arange(ROWS) // 6))


def _texts():
    table = small_data.mixed()[["income"]].copy()
    table["text"] = small_data.TEXTS
    return table


def _ngboost(keep):
    ngb = optional("ngboost")
    if ngb is None:
        return
    keep("ngboost", "NGBRegressor", lambda: ngb.NGBRegressor(n_estimators=3, verbose=False).fit(X, REAL))
    keep("ngboost", "NGBClassifier", lambda: ngb.NGBClassifier(n_estimators=3, verbose=False).fit(X, TWO))
    for name in ("LogNormal", "Exponential", "Laplace", "Poisson", "T", "Gamma", "HalfNormal", "TFixedDf"):
        kind = getattr(optional("ngboost.distns"), name, None)
        if kind is not None:
            keep(
                "ngboost",
                "NGBRegressor " + name,
                lambda k=kind: ngb.NGBRegressor(Dist=k, n_estimators=2, verbose=False).fit(X, np.ceil(REAL)),
            )
    for score in ("CRPScore", "LogScore", "MLE", "CRPS"):
        kind = getattr(optional("ngboost.scores"), score, None)
        if kind is not None:
            keep(
                "ngboost",
                "NGBRegressor " + score,
                lambda k=kind: ngb.NGBRegressor(Score=k, n_estimators=2, verbose=False).fit(X, REAL),
            )
    keep(
        "ngboost",
        "three",
        lambda: ngb.NGBClassifier(Dist=ngb.distns.k_categorical(3), n_estimators=2, verbose=False).fit(X, THREE),
    )
    keep("ngboost", "survival", lambda: ngb.NGBSurvival(n_estimators=2, verbose=False).fit(X, REAL, TWO))


def make(keep):
    """Make what is installed, in a folder that these libraries may write to."""
    before = os.getcwd()
    os.chdir(tempfile.mkdtemp())
    try:
        for part in (_xgboost, _lightgbm, _catboost, _ngboost):
            part(keep)
    finally:
        os.chdir(before)
