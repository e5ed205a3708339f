"""Estimators in scikit-learn's manner of other libraries, each fitted on every kind of data and with every option."""

import importlib
import inspect
import os
import pkgutil
import sys
import time

import sklearn_estimators
import small_data

PACKAGES = (
    "imblearn",
    "category_encoders",
    "feature_engine",
    "mlxtend",
    "lightgbm",
    "xgboost",
    "ngboost",
    "hmmlearn",
    "hdbscan",
    "pyod",
    "gplearn",
    "mapie",
    "tslearn",
    "sksurv",
    "skopt",
    "kmodes",
    "factor_analyzer",
    "sklearn_pandas",
    "sklearn2pmml",
    "sklego",
    "sklearn_extra",
    "pygam",
    "interpret",
    "causalml",
    "econml",
    "dirty_cat",
    "skrub",
    "optbinning",
    "group_lasso",
    "metric_learn",
    "skmultilearn",
    "sktime",
)
SKIPPED = sklearn_estimators.SKIPPED + (
    "utils",
    "benchmarks",
    "dl",
    "deep_learning",
    "app",
    "cli",
    "__main__",
    "contrib",
    "spark",
    "dask",
)
SECONDS = {"sktime": 100, "pyod": 60}
LONGEST = 30  # seconds for one package unless the table above gives it more; then its classes are made in a hurry


class Relabelled(object):
    """A keeper that writes another library's name, and has the same list of what failed."""

    def __init__(self, keep, library):
        self.keep, self.library, self.failed = keep, library, keep.failed

    def __call__(self, _, label, thunk, **more):
        return self.keep(self.library, label, thunk, **more)


def classes_of(package):
    """Return every public class of a package that can be fitted and has parameters."""
    found = {}
    module = importlib.import_module(package)
    names = [package]
    for _, name, _ in pkgutil.walk_packages(module.__path__, package + ".", onerror=lambda _: None):
        if not any(part in SKIPPED or part.startswith("test") for part in name.split(".")):
            names.append(name)
    for name in names:
        try:
            inside = list(vars(importlib.import_module(name)).values())
        except BaseException:
            continue
        for thing in inside:
            if inspect.isclass(thing) and hasattr(thing, "fit") and hasattr(thing, "get_params"):
                private = (
                    thing.__name__.startswith("_") or thing.__name__.startswith("Base") or inspect.isabstract(thing)
                )
                if thing.__module__.split(".")[0] == package and not private:
                    found[thing.__module__ + "." + thing.__name__] = thing
    return [found[name] for name in sorted(found)]


def values(kind, name, held, every=sklearn_estimators.values):
    """Yield other values for a parameter, but no other class where one is held: most would not be what is meant."""
    if not isinstance(held, type):
        for value in every(kind, name, held):
            yield value


def one_package(keep, package, kinds):
    """Make everything of one package; in a hurry when its time is over, and not at all when it is long over."""
    started, usual = time.time(), sklearn_estimators.SECONDS
    longest = SECONDS.get(package, LONGEST)
    for kind in classes_of(package):
        spent = time.time() - started
        sklearn_estimators.SECONDS = usual if spent < longest else usual / 20
        if spent > 4 * longest:
            keep.failed.append([kind.__module__ + "." + kind.__name__, "left out: the package's time was used"])
            continue
        try:
            sklearn_estimators.one_class(Relabelled(keep, package), kind, kinds)
        except Exception as error:
            keep.failed.append([kind.__module__ + "." + kind.__name__, repr(error)[:200]])
    sklearn_estimators.SECONDS = usual


def make(keep):
    """Make every estimator of the packages that are installed."""
    sklearn_estimators.SECONDS = float(os.environ.get("HONEST_SECONDS", "0.4"))
    sklearn_estimators.values = values
    kinds = small_data.kinds()
    out, sys.stdout, sys.stderr = sys.stdout, open(os.devnull, "w"), open(os.devnull, "w")
    try:
        for package in PACKAGES:
            try:
                importlib.import_module(package)
            except Exception as error:
                if not isinstance(error, ImportError) or package not in str(error):
                    keep.failed.append([package, "not imported: " + repr(error)[:200]])
                continue
            one_package(keep, package, kinds)
    finally:
        sys.stdout, sys.stderr = out, sys.__stderr__
