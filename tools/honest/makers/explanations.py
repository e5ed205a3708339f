"""Explainers, causal models and searches: shap, interpret, alibi, causalml, econml, flaml, mapie, tpot, skops."""

import numpy as np
import small_data
from optional import optional

X, TWO, REAL, THREE = small_data.X, small_data.TWO, small_data.REAL, small_data.THREE


def _models():
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.tree import DecisionTreeClassifier

    return {
        "logistic": LogisticRegression().fit(X, TWO),
        "linear": LinearRegression().fit(X, REAL),
        "forest": RandomForestClassifier(3, max_depth=2).fit(X, TWO),
        "three": RandomForestClassifier(3, max_depth=2).fit(X, THREE),
        "regressor": RandomForestRegressor(3, max_depth=2).fit(X, REAL),
        "boosted": GradientBoostingClassifier(n_estimators=3).fit(X, TWO),
        "tree": DecisionTreeClassifier(max_depth=2).fit(X, TWO),
    }


def _boosters():
    found = {}
    xgb, lgb = optional("xgboost"), optional("lightgbm")
    if xgb:
        found["xgboost"] = xgb.XGBClassifier(n_estimators=2, base_score=0.5).fit(X, TWO)
    if lgb:
        found["lightgbm"] = lgb.LGBMClassifier(n_estimators=2, min_child_samples=2).fit(X, TWO)
    return found


def _shap(keep):
    shap = optional("shap")
    if shap is None:
        return
    models = _models()
    models.update(_boosters())
    for name in ("forest", "three", "regressor", "boosted", "tree", "xgboost", "lightgbm"):
        model = models.get(name)
        keep("shap", "TreeExplainer " + name, lambda m=model: shap.TreeExplainer(m))
        keep("shap", "TreeExplainer data " + name, lambda m=model: shap.TreeExplainer(m, X[:10]))
        keep(
            "shap",
            "TreeExplainer probability " + name,
            lambda m=model: shap.TreeExplainer(m, X[:10], model_output="probability"),
        )

        def explained(m=model):
            explainer = shap.TreeExplainer(m)
            return [explainer, explainer(X[:3])]

        keep("shap", "Explanation " + name, explained)
        keep("shap", "shap_values " + name, lambda m=model: shap.TreeExplainer(m).shap_values(X[:3]))
    for name in ("logistic", "linear"):
        keep("shap", "LinearExplainer " + name, lambda m=models[name]: shap.LinearExplainer(m, X))
        keep("shap", "Explanation " + name, lambda m=models[name]: shap.LinearExplainer(m, X)(X[:3]))
        keep("shap", "KernelExplainer " + name, lambda m=models[name]: shap.KernelExplainer(m.predict, X[:5]))
        keep("shap", "SamplingExplainer " + name, lambda m=models[name]: shap.SamplingExplainer(m.predict, X[:5]))
        keep("shap", "Explainer " + name, lambda m=models[name]: shap.Explainer(m, X))
        keep("shap", "Explainer predict " + name, lambda m=models[name]: shap.Explainer(m.predict, X))
        keep("shap", "Permutation " + name, lambda m=models[name]: shap.explainers.Permutation(m.predict, X))
        keep("shap", "Exact " + name, lambda m=models[name]: shap.explainers.Exact(m.predict, X))
    for name in ("Independent", "Partition", "Impute", "Text"):
        keep(
            "shap",
            "masker " + name,
            lambda name=name: getattr(shap.maskers, name)(X) if name != "Text" else shap.maskers.Text(),
        )
    keep("shap", "kmeans", lambda: shap.kmeans(X, 3))


def _interpret(keep):
    glass = optional("interpret.glassbox")
    if glass is None:
        return
    for name, target in (("ExplainableBoostingClassifier", TWO), ("ExplainableBoostingRegressor", REAL)):
        small = {"n_jobs": 1, "outer_bags": 2, "max_rounds": 4}

        def fitted(name=name, target=target, table=X, **given):
            return getattr(glass, name)(**dict(small, **given)).fit(table, target)

        keep("interpret", name, fitted)
        keep("interpret", name + " frame", lambda f=fitted: f(table=small_data.frame()))
        keep("interpret", name + " mixed", lambda f=fitted: f(table=small_data.mixed()[["income", "city", "size"]]))
        keep("interpret", name + " no pairs", lambda f=fitted: f(interactions=0))
        keep("interpret", name + " pairs", lambda f=fitted: f(interactions=[(0, 1)]))
        keep("interpret", name + " names", lambda f=fitted: f(feature_names=list("abcd")))
        keep("interpret", name + " unfitted", lambda n=name: getattr(glass, n)())
        keep("interpret", name + " explained", lambda f=fitted: f().explain_global())
        keep("interpret", name + " explained here", lambda f=fitted: f().explain_local(X[:2], None))
    keep(
        "interpret",
        "three",
        lambda: glass.ExplainableBoostingClassifier(n_jobs=1, outer_bags=2, max_rounds=4).fit(X, small_data.NAMES),
    )
    for name, target in (
        ("LogisticRegression", TWO),
        ("LinearRegression", REAL),
        ("ClassificationTree", TWO),
        ("RegressionTree", REAL),
        ("DecisionListClassifier", TWO),
    ):
        keep("interpret", name, lambda name=name, target=target: getattr(glass, name)().fit(X, target))
        keep(
            "interpret",
            name + " explained",
            lambda name=name, target=target: getattr(glass, name)().fit(X, target).explain_global(),
        )
    perf = optional("interpret.perf")
    keep("interpret", "ROC", lambda: perf.ROC(_models()["logistic"]).explain_perf(X, TWO))


def _alibi(keep):
    explainers = optional("alibi.explainers")
    if explainers is None:
        return
    models = _models()
    names = list("abcd")
    keep("alibi", "AnchorTabular", lambda: _fit(explainers.AnchorTabular(models["forest"].predict, names), X))
    keep("alibi", "ALE", lambda: explainers.ALE(models["linear"].predict, feature_names=names))
    keep("alibi", "ALE explained", lambda: explainers.ALE(models["linear"].predict, feature_names=names).explain(X))
    keep("alibi", "KernelShap", lambda: _fit(explainers.KernelShap(models["logistic"].predict_proba), X[:5]))
    keep("alibi", "TreeShap", lambda: _fit(explainers.TreeShap(models["forest"]), None))
    keep(
        "alibi",
        "PartialDependence",
        lambda: explainers.PartialDependence(models["linear"].predict, feature_names=names),
    )
    keep(
        "alibi",
        "PermutationImportance",
        lambda: explainers.PermutationImportance(models["linear"].predict, loss_fns="mean_squared_error"),
    )
    confidence = optional("alibi.confidence")
    keep("alibi", "TrustScore", lambda: _fit(confidence.TrustScore(k_filter=3), X, TWO))
    keep("alibi", "LinearityMeasure", lambda: _fit(confidence.LinearityMeasure(), X))
    proto = optional("alibi.prototypes")
    keep(
        "alibi",
        "ProtoSelect",
        lambda: _fit(proto.ProtoSelect(kernel_distance=proto.EuclideanDistance(), eps=0.5), X, TWO),
    )


def _fit(made, *data):
    made.fit(*data)
    return made


def _causal(keep):
    meta = optional("causalml.inference.meta")
    from sklearn.linear_model import LinearRegression, LogisticRegression

    for name in (
        ("BaseSRegressor", "BaseTRegressor", "BaseXRegressor", "BaseRRegressor", "BaseDRRegressor") if meta else ()
    ):

        def learner(name=name):
            made = getattr(meta, name)(LinearRegression())
            made.fit(X=X, treatment=TWO, y=REAL, **({"p": np.full(len(X), 0.5)} if name[4] in "XRD" else {}))
            return made

        keep("causalml", name, learner)
    for name in ("LRSRegressor", "XGBTRegressor", "MLPTRegressor"):
        keep("causalml", name, lambda name=name: _fit(getattr(meta, name)(), X, TWO, REAL) if meta else None)
    trees = optional("causalml.inference.tree")
    for name in (
        ("UpliftTreeClassifier", "UpliftRandomForestClassifier", "CausalTreeRegressor", "CausalRandomForestRegressor")
        if trees
        else ()
    ):

        def grown(name=name):
            if name.startswith("Causal"):
                return getattr(trees, name)().fit(X, treatment=TWO, y=REAL)
            made = getattr(trees, name)(control_name="control", max_depth=2)
            made.fit(X, treatment=np.where(TWO, "treated", "control"), y=THREE % 2)
            return made

        keep("causalml", name, grown)
    keep(
        "causalml",
        "ElasticNetPropensityModel",
        lambda: _fit(optional("causalml.propensity").ElasticNetPropensityModel(), X, TWO),
    )
    dml, dr, metal = optional("econml.dml"), optional("econml.dr"), optional("econml.metalearners")
    if dml is not None:
        for name in ("LinearDML", "SparseLinearDML", "CausalForestDML", "KernelDML", "NonParamDML", "DML"):

            def double(name=name):
                given = {"model_final": LinearRegression()} if name in ("NonParamDML", "DML") else {}
                if name == "DML":
                    given["model_final"] = LinearRegression(fit_intercept=False)
                kind = getattr(dml, name)
                made = kind(
                    model_y=LinearRegression(), model_t=LogisticRegression(), discrete_treatment=True, cv=2, **given
                )
                return made.fit(REAL, TWO, X=X[:, :2], W=X[:, 2:])

            keep("econml", name, double)
        for name in ("LinearDRLearner", "DRLearner", "ForestDRLearner", "SparseLinearDRLearner"):
            keep(
                "econml",
                name,
                lambda name=name: getattr(dr, name)(
                    model_propensity=LogisticRegression(), model_regression=LinearRegression(), cv=2
                ).fit(REAL, TWO, X=X),
            )
        keep("econml", "SLearner", lambda: metal.SLearner(overall_model=LinearRegression()).fit(REAL, TWO, X=X))
        keep("econml", "TLearner", lambda: metal.TLearner(models=LinearRegression()).fit(REAL, TWO, X=X))
        keep("econml", "XLearner", lambda: metal.XLearner(models=LinearRegression()).fit(REAL, TWO, X=X))
        keep("econml", "inference", lambda: dml.LinearDML(cv=2).fit(REAL, X[:, 0], X=X[:, 1:], inference="statsmodels"))
        iv = optional("econml.iv.dml")
        keep(
            "econml",
            "DMLIV",
            lambda: iv.OrthoIV(
                model_y_xw=LinearRegression(), model_t_xw=LinearRegression(), model_z_xw=LinearRegression()
            ).fit(REAL, X[:, 0], Z=X[:, 1], X=X[:, 2:]),
        )
    flaml = optional("flaml")
    if flaml is not None:
        for names in (["lgbm"], ["rf"], ["xgboost"], ["extra_tree"], ["lrl1"], ["kneighbor"]):

            def searched(names=names):
                made = flaml.AutoML()
                made.fit(
                    X, TWO, task="classification", time_budget=2, max_iter=2, estimator_list=names, verbose=0, n_jobs=1
                )
                return made

            keep("flaml", "AutoML " + names[0], searched)
            keep("flaml", "AutoML model " + names[0], lambda s=searched: s().model)
        keep("flaml", "AutoML", lambda: flaml.AutoML())


def _searches(keep):
    from sklearn.linear_model import LinearRegression, LogisticRegression

    regression = optional("mapie.regression")
    if regression is not None:
        for name in ("MapieRegressor", "MapieQuantileRegressor", "SplitConformalRegressor", "CrossConformalRegressor"):
            keep("mapie", name, lambda name=name: _fit(getattr(regression, name)(LinearRegression()), X, REAL))
        classification = optional("mapie.classification")
        for name in ("MapieClassifier", "SplitConformalClassifier"):
            keep("mapie", name, lambda name=name: _fit(getattr(classification, name)(LogisticRegression()), X, THREE))
    tpot = optional("tpot")
    if tpot is not None:

        def evolved():
            made = tpot.TPOTClassifier(
                generations=1, population_size=3, cv=2, config_dict="TPOT light", max_time_mins=0.2
            )
            return made.fit(X, TWO).fitted_pipeline_

        keep("tpot", "fitted_pipeline_", evolved)
        inside = optional("tpot.builtins")
        for name in (
            "StackingEstimator",
            "ZeroCount",
            "OneHotEncoder",
            "CategoricalSelector",
            "ContinuousSelector",
            "FeatureSetSelector",
        ):
            given = (LogisticRegression(),) if name == "StackingEstimator" else ()
            keep("tpot", name, lambda name=name, given=given: getattr(inside, name)(*given).fit(X, TWO))
    card = optional("skops.card")
    if card is not None:
        keep("skops", "Card", lambda: card.Card(LogisticRegression().fit(X, TWO)))


def make(keep):
    """Make what is installed."""
    for part in (_shap, _interpret, _alibi, _causal, _searches):
        try:
            part(keep)
        except Exception as error:
            keep.failed.append([part.__name__, repr(error)[:300]])
