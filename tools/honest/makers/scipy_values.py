"""SciPy's sparse matrices, interpolators, trees, distributions and results (0.19 to 1.17, Python 2.7 and later)."""

import importlib

import numpy as np

X = np.linspace(0.0, 4.0, 9)
Y = np.sin(X)
POINTS = np.random.RandomState(0).rand(24, 2)


def _get(module, name):
    return getattr(importlib.import_module("scipy." + module), name)


def _sparse(keep):
    import scipy.sparse as sparse

    dense = np.array([[1.0, 0, 2], [0, 0, 3], [4, 5, 0]])
    for shape in ("matrix", "array"):
        for kind in ("csr", "csc", "coo", "bsr", "dia", "lil", "dok"):
            for code in "dfil?D":

                def one(kind=kind, code=code, shape=shape):
                    return getattr(sparse, "%s_%s" % (kind, shape))(dense.astype(code))

                keep("scipy", "%s_%s %s" % (kind, shape, code), one, code in "dl")
            keep("scipy", kind + " empty", lambda kind=kind, shape=shape: getattr(sparse, "%s_%s" % (kind, shape))((3, 4)))

            def used(kind=kind, shape=shape):
                made = getattr(sparse, "%s_%s" % (kind, shape))(dense)
                made.dot(np.ones(3))
                getattr(made, "has_sorted_indices", 0)
                getattr(made, "has_canonical_format", 0)
                return made

            keep("scipy", kind + " used", used)
            keep("scipy", kind + " in dict", lambda kind=kind, shape=shape: {"m": getattr(sparse, "%s_%s" % (kind, shape))(dense).T})
        keep("scipy", "coo of one dimension " + shape, lambda: sparse.coo_array(np.array([1, 0, 2])))
        keep("scipy", "long indices " + shape, lambda: _long(sparse.csr_matrix(dense)))
    keep("scipy", "LinearOperator", lambda: importlib.import_module("scipy.sparse.linalg").aslinearoperator(dense))


def _long(matrix):
    matrix.indices = matrix.indices.astype(np.int64)
    matrix.indptr = matrix.indptr.astype(np.int64)
    return matrix


def _interpolate(keep):
    import scipy.interpolate as ip

    for kind in ("linear", "nearest", "zero", "slinear", "quadratic", "cubic", "previous", "next", "nearest-up", 4):
        keep("scipy", "interp1d %s" % kind, lambda kind=kind: ip.interp1d(X, Y, kind=kind))
        keep("scipy", "interp1d %s outside" % kind, lambda kind=kind: ip.interp1d(X, Y, kind=kind, bounds_error=False, fill_value=0.0))
    keep("scipy", "interp1d extrapolate", lambda: ip.interp1d(X, Y, fill_value="extrapolate"))
    keep("scipy", "interp1d pair", lambda: ip.interp1d(X, Y, bounds_error=False, fill_value=(0.0, 1.0)))
    keep("scipy", "interp1d table", lambda: ip.interp1d(X, np.array([Y, Y]), axis=1))
    keep("scipy", "interp1d sorted", lambda: ip.interp1d(X, Y, assume_sorted=True, copy=False))
    grid = (X, X)
    table = np.outer(Y, Y)
    for name, thing in (
        ("interp2d", lambda: ip.interp2d(X, X, table)),
        ("UnivariateSpline", lambda: ip.UnivariateSpline(X, Y)),
        ("UnivariateSpline s=0", lambda: ip.UnivariateSpline(X, Y, s=0, k=2, ext=1)),
        ("InterpolatedUnivariateSpline", lambda: ip.InterpolatedUnivariateSpline(X, Y)),
        ("LSQUnivariateSpline", lambda: ip.LSQUnivariateSpline(X, Y, [1.7, 2.5])),
        ("BivariateSpline", lambda: ip.RectBivariateSpline(X, X, table)),
        ("SmoothBivariateSpline", lambda: ip.SmoothBivariateSpline(POINTS[:, 0], POINTS[:, 1], POINTS[:, 0])),
        ("LSQBivariateSpline", lambda: ip.LSQBivariateSpline(POINTS[:, 0], POINTS[:, 1], POINTS[:, 0], [0.5], [0.5])),
        ("RectSphereBivariateSpline", lambda: ip.RectSphereBivariateSpline(X[1:7] / 2, X[1:7], table[1:7, 1:7])),
        ("CubicSpline", lambda: ip.CubicSpline(X, Y)),
        ("CubicSpline natural", lambda: ip.CubicSpline(X, Y, bc_type="natural", extrapolate=False)),
        ("CubicHermiteSpline", lambda: ip.CubicHermiteSpline(X, Y, np.cos(X))),
        ("PchipInterpolator", lambda: ip.PchipInterpolator(X, Y)),
        ("Akima1DInterpolator", lambda: ip.Akima1DInterpolator(X, Y)),
        ("BarycentricInterpolator", lambda: ip.BarycentricInterpolator(X, Y)),
        ("KroghInterpolator", lambda: ip.KroghInterpolator(X[:5], Y[:5])),
        ("BSpline", lambda: ip.BSpline([0, 1, 2, 3, 4, 5], [1.0, 2.0, 3.0], 2)),
        ("make_interp_spline", lambda: ip.make_interp_spline(X, Y)),
        ("make_smoothing_spline", lambda: ip.make_smoothing_spline(X, Y)),
        ("NdBSpline", lambda: ip.NdBSpline((np.arange(8.0), np.arange(8.0)), np.ones((4, 4)), 3)),
        ("PPoly", lambda: ip.PPoly(np.ones((2, 3)), [0, 1, 2, 3])),
        ("NdPPoly", lambda: ip.NdPPoly(np.ones((2, 2, 3, 3)), ([0, 1, 2, 3], [0, 1, 2, 3]))),
        ("BPoly", lambda: ip.BPoly(np.ones((2, 3)), [0, 1, 2, 3])),
        ("splrep", lambda: ip.splrep(X, Y)),
        ("RegularGridInterpolator", lambda: ip.RegularGridInterpolator(grid, table)),
        ("RegularGridInterpolator outside", lambda: ip.RegularGridInterpolator(grid, table, method="nearest", bounds_error=False, fill_value=None)),
        ("RegularGridInterpolator cubic", lambda: ip.RegularGridInterpolator(grid, table, method="cubic")),
        ("LinearNDInterpolator", lambda: ip.LinearNDInterpolator(POINTS, POINTS[:, 0])),
        ("NearestNDInterpolator", lambda: ip.NearestNDInterpolator(POINTS, POINTS[:, 0])),
        ("CloughTocher2DInterpolator", lambda: ip.CloughTocher2DInterpolator(POINTS, POINTS[:, 0])),
        ("RBFInterpolator", lambda: ip.RBFInterpolator(POINTS, POINTS[:, 0])),
        ("RBFInterpolator neighbors", lambda: ip.RBFInterpolator(POINTS, POINTS[:, 0], neighbors=5, kernel="gaussian", epsilon=1.0)),
        ("Rbf", lambda: ip.Rbf(POINTS[:, 0], POINTS[:, 1], POINTS[:, 0])),
        ("Rbf gaussian", lambda: ip.Rbf(POINTS[:, 0], POINTS[:, 1], POINTS[:, 0], function="gaussian")),
        ("AAA", lambda: ip.AAA(X, Y)),
        ("interpolators in dict", lambda: {"f": ip.interp1d(X, Y), "g": ip.CubicSpline(X, Y)}),
    ):
        keep("scipy", name, thing, True)


def _spatial(keep):
    import scipy.spatial as sp

    turn = _optional("spatial.transform", "Rotation")
    for name, thing in (
        ("KDTree", lambda: sp.KDTree(POINTS)),
        ("KDTree leaf", lambda: sp.KDTree(POINTS, 3)),
        ("cKDTree", lambda: sp.cKDTree(POINTS)),
        ("cKDTree box", lambda: sp.cKDTree(POINTS, boxsize=2.0)),
        ("KDTree in dict", lambda: {"tree": sp.cKDTree(POINTS), "names": ["a"]}),
        ("Delaunay", lambda: sp.Delaunay(POINTS)),
        ("ConvexHull", lambda: sp.ConvexHull(POINTS)),
        ("Voronoi", lambda: sp.Voronoi(POINTS)),
        ("SphericalVoronoi", lambda: sp.SphericalVoronoi(np.array([[0, 0, 1.0], [0, 0, -1], [1, 0, 0], [0, 1, 0], [-1, 0, 0]]))),
        ("Rectangle", lambda: sp.Rectangle([1, 1], [0, 0])),
        ("Rotation", lambda: turn.from_euler("xyz", [10, 20, 30], degrees=True)),
        ("Rotations", lambda: turn.from_quat([[0, 0, 0, 1], [0, 0, 1, 0]])),
        ("Slerp", lambda: _get("spatial.transform", "Slerp")([0, 1], turn.from_quat([[0, 0, 0, 1], [0, 0, 1, 0]]))),
        ("RotationSpline", lambda: _get("spatial.transform", "RotationSpline")([0, 1], turn.from_quat([[0, 0, 0, 1], [0, 0, 1, 0]]))),
        ("RigidTransform", lambda: _get("spatial.transform", "RigidTransform").from_translation([1, 2, 3])),
    ):
        keep("scipy", name, thing, True)


def _optional(module, name):
    try:
        return _get(module, name)
    except Exception:
        return None


def _stats(keep):
    import scipy.stats as stats

    known = {"norm": (), "beta": (2, 3), "gamma": (2,), "lognorm": (1,), "t": (3,), "uniform": (), "randint": (1, 5), "poisson": (2,)}
    known.update({"expon": (), "binom": (5, 0.3), "weibull_min": (1.5,), "chi2": (3,), "geom": (0.3,), "loguniform": (0.1, 1)})
    known.update({"truncnorm": (-1, 1), "nbinom": (3, 0.4), "genextreme": (0.1,), "pareto": (2,), "reciprocal": (0.1, 1)})
    for name in sorted(known):
        keep("scipy", "frozen " + name, lambda name=name: getattr(stats, name)(*known[name]))
        keep("scipy", "distribution " + name, lambda name=name: getattr(stats, name))
        keep("scipy", "frozen with scale " + name, lambda name=name: getattr(stats, name)(*known[name], **{"loc": 1}))
    every = [name for name in sorted(vars(stats)) if isinstance(getattr(stats, name), (stats.rv_continuous, stats.rv_discrete))]
    for name in every:
        if name not in known:

            def one(name=name):
                kind = getattr(stats, name)
                return kind(*[1.5] * kind.numargs)

            keep("scipy", "frozen " + name, one)
    for name, thing in (
        ("gaussian_kde", lambda: stats.gaussian_kde(POINTS.T)),
        ("gaussian_kde silverman", lambda: stats.gaussian_kde(Y, bw_method="silverman")),
        ("gaussian_kde number", lambda: stats.gaussian_kde(Y, bw_method=0.3)),
        ("gaussian_kde weights", lambda: stats.gaussian_kde(Y, weights=np.ones(9))),
        ("multivariate_normal", lambda: stats.multivariate_normal([0, 0], np.eye(2))),
        ("multivariate_t", lambda: stats.multivariate_t([0, 0], np.eye(2))),
        ("dirichlet", lambda: stats.dirichlet([1, 2])),
        ("wishart", lambda: stats.wishart(3, np.eye(2))),
        ("matrix_normal", lambda: stats.matrix_normal(np.zeros((2, 2)))),
        ("multinomial", lambda: stats.multinomial(3, [0.2, 0.8])),
        ("rv_histogram", lambda: stats.rv_histogram(np.histogram(Y, bins=4))),
        ("rv_discrete", lambda: stats.rv_discrete(values=([1, 2], [0.4, 0.6]))),
        ("linregress", lambda: stats.linregress(X, Y)),
        ("ttest_ind", lambda: stats.ttest_ind(X, Y)),
        ("pearsonr", lambda: stats.pearsonr(X, Y)),
        ("spearmanr", lambda: stats.spearmanr(X, Y)),
        ("describe", lambda: stats.describe(X)),
        ("mode", lambda: stats.mode([1, 1, 2])),
        ("ks_2samp", lambda: stats.ks_2samp(X, Y)),
        ("kstest", lambda: stats.kstest(X, "norm")),
        ("mannwhitneyu", lambda: stats.mannwhitneyu(X, Y)),
        ("f_oneway", lambda: stats.f_oneway(X, Y)),
        ("chi2_contingency", lambda: stats.chi2_contingency([[5, 6], [7, 8]])),
        ("shapiro", lambda: stats.shapiro(X)),
        ("bootstrap", lambda: stats.bootstrap((X,), np.mean, n_resamples=20)),
        ("ecdf", lambda: stats.ecdf(X)),
        ("Sobol", lambda: stats.qmc.Sobol(2, seed=1)),
        ("Halton", lambda: stats.qmc.Halton(2, seed=1)),
        ("LatinHypercube", lambda: stats.qmc.LatinHypercube(2, seed=1)),
        ("Normal", lambda: stats.Normal(mu=1.0, sigma=2.0)),
        ("binned_statistic", lambda: stats.binned_statistic(X, Y)),
        ("boxcox", lambda: stats.boxcox(X + 1)),
    ):
        keep("scipy", name, thing, True)


def _results(keep):
    import scipy.optimize as opt
    import scipy.signal as signal

    def bowl(p):
        return ((p - 1) ** 2).sum()

    for method in ("Nelder-Mead", "Powell", "CG", "BFGS", "L-BFGS-B", "TNC", "COBYLA", "SLSQP", "trust-constr"):
        keep("scipy", "minimize " + method, lambda method=method: opt.minimize(bowl, np.zeros(2), method=method))
    for name, thing in (
        ("minimize_scalar", lambda: opt.minimize_scalar(lambda v: (v - 1) ** 2)),
        ("least_squares", lambda: opt.least_squares(lambda p: p - 1, np.zeros(2))),
        ("curve_fit", lambda: opt.curve_fit(lambda x, a, b: a * x + b, X, Y)),
        ("root", lambda: opt.root(lambda p: p - 1, np.zeros(2))),
        ("root_scalar", lambda: opt.root_scalar(lambda v: v - 1, bracket=[0, 3])),
        ("brentq", lambda: opt.brentq(lambda v: v - 1, 0, 3, full_output=True)),
        ("linprog", lambda: opt.linprog([1, 1], bounds=[(0, 1), (0, 1)])),
        ("milp", lambda: opt.milp([1, 1])),
        ("differential_evolution", lambda: opt.differential_evolution(bowl, [(0, 2), (0, 2)], maxiter=2, seed=1)),
        ("dual_annealing", lambda: opt.dual_annealing(bowl, [(0, 2), (0, 2)], maxiter=2)),
        ("basinhopping", lambda: opt.basinhopping(bowl, np.zeros(2), niter=2)),
        ("shgo", lambda: opt.shgo(bowl, [(0, 2), (0, 2)])),
        ("Bounds", lambda: opt.Bounds([0, 0], [1, 1])),
        ("LinearConstraint", lambda: opt.LinearConstraint(np.eye(2), 0, 1)),
        ("hess_inv", lambda: opt.LbfgsInvHessProduct(np.ones((1, 2)), np.ones((1, 2)))),
        ("OptimizeResult", lambda: opt.OptimizeResult(x=np.ones(2), fun=1.0, success=True, message="ok")),
        ("TransferFunction", lambda: signal.TransferFunction([1], [1, 2])),
        ("TransferFunction discrete", lambda: signal.TransferFunction([1], [1, 2], dt=0.1)),
        ("StateSpace", lambda: signal.StateSpace([[1.0]], [[1.0]], [[1.0]], [[0.0]])),
        ("StateSpace discrete", lambda: signal.StateSpace([[1.0]], [[1.0]], [[1.0]], [[0.0]], dt=0.1)),
        ("ZerosPolesGain", lambda: signal.ZerosPolesGain([1], [2], 3)),
        ("lti", lambda: signal.lti([1], [1, 2])),
        ("dlti", lambda: signal.dlti([1], [1, 2])),
        ("butter", lambda: {"sos": signal.butter(3, 0.2, output="sos"), "ba": signal.butter(3, 0.2)}),
        ("ShortTimeFFT", lambda: signal.ShortTimeFFT(np.ones(8), 4, 10.0)),
        ("CZT", lambda: signal.CZT(8)),
        ("solve_ivp", lambda: _get("integrate", "solve_ivp")(lambda t, y: -y, (0, 1), [1.0], dense_output=True)),
        ("quad", lambda: _get("integrate", "quad")(np.sin, 0, 1)),
        ("linkage", lambda: _get("cluster.hierarchy", "linkage")(POINTS)),
        ("ClusterNode", lambda: _get("cluster.hierarchy", "to_tree")(_get("cluster.hierarchy", "linkage")(POINTS))),
        ("DisjointSet", lambda: _get("cluster.hierarchy", "DisjointSet")([1, 2])),
        ("orthogonal", lambda: _get("special", "legendre")(3)),
        ("ufuncs", lambda: [_get("special", "expit"), _get("special", "logit"), _get("special", "inv_boxcox")]),
        ("distances", lambda: [_get("spatial.distance", "euclidean"), _get("spatial.distance", "cosine")]),
        ("windows", lambda: _get("signal.windows", "hann")(8)),
    ):
        keep("scipy", name, thing, True)


def make(keep):
    """Make the values."""
    for group in (_sparse, _interpolate, _spatial, _stats, _results):
        group(keep)
