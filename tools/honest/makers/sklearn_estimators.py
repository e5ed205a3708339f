"""Every public estimator of scikit-learn (0.18 and later), fitted on every kind of data and with every option.

What may stand in an attribute depends on options, so each is tried one at a time: the texts that the class's own
parameter constraints name (1.2 and later; older ones use the table `OPTIONS`), numbers as Python's and as NumPy's, the
other truth value, callables of NumPy and scikit-learn, random states, a warm start, sample weights.
"""

import importlib
import inspect
import numbers
import os
import pkgutil
import re
import sys

import numpy as np
import sklearn
from sklearn.base import BaseEstimator, clone

import small_data

SKIPPED = ("tests", "externals", "conftest", "testing", "_testing", "estimator_checks", "_mocking", "setup", "datasets")

OPTIONS = {
    "algorithm": "auto brute ball_tree kd_tree full elkan lloyd SAMME SAMME.R arpack randomized parallel deflation kd_trees boruvka",
    "affinity": "euclidean rbf nearest_neighbors precomputed manhattan cosine l1 l2",
    "analyzer": "word char char_wb",
    "assign_labels": "kmeans discretize cluster_qr",
    "average": "macro micro",
    "class_weight": "balanced balanced_subsample auto",
    "covariance_estimator": "",
    "covariance_type": "full tied diag spherical",
    "criterion": "gini entropy log_loss mse mae friedman_mse squared_error absolute_error poisson",
    "decision_function_shape": "ovo ovr",
    "decode_error": "strict ignore replace",
    "degree": "2",
    "drop": "first if_binary",
    "eigen_solver": "auto arpack dense lobpcg amg randomized",
    "encode": "onehot onehot-dense ordinal",
    "fit_algorithm": "lars cd",
    "fun": "logcosh exp cube",
    "gamma": "auto scale",
    "handle_unknown": "error ignore use_encoded_value infrequent_if_exist",
    "handle_missing": "error",
    "imputation_order": "ascending descending roman arabic random",
    "init": "k-means++ random nndsvd nndsvda nndsvdar pca auto identity lda",
    "init_params": "kmeans random k-means++ random_from_data",
    "initial_strategy": "mean median most_frequent constant",
    "kernel": "linear poly rbf sigmoid cosine laplacian chi2 additive_chi2 tophat gaussian epanechnikov exponential knn precomputed",
    "learning_method": "batch online",
    "learning_rate": "constant optimal invscaling adaptive pa1 pa2",
    "linkage": "ward complete average single",
    "loss": "hinge log log_loss modified_huber squared_hinge perceptron squared_loss squared_error huber epsilon_insensitive "
    "squared_epsilon_insensitive deviance exponential ls lad quantile least_squares least_absolute_deviation absolute_error "
    "poisson gamma binary_crossentropy categorical_crossentropy auto linear square absolute_loss",
    "max_features": "auto sqrt log2 0.5 2",
    "method": "standard modified hessian ltsa isotonic sigmoid yeo-johnson box-cox lars lasso barnes_hut exact predict_proba",
    "metric": "euclidean manhattan chebyshev minkowski cosine l1 l2 cityblock hamming jaccard canberra braycurtis precomputed haversine",
    "mode": "distance connectivity percentile k_best fpr fdr fwe",
    "multi_class": "ovr multinomial auto crammer_singer one_vs_rest one_vs_one",
    "neighbors_algorithm": "auto brute kd_tree ball_tree",
    "norm": "l1 l2 max",
    "output_distribution": "uniform normal",
    "path_method": "auto FW D",
    "penalty": "l1 l2 elasticnet none",
    "positive": "",
    "precompute": "auto",
    "regularization": "both components transformation",
    "selection": "cyclic random",
    "shuffle": "",
    "solver": "newton-cg lbfgs liblinear sag saga newton-cholesky auto svd cholesky lsqr sparse_cg eigen cd mu sgd adam highs "
    "highs-ds interior-point trust-ncg cyclic_descent",
    "strategy": "mean median most_frequent constant prior stratified uniform quantile kmeans",
    "strip_accents": "ascii unicode",
    "svd_method": "lapack randomized",
    "svd_solver": "auto full arpack randomized covariance_eigh",
    "transform_algorithm": "lasso_lars lasso_cd lars omp threshold",
    "activation": "identity logistic tanh relu",
    "weights": "uniform distance",
    "whiten": "unit-variance arbitrary-variance",
    "weight_concentration_prior_type": "dirichlet_process dirichlet_distribution",
    "bin_seeding": "",
    "cluster_selection_method": "eom leaf",
    "cluster_method": "xi dbscan",
    "bandwidth": "scott silverman",
    "kernel_params": "",
    "dissimilarity": "precomputed euclidean",
    "normalized_stress": "auto",
    "target_type": "auto continuous binary multiclass",
    "smooth": "auto",
    "knots": "uniform quantile",
    "extrapolation": "error constant linear continue periodic",
    "categorical_features": "from_dtype all",
    "monotonic_cst": "",
    "order": "C F",
    "power_t": "0.25",
    "increasing": "auto",
    "out_of_bounds": "nan clip raise",
    "feature_name_combiner": "concat",
    "subsample": "0.5",
    "min_frequency": "2",
    "sparse_output": "",
    "n_components": "mle auto 1 2",
    "score_func": "",
    "quantile_method": "inverted_cdf averaged_inverted_cdf linear",
    "n_init": "auto",
    "batch_size": "auto",
    "missing_values": "",
    "stop_words": "english",
    "input": "content",
    "early_stopping": "auto",
}
"""Texts that parameters of these names take in some class of some version; a class refuses those that it does not."""

SECONDS = float(os.environ.get("HONEST_SECONDS", "0.06"))
"""CPU seconds for which one class is fitted on more kinds of data; its options may take twice as long."""
BIG = ("max_iter", "n_estimators", "n_init", "max_iterations", "n_iter", "n_jobs", "n_restarts_optimizer", "batch_size")
FEW = {"n_estimators": 3, "n_init": 1, "max_iter": 12, "n_quantiles": 10, "min_samples": 3, "n_iter": 5, "cv": 2}
FEW["perplexity"] = 5
FEW["n_iter_no_change"] = 3
FEW["alphas"] = 3
FEW["n_alphas"] = 5


def spent():
    """Return the CPU seconds of this process."""
    return sum(os.times()[:2])


def _callables(name):
    """Return the functions that people give to a parameter of this name."""
    from scipy.spatial import distance
    from sklearn.metrics import pairwise

    if name in ("func", "inverse_func"):
        return [np.log1p, np.exp, np.sqrt, np.abs]
    if name in ("analyzer", "tokenizer"):
        return [str.split]
    if name == "preprocessor":
        return [str.lower]
    if name == "metric":
        return [distance.euclidean, distance.cosine, pairwise.euclidean_distances]
    if name == "score_func":
        selection = importlib.import_module("sklearn.feature_selection")
        known = ("f_classif", "f_regression", "chi2", "mutual_info_classif", "mutual_info_regression")
        return [getattr(selection, part) for part in known if hasattr(selection, part)]
    return [pairwise.rbf_kernel, pairwise.linear_kernel, pairwise.manhattan_distances]


def public_classes():
    """Return every public estimator class that scikit-learn defines."""
    found = {}
    for module in pkgutil.walk_packages(sklearn.__path__, "sklearn.", onerror=lambda _: None):
        if any(part in SKIPPED for part in module[1].split(".")):
            continue
        try:
            inside = vars(importlib.import_module(module[1])).values()
        except BaseException:
            continue
        for thing in list(inside):
            if inspect.isclass(thing) and issubclass(thing, BaseEstimator) and thing.__module__.startswith("sklearn."):
                if not thing.__name__.startswith("_") and not inspect.isabstract(thing):
                    found[thing.__module__ + "." + thing.__name__] = thing
    return [found[name] for name in sorted(found)]


def _inner():
    """Return small estimators that others hold."""
    from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    return {
        "classifiers": [LogisticRegression(), DecisionTreeClassifier(max_depth=2), SGDClassifier(max_iter=5)],
        "regressors": [LinearRegression(), DecisionTreeRegressor(max_depth=2)],
        "transformers": [StandardScaler()],
    }


def built(kind):
    """Return instances of a class, made with its defaults or with the estimators that it asks for."""
    inner, made = _inner(), []
    attempts = [{}]
    for group in ("classifiers", "regressors"):
        part = inner[group][0]
        attempts += [{"estimator": part}, {"base_estimator": part}]
        pairs = [("a", inner[group][0]), ("b", inner[group][1])]
        attempts.append({"estimators": pairs})
        attempts.append({"steps": [("scale", inner["transformers"][0]), ("model", inner[group][0])]})
        grid = {"fit_intercept": [True, False]}
        attempts += [
            {"estimator": inner[group][0], "param_grid": grid},
            {"estimator": inner[group][0], "param_distributions": grid, "n_iter": 2},
            {"estimator": inner[group][0], "param_distributions": grid},
        ]
    attempts += [
        {"transformer_list": [("scale", inner["transformers"][0])]},
        {"transformers": [("scale", inner["transformers"][0], [0, 1])]},
        {"dictionary": np.eye(4)},
        {"func": np.log1p},
        {"n_components": 2},
    ]
    for arguments in attempts:
        try:
            thing = kind(**arguments)
            repr(thing.get_params(deep=False))
            if arguments:
                if set(arguments) - set(thing.get_params(deep=False)):
                    continue
            made.append(thing)
        except Exception:
            continue
        if not arguments:
            if "estimator" not in arguments and getattr(thing, "estimator", 0) is not None:
                if getattr(thing, "base_estimator", 0) is not None:
                    break
    return made


def _smaller(thing):
    """Make fitting quick."""
    held = thing.get_params(deep=False)
    if held.get("max_iter") == -1:  # libsvm would go on for ever where it does not converge, deaf to alarms
        thing.set_params(max_iter=200)
    for name, value in FEW.items():
        if name in held and isinstance(held[name], numbers.Integral) and not isinstance(held[name], bool):
            if held[name] > value:
                thing.set_params(**{name: value})
        elif name in held and name in ("cv", "n_estimators", "perplexity", "n_init"):
            thing.set_params(**{name: value})
    return thing


def _texts(kind, name):
    """Return the texts that a parameter takes, by the class's own word where it has one."""
    rules = getattr(kind, "_parameter_constraints", None)
    if isinstance(rules, dict) and isinstance(rules.get(name), list):
        found = []
        for rule in rules[name]:
            options = getattr(rule, "options", None)
            if options is not None:
                found += [option for option in options if not callable(option)]
            if rule is None:
                found.append(None)
        return sorted(found, key=repr)
    return [part for part in OPTIONS.get(name, "").split() if not part[0].isdigit()]


def values(kind, name, held):
    """Yield other values for a parameter."""
    for text in _texts(kind, name):
        if text != held:
            yield text
    if isinstance(held, (bool, np.bool_)):
        yield not held
        return
    if name == "random_state":
        yield np.random.RandomState(3)
        yield 7
        yield np.int64(7)
        return
    if name in ("n_jobs", "memory", "estimator", "base_estimator", "estimators", "steps", "transformers", "transformer_list"):
        return
    if name == "verbose":
        yield 1
        return
    if isinstance(held, numbers.Integral):
        yield 0.5 if name not in BIG else held + 1
    elif isinstance(held, float):
        yield 1
    elif held is None:
        for value in (1, 2, 0.5, 3.0, True):
            yield value
        yield [0, 1]
        yield np.array([0.1, 1.0, 10.0])
        yield ["a", "b"]
        yield {0: 1.0, 1: 2.0, 2: 1.5}
        yield np.ones(4)
        yield [-1, 0, 1, 0]
        yield (0.1, 10.0)
    elif isinstance(held, tuple):
        yield list(held)
        if len(held) == 2 and all(isinstance(part, int) for part in held):
            yield (1, 2)
        if name == "hidden_layer_sizes":
            yield (3, 2)
            yield [4]
            yield 5
        if name == "alphas":
            yield np.logspace(-1, 1, 3)
    if isinstance(held, str) or held is None or callable(held):
        if name in ("func", "inverse_func", "kernel", "metric", "score_func", "analyzer", "tokenizer", "preprocessor", "affinity"):
            for thing in _callables(name):
                yield thing
        if name in ("scoring",):
            from sklearn.metrics import accuracy_score, make_scorer, mean_squared_error

            for value in ("accuracy", "r2", "neg_mean_squared_error", "f1_macro", "roc_auc"):
                yield value
            yield make_scorer(accuracy_score)
            yield make_scorer(mean_squared_error, greater_is_better=False)
        if name in ("weights", "activation"):
            yield np.sqrt
        if name == "dtype":
            for value in (np.float32, np.float64, "float32", np.dtype("float32")):
                yield value
        if name == "categories":
            yield "auto"
            yield [["blue", "green", "red"], ["l", "m", "s"]]
            yield [np.array(["blue", "green", "red"], dtype=object), np.array(["l", "m", "s"], dtype=object)]
        if name == "vocabulary":
            yield {"cat": 0, "dog": 1}
            yield ["cat", "dog"]
        if name == "stop_words":
            yield ["the", "a"]
            yield frozenset(["the"])
        if name == "init":
            yield small_data.X[:3]
            yield np.zeros((4, 4))
    if isinstance(held, type):
        for value in (np.float32, np.float64, np.int64, int, float, "float32"):
            yield value


def fitted(thing, data):
    """Fit an estimator on one kind of data and use it once, as a script does before it saves."""
    _, x, y, more = data
    if y is None:
        thing.fit(x, **more)
    else:
        thing.fit(x, y, **more)
    for verb in ("predict", "transform"):
        try:
            getattr(thing, verb)(x[:5])
            break
        except Exception:
            continue
    return thing


def one_class(keep, kind, kinds):
    """Make everything of one class."""
    name = kind.__module__ + "." + kind.__name__
    for start in built(kind):
        begun = spent()
        keep("sklearn", name, lambda start=start: clone(start))
        good = []
        for data in kinds:
            thing = keep_quietly(keep, name + " on " + data[0], lambda data=data: fitted(_smaller(clone(start)), data))
            if thing is not None:
                good.append(data)
            if spent() - begun > SECONDS and good:
                break
        if not good:
            keep.failed.append([name, "could be fitted on no kind of data: %r" % (start,)])
            continue
        as_numpy(keep, name, start, good[0])
        twice(keep, name, start, good[0])
        begun = spent()
        chosen = [good[0]] + [data for data in good[1:] if data[0] in ("real", "texts", "csr", "frame strings", "missing", "categories")][:2]
        held_now = _smaller(clone(start)).get_params(deep=False)
        for param, held in sorted(held_now.items(), key=lambda item: (not _texts(kind, item[0]), item[0])):
            for value in values(kind, param, held):
                for data in chosen if spent() - begun < 2 * SECONDS else ():
                    label = "%s %s=%s" % (name, param, getattr(value, "__name__", value))

                    def make(data=data, param=param, value=value):
                        return fitted(_smaller(clone(start)).set_params(**{param: value}), data)

                    if keep_quietly(keep, label, make) is not None:
                        break


def as_numpy(keep, name, start, data):
    """Fit with every number as a NumPy scalar, as a search over `np.logspace` leaves them, and with no integers."""
    held = _smaller(clone(start)).get_params(deep=False)
    plain = dict((k, v) for k, v in held.items() if not isinstance(v, bool))
    integers = dict((k, np.int64(v)) for k, v in plain.items() if isinstance(v, numbers.Integral))
    floats = dict((k, np.float64(v)) for k, v in plain.items() if isinstance(v, float))
    for changed in (integers, floats, dict((k, float(v)) for k, v in integers.items())):
        if changed:
            keep_quietly(
                keep,
                name + " by NumPy scalars",
                lambda changed=changed: fitted(_smaller(clone(start)).set_params(**changed), data),
            )


def twice(keep, name, start, data):
    """Fit again with a warm start, and in parts."""
    if "warm_start" in start.get_params(deep=False):

        def warm():
            thing = fitted(_smaller(clone(start)).set_params(warm_start=True), data)
            if "n_estimators" in thing.get_params(deep=False):
                thing.set_params(n_estimators=5)
            return fitted(thing, data)

        keep_quietly(keep, name + " warm", warm)
    if hasattr(start, "partial_fit"):
        for classes in ({"classes": np.array([0, 1, 2])}, {}):

            def parts(classes=classes):
                thing = _smaller(clone(start))
                for _ in range(2):
                    thing.partial_fit(data[1], *([] if data[2] is None else [data[2]]), **classes)
                return thing

            if keep_quietly(keep, name + " in parts", parts) is not None:
                break


def keep_quietly(keep, label, make):
    """Keep an object, but take a refused option or kind of data for what it is: no failure."""
    before = len(keep.failed)
    thing = keep("sklearn", label, make)
    if thing is None:
        keep.failed[before:] = [entry for entry in keep.failed[before:] if "TooSlow" in entry[1] or "pickle" in entry[1].lower()]
    return thing


def make(keep):
    """Make every estimator."""
    kinds = small_data.kinds()
    only = os.environ.get("HONEST_ONLY")
    out, sys.stdout, sys.stderr = sys.stdout, open(os.devnull, "w"), open(os.devnull, "w")
    try:
        for name in ("enable_hist_gradient_boosting", "enable_iterative_imputer", "enable_halving_search_cv"):
            try:
                importlib.import_module("sklearn.experimental." + name)
            except Exception:
                continue
        for kind in public_classes():
            if not only or re.search(only, kind.__module__ + "." + kind.__name__):
                one_class(keep, kind, kinds)
    finally:
        sys.stdout, sys.stderr = out, sys.__stderr__
