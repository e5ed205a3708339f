"""Pipelines and results that mix scikit-learn with its companions, as scripts build them."""

import numpy as np
import small_data
from optional import optional

X, TWO, REAL, THREE, NAMES = small_data.X, small_data.TWO, small_data.REAL, small_data.THREE, small_data.NAMES


def _models():
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LinearRegression, LogisticRegression

    return LogisticRegression(), RandomForestClassifier(3, max_depth=2), LinearRegression()


def _samplers(keep):
    if optional("imblearn") is None:
        return
    from imblearn import combine, over_sampling, pipeline, under_sampling
    from sklearn.preprocessing import StandardScaler

    uneven = (np.arange(len(X)) % 4 == 0).astype(int)
    for module in (over_sampling, under_sampling, combine):
        for name in module.__all__:

            def resampled(module=module, name=name):
                made = getattr(module, name)()
                steps = [("scale", StandardScaler()), ("sample", made), ("model", _models()[0])]
                return pipeline.Pipeline(steps).fit(X, uneven)

            keep("imblearn", "Pipeline " + name, resampled)
    keep("imblearn", "SMOTE neighbours", lambda: over_sampling.SMOTE(k_neighbors=2, random_state=1).fit(X, uneven))
    keep(
        "imblearn", "SMOTE strategy", lambda: over_sampling.RandomOverSampler(sampling_strategy={1: 30}).fit(X, uneven)
    )
    keep(
        "imblearn",
        "make_pipeline",
        lambda: pipeline.make_pipeline(over_sampling.SMOTE(k_neighbors=2), _models()[1]).fit(X, uneven),
    )


def _encoders(keep):
    encoders = optional("category_encoders")
    if encoders is None:
        return
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    table = small_data.mixed()[["income", "city", "size"]]
    for name in encoders.__all__:
        kind = getattr(encoders, name)

        def columns(kind=kind):
            parts = [("encode", kind(), ["city"]), ("scale", StandardScaler(), ["income"])]
            return Pipeline([("columns", ColumnTransformer(parts)), ("model", _models()[0])]).fit(table, TWO)

        def alone(kind=kind, **given):
            return kind(**given).fit(table, TWO)

        keep("category_encoders", "columns " + name, columns)
        keep("category_encoders", "frame " + name, alone)
        keep("category_encoders", "chosen " + name, lambda a=alone: a(cols=["city"], return_df=False))
        keep("category_encoders", "unknown " + name, lambda a=alone: a(handle_unknown="value", handle_missing="value"))


def _mappers(keep):
    mapper = optional("sklearn_pandas")
    table = small_data.mixed()[["income", "city", "size"]]
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import LabelBinarizer, LabelEncoder, StandardScaler

    steps = [(["income"], StandardScaler()), ("city", LabelBinarizer())]
    if mapper is not None:
        for given in ({}, {"default": None}, {"df_out": True}, {"input_df": True}, {"sparse": True}):
            keep(
                "sklearn_pandas",
                "DataFrameMapper %s" % sorted(given),
                lambda g=given: mapper.DataFrameMapper(steps, **g).fit(table),
            )
        keep(
            "sklearn_pandas",
            "DataFrameMapper alias",
            lambda: mapper.DataFrameMapper([(["income"], None, {"alias": "x"})]).fit(table),
        )
        keep(
            "sklearn_pandas",
            "DataFrameMapper list",
            lambda: mapper.DataFrameMapper([(["income"], [StandardScaler(), StandardScaler()])]).fit(table),
        )
        keep("sklearn_pandas", "DataFrameMapper unfitted", lambda: mapper.DataFrameMapper(steps))
        keep(
            "sklearn_pandas",
            "Pipeline",
            lambda: Pipeline([("map", mapper.DataFrameMapper(steps)), ("model", _models()[0])]).fit(table, TWO),
        )
        for name in ("CategoricalImputer", "FunctionTransformer", "NumericalTransformer"):
            keep(
                "sklearn_pandas",
                name,
                lambda name=name: (
                    getattr(mapper, name)() if name != "NumericalTransformer" else mapper.NumericalTransformer("log")
                ),
            )
        keep("sklearn_pandas", "gen_features", lambda: mapper.gen_features([["city"]], [LabelEncoder]))
    pmml = optional("sklearn2pmml")
    if pmml is not None:
        from sklearn.tree import DecisionTreeClassifier

        keep(
            "sklearn2pmml",
            "PMMLPipeline",
            lambda: pmml.PMMLPipeline([("model", DecisionTreeClassifier(max_depth=2))]).fit(small_data.frame(), THREE),
        )
        keep("sklearn2pmml", "PMMLPipeline verified", lambda: _verified(pmml))
        domains = optional("sklearn2pmml.decoration")
        for name in ("ContinuousDomain", "CategoricalDomain", "OrdinalDomain", "TemporalDomain"):
            keep(
                "sklearn2pmml",
                name,
                lambda name=name: getattr(domains, name)().fit(
                    table[["income" if name[0] == "C" and name[1] == "o" else "city"]]
                ),
            )
        if mapper is not None:
            both = [(["income"], [domains.ContinuousDomain(), StandardScaler()])] if domains else []
            keep(
                "sklearn2pmml",
                "PMMLPipeline mapped",
                lambda: pmml.PMMLPipeline(
                    [("map", mapper.DataFrameMapper(both)), ("model", DecisionTreeClassifier())]
                ).fit(table, TWO),
            )


def _verified(pmml):
    made = pmml.PMMLPipeline([("model", _models()[2])]).fit(small_data.frame(), REAL)
    made.verify(small_data.frame().head(3))
    return made


def _engineering(keep):
    if optional("feature_engine") is None:
        return
    from sklearn.pipeline import Pipeline

    table = small_data.mixed()[["age", "income", "city"]]
    found = []
    for path in ("imputation", "encoding", "discretisation", "outliers", "transformation", "selection", "creation"):
        module = optional("feature_engine." + path)
        found += [getattr(module, name) for name in getattr(module, "__all__", ())]
    for path in ("missing_data_imputers", "categorical_encoders", "discretisers", "variable_transformers"):
        module = optional("feature_engine." + path)
        found += [kind for kind in vars(module or object).values() if isinstance(kind, type) and hasattr(kind, "fit")]
    for kind in found:
        name = kind.__module__ + "." + kind.__name__
        keep("feature_engine", "frame " + name, lambda kind=kind: kind().fit(table, TWO))
        keep("feature_engine", "numbers " + name, lambda kind=kind: kind().fit(small_data.frame(), TWO))
        keep("feature_engine", "columns " + name, lambda kind=kind: kind(variables=["income"]).fit(table, TWO))
        keep("feature_engine", "text columns " + name, lambda kind=kind: kind(variables=["city"]).fit(table, TWO))
        keep(
            "feature_engine",
            "Pipeline " + name,
            lambda kind=kind: Pipeline([("a", kind()), ("b", _models()[0])]).fit(small_data.frame(), TWO),
        )


def _sum_of_squares(point):
    return sum(float(part) ** 2 for part in point if not isinstance(part, str))


def _optimisers(keep):
    skopt = optional("skopt")
    if skopt is None:
        return
    space = skopt.space
    dimensions = [
        space.Real(0.1, 1.0, name="a"),
        space.Integer(1, 5, name="b"),
        space.Categorical(["x", "y"], name="c"),
    ]
    for name in ("Real", "Integer"):
        for prior in ("uniform", "log-uniform"):
            keep("skopt", "%s %s" % (name, prior), lambda n=name, p=prior: getattr(space, n)(1, 9, prior=p))
    keep("skopt", "Space", lambda: space.Space(dimensions))
    for base in ("GP", "RF", "ET", "GBRT"):

        def told(base=base):
            made = skopt.Optimizer(dimensions, base, n_initial_points=2, random_state=1)
            for _ in range(3):
                point = made.ask()
                made.tell(point, _sum_of_squares(point))
            return made

        keep("skopt", "Optimizer " + base, told)
    for name in ("gp_minimize", "forest_minimize", "gbrt_minimize", "dummy_minimize"):

        def searched(name=name):
            made = getattr(skopt, name)(_sum_of_squares, dimensions, n_calls=11, random_state=1)
            made.specs["args"]["func"] = None
            return made

        keep("skopt", name, searched)
    keep(
        "skopt",
        "BayesSearchCV",
        lambda: skopt.BayesSearchCV(_models()[0], {"C": (0.1, 1.0)}, n_iter=2, cv=2).fit(X, TWO),
    )


def _clusters(keep):
    for path, name, given in (
        ("umap", "UMAP", {"n_neighbors": 3, "n_epochs": 2}),
        ("umap", "UMAP", {"n_neighbors": 3, "n_epochs": 2, "metric": "cosine", "low_memory": False}),
        ("hdbscan", "HDBSCAN", {"prediction_data": True, "min_cluster_size": 3}),
        ("hdbscan", "HDBSCAN", {"gen_min_span_tree": True, "algorithm": "boruvka_balltree"}),
        ("kmodes.kmodes", "KModes", {"n_clusters": 2, "n_init": 1}),
        ("hmmlearn.hmm", "GaussianHMM", {"n_components": 2, "n_iter": 3}),
        ("hmmlearn.hmm", "GMMHMM", {"n_components": 2, "n_iter": 3}),
        ("pygam", "LinearGAM", {}),
        ("factor_analyzer", "FactorAnalyzer", {"n_factors": 1, "rotation": None}),
        ("pyod.models.iforest", "IForest", {"n_estimators": 3}),
        ("pyod.models.knn", "KNN", {}),
        ("pyod.models.lof", "LOF", {}),
        ("pyod.models.ocsvm", "OCSVM", {}),
        ("pyod.models.hbos", "HBOS", {}),
        ("pyod.models.ecod", "ECOD", {}),
    ):
        module = optional(path)
        for data in (X, small_data.frame()) if module is not None else ():
            keep(
                path.split(".")[0],
                "%s on %s" % (name, type(data).__name__),
                lambda m=module, n=name, g=given, d=data: _fitted(getattr(m, n)(**g), d),
            )
    gam = optional("pygam")
    if gam is not None:
        for name, y in (
            ("LogisticGAM", TWO),
            ("PoissonGAM", THREE),
            ("GammaGAM", REAL),
            ("InvGaussGAM", REAL),
            ("ExpectileGAM", REAL),
        ):
            keep("pygam", name, lambda n=name, y=y: getattr(gam, n)(max_iter=5).fit(X, y))
        keep("pygam", "terms", lambda: gam.LinearGAM(gam.s(0, n_splines=5) + gam.l(1) + gam.f(2)).fit(X, REAL))
        keep("pygam", "tensor", lambda: gam.LinearGAM(gam.te(0, 1, n_splines=4)).fit(X, REAL))
    kmodes = optional("kmodes.kprototypes")
    if kmodes is not None:
        mixed = small_data.mixed()[["income", "city"]].values
        keep("kmodes", "KPrototypes", lambda: kmodes.KPrototypes(2, n_init=1).fit(mixed, categorical=[1]))
    survival = optional("sksurv.util")
    if survival is not None:
        y = survival.Surv.from_arrays(TWO.astype(bool), REAL)
        for path, name in (
            ("linear_model", "CoxPHSurvivalAnalysis"),
            ("linear_model", "CoxnetSurvivalAnalysis"),
            ("ensemble", "RandomSurvivalForest"),
            ("ensemble", "GradientBoostingSurvivalAnalysis"),
            ("tree", "SurvivalTree"),
            ("svm", "FastSurvivalSVM"),
        ):
            keep("sksurv", name, lambda p=path, n=name: getattr(optional("sksurv." + p), n)().fit(X, y))


def _fitted(made, data):
    try:
        made.fit(data)
    except TypeError:
        made.fit(data, REAL)
    return made


def _stacks(keep):
    stack = optional("mlxtend.classifier")
    if stack is None:
        return
    first, second, line = _models()
    keep("mlxtend", "StackingClassifier", lambda: stack.StackingClassifier([first, second], first).fit(X, TWO))
    keep(
        "mlxtend", "StackingCVClassifier", lambda: stack.StackingCVClassifier([first, second], first, cv=2).fit(X, TWO)
    )
    keep(
        "mlxtend",
        "EnsembleVoteClassifier",
        lambda: stack.EnsembleVoteClassifier([first, second], voting="soft").fit(X, TWO),
    )
    stack = optional("mlxtend.regressor")
    keep("mlxtend", "StackingRegressor", lambda: stack.StackingRegressor([line, line], line).fit(X, REAL))
    keep("mlxtend", "StackingCVRegressor", lambda: stack.StackingCVRegressor([line, line], line, cv=2).fit(X, REAL))
    chosen = optional("mlxtend.feature_selection")
    keep(
        "mlxtend",
        "SequentialFeatureSelector",
        lambda: chosen.SequentialFeatureSelector(first, k_features=2, cv=2).fit(X, TWO),
    )
    keep(
        "mlxtend",
        "ExhaustiveFeatureSelector",
        lambda: chosen.ExhaustiveFeatureSelector(first, max_features=2, cv=2, print_progress=False).fit(X, TWO),
    )
    rules = optional("mlxtend.preprocessing")
    keep("mlxtend", "TransactionEncoder", lambda: rules.TransactionEncoder().fit([["a", "b"], ["b"]]))


def make(keep):
    """Make what is installed."""
    for part in (_samplers, _encoders, _mappers, _engineering, _optimisers, _clusters, _stacks):
        try:
            part(keep)
        except Exception as error:
            keep.failed.append([part.__name__, repr(error)[:300]])
