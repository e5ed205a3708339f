"""Values of Python's standard library that people keep beside models (Python 2.7 and later)."""

import array
import collections
import datetime
import decimal
import fractions
import functools
import importlib
import logging
import operator
import random
import re
import string
import sys
import uuid


def _module(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _containers(keep):
    keep("stdlib", "plain data", lambda: {"a": [1, 2.5, None, True, u"text", b"bytes"], "b": (1, (2, 3), {4: set([5])})})
    keep("stdlib", "long integers", lambda: [2**31, -(2**31) - 1, 2**63, 2**200, -(2**200), 1, 0, -1, 255, 256, 65536])
    keep("stdlib", "frozenset", lambda: frozenset(["a", "b"]))
    keep("stdlib", "set", lambda: set([1, 2]))
    keep("stdlib", "bytearray", lambda: bytearray(b"abc"))
    keep("stdlib", "bytes", lambda: b"\x00\xff" * 20)
    keep("stdlib", "complex", lambda: complex(1, -2))
    keep("stdlib", "range", lambda: [range(5), range(1, 9, 2)])
    keep("stdlib", "slice", lambda: slice(1, None, 2))
    keep("stdlib", "Ellipsis", lambda: [Ellipsis, NotImplemented])
    keep("stdlib", "deque", lambda: collections.deque([1, 2, 3]))
    keep("stdlib", "deque of a length", lambda: collections.deque([1, 2], maxlen=7))
    keep("stdlib", "Counter", lambda: collections.Counter("abracadabra"))
    keep("stdlib", "Counter of pairs", lambda: collections.Counter([("a", "b"), ("a", "c")]))
    keep("stdlib", "OrderedDict", lambda: collections.OrderedDict([("a", 1), ("b", 2)]))
    keep("stdlib", "defaultdicts", lambda: [collections.defaultdict(kind, {"a": kind()}) for kind in (int, list, set, dict, float, str, tuple)])
    keep("stdlib", "defaultdict of nothing", lambda: collections.defaultdict(None, {1: 2}))
    keep("stdlib", "defaultdict of Counter", lambda: collections.defaultdict(collections.Counter, {"a": collections.Counter("ab")}))
    keep("stdlib", "defaultdict of OrderedDict", lambda: collections.defaultdict(collections.OrderedDict))
    for name in ("ChainMap", "UserDict", "UserList", "UserString"):
        if hasattr(collections, name):
            keep("stdlib", name, lambda name=name: getattr(collections, name)({"a": 1} if "List" not in name and "Str" not in name else "ab"))
    for code in "bBhHiIlLqQfdu" if sys.version_info[0] > 2 else "bBhHiIlLfd":
        keep("stdlib", "array." + code, lambda code=code: array.array(code, u"ab" if code == "u" else [1, 2]), True)
    types = _module("types")
    if hasattr(types, "SimpleNamespace"):
        keep("stdlib", "SimpleNamespace", lambda: types.SimpleNamespace(a=1, b=[2]))
        keep("stdlib", "GenericAlias", lambda: list[int])
        keep("stdlib", "union", lambda: int | str)
    if hasattr(types, "MappingProxyType"):
        keep("stdlib", "MappingProxyType", lambda: types.MappingProxyType({"a": 1}))
    argparse = _module("argparse")
    keep("stdlib", "Namespace", lambda: argparse.Namespace(lr=0.1, layers=[1, 2], name="run", flag=True, out=None))


def _numbers_and_times(keep):
    keep("stdlib", "Decimal", lambda: decimal.Decimal("1.50"))
    keep("stdlib", "Decimal infinite", lambda: [decimal.Decimal("Infinity"), decimal.Decimal("NaN")])
    keep("stdlib", "Context", lambda: decimal.Context(prec=10))
    keep("stdlib", "Fraction", lambda: fractions.Fraction(1, 3))
    keep("stdlib", "date", lambda: datetime.date(2020, 2, 29))
    keep("stdlib", "time", lambda: datetime.time(1, 2, 3, 4))
    keep("stdlib", "datetime", lambda: datetime.datetime(2020, 2, 29, 1, 2, 3, 4))
    keep("stdlib", "timedelta", lambda: datetime.timedelta(1, 2, 3))
    if hasattr(datetime, "timezone"):
        hour = datetime.timedelta(hours=1)
        keep("stdlib", "timezone", lambda: [datetime.timezone.utc, datetime.timezone(hour), datetime.timezone(hour, "CET")])
        keep("stdlib", "datetime with zone", lambda: datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc))
        keep("stdlib", "time with zone", lambda: datetime.time(1, 2, tzinfo=datetime.timezone(hour)))
        keep("stdlib", "datetime with fold", lambda: datetime.datetime(2020, 1, 1, fold=1))
    zoneinfo = _module("zoneinfo")
    if zoneinfo:
        keep("stdlib", "ZoneInfo", lambda: zoneinfo.ZoneInfo("Europe/Berlin"))
        keep("stdlib", "ZoneInfo.no_cache", lambda: zoneinfo.ZoneInfo.no_cache("Asia/Tokyo"))
        keep("stdlib", "datetime with ZoneInfo", lambda: datetime.datetime(2020, 1, 1, tzinfo=zoneinfo.ZoneInfo("America/New_York")))
    for name in ("dateutil.tz", "pytz"):
        module = _module(name)
        if module and name == "pytz":
            keep("pytz", "zones", lambda: [module.utc, module.timezone("Europe/Berlin"), module.FixedOffset(60)])
            keep("pytz", "localised", lambda: module.timezone("Europe/Berlin").localize(datetime.datetime(2020, 1, 1)))
        elif module:
            keep("dateutil", "zones", lambda: [module.tzutc(), module.tzoffset("X", 3600), module.tzlocal()])
            keep("dateutil", "gettz", lambda: module.gettz("Europe/Berlin"))
            delta = _module("dateutil.relativedelta")
            keep("dateutil", "relativedelta", lambda: delta.relativedelta(months=1, weekday=delta.MO(1)))
            rule = _module("dateutil.rrule")
            keep("dateutil", "rrule", lambda: rule.rrule(rule.DAILY, count=3, dtstart=datetime.datetime(2020, 1, 1)))
    keep("stdlib", "uuid", lambda: [uuid.UUID(int=5), uuid.uuid5(uuid.NAMESPACE_DNS, "x")])
    keep("stdlib", "struct_time", lambda: _module("time").gmtime(0))
    ip = _module("ipaddress")
    if ip:
        keep("stdlib", "addresses", lambda: [ip.ip_address(u"10.0.0.1"), ip.ip_address(u"::1")])
        keep("stdlib", "networks", lambda: [ip.ip_network(u"10.0.0.0/8"), ip.ip_network(u"fe80::/10"), ip.ip_interface(u"10.0.0.1/8")])


def _texts_and_paths(keep):
    keep("stdlib", "pattern", lambda: re.compile(u"a+(b|c)"))
    keep("stdlib", "pattern with flags", lambda: re.compile(u"x", re.I | re.M | re.U))
    keep("stdlib", "pattern of bytes", lambda: re.compile(b"x"))
    keep("stdlib", "re flags", lambda: [re.I, re.M | re.S])
    keep("stdlib", "Template", lambda: string.Template("a $b"))
    paths = _module("pathlib")
    if paths:
        keep("stdlib", "Path", lambda: paths.Path("data/model.bin"))
        keep("stdlib", "Path absolute", lambda: paths.Path("/data/model.bin"))
        keep("stdlib", "PurePosixPath", lambda: paths.PurePosixPath("a/b"))
        keep("stdlib", "PureWindowsPath", lambda: paths.PureWindowsPath("C:/a/b"))
    urls = _module("urllib.parse") or _module("urlparse")
    keep("stdlib", "urls", lambda: [urls.urlparse("http://a/b?c#d"), urls.urlsplit("http://a/b")])
    keep("stdlib", "Formatter", lambda: logging.Formatter("%(message)s"))
    keep("stdlib", "logger", lambda: logging.getLogger("training"))
    keep("stdlib", "root logger", lambda: logging.getLogger())
    keep("stdlib", "logger of a child", lambda: {"logger": logging.getLogger("training.net"), "level": logging.INFO})


class _Known(object):
    """Enumerations and named tuples of known modules, not of this one."""


def _enums_and_errors(keep):
    http = _module("http")
    if hasattr(http, "HTTPStatus"):
        keep("stdlib", "HTTPStatus", lambda: [http.HTTPStatus.OK, http.HTTPStatus.NOT_FOUND])
    for name in ("socket", "ssl", "signal", "inspect", "uuid", "enum", "plistlib", "tkinter", "ast", "dis"):
        module = _module(name)
        kinds = [kind for kind in vars(module or _Known).values() if isinstance(kind, type) and hasattr(kind, "__members__")]
        for kind in kinds[:4]:
            if name != "ssl" and kind.__members__:
                keep("stdlib", "enum " + name + "." + kind.__name__, lambda kind=kind: list(kind)[0])
    keep("stdlib", "Parameter", lambda: _module("inspect").signature(len))
    keep("stdlib", "signature", lambda: _module("inspect").signature(lambda a, b=1, *c, **d: None))
    known = vars(_module("builtins") or _module("__builtin__"))
    for name in sorted(known):
        kind = known[name]
        if isinstance(kind, type) and issubclass(kind, BaseException) and name not in ("BaseExceptionGroup", "ExceptionGroup"):
            keep("stdlib", "exception " + name, lambda kind=kind: kind("message"))
    keep("stdlib", "OSError of a file", lambda: OSError(2, "No such file", "name"))
    keep("stdlib", "UnicodeDecodeError", lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"))
    keep("stdlib", "UnicodeEncodeError", lambda: UnicodeEncodeError("ascii", u"\xff", 0, 1, "bad"))
    keep("stdlib", "KeyError with attributes", lambda: _noted(KeyError("a")))
    keep("stdlib", "InvalidOperation", lambda: decimal.InvalidOperation("x"))
    keep("stdlib", "JSONDecodeError", lambda: _module("json").JSONDecodeError("bad", "{", 0))
    if "ExceptionGroup" in known:
        keep("stdlib", "ExceptionGroup", lambda: known["ExceptionGroup"]("several", [ValueError("a")]))


def _noted(error):
    error.note = "kept"
    return error


def _functions(keep):
    keep("stdlib", "random.Random", lambda: random.Random(3))
    keep("stdlib", "random state", lambda: random.Random(3).getstate())
    keep("stdlib", "SystemRandom", lambda: [random.random, random.randint])
    keep("stdlib", "partials", lambda: [functools.partial(int, base=2), functools.partial(max, 0), functools.partial(round, ndigits=2)])
    keep("stdlib", "partial nested", lambda: functools.partial(functools.partial(pow, 2), 3))
    keep("stdlib", "itemgetters", lambda: [operator.itemgetter(0), operator.itemgetter("a", "b")])
    keep("stdlib", "itemgetter in defaultdict", lambda: {"key": operator.itemgetter(1)})
    keep("stdlib", "attrgetters", lambda: [operator.attrgetter("name"), operator.attrgetter("a", "b")])
    keep("stdlib", "builtins", lambda: [len, sum, min, max, abs, sorted, round, any, all, repr, hash])
    keep("stdlib", "types", lambda: [int, float, str, bool, list, dict, set, tuple, bytes, object, type(None), complex, frozenset, slice])
    keep("stdlib", "methods of types", lambda: [str.lower, str.strip, str.split, dict.get, float.fromhex])
    keep("stdlib", "math", lambda: [_module("math").sqrt, _module("math").log, operator.add, operator.mul, operator.lt])
    tools = _module("itertools")
    keep("stdlib", "count", lambda: tools.count(5))
    keep("stdlib", "repeat", lambda: [tools.repeat(1), tools.chain([1], [2])])
    typing = _module("typing")
    if typing:
        keep("stdlib", "typing", lambda: [typing.List[int], typing.Optional[str], typing.Dict[str, int], typing.Any])
    dataclasses = _module("dataclasses")
    if dataclasses:
        keep("stdlib", "MISSING", lambda: dataclasses.MISSING)
    counts = _module("statistics")
    if hasattr(counts, "NormalDist"):
        keep("stdlib", "NormalDist", lambda: counts.NormalDist(1, 2))


def make(keep):
    """Make the values."""
    for group in (_containers, _numbers_and_times, _texts_and_paths, _enums_and_errors, _functions):
        group(keep)
