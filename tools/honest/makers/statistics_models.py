"""Fitted models of statsmodels (formulas excepted), pmdarima, Prophet and lifelines."""

import logging

import numpy as np
import small_data
from optional import optional

X, TWO, REAL, THREE = small_data.X, small_data.TWO, small_data.REAL, small_data.THREE
SERIES = 10 + np.sin(np.arange(48) / 3.0) + 0.1 * np.random.RandomState(1).rand(48) + 0.05 * np.arange(48)


def series(kind="M"):
    """Return a series of months (or of another frequency)."""
    pd = optional("pandas")
    for name in (kind, {"M": "MS", "MS": "ME"}.get(kind, kind)):
        try:
            return pd.Series(SERIES, index=pd.date_range("2019-01-01", periods=48, freq=name), name="sales")
        except ValueError:
            continue
    return None


def _regressions(keep):
    api = optional("statsmodels.api")
    pd = optional("pandas")
    if api is None:
        return
    with_constant = api.add_constant(X)
    table = pd.DataFrame(with_constant, columns=["const", "a", "b", "c", "d"])
    target = pd.Series(REAL, name="y")
    for name in ("OLS", "WLS", "GLS", "RLM", "GLSAR", "QuantReg"):

        def fit(x=with_constant, y=REAL, name=name, **given):
            return getattr(api, name)(y, x).fit(**given)

        keep("statsmodels", name, fit)
        keep("statsmodels", name + " frame", lambda f=fit: f(table, target))
        keep("statsmodels", name + " model", lambda name=name: getattr(api, name)(REAL, with_constant))
        keep("statsmodels", name + " robust", lambda f=fit: f(cov_type="HC3"))
        keep("statsmodels", name + " cluster", lambda f=fit: f(cov_type="cluster", cov_kwds={"groups": THREE}))

        def slim(f=fit):
            made = f(table, target)
            made.remove_data()
            return made

        keep("statsmodels", name + " without data", slim)

        def asked(f=fit):
            made = f(table, target)
            made.summary()
            made.predict(table)
            return made

        keep("statsmodels", name + " summarised", asked)
    keep("statsmodels", "OLS regularised", lambda: api.OLS(REAL, with_constant).fit_regularized(alpha=0.1))
    keep(
        "statsmodels",
        "RollingOLS",
        lambda: optional("statsmodels.regression.rolling").RollingOLS(REAL, with_constant, window=20).fit(),
    )
    keep("statsmodels", "RecursiveLS", lambda: api.RecursiveLS(REAL, with_constant).fit())
    keep("statsmodels", "MixedLM", lambda: api.MixedLM(REAL, with_constant, groups=THREE).fit())
    keep("statsmodels", "PHReg", lambda: api.PHReg(REAL, X, status=TWO).fit())
    keep("statsmodels", "GEE", lambda: api.GEE(REAL, with_constant, groups=THREE).fit())
    keep("statsmodels", "GAM", lambda: _additive(api))
    noisy = (TWO + (X[:, 0] > 0.6)) % 2
    for name, y in (
        ("Logit", noisy),
        ("Probit", noisy),
        ("MNLogit", THREE),
        ("Poisson", THREE),
        ("NegativeBinomial", THREE),
        ("GeneralizedPoisson", THREE),
    ):
        keep("statsmodels", name, lambda name=name, y=y: getattr(api, name)(y, with_constant).fit(disp=0, maxiter=20))
        keep(
            "statsmodels",
            name + " frame",
            lambda name=name, y=y: getattr(api, name)(pd.Series(y, name="y"), table).fit(disp=0, maxiter=20),
        )
        keep(
            "statsmodels",
            name + " regularised",
            lambda name=name, y=y: getattr(api, name)(y, with_constant).fit_regularized(disp=0, maxiter=20),
        )
    for name in ("ZeroInflatedPoisson", "NegativeBinomialP"):
        keep("statsmodels", name, lambda name=name: getattr(api, name)(THREE, with_constant).fit(disp=0, maxiter=10))
    keep(
        "statsmodels",
        "OrderedModel",
        lambda: optional("statsmodels.miscmodels.ordinal_model").OrderedModel(THREE, X).fit(disp=0, maxiter=10),
    )
    for family in ("Gaussian", "Binomial", "Poisson", "Gamma", "InverseGaussian", "NegativeBinomial", "Tweedie"):
        y = noisy if family == "Binomial" else REAL
        make_family = getattr(api.families, family)
        keep("statsmodels", "GLM " + family, lambda y=y, m=make_family: api.GLM(y, with_constant, family=m()).fit())
        keep(
            "statsmodels",
            "GLM frame " + family,
            lambda y=y, m=make_family: api.GLM(pd.Series(y, name="y"), table, family=m()).fit(),
        )
        for link in getattr(make_family, "links", ()):
            keep(
                "statsmodels",
                "GLM %s %s" % (family, link),
                lambda y=y, m=make_family, link=link: api.GLM(y, with_constant, family=m(link=link())).fit(),
            )
    keep(
        "statsmodels",
        "GLM regularised",
        lambda: api.GLM(noisy, with_constant, family=api.families.Binomial()).fit_regularized(alpha=0.1),
    )
    for name in ("HuberT", "TukeyBiweight", "Hampel", "AndrewWave", "LeastSquares", "RamsayE", "TrimmedMean"):
        keep(
            "statsmodels",
            "RLM " + name,
            lambda name=name: api.RLM(REAL, with_constant, M=getattr(api.robust.norms, name)()).fit(),
        )
    keep("statsmodels", "kernel density", lambda: _density(api))
    keep("statsmodels", "KDEMultivariate", lambda: api.nonparametric.KDEMultivariate(X[:, :2], "cc"))
    keep("statsmodels", "ECDF", lambda: optional("statsmodels.distributions.empirical_distribution").ECDF(REAL))
    keep("statsmodels", "PCA", lambda: optional("statsmodels.multivariate.pca").PCA(X, ncomp=2))
    keep("statsmodels", "Factor", lambda: optional("statsmodels.multivariate.factor").Factor(X, n_factor=1).fit())
    keep("statsmodels", "SurvfuncRight", lambda: api.SurvfuncRight(REAL, TWO))
    keep("statsmodels", "DescrStatsW", lambda: optional("statsmodels.stats.api").DescrStatsW(X))
    keep(
        "statsmodels",
        "IV2SLS",
        lambda: optional("statsmodels.sandbox.regression.gmm").IV2SLS(REAL, with_constant, with_constant).fit(),
    )


def _additive(api):
    smooth = optional("statsmodels.gam.api")
    spline = smooth.BSplines(X[:, :2], df=[5, 5], degree=[3, 3])
    return smooth.GLMGam(REAL, X[:, 2:], smoother=spline, alpha=[0.1, 0.1]).fit()


def _density(api):
    made = api.nonparametric.KDEUnivariate(REAL)
    made.fit()
    return made


def _time_series(keep):
    tsa = optional("statsmodels.tsa.api")
    if tsa is None:
        return
    pd = optional("pandas")
    months = series()
    two = pd.DataFrame({"a": SERIES, "b": SERIES[::-1]}, index=months.index)
    arima = getattr(optional("statsmodels.tsa.arima.model"), "ARIMA", None)
    old = getattr(optional("statsmodels.tsa.arima_model"), "ARIMA", None)
    state = tsa.statespace if hasattr(tsa, "statespace") else tsa
    for name, data in (
        ("array", SERIES),
        ("months", months),
        ("days", series("D")),
        ("weeks", series("W")),
        ("quarters", series("Q")),
        ("hours", series("h")),
    ):
        if data is None:
            continue
        if arima:
            keep(
                "statsmodels",
                "ARIMA " + name,
                lambda data=data: arima(data, order=(1, 1, 1)).fit(method_kwargs={"maxiter": 5}),
            )
        keep("statsmodels", "old ARIMA " + name, lambda data=data: old(data, order=(1, 1, 0)).fit(disp=0, maxiter=5))
        keep(
            "statsmodels",
            "SARIMAX " + name,
            lambda data=data: tsa.SARIMAX(data[:20], order=(1, 0, 0), seasonal_order=(1, 0, 0, 4)).fit(
                disp=0, maxiter=5
            ),
        )
        keep(
            "statsmodels",
            "ExponentialSmoothing " + name,
            lambda data=data: tsa.ExponentialSmoothing(data, trend="add", seasonal="add", seasonal_periods=4).fit(),
        )
        keep("statsmodels", "SimpleExpSmoothing " + name, lambda data=data: tsa.SimpleExpSmoothing(data).fit())
        keep("statsmodels", "Holt " + name, lambda data=data: tsa.Holt(data).fit())
        keep("statsmodels", "AutoReg " + name, lambda data=data: tsa.AutoReg(data, lags=2).fit())
        keep("statsmodels", "old AR " + name, lambda data=data: tsa.AR(data).fit(2))
        keep(
            "statsmodels",
            "UnobservedComponents " + name,
            lambda data=data: tsa.UnobservedComponents(data, "local linear trend").fit(disp=0, maxiter=5),
        )
        keep(
            "statsmodels", "ETSModel " + name, lambda data=data: tsa.ETSModel(data, trend="add").fit(disp=0, maxiter=5)
        )
        keep(
            "statsmodels",
            "ThetaModel " + name,
            lambda data=data: optional("statsmodels.tsa.forecasting.theta").ThetaModel(data, period=4).fit(),
        )
        keep("statsmodels", "seasonal_decompose " + name, lambda data=data: tsa.seasonal_decompose(data, **_period(4)))
        keep("statsmodels", "STL " + name, lambda data=data: tsa.STL(data, period=4).fit())
        keep(
            "statsmodels",
            "STLForecast " + name,
            lambda data=data: tsa.STLForecast(data, arima, model_kwargs={"order": (1, 0, 0)}, period=4).fit(),
        )
    if arima:
        keep(
            "statsmodels",
            "ARIMA with others",
            lambda: arima(months, exog=two[["b"]], order=(1, 0, 0), trend="c").fit(method_kwargs={"maxiter": 5}),
        )
        keep(
            "statsmodels",
            "ARIMA extended",
            lambda: arima(months[:40], order=(1, 0, 0)).fit(method_kwargs={"maxiter": 5}).append(months[40:]),
        )
        keep("statsmodels", "ARIMA unfitted", lambda: arima(months, order=(1, 0, 0)))
        keep("statsmodels", "ARIMA hannan", lambda: arima(months, order=(1, 0, 0)).fit(method="yule_walker"))
        keep("statsmodels", "ARIMA forecast", lambda: arima(months, order=(1, 0, 0)).fit().get_forecast(3))

        def slim():
            made = arima(months, order=(1, 0, 0)).fit()
            made.remove_data()
            return made

        keep("statsmodels", "ARIMA without data", slim)
    keep("statsmodels", "VAR", lambda: tsa.VAR(two).fit(1))
    keep("statsmodels", "VAR array", lambda: tsa.VAR(two.values).fit(2))
    keep("statsmodels", "VARMAX", lambda: tsa.VARMAX(two, order=(1, 0)).fit(disp=0, maxiter=3))
    keep("statsmodels", "SVAR", lambda: tsa.SVAR(two, "A", A=np.array([[1, 0], ["E", 1]], dtype="U")).fit(maxlags=1))
    keep("statsmodels", "VECM", lambda: optional("statsmodels.tsa.vector_ar.vecm").VECM(two, k_ar_diff=1).fit())
    keep(
        "statsmodels",
        "DynamicFactor",
        lambda: tsa.DynamicFactor(two, k_factors=1, factor_order=1).fit(disp=0, maxiter=3),
    )
    keep("statsmodels", "MarkovRegression", lambda: tsa.MarkovRegression(SERIES, k_regimes=2).fit(disp=0, maxiter=3))
    keep(
        "statsmodels",
        "MarkovAutoregression",
        lambda: tsa.MarkovAutoregression(SERIES, k_regimes=2, order=1).fit(disp=0, maxiter=3),
    )
    keep(
        "statsmodels",
        "DeterministicProcess",
        lambda: optional("statsmodels.tsa.deterministic").DeterministicProcess(months.index, constant=True, order=1),
    )
    for trend in ("add", "mul", None):
        for damped in ({"damped": True}, {"damped_trend": True}, {}):
            keep(
                "statsmodels",
                "smoothing %s %s" % (trend, damped),
                lambda t=trend, d=damped: tsa.ExponentialSmoothing(
                    months, trend=t, seasonal="mul", seasonal_periods=12, **d
                ).fit(),
            )
    del state


def _period(number):
    import inspect

    from statsmodels.tsa.seasonal import seasonal_decompose

    return {"period": number} if "period" in inspect.signature(seasonal_decompose).parameters else {"freq": number}


SEARCH = {"start_p": 0, "start_q": 0, "max_p": 1, "max_q": 1, "maxiter": 3, "suppress_warnings": True}


def _pmdarima(keep):
    pm = optional("pmdarima")
    if pm is None:
        return
    keep("pmdarima", "auto_arima", lambda: pm.auto_arima(SERIES, **SEARCH))
    keep(
        "pmdarima",
        "auto_arima months",
        lambda: pm.auto_arima(series(), m=4, start_P=0, start_Q=0, max_P=1, max_Q=0, **SEARCH),
    )
    keep("pmdarima", "ARIMA", lambda: pm.ARIMA(order=(1, 1, 0), suppress_warnings=True).fit(SERIES))
    keep(
        "pmdarima",
        "ARIMA seasonal",
        lambda: pm.ARIMA(order=(1, 0, 0), seasonal_order=(1, 0, 0, 4), out_of_sample_size=4, scoring="mae").fit(SERIES),
    )

    def updated():
        made = pm.ARIMA(order=(1, 0, 0)).fit(SERIES[:40])
        made.update(SERIES[40:])
        return made

    keep("pmdarima", "ARIMA updated", updated)
    for name, given in (("BoxCoxEndogTransformer", {}), ("LogEndogTransformer", {})):

        def pipeline(name=name, given=given):
            step = getattr(pm.preprocessing, name)(**given)
            return pm.pipeline.Pipeline([("change", step), ("arima", pm.AutoARIMA(**SEARCH))]).fit(SERIES)

        keep("pmdarima", "Pipeline " + name, pipeline)
    keep(
        "pmdarima",
        "Fourier",
        lambda: pm.pipeline.Pipeline(
            [("f", pm.preprocessing.FourierFeaturizer(m=4)), ("arima", pm.ARIMA(order=(1, 0, 0)))]
        ).fit(SERIES),
    )
    keep(
        "pmdarima",
        "splits",
        lambda: [pm.model_selection.RollingForecastCV(), pm.model_selection.SlidingWindowForecastCV()],
    )


def _prophet(keep):
    module = optional("prophet") or optional("fbprophet")
    if module is None:
        return
    for name in ("prophet", "cmdstanpy", "fbprophet"):
        logging.getLogger(name).setLevel(logging.ERROR)
    pd = optional("pandas")
    table = pd.DataFrame({"ds": series("D").index, "y": SERIES, "cap": 20.0, "floor": 0.0, "rain": SERIES[::-1]})
    keep("prophet", "Prophet unfitted", lambda: module.Prophet())
    for name, given in (
        ("plain", {}),
        ("logistic", {"growth": "logistic"}),
        ("flat", {"growth": "flat"}),
        (
            "multiplicative",
            {"seasonality_mode": "multiplicative", "yearly_seasonality": False, "weekly_seasonality": 3},
        ),
        ("changepoints", {"changepoints": ["2019-01-10", "2019-01-20"]}),
        ("points", {"n_changepoints": 5, "changepoint_range": 0.9, "interval_width": 0.9, "uncertainty_samples": 10}),
        ("sampled", {"mcmc_samples": 10}),
    ):
        keep("prophet", "Prophet " + name, lambda given=given: module.Prophet(**given).fit(table))

    def rich():
        made = module.Prophet(
            holidays=pd.DataFrame({"holiday": "x", "ds": table.ds[[3, 9]], "lower_window": 0, "upper_window": 1})
        )
        made.add_seasonality(name="monthly", period=30.5, fourier_order=3)
        made.add_regressor("rain", standardize=True)
        return made.fit(table)

    keep("prophet", "Prophet rich", rich)

    def countries():
        made = module.Prophet()
        made.add_country_holidays("US")
        return made.fit(table)

    keep("prophet", "Prophet countries", countries)


def _lifelines(keep):
    lines = optional("lifelines")
    if lines is None:
        return
    pd = optional("pandas")
    table = pd.DataFrame({"T": REAL, "E": TWO, "a": X[:, 0], "b": X[:, 1]})
    for name in (
        "KaplanMeierFitter NelsonAalenFitter BreslowFlemingHarringtonFitter WeibullFitter ExponentialFitter "
        "LogNormalFitter AalenJohansenFitter MixtureCureFitter "
        "LogLogisticFitter GeneralizedGammaFitter SplineFitter PiecewiseExponentialFitter"
    ).split():

        def one(name=name):
            given = {"SplineFitter": ([1.0, 3.0, 5.0],), "PiecewiseExponentialFitter": ([2.0, 4.0],)}.get(name, ())
            more = {"event_of_interest": 1} if name == "AalenJohansenFitter" else {}
            return getattr(lines, name)(*given).fit(REAL, TWO, label="all", **more)

        keep("lifelines", name, one)
    for name in (
        "CoxPHFitter WeibullAFTFitter LogNormalAFTFitter LogLogisticAFTFitter "
        "AalenAdditiveFitter GeneralizedGammaRegressionFitter"
    ).split():
        keep("lifelines", name, lambda name=name: getattr(lines, name)().fit(table, "T", "E"))
        keep(
            "lifelines",
            name + " penalised",
            lambda name=name: getattr(lines, name)(penalizer=0.1).fit(table, "T", event_col="E"),
        )
    keep(
        "lifelines",
        "CoxPHFitter spline",
        lambda: lines.CoxPHFitter(baseline_estimation_method="spline", n_baseline_knots=2).fit(table, "T", "E"),
    )
    keep(
        "lifelines", "CoxPHFitter strata", lambda: lines.CoxPHFitter(strata=["c"]).fit(table.assign(c=THREE), "T", "E")
    )
    keep("lifelines", "CoxTimeVaryingFitter", lambda: _varying(lines, table))


def _varying(lines, table):
    long = table.assign(id=range(len(table)), start=0.0).rename(columns={"T": "stop"})
    return lines.CoxTimeVaryingFitter().fit(long, id_col="id", event_col="E", start_col="start", stop_col="stop")


def make(keep):
    """Make what is installed."""
    for part in (_regressions, _time_series, _pmdarima, _prophet, _lifelines):
        part(keep)
