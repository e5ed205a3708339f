"""Run makers inside an environment and write what they make, in every way that people save objects.

Written for Python 2.7 and every later one: `python run_makers.py FOLDER MAKER...`. A maker is a module in `makers/`
with a function `make(keep)`; it calls `keep(library, label, thunk)` for every object, where the thunk makes it. A thunk
that raises, or takes longer than its time, is noted as failed and costs nothing else.

The first object of a class is written in every main way; a later one only if it is built differently: by other opcodes,
names or texts, whatever its numbers are. Such a one is written by pickle's newest protocol and another way in turn.
"""

from __future__ import print_function

import hashlib
import importlib
import io
import json
import os
import pickle
import pickletools
import signal
import sys
import time
import traceback
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
LARGEST = 400000  # bytes of one file; honest objects on small data are smaller
SECONDS = 25  # of CPU, for one thunk
OLD = sys.version_info[0] == 2
LACKS = (
    "NameError",
    "ImportError",
    "ModuleNotFoundError",
    "has no attribute",
    "unexpected keyword argument",
    "not understood",
    "'NoneType' object",
)
"""What errors say where a version does not have what a maker asks for: no failure."""
_NUMBERS = ("INT", "LONG", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
_BYTES = ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8")
_SILENT = ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET", "FRAME", "PROTO")


class TooSlow(Exception):
    """A thunk took longer than its time."""


def _alarm(_signal, _frame):
    raise TooSlow("took longer than %d s" % SECONDS)


def shape_of(data):
    """Return a digest of a pickle's opcodes and texts; numbers, bytes and repetitions within a list do not count."""
    digest, last = hashlib.sha256(), None
    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        if name in _SILENT:
            continue
        if name in _NUMBERS:
            part = "N" if "FLOAT" not in name else "F"
        elif name in _BYTES:
            part = "B"
        elif isinstance(argument, bytes):  # Python 2: texts and bytes are one, and long ones are data
            part = argument if len(argument) < 60 else "B"
        else:
            part = "%s %s" % (name, argument)
        if part != last or part not in ("N", "F", "B"):
            digest.update(part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass" if not OLD else "replace"))
            digest.update(b"\n")
        last = part
    return digest.hexdigest()


def _pickled(protocol, module=pickle):
    def write(thing, path):
        data = module.dumps(thing, protocol)
        with io.open(path, "wb") as out:
            out.write(data)

    return write


def _joblib(module, compress):
    def write(thing, path):
        module.dump(thing, path, compress=compress)

    return write


def _optional(*names):
    """Return the first of the modules that can be imported, or None."""
    for name in names:
        try:
            return importlib.import_module(name)
        except Exception:
            continue
    return None


def ways():
    """Return every way to save that this environment has: `(how, protocol, suffix, function)`."""
    found = [("pickle", n, ".pkl", _pickled(n)) for n in range(pickle.HIGHEST_PROTOCOL + 1)]
    if OLD:
        fast = importlib.import_module("cPickle")
        found += [("pickle", n, ".pkl", _pickled(n, fast)) for n in range(3)]
    joblib = _optional("joblib")
    inside = _optional("sklearn.externals.joblib") if _optional("sklearn") else None
    if inside is not None and inside is not joblib and getattr(inside, "dump", None) is not getattr(joblib, "dump", None):
        found.append(("joblib", None, ".joblib", _joblib(inside, 0)))
        found.append(("joblib-zlib", None, ".joblib", _joblib(inside, 3)))
    if joblib is not None:
        found.append(("joblib", None, ".joblib", _joblib(joblib, 0)))
        found.append(("joblib-zlib", None, ".joblib", _joblib(joblib, 3)))
    for name in ("dill", "cloudpickle"):
        module = _optional(name)
        if module is not None:
            found.append((name, None, ".pkl", _pickled(None, module)))
    return found


def named(thing):
    """Return the full name of an object's class."""
    kind = type(thing)
    return "%s.%s" % (kind.__module__, getattr(kind, "__qualname__", kind.__name__))


class Keeper(object):
    """Writes objects and remembers what was written."""

    def __init__(self, folder):
        self.folder = os.path.join(folder, "objects")
        self.ways = ways()
        self.objects, self.failed, self.absent = [], [], []
        self.shapes, self.classes = set(), set()
        self.count = 0
        self.spent = {}
        if not os.path.isdir(self.folder):
            os.makedirs(self.folder)

    def __call__(self, library, label, thunk, more=False, own=None):
        """Make and write one object; `own` is a list of other ways, such as torch.save; `more` writes it in more ways than one. Return it, or None."""
        started = time.time()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            thing = thunk()
            if thing is None:
                return None
            self._write(library, label, thing, more, own)
            return thing
        except (Exception, SystemExit) as error:
            reason = "%s: %s" % (type(error).__name__, str(error)[:200])
            (self.absent if any(word in reason for word in LACKS) else self.failed).append([label, reason])
            return None
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            self.spent[label] = self.spent.get(label, 0) + time.time() - started

    def _write(self, library, label, thing, more, own):
        if own is None:
            shape = shape_of(pickle.dumps(thing, pickle.HIGHEST_PROTOCOL))
            if shape in self.shapes:
                return
            self.shapes.add(shape)
        new = named(thing) not in self.classes
        self.classes.add(named(thing))
        self.count += 1
        for how, protocol, suffix, write in own or self._chosen(new, more):
            name = "%06d_%s_%s%s%s" % (
                self.count,
                "".join(c if c.isalnum() else "-" for c in label)[:60],
                how,
                "" if protocol is None else protocol,
                suffix,
            )
            path = os.path.join(self.folder, name)
            twice = 1
            while os.path.exists(path):
                twice += 1
                path = os.path.join(self.folder, "%d_%s" % (twice, name))
            self._one(library, label, thing, how, protocol, path, write)

    def _chosen(self, new, more):
        """Return the main ways for a new class and one in turn; else the newest protocol, and one or three in turn."""
        newest = [way for way in self.ways if way[:2] == ("pickle", pickle.HIGHEST_PROTOCOL)][:1]
        if new:
            wanted = [("pickle", 0), ("pickle", 2), ("joblib", None), ("dill", None), ("cloudpickle", None)]
            newest += [way for way in self.ways if way[:2] in wanted and way not in newest]
        other = [way for way in self.ways if way not in newest]
        turns = 3 if more and not new else 1
        return newest + [other[(self.count * turns + turn) % len(other)] for turn in range(turns)]

    def _one(self, library, label, thing, how, protocol, path, write):
        try:
            write(thing, path)
            if os.path.getsize(path) > LARGEST:
                raise ValueError("%d bytes, larger than is kept" % os.path.getsize(path))
        except TooSlow:
            if os.path.exists(path):
                os.remove(path)
            raise
        except Exception as error:
            if os.path.exists(path):
                os.remove(path)
            self.failed.append(["%s by %s%s" % (label, how, protocol or ""), "%s: %s" % (type(error).__name__, str(error)[:200])])
            return
        self.objects.append(
            {
                "file": "objects/" + os.path.basename(path),
                "library": library,
                "class": named(thing),
                "label": label,
                "how": how,
                "protocol": protocol,
            }
        )


def main(folder, makers):
    """Run the makers and write `about.json`."""
    warnings.simplefilter("ignore")
    sys.path.insert(0, os.path.join(HERE, "makers"))
    sys.path.remove(HERE)
    signal.signal(signal.SIGPROF, _alarm)
    keep = Keeper(folder)
    for name in makers:
        started, before = time.time(), len(keep.objects)
        try:
            importlib.import_module(name).make(keep)
        except (Exception, SystemExit):
            keep.failed.append([name, traceback.format_exc()[-600:]])
            traceback.print_exc()
        print("%s: %d files, %.0f s" % (name, len(keep.objects) - before, time.time() - started))
        save(folder, keep)
    slow = sorted(keep.spent.items(), key=lambda item: -item[1])[:15]
    print("slowest: %s" % ", ".join("%s %.1f s" % item for item in slow))


def save(folder, keep):
    """Write `about.json` with what was made so far."""
    about = {
        "python": "%d.%d.%d" % sys.version_info[:3],
        "objects": keep.objects,
        "failed": keep.failed,
        "absent": keep.absent,
    }
    with io.open(os.path.join(folder, "about.json"), "w", encoding="utf-8") as out:
        text = json.dumps(about, indent=1, sort_keys=True)
        out.write(text if not OLD else text.decode("utf-8"))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
