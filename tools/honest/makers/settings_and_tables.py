"""Settings, tables, graphs, searches and recommenders: what people save beside a model."""

import datetime
import logging
import random

import numpy as np
import small_data
from optional import optional

NESTED = {"model": {"name": "net", "layers": [1, 2]}, "lr": 0.1, "flag": True, "none": None, "path": "data/x.csv"}


def _settings(keep):
    omega = optional("omegaconf")
    if omega is not None:
        keep("omegaconf", "DictConfig", lambda: omega.OmegaConf.create(NESTED))
        keep("omegaconf", "ListConfig", lambda: omega.OmegaConf.create([1, {"a": 2}, [3]]))
        keep("omegaconf", "interpolation", lambda: omega.OmegaConf.create({"a": 1, "b": "${a}", "c": "???"}))
        keep("omegaconf", "merged", lambda: omega.OmegaConf.merge(NESTED, {"lr": 0.2}))

        def flagged(name):
            made = omega.OmegaConf.create(NESTED)
            getattr(omega.OmegaConf, "set_" + name)(made, True)
            return made

        for name in ("readonly", "struct"):
            keep("omegaconf", name, lambda name=name: flagged(name))
        for name in ("IntegerNode", "FloatNode", "StringNode", "BooleanNode", "AnyNode", "BytesNode", "PathNode"):
            keep("omegaconf", name, lambda name=name: getattr(omega, name)())
        keep("omegaconf", "in a dictionary", lambda: {"hyper_parameters": omega.OmegaConf.create(NESTED), "epoch": 3})
    yacs = optional("yacs.config")
    if yacs is not None:
        keep("yacs", "CfgNode", lambda: yacs.CfgNode(NESTED))
        keep("yacs", "CfgNode frozen", lambda: _frozen(yacs))
    for name, kinds in (
        ("easydict", "EasyDict"),
        ("munch", "Munch DefaultMunch AutoMunch"),
        ("box", "Box BoxList SBox ConfigBox DDBox"),
        ("addict", "Dict"),
        ("ml_collections", "ConfigDict FrozenConfigDict FieldReference"),
        ("attrdict", "AttrDict AttrDefault"),
        ("dotmap", "DotMap"),
        ("bunch", "Bunch"),
        ("pyrsistent", "pmap pvector pset"),
        ("frozendict", "frozendict"),
        ("sortedcontainers", "SortedDict SortedList SortedSet"),
    ):
        module = optional(name)
        for kind in kinds.split() if module is not None else ():
            listed = kind in ("BoxList", "pvector", "pset", "SortedList", "SortedSet")
            data = [1, 2, 3] if listed else 1 if kind == "FieldReference" else NESTED
            if kind == "DefaultMunch":
                keep(name, kind, lambda m=module, k=kind: getattr(m, k)(None, NESTED))
            keep(name, kind, lambda m=module, k=kind, d=data: getattr(m, k)(d))
            keep(name, kind + " empty", lambda m=module, k=kind: getattr(m, k)())
    for given in (
        {"frozen_box": True},
        {"default_box": True},
        {"camel_killer_box": True},
        {"box_dots": True},
        {"ordered_box": True},
    ):
        module = optional("box")
        if module is not None:
            keep("box", "Box %s" % list(given), lambda m=module, given=given: m.Box(NESTED, **given))


def _frozen(yacs):
    made = yacs.CfgNode(NESTED)
    made.freeze()
    return made


def _frames(keep):
    pl = optional("polars")
    if pl is not None:
        keep("polars", "DataFrame", lambda: pl.DataFrame({"a": [1, 2], "b": ["x", None], "c": [0.5, 1.5]}))
        keep("polars", "Series", lambda: pl.Series("a", [1, 2, 3]))
        keep("polars", "LazyFrame", lambda: pl.DataFrame({"a": [1]}).lazy())
        keep("polars", "expression", lambda: pl.col("a") + 1)
        keep("polars", "types", lambda: [pl.Int64, pl.Utf8, pl.Datetime("us"), pl.List(pl.Int8), pl.Categorical])
        keep("polars", "Schema", lambda: pl.DataFrame({"a": [1]}).schema)
        keep("polars", "dates", lambda: pl.DataFrame({"a": [datetime.date(2020, 1, 1)], "b": [[1, 2]]}))
    pa = optional("pyarrow")
    if pa is not None:
        table = {"a": [1, 2], "b": ["x", None], "c": [0.5, 1.5]}
        keep("pyarrow", "Table", lambda: pa.table(table))
        keep("pyarrow", "RecordBatch", lambda: pa.RecordBatch.from_arrays([pa.array([1, 2])], ["a"]))
        for name, values in (
            ("int", [1]),
            ("text", ["a"]),
            ("float", [0.5]),
            ("list", [[1, 2]]),
            ("struct", [{"a": 1}]),
            ("date", [datetime.date(2020, 1, 1)]),
            ("bytes", [b"x"]),
        ):
            keep("pyarrow", "Array " + name, lambda values=values: pa.array(values))
        keep("pyarrow", "dictionary", lambda: pa.array(["a", "b", "a"]).dictionary_encode())
        keep("pyarrow", "ChunkedArray", lambda: pa.chunked_array([[1], [2]]))
        keep(
            "pyarrow",
            "Schema",
            lambda: pa.schema([("a", pa.int64()), ("b", pa.list_(pa.string()))], metadata={"k": "v"}),
        )
        keep(
            "pyarrow",
            "types",
            lambda: [
                pa.int8(),
                pa.timestamp("us", tz="UTC"),
                pa.decimal128(5, 2),
                pa.dictionary(pa.int8(), pa.string()),
            ],
        )
        keep("pyarrow", "field", lambda: pa.field("a", pa.int32(), nullable=False))
        keep("pyarrow", "Scalar", lambda: pa.scalar(5))
        keep("pyarrow", "Buffer", lambda: pa.py_buffer(b"abc"))
    xr = optional("xarray")
    if xr is not None:
        array = xr.DataArray(
            small_data.X[:4], dims=("x", "y"), coords={"x": [1, 2, 3, 4], "y": list("abcd")}, name="v", attrs={"u": "m"}
        )
        keep("xarray", "DataArray", lambda: array)
        keep("xarray", "Dataset", lambda: xr.Dataset({"v": array, "w": ("x", [1, 2, 3, 4])}))
        keep("xarray", "Variable", lambda: xr.Variable(("x",), [1, 2]))
        keep(
            "xarray",
            "times",
            lambda: xr.DataArray([1, 2], dims="t", coords={"t": np.array(["2020-01-01", "2020-01-02"], "M8[ns]")}),
        )
        keep("xarray", "stacked", lambda: array.stack(z=("x", "y")))
    nx = optional("networkx")
    if nx is not None:
        for name in ("Graph", "DiGraph", "MultiGraph", "MultiDiGraph", "OrderedGraph"):

            def graph(name=name):
                made = getattr(nx, name)(name="g")
                made.add_edge("a", 1, weight=2.0)
                made.add_node((1, 2), colour="red")
                return made

            keep("networkx", name, graph)
            keep("networkx", name + " views", lambda g=graph: [g().nodes, g().edges, g().adj])
        keep("networkx", "subgraph", lambda: nx.path_graph(4).subgraph([0, 1]))
        keep("networkx", "frozen", lambda: nx.freeze(nx.path_graph(3)))
        keep("networkx", "karate", lambda: nx.karate_club_graph())
    tz = optional("dateutil.tz")
    if tz is not None:
        keep("dateutil", "zones", lambda: [tz.tzutc(), tz.tzoffset("X", 3600), tz.tzlocal()])
        keep("dateutil", "gettz", lambda: tz.gettz("Europe/Berlin"))
        keep("dateutil", "tzstr", lambda: tz.tzstr("EST5EDT"))
        keep("dateutil", "tzrange", lambda: tz.tzrange("EST", -18000, "EDT"))
        delta, rule = optional("dateutil.relativedelta"), optional("dateutil.rrule")
        keep("dateutil", "relativedelta", lambda: delta.relativedelta(months=1, weekday=delta.MO(1)))
        keep("dateutil", "rrule", lambda: rule.rrule(rule.DAILY, count=3, dtstart=datetime.datetime(2020, 1, 1)))
        keep("dateutil", "datetime", lambda: datetime.datetime(2020, 1, 1, tzinfo=tz.tzutc()))
    pytz = optional("pytz")
    if pytz is not None:
        keep("pytz", "zones", lambda: [pytz.utc, pytz.timezone("Europe/Berlin"), pytz.FixedOffset(60)])
        keep("pytz", "localised", lambda: pytz.timezone("Europe/Berlin").localize(datetime.datetime(2020, 7, 1)))
        pd = optional("pandas")
        keep("pytz", "series", lambda: pd.Series(pd.date_range("2020-01-01", periods=3, tz="US/Eastern")))


def _objective(trial):
    x = trial.suggest_float("x", -1, 1) if hasattr(trial, "suggest_float") else trial.suggest_uniform("x", -1, 1)
    trial.suggest_int("n", 1, 5)
    trial.suggest_categorical("kind", ["a", "b"])
    if hasattr(trial, "set_user_attr"):
        trial.set_user_attr("note", "kept")
    trial.report(x, 1)
    return x * x


def _searches(keep):
    optuna = optional("optuna")
    if optuna is not None:
        optuna.logging.set_verbosity(logging.ERROR)
        samplers = "TPESampler RandomSampler CmaEsSampler NSGAIISampler NSGAIIISampler QMCSampler GPSampler"
        for name in samplers.split():

            def study(name=name):
                kind = getattr(optuna.samplers, name)
                made = optuna.create_study(sampler=kind(seed=1))
                made.optimize(_objective, n_trials=4)
                return made

            keep("optuna", "study " + name, study)
            keep("optuna", name, lambda name=name: getattr(optuna.samplers, name)(seed=1))
        keep("optuna", "GridSampler", lambda: optuna.samplers.GridSampler({"x": [0, 1]}))
        for name in (
            "MedianPruner PercentilePruner SuccessiveHalvingPruner HyperbandPruner NopPruner "
            "ThresholdPruner PatientPruner WilcoxonPruner"
        ).split():

            def pruned(name=name):
                given = {"PercentilePruner": (25.0,), "PatientPruner": (None, 1)}.get(name, ())
                more = {"ThresholdPruner": {"upper": 1.0}}.get(name, {})
                made = optuna.create_study(pruner=getattr(optuna.pruners, name)(*given, **more))
                made.optimize(_objective, n_trials=3)
                return made

            keep("optuna", "study " + name, pruned)

        def plain(**given):
            made = optuna.create_study(**given)
            made.optimize(_objective, n_trials=3)
            return made

        keep("optuna", "study maximise", lambda: plain(direction="maximize", study_name="s"))
        keep("optuna", "trials", lambda: plain().trials)
        keep("optuna", "best_trial", lambda: plain().best_trial)
        keep("optuna", "best_params", lambda: plain().best_params)
    hyper = optional("hyperopt")
    if hyper is not None:

        def trials(space, algorithm="rand"):
            made = hyper.Trials()
            rng = np.random.RandomState(1) if hyper.__version__ < "0.2.7" else np.random.default_rng(1)
            hyper.fmin(
                lambda given: 1.0,
                space,
                algo=getattr(hyper, algorithm).suggest,
                max_evals=4,
                trials=made,
                rstate=rng,
                show_progressbar=False,
            )
            return made

        hp = hyper.hp
        keep("hyperopt", "Trials", lambda: trials({"x": hp.uniform("x", 0, 1)}))
        keep(
            "hyperopt",
            "Trials choice",
            lambda: trials({"x": hp.choice("x", ["a", "b"]), "n": hp.quniform("n", 1, 9, 1)}),
        )
        keep("hyperopt", "Trials tpe", lambda: trials(hp.loguniform("x", -3, 0), "tpe"))
        keep(
            "hyperopt",
            "space",
            lambda: {"x": hp.uniform("x", 0, 1), "k": hp.choice("k", [1, {"y": hp.normal("y", 0, 1)}])},
        )
        keep("hyperopt", "Trials empty", lambda: hyper.Trials())
    bayes = optional("bayes_opt")
    if bayes is not None:

        def optimised():
            made = bayes.BayesianOptimization(f=max, pbounds={"x": (-1, 1)}, random_state=1, verbose=0)
            made.register({"x": 0.5}, 0.25)
            made.register({"x": 0.1}, 0.01)
            return made

        keep("bayes_opt", "BayesianOptimization", optimised)
        keep("bayes_opt", "UtilityFunction", lambda: bayes.UtilityFunction("ucb", 2.5, 0.0))
        acquisition = optional("bayes_opt.acquisition")
        keep("bayes_opt", "UpperConfidenceBound", lambda: acquisition and acquisition.UpperConfidenceBound())
        keep("bayes_opt", "ExpectedImprovement", lambda: acquisition and acquisition.ExpectedImprovement(0.1))
    _evolution(keep)


def _evolution(keep):
    deap = optional("deap")
    if deap is None:
        return
    from deap import algorithms, base, gp, tools

    del algorithms
    keep("deap", "Logbook", lambda: _logbook(tools))
    keep("deap", "HallOfFame", lambda: tools.HallOfFame(3))
    keep("deap", "ParetoFront", lambda: tools.ParetoFront())
    keep("deap", "Statistics", lambda: tools.Statistics(len))
    keep("deap", "Fitness", lambda: type("F", (base.Fitness,), {"weights": (1.0,)}) and None)
    keep(
        "deap",
        "random state",
        lambda: {
            "population": [[0, 1], [1, 0]],
            "generation": 3,
            "logbook": _logbook(tools),
            "rndstate": random.getstate(),
        },
    )
    keep("deap", "History", lambda: tools.History())

    def primitives():
        import operator

        made = gp.PrimitiveSet("MAIN", 1)
        made.addPrimitive(operator.add, 2)
        made.addTerminal(1)
        return made

    keep("deap", "PrimitiveSet", primitives)
    keep("deap", "PrimitiveTree", lambda: gp.PrimitiveTree(gp.genFull(primitives(), 1, 2)))


def _logbook(tools):
    made = tools.Logbook()
    made.record(gen=0, avg=np.float64(1.5))
    return made


def _recommenders(keep):
    import scipy.sparse as sparse

    matrix = sparse.csr_matrix((np.random.RandomState(0).rand(20, 15) > 0.6).astype(np.float32))
    for module, names in (
        ("implicit.als", "AlternatingLeastSquares"),
        ("implicit.bpr", "BayesianPersonalizedRanking"),
        ("implicit.lmf", "LogisticMatrixFactorization"),
        ("implicit.nearest_neighbours", "CosineRecommender TFIDFRecommender BM25Recommender ItemItemRecommender"),
        ("implicit.cpu.als", "AlternatingLeastSquares"),
    ):
        found = optional(module)
        for name in names.split() if found is not None else ():

            def fitted(found=found, name=name):
                given = {"K": 3} if "Recommender" in name else {"factors": 3, "iterations": 2}
                made = getattr(found, name)(**given)
                try:
                    made.fit(matrix, show_progress=False)
                except TypeError:
                    made.fit(matrix)
                return made

            keep("implicit", module + "." + name, fitted)
            keep("implicit", module + "." + name + " unfitted", lambda found=found, name=name: getattr(found, name)())
    surprise = optional("surprise")
    if surprise is not None:
        pd = optional("pandas")
        table = pd.DataFrame({"user": list("aabbccdd"), "item": list("xyxzyzxy"), "rating": [1, 2, 3, 4, 5, 4, 3, 2.0]})
        data = surprise.Dataset.load_from_df(table, surprise.Reader(rating_scale=(1, 5)))
        keep("surprise", "Trainset", lambda: data.build_full_trainset())
        keep("surprise", "Reader", lambda: surprise.Reader())
        for name in (
            "SVD SVDpp NMF KNNBasic KNNWithMeans KNNWithZScore KNNBaseline BaselineOnly "
            "SlopeOne CoClustering NormalPredictor"
        ).split():
            keep("surprise", name, lambda name=name: getattr(surprise, name)().fit(data.build_full_trainset()))
        keep("surprise", "predictions", lambda: surprise.SVD().fit(data.build_full_trainset()).test([("a", "x", 1.0)]))
    lightfm = optional("lightfm")
    if lightfm is not None:
        for loss in ("logistic", "bpr", "warp", "warp-kos"):
            keep(
                "lightfm",
                loss,
                lambda loss=loss: lightfm.LightFM(no_components=3, loss=loss).fit(matrix.tocoo(), epochs=1),
            )
    _rivers(keep)
    image = optional("skimage.transform")
    for name in (
        "AffineTransform SimilarityTransform EuclideanTransform ProjectiveTransform "
        "PolynomialTransform PiecewiseAffineTransform"
    ).split():
        if image is not None:
            points = np.array([[0, 0], [1, 0], [1, 1], [0, 1.0], [2, 3], [4, 1]])

            def estimated(name=name):
                made = getattr(image, name)()
                made.estimate(points, points * 2)
                return made

            keep("skimage", name, estimated)
    measure = optional("skimage.measure")
    for name in ("LineModelND", "CircleModel", "EllipseModel") if measure is not None else ():
        keep("skimage", name, lambda name=name: getattr(measure, name)())
    feature = optional("skimage.feature")
    for name in ("ORB", "BRIEF", "CENSURE", "SIFT", "Cascade") if feature is not None else ():
        keep("skimage", name, lambda name=name: getattr(feature, name)())


def _rivers(keep):
    river = optional("river")
    if river is None:
        return
    import importlib
    import inspect
    import pkgutil

    rows = [
        ({"a": float(x[0]), "b": float(x[1])}, bool(y), float(z))
        for x, y, z in zip(small_data.X, small_data.TWO, small_data.REAL)
    ]
    for _, name, _ in pkgutil.iter_modules(river.__path__, "river."):
        if name.split(".")[1] in ("datasets", "api", "conftest", "checks", "test_estimators"):
            continue
        try:
            module = importlib.import_module(name)
        except Exception:
            continue
        for label in getattr(module, "__all__", ()):
            kind = getattr(module, label)
            if inspect.isclass(kind) and not inspect.isabstract(kind):
                keep("river", name + "." + label, lambda kind=kind: _learned(kind(), rows))


def _learned(made, rows):
    """Let a model learn as it takes its data: with a truth value, with a number, or with none."""
    for take in (
        lambda x, y, z: made.learn_one(x, y),
        lambda x, y, z: made.learn_one(x, z),
        lambda x, y, z: made.learn_one(x),
        lambda x, y, z: made.update(z),
    ):
        try:
            for row in rows[:12]:
                take(*row)
            break
        except Exception:
            continue
    return made


def make(keep):
    """Make what is installed."""
    for part in (_settings, _frames, _searches, _recommenders):
        try:
            part(keep)
        except Exception as error:
            keep.failed.append([part.__name__, repr(error)[:300]])
