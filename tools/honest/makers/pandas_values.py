"""pandas frames, series, indexes and scalars (0.20 to 3, Python 2.7 and later)."""

import datetime

import numpy as np
import pandas as pd

DAYS = pd.date_range("2020-01-01", periods=4)


def _columns():
    """Return `(name, thunk)` of a column of every type."""
    plain = [
        (code, lambda code=code: pd.Series(np.arange(4).astype(code)))
        for code in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "bool", "complex128", "f2")
    ]
    extension = [
        (name, lambda name=name: pd.Series([1, 0, None, 1], dtype=name))
        for name in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32", "Float64", "boolean")
    ]
    arrow = [
        (name, lambda name=name: pd.Series([1, 0, None, 1]).astype(name))
        for name in ("int64[pyarrow]", "double[pyarrow]", "float[pyarrow]", "bool[pyarrow]", "int32[pyarrow]", "date32[pyarrow]")
    ]
    return (
        plain
        + extension
        + arrow
        + [
            ("texts", lambda: pd.Series([u"a", u"\u00e9", None, u"c"])),
            ("objects", lambda: pd.Series([1, "a", None, [2]])),
            ("string", lambda: pd.Series(["a", None, "b"], dtype="string")),
            ("string[python]", lambda: pd.Series(["a", None, "b"], dtype="string[python]")),
            ("string[pyarrow]", lambda: pd.Series(["a", None, "b"], dtype="string[pyarrow]")),
            ("str", lambda: pd.Series(["a", None, "b"], dtype="str")),
            ("StringDtype nan", lambda: pd.Series(["a", None], dtype=pd.StringDtype(na_value=np.nan))),
            ("StringDtype python nan", lambda: pd.Series(["a", None], dtype=pd.StringDtype("python", na_value=np.nan))),
            ("texts of arrow", lambda: pd.Series(["a", None], dtype=pd.ArrowDtype(__import__("pyarrow").string()))),
            ("lists of arrow", lambda: pd.Series([[1], None], dtype=pd.ArrowDtype(__import__("pyarrow").list_(__import__("pyarrow").int64())))),
            ("categories", lambda: pd.Series(pd.Categorical(["a", "b", "a", None]))),
            ("categories ordered", lambda: pd.Series(pd.Categorical([1, 2, 1], categories=[2, 1], ordered=True))),
            ("categories of intervals", lambda: pd.Series(pd.cut([1, 2, 3], 2))),
            ("categories of dates", lambda: pd.Series(pd.Categorical(DAYS))),
            ("dates", lambda: pd.Series(DAYS)),
            ("dates missing", lambda: pd.Series([pd.Timestamp("2020-01-01"), pd.NaT])),
            ("dates utc", lambda: pd.Series(DAYS.tz_localize("UTC"))),
            ("dates zone", lambda: pd.Series(DAYS.tz_localize("Europe/Berlin"))),
            ("dates offset", lambda: pd.Series(DAYS.tz_localize(datetime.timezone(datetime.timedelta(hours=1))))),
            ("dates dateutil", lambda: pd.Series(DAYS.tz_localize("dateutil/Europe/Berlin"))),
            ("dates seconds", lambda: pd.Series(DAYS.as_unit("s"))),
            ("dates zone seconds", lambda: pd.Series(DAYS.tz_localize("UTC").as_unit("us"))),
            ("durations", lambda: pd.Series(pd.to_timedelta([1, 2, 3], unit="h"))),
            ("durations milliseconds", lambda: pd.Series(pd.to_timedelta([1, 2], unit="h").as_unit("ms"))),
            ("periods", lambda: pd.Series(pd.period_range("2020-01", periods=3, freq="M"))),
            ("periods of quarters", lambda: pd.Series(pd.period_range("2020-01", periods=3, freq="Q"))),
            ("intervals", lambda: pd.Series(pd.interval_range(0, 3))),
            ("intervals closed", lambda: pd.Series(pd.interval_range(0.0, 3.0, closed="left"))),
            ("sparse", lambda: pd.Series(pd.arrays.SparseArray([0, 0, 1.0]))),
            ("sparse integers", lambda: pd.Series(pd.arrays.SparseArray([0, 0, 1], fill_value=0))),
            ("sparse old", lambda: pd.SparseSeries([0, 0, 1.0])),
            ("dates of Python", lambda: pd.Series([datetime.date(2020, 1, 1), None])),
            ("decimals", lambda: pd.Series([__import__("decimal").Decimal("1.5")])),
        ]
    )


def _series(keep):
    for name, thunk in _columns():
        keep("pandas", "series of " + name, thunk, True)
        keep("pandas", "frame of " + name, lambda thunk=thunk: pd.DataFrame({"a": thunk(), "b": 1.0}))
        keep("pandas", "index of " + name, lambda thunk=thunk: pd.Index(thunk()))
        keep("pandas", "array of " + name, lambda thunk=thunk: thunk().values)
        keep("pandas", "extension array of " + name, lambda thunk=thunk: thunk().array)
        keep("pandas", "dtype of " + name, lambda thunk=thunk: thunk().dtype)
        keep("pandas", "scalar of " + name, lambda thunk=thunk: thunk().iloc[0])
        keep("pandas", "slice of " + name, lambda thunk=thunk: thunk().iloc[1:3])
    keep("pandas", "series named", lambda: pd.Series([1, 2], index=["a", "b"], name="target"), True)
    keep("pandas", "series with attrs", lambda: _attrs(pd.Series([1, 2])))
    keep("pandas", "series flags", lambda: pd.Series([1, 2]).set_flags(allows_duplicate_labels=False))


def _attrs(thing):
    thing.attrs["source"] = "survey"
    return thing


def _indexes(keep):
    made = (
        ("Range", lambda: pd.RangeIndex(5)),
        ("Range named", lambda: pd.RangeIndex(1, 9, 2, name="row")),
        ("integers", lambda: pd.Index([3, 1, 2])),
        ("floats", lambda: pd.Index([0.5, 1.5])),
        ("unsigned", lambda: pd.Index(np.array([1, 2], dtype="u8"))),
        ("bools", lambda: pd.Index([True, False])),
        ("texts", lambda: pd.Index(["a", "b"], name="key")),
        ("string", lambda: pd.Index(["a", "b"], dtype="string")),
        ("mixed", lambda: pd.Index([1, "a"])),
        ("dates", lambda: DAYS),
        ("dates no freq", lambda: pd.DatetimeIndex(["2020-01-01", "2020-03-01"])),
        ("dates zone", lambda: DAYS.tz_localize("Europe/Berlin")),
        ("dates months", lambda: pd.date_range("2020-01-31", periods=3, freq=pd.offsets.MonthEnd())),
        ("dates business", lambda: pd.date_range("2020-01-01", periods=3, freq="B")),
        ("durations", lambda: pd.timedelta_range("1h", periods=3)),
        ("periods", lambda: pd.period_range("2020-01", periods=3, freq="M")),
        ("intervals", lambda: pd.interval_range(0, 3)),
        ("intervals of dates", lambda: pd.interval_range(DAYS[0], DAYS[3])),
        ("categories", lambda: pd.CategoricalIndex(["a", "b", "a"])),
        ("two levels", lambda: pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["x", "y"])),
        ("levels of dates", lambda: pd.MultiIndex.from_arrays([DAYS, ["a", "b", "c", "d"]])),
        ("levels of categories", lambda: pd.MultiIndex.from_arrays([pd.Categorical(["a", "b"]), [1, 2]])),
        ("nullable", lambda: pd.Index([1, 2], dtype="Int64")),
        ("empty", lambda: pd.Index([])),
        ("named by pair", lambda: pd.Index([1, 2], name=("a", "b"))),
    )
    for name, thunk in made:
        keep("pandas", "index " + name, thunk, True)
        keep("pandas", "series by " + name, lambda thunk=thunk: pd.Series(range(len(thunk())), index=thunk()))
        keep("pandas", "frame by " + name, lambda thunk=thunk: pd.DataFrame({"a": range(len(thunk()))}, index=thunk()))
        keep("pandas", "columns " + name, lambda thunk=thunk: pd.DataFrame([range(len(thunk()))], columns=thunk()))


def _frames(keep):
    def wide():
        made = pd.DataFrame({"i": [1, 2, 3], "j": [4, 5, 6], "f": [0.5, 1.5, np.nan], "t": ["a", "b", None], "b": [True, False, True]})
        made["d"] = DAYS[:3]
        made["c"] = made["t"].astype("category")
        return made

    for name, thunk in (
        ("wide", wide),
        ("columns of two levels", lambda: wide().pivot_table(index="i", columns="j", values="f", dropna=False)),
        ("after merge", lambda: wide().merge(wide(), on="i")),
        ("after describe", lambda: wide().describe()),
        ("after groupby", lambda: wide().groupby("b").agg({"f": ["mean", "std"]})),
        ("after get_dummies", lambda: pd.get_dummies(wide()["t"])),
        ("sparse", lambda: pd.get_dummies(wide()["t"], sparse=True)),
        ("transposed", lambda: wide().T),
        ("slice", lambda: wide().iloc[1:, 1:3]),
        ("consolidated", lambda: wide().copy()),
        ("empty", lambda: pd.DataFrame()),
        ("empty columns", lambda: pd.DataFrame(columns=["a", "b"])),
        ("duplicated columns", lambda: pd.concat([wide(), wide()], axis=1)),
        ("concatenated", lambda: pd.concat([wide(), wide()])),
        ("attrs", lambda: _attrs(wide())),
        ("Fortran", lambda: pd.DataFrame(np.asfortranarray(np.ones((3, 2))), columns=list("ab"))),
        ("of one block", lambda: pd.DataFrame(np.ones((3, 2)), columns=list("ab"))),
        ("nullable", lambda: wide().convert_dtypes()),
        ("arrow", lambda: wide().convert_dtypes(dtype_backend="pyarrow")),
        ("resampled", lambda: pd.Series(range(4), index=DAYS).resample("2D").sum()),
        ("dict of frames", lambda: {"train": wide(), "columns": list(wide().columns), "types": wide().dtypes}),
        ("list of frames", lambda: [wide(), wide()["f"], wide().index, wide().columns]),
        ("Panel", lambda: pd.Panel(np.ones((2, 2, 2)))),
        ("correlation", lambda: pd.DataFrame(np.random.RandomState(0).rand(5, 3), columns=list("abc")).corr()),
        ("value counts", lambda: wide()["t"].value_counts()),
    ):
        keep("pandas", "frame " + name, thunk, True)


def _scalars(keep):
    offsets = pd.offsets
    for name, thunk in (
        ("Timestamp", lambda: pd.Timestamp("2020-01-01 10:00")),
        ("Timestamp zone", lambda: pd.Timestamp("2020-01-01", tz="Europe/Berlin")),
        ("Timestamp utc", lambda: pd.Timestamp("2020-01-01", tz="UTC")),
        ("Timestamp seconds", lambda: pd.Timestamp("2020-01-01").as_unit("s")),
        ("Timedelta", lambda: pd.Timedelta("1h")),
        ("Period", lambda: pd.Period("2020-01", "M")),
        ("Period day", lambda: pd.Period("2020-01-01", "D")),
        ("Interval", lambda: pd.Interval(0, 1)),
        ("Interval of dates", lambda: pd.Interval(DAYS[0], DAYS[1], closed="both")),
        ("NaT", lambda: pd.NaT),
        ("NA", lambda: [pd.NA, None]),
        ("Categorical", lambda: pd.Categorical(["a", "b"])),
        ("CategoricalDtype", lambda: pd.api.types.CategoricalDtype(["a", "b"], ordered=True)),
        ("CategoricalDtype plain", lambda: pd.api.types.CategoricalDtype()),
        ("DatetimeTZDtype", lambda: pd.api.types.DatetimeTZDtype("ns", "UTC")),
        ("PeriodDtype", lambda: pd.api.types.PeriodDtype("M")),
        ("IntervalDtype", lambda: pd.api.types.IntervalDtype("int64")),
        ("SparseDtype", lambda: pd.SparseDtype("float64")),
        ("Int64Dtype", lambda: pd.Int64Dtype()),
        ("StringDtype", lambda: pd.StringDtype()),
        ("BooleanDtype", lambda: pd.BooleanDtype()),
        ("ArrowDtype", lambda: pd.ArrowDtype(__import__("pyarrow").int64())),
        ("NamedAgg", lambda: pd.NamedAgg("a", "mean")),
        ("Grouper", lambda: pd.Grouper(key="a")),
        ("IndexSlice", lambda: pd.IndexSlice[1:2]),
        ("Flags", lambda: [pd.errors.EmptyDataError("x"), pd.errors.ParserError("x")]),
        ("functions", lambda: [pd.to_numeric, pd.to_datetime, pd.isna if hasattr(pd, "isna") else pd.isnull, pd.DataFrame, pd.Series]),
        ("DateOffset", lambda: pd.DateOffset(months=2)),
        ("DateOffset normalize", lambda: pd.DateOffset(days=1, normalize=True)),
        ("CustomBusinessDay", lambda: offsets.CustomBusinessDay(holidays=["2020-01-01"])),
    ):
        keep("pandas", "scalar " + name, thunk, True)
    for name in sorted(vars(offsets)):
        if isinstance(getattr(offsets, name), type) and name[0].isupper():
            keep("pandas", "offset " + name, lambda name=name: getattr(offsets, name)())
            keep("pandas", "offset 2 " + name, lambda name=name: getattr(offsets, name)(2))
    holiday = __import__("pandas.tseries.holiday", fromlist=["x"])
    keep("pandas", "Holiday", lambda: holiday.Holiday("New Year", month=1, day=1))
    keep("pandas", "Holiday observed", lambda: holiday.USMemorialDay)
    keep("pandas", "calendar", lambda: holiday.USFederalHolidayCalendar())
    keep("pandas", "CustomBusinessDay calendar", lambda: offsets.CustomBusinessDay(calendar=holiday.USFederalHolidayCalendar()))


def make(keep):
    """Make the values."""
    for group in (_series, _indexes, _frames, _scalars):
        group(keep)
