"""NumPy's arrays, scalars, dtypes and random states (1.11 to 2.4, Python 2.7 and later)."""

import datetime
import warnings

import numpy as np

CODES = "?bBhHiIlLqQpPefdgFDG"


def _arrays(keep):
    for code in CODES:
        keep("numpy", "array " + code, lambda code=code: np.arange(6).astype(code), True)
        keep("numpy", "scalar " + code, lambda code=code: np.dtype(code).type(1), True)
        keep("numpy", "array big-endian " + code, lambda code=code: np.arange(6).astype(np.dtype(code).newbyteorder(">")))
        keep("numpy", "array of no dimension " + code, lambda code=code: np.array(1, dtype=code))
    for name, thing in (
        ("C order", lambda: np.arange(6.0).reshape(2, 3)),
        ("Fortran order", lambda: np.asfortranarray(np.arange(6.0).reshape(2, 3))),
        ("transposed", lambda: np.arange(24).reshape(2, 3, 4).T),
        ("strided", lambda: np.arange(20)[::3]),
        ("negative strides", lambda: np.arange(20)[::-1]),
        ("broadcast", lambda: np.broadcast_to(np.arange(3), (2, 3))),
        ("empty", lambda: np.zeros((0, 3))),
        ("no dimension", lambda: np.array(3.5)),
        ("read-only", lambda: _frozen(np.arange(3))),
        ("larger", lambda: np.arange(5000.0)),
        ("objects", lambda: np.array([1, "a", None, [2], {"b": 3}], dtype=object)),
        ("objects of arrays", lambda: _ragged()),
        ("objects of no dimension", lambda: np.array({"a": 1}, dtype=object)),
        ("objects of texts", lambda: np.array([u"\u00e9", u"b"], dtype=object)),
        ("texts", lambda: np.array([u"\u00e9tude", u"b"])),
        ("bytes", lambda: np.array([b"ab", b"c"])),
        ("void", lambda: np.zeros(3, dtype="V7")),
        ("structured", lambda: np.array([(1, 2.5, b"x")], dtype=[("a", "i4"), ("b", "f8"), ("c", "S3")])),
        ("structured nested", lambda: np.zeros(2, dtype=[("p", [("x", "f4"), ("y", "f4")]), ("m", "f8", (2, 2))])),
        ("structured aligned", lambda: np.zeros(2, dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True))),
        ("structured titles", lambda: np.zeros(2, dtype=[(("title", "a"), "i4"), ("b", "f8")])),
        ("structured with objects", lambda: np.array([("a", 1)], dtype=[("t", "O"), ("n", "i4")])),
        ("structured offsets", lambda: np.zeros(2, np.dtype({"names": ["a", "b"], "formats": ["i4", "f8"], "offsets": [0, 16]}))),
        ("dates", lambda: np.array(["2020-01-01", "NaT"], dtype="M8[D]")),
        ("durations", lambda: np.array([1, 2], dtype="m8[ns]")),
        ("array with metadata", lambda: np.zeros(2, np.dtype("f8", metadata={"unit": "m"}))),
        ("list of arrays", lambda: [np.arange(3), np.arange(3.0), np.float64(1), np.int64(2), np.bool_(True)]),
        ("dict of arrays", lambda: {"w": np.ones((2, 2), np.float32), "b": np.zeros(2, np.float16)}),
        ("same array twice", lambda: [_SAME, _SAME]),
        ("tuple of scalars", lambda: (np.float32(1), np.int8(1), np.uint64(1), np.complex128(1j))),
        ("scalars of texts", lambda: [np.array([u"a"])[0], np.array([b"a"])[0]]),
        ("scalars of dates", lambda: [np.datetime64("2020-01-01"), np.datetime64("NaT"), np.timedelta64(5, "m"), np.timedelta64(5)]),
        ("scalar void", lambda: np.zeros(1, dtype=[("a", "i4"), ("b", "f8")])[0]),
        ("scalar raw void", lambda: np.void(b"abc")),
        ("StringDType", lambda: np.array(["a", "bc"], dtype=np.dtypes.StringDType())),
        ("StringDType with missing", lambda: np.array(["a"], dtype=np.dtypes.StringDType(na_object=np.nan))),
    ):
        keep("numpy", name, thing, True)
    for unit in ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "25s"):
        keep("numpy", "dates " + unit, lambda unit=unit: np.array([1, 2]).astype("M8[%s]" % unit))
        keep("numpy", "durations " + unit, lambda unit=unit: np.array([1, 2]).astype("m8[%s]" % unit))


_SAME = np.arange(4)


def _frozen(array):
    array.setflags(write=False)
    return array


def _ragged():
    found = np.empty(2, dtype=object)
    found[0], found[1] = np.arange(2), np.arange(3)
    return found


def _subclasses(keep):
    fields = [("a", "i4"), ("b", "f8")]
    for name, thing in (
        ("matrix", lambda: np.matrix([[1, 2], [3, 4]])),
        ("matrix of texts", lambda: np.matrix([["a"]])),
        ("recarray", lambda: np.rec.array([(1, 2.0)], dtype=fields)),
        ("record", lambda: np.rec.array([(1, 2.0)], dtype=fields)[0]),
        ("recarray from view", lambda: np.zeros(2, dtype=fields).view(np.recarray)),
        ("masked", lambda: np.ma.array([1.0, 2.0], mask=[True, False])),
        ("masked no mask", lambda: np.ma.array([1, 2])),
        ("masked fill", lambda: np.ma.array([1, 2], mask=[0, 1], fill_value=9)),
        ("masked texts", lambda: np.ma.array(["a", "b"], mask=[0, 1])),
        ("masked structured", lambda: np.ma.array([(1, 2.0)], mask=[(True, False)], dtype=fields)),
        ("masked hard", lambda: np.ma.array([1, 2], mask=[0, 1], hard_mask=True)),
        ("masked constant", lambda: np.ma.masked),
        ("masked objects", lambda: np.ma.array([None, "a"], mask=[1, 0], dtype=object)),
        ("mrecords", lambda: __import__("numpy.ma.mrecords", fromlist=["x"]).fromarrays([[1, 2], [3.0, 4.0]])),
        ("chararray", lambda: np.char.array(["a", "bc"])),
        ("poly1d", lambda: np.poly1d([1, 2, 3])),
        ("vectorize", lambda: np.vectorize(len)),
        ("Polynomial", lambda: np.polynomial.Polynomial([1, 2])),
        ("Chebyshev", lambda: np.polynomial.Chebyshev([1, 2])),
        ("Legendre", lambda: np.polynomial.Legendre([1, 2])),
        ("Hermite", lambda: np.polynomial.Hermite([1, 2])),
        ("HermiteE", lambda: np.polynomial.HermiteE([1, 2])),
        ("Laguerre", lambda: np.polynomial.Laguerre([1, 2])),
        ("busdaycalendar", lambda: np.busdaycalendar()),
        ("flatiter", lambda: np.arange(3).flat),
        ("ndindex", lambda: np.s_[1:3, ..., None]),
    ):
        keep("numpy", name, thing, True)


def _types(keep):
    for code in CODES + "SUVOMm":
        keep("numpy", "dtype " + code, lambda code=code: np.dtype(code))
        keep("numpy", "type " + code, lambda code=code: np.dtype(code).type)
    for spelled in (">f4", "<i8", "S5", "U7", "V3", "M8[ns]", "m8[25s]", "f8,i4", "(2,3)f4", [("a", "f4", (2,))], [("a", "O")]):
        keep("numpy", "dtype %s" % (spelled,), lambda spelled=spelled: np.dtype(spelled))
    keep("numpy", "dtype classes", lambda: [type(np.dtype(code)) for code in "?bBhHiIlLqQefdgFDGSUVOMm"])
    keep("numpy", "dtype StringDType", lambda: np.dtypes.StringDType())
    keep("numpy", "abstract types", lambda: [np.number, np.integer, np.floating, np.generic, np.ndarray, np.inexact])
    keep("numpy", "constants", lambda: [np.nan, np.inf, np.pi, np.newaxis])
    for name in ("log1p exp expm1 sqrt abs log log2 log10 sin cos tanh add multiply maximum minimum square reciprocal sign isnan power").split():
        keep("numpy", "ufunc " + name, lambda name=name: getattr(np, name))
    for name in ("mean median std var sum min max argmax argmin average percentile nanmean nanmedian prod size ravel unique sort").split():
        keep("numpy", "function " + name, lambda name=name: getattr(np, name))
    keep("numpy", "ufuncs of others", lambda: {"f": np.hypot, "g": [np.logaddexp, np.arctan2]})
    keep("numpy", "errors", lambda: [np.linalg.LinAlgError("singular"), np.geterr()])
    keep("numpy", "AxisError", lambda: (getattr(np, "exceptions", np)).AxisError(2, 1))
    keep("numpy", "ComplexWarning", lambda: (getattr(np, "exceptions", np)).ComplexWarning("x"))
    keep("numpy", "dates of Python", lambda: np.array([datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1)]))


def _random(keep):
    keep("numpy", "RandomState", lambda: np.random.RandomState(5), True)
    keep("numpy", "RandomState used", lambda: _used(np.random.RandomState(5)))
    keep("numpy", "global RandomState", lambda: np.random.mtrand._rand)
    keep("numpy", "state of RandomState", lambda: np.random.RandomState(5).get_state())
    keep("numpy", "SeedSequence", lambda: np.random.SeedSequence(5).spawn(2))
    keep("numpy", "default_rng", lambda: np.random.default_rng(5), True)
    for name in ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"):
        keep("numpy", "generator of " + name, lambda name=name: np.random.Generator(getattr(np.random, name)(5)), True)
        keep("numpy", "bit generator " + name, lambda name=name: getattr(np.random, name)(5), True)
        keep("numpy", "spawned " + name, lambda name=name: getattr(np.random, name)(np.random.SeedSequence(1, spawn_key=(2,))))
        keep("numpy", "RandomState of " + name, lambda name=name: np.random.RandomState(getattr(np.random, name)(5)))
        keep("numpy", "state of " + name, lambda name=name: getattr(np.random, name)(5).state)


def _used(state):
    state.normal()
    return state


def make(keep):
    """Make the values."""
    warnings.simplefilter("ignore")
    for group in (_arrays, _subclasses, _types, _random):
        group(keep)
