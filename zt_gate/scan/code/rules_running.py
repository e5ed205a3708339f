"""Rules about code that starts processes, makes code out of data, loads native code or changes how Python imports."""

from __future__ import annotations

import ast
import re

from zt_gate.scan.code.call_sites import NOTHING, Found, Rule, Site
from zt_gate.scan.code.constant_folding import UNKNOWN
from zt_gate.scan.code.rules_network import DOWNLOADS

_SHELLS = frozenset(
    [f"os.{name}" for name in ("system", "popen", "startfile", "posix_spawn", "posix_spawnp")]
    + [f"os.{kind}{how}" for kind in ("exec", "spawn") for how in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")]
    + [f"subprocess.{name}" for name in ("run", "Popen", "call", "check_call", "check_output", "getoutput")]
    + ["subprocess.getstatusoutput", "pty.spawn", "posix.system", "nt.system", "asyncio.create_subprocess_exec"]
    + ["asyncio.create_subprocess_shell", "pexpect.spawn", "pexpect.run", "_posixsubprocess.fork_exec"]
)
_EVALUATORS = frozenset({"eval", "exec", "compile", "builtins.eval", "builtins.exec", "builtins.compile",
                         "code.InteractiveInterpreter", "code.InteractiveConsole", "code.interact", "runpy.run_path",
                         "codeop.compile_command", "pdb.Pdb", "pdb.run", "pdb.runeval", "bdb.Bdb", "trace.Trace",
                         "doctest.run_docstring_examples", "pandas.eval", "pandas.core.computation.eval.eval",
                         "numexpr.evaluate"})  # fmt: skip
_TEXT_RUNNERS = frozenset({"timeit.timeit", "timeit.repeat", "timeit.Timer", "cProfile.run", "cProfile.runctx",
                           "profile.run", "profile.runctx"})  # fmt: skip
"""Functions that run a text, or call a function that they are given."""
_WALKERS = frozenset({"gc.get_objects", "gc.get_referrers", "gc.get_referents", "sys._current_frames"})
"""Functions that hand out objects of the whole interpreter, functions included, without naming any."""
_WRITERS = frozenset({"open", "io.open", "builtins.open", "os.open", "codecs.open", "gzip.open"})
_WRITING_METHODS = frozenset({"write_text", "write_bytes"})
_NOTEBOOK_SHELLS = frozenset({"get_ipython", "IPython.get_ipython", "IPython.core.getipython.get_ipython",
                              "IPython.core.interactiveshell.InteractiveShell.instance"})  # fmt: skip
_NOTEBOOK_METHODS = frozenset(
    {
        "system", "system_raw", "system_piped", "getoutput", "run_cell", "run_cell_magic", "run_line_magic", "magic",
        "run_code", "ex", "ev", "safe_execfile", "safe_run_module", "run_cell_async",
    }
)  # fmt: skip
_FACTORIES = frozenset({"()", "class", "factory", "callable", "func", "target", "_target_"})
"""Keys under which configurations, such as `logging.config.dictConfig`, name what is called."""
_CODE_LOADERS = frozenset({"marshal.load", "marshal.loads", "types.FunctionType", "types.CodeType"})
# `compile` is left out: `re.compile` under its short name is on the first line of many honest modules.
_MAKERS = (_EVALUATORS - {"compile", "builtins.compile"}) | _CODE_LOADERS
_NATIVE = frozenset(
    [f"ctypes.{name}" for name in ("CDLL", "PyDLL", "WinDLL", "OleDLL", "cdll.LoadLibrary", "windll.LoadLibrary")]
    + ["_ctypes.dlopen", "numpy.ctypeslib.load_library", "tensorflow.load_op_library", "tensorflow.load_library"]
    + ["torch.classes.load_library", "torch.ops.load_library", "_imp.create_dynamic", "imp.load_dynamic"]
    + ["torch.utils.cpp_extension.load", "torch.utils.cpp_extension.load_inline", "numpy.f2py.compile"]
    + ["importlib.machinery.ExtensionFileLoader", "onnxruntime_extensions.get_library_path"]
)
_NATIVE_METHODS = frozenset({"register_custom_ops_library", "dlopen"})
_IMPORTERS = frozenset({"__import__", "importlib.import_module", "importlib.__import__", "builtins.__import__"})
_FILES = frozenset({
    "importlib.util.spec_from_file_location", "imp.load_source", "imp.load_module", "runpy.run_module",
    "importlib.machinery.SourceFileLoader", "zipimport.zipimporter", "site.addsitedir",
    "importlib.machinery.SourcelessFileLoader",
})  # fmt: skip
_PATHS = frozenset(
    f"sys.{table}.{verb}" for table in ("path", "meta_path", "path_hooks") for verb in ("insert", "append", "extend")
)
_DECODERS = frozenset(
    [f"base64.{name}" for name in ("b64decode", "b32decode", "b16decode", "b85decode", "a85decode", "decodebytes",
                                   "urlsafe_b64decode", "standard_b64decode")]
    + ["zlib.decompress", "bz2.decompress", "lzma.decompress", "gzip.decompress", "binascii.unhexlify"]
    + ["binascii.a2b_base64", "binascii.a2b_hex", "bytes.fromhex", "bytearray.fromhex", "codecs.decode"]
    + ["marshal.loads"]
)  # fmt: skip
_DUNDERS = frozenset({"__subclasses__"})
_TEMPLATES = frozenset(
    {"jinja2.Template", "jinja2.Environment", "jinja2.environment.Environment", "mako.template.Template"}
)
_INSTALLERS = frozenset({"pip.main", "pip._internal.main", "pip._internal.cli.main.main", "easy_install.main"})
_INSTALL = re.compile(r"\b(pip3?|uv|conda|mamba)\b.*\binstall\b", re.DOTALL)
_ADDRESS = re.compile(
    r"(https?|git|ssh|ftp)(\+\w+)?://|\bgit\+|--(extra-)?index-url|--find-links|--trusted-host|\s-[if]\s", re.IGNORECASE
)
_PIPED = re.compile(
    r"\b(curl|wget)\b[^|;]*\|\s*(sudo\s+)?(\w*sh|python[\d.]*|perl)\b|\b(ba)?sh\s+-c\s.*\b(curl|wget)\b"
)


def install_of(command: str) -> Found:
    """Judge a shell command: whether it installs, from an address, or runs what it fetches.

    Returns:
        The rule and the sentence, both empty for any other command.
    """
    if _PIPED.search(command):
        return "COD-124", "a program is fetched from the network and run at once"
    if not _INSTALL.search(command):
        return NOTHING
    if _ADDRESS.search(command):
        return "COD-124", "a package is installed from an address of its own at run time"
    return "COD-123", "packages are installed at run time: what runs is not what was released"


def _command(site: Site) -> str:
    """Return the command that a call starts, as one text."""
    value = site.value("args", 0)
    parts = []
    for item in site.names.options(value) if value is not None else ():
        if isinstance(item, (ast.List, ast.Tuple)):
            parts += [" ".join(min(site.names.texts(part), default=UNKNOWN) for part in item.elts)]
        else:
            parts += sorted(site.names.texts(item))
    # A program may also be spelt out over the arguments, as in execlp("pip", "pip", "install", "x").
    parts += [" ".join(min(site.names.texts(part), default=UNKNOWN) for part in site.arguments)]
    return "\n".join(parts)


def _install(site: Site) -> Found:
    name = site.calls(_INSTALLERS)
    rule, sentence = install_of(("pip " if name else "") + _command(site))
    return (name or site.calls(_SHELLS), sentence) if rule == "COD-123" else NOTHING


def _install_from_address(site: Site) -> Found:
    name = site.calls(_INSTALLERS)
    rule, sentence = install_of(("pip " if name else "") + _command(site))
    return (name or site.calls(_SHELLS), sentence) if rule == "COD-124" else NOTHING


def _at_import(site: Site) -> Found:
    if not site.at_import:
        return NOTHING
    if name := _run_text(site):
        return name, f"{name} runs a text as code as soon as the module is imported"
    for wanted, what in (
        (_SHELLS, "starts a process"),
        (_MAKERS, "turns data into code"),
        (_NATIVE, "loads native code"),
        (_WALKERS, "reaches every object of the interpreter"),
    ):
        if name := site.calls(wanted):
            return name, f"{name} {what} as soon as the module is imported"
    return NOTHING


def _notebook_shell(site: Site) -> Found:
    """`get_ipython().system("…")` is `!…` in code, also in a notebook that was exported as a script."""
    function = site.node.func if isinstance(site.node, ast.Call) else None
    if not isinstance(function, ast.Attribute):
        return NOTHING
    base = site.names.options(function.value)
    if not any(isinstance(item, ast.Call) and site.names.of(item.func) & _NOTEBOOK_SHELLS for item in base):
        return NOTHING
    return f"get_ipython().{function.attr}", f"get_ipython().{function.attr} leaves Python"


def _named_by_text(site: Site) -> Found:
    """A dict that names a function by a text, for a library that calls what such a text names."""
    named = {text for item in site.settings if item.key in _FACTORIES for text in site.names.texts(item.value)}
    name = min(named & (_SHELLS | _MAKERS | _NATIVE), default="")
    return name, f"{name} is named by a text, for a library that calls it"


def _write_at_import(site: Site) -> Found:
    if not site.at_import:
        return NOTHING
    name = site.calls(_WRITERS)
    if name:
        modes = site.texts("mode", 1)
        return (name, f"{name} writes a file as soon as the module is imported") if _writes(modes) else NOTHING
    name = site.method(_WRITING_METHODS)
    return name, f"{name} writes a file as soon as the module is imported"


def _writes(modes: set[str]) -> bool:
    return any(UNKNOWN in mode or set(mode) & set("wax+") for mode in modes)


def _process(site: Site) -> Found:
    return NOTHING if site.at_import else (site.calls(_SHELLS), f"{site.calls(_SHELLS)} starts a process")


def _run_text(site: Site) -> str:
    """Return which function runs a text; a function that is written out there is code that can be read."""
    value = site.value("stmt", 0)
    return site.calls(_TEXT_RUNNERS) if value is not None and site.names.texts(value) else ""


def _evaluate(site: Site) -> Found:
    name = site.calls(_EVALUATORS) or site.calls(_CODE_LOADERS) or _run_text(site)
    return name, f"{name} turns data into code"


def _native(site: Site) -> Found:
    name = site.calls(_NATIVE) or site.method(_NATIVE_METHODS)
    if name.startswith("ctypes.") and isinstance(site.value("name", 0), ast.Constant) and not site.texts("name", 0):
        return NOTHING  # CDLL(None) is the running program itself
    return name, f"{name} loads native code, which no rule here can read"


def _computed_import(site: Site) -> Found:
    name = site.calls(_IMPORTERS)
    value = site.value("name", 0)
    if value is None:
        return NOTHING
    texts = site.names.texts(value)
    if texts and not any(UNKNOWN in text for text in texts) and not site.how(value, *_literals(site, value)):
        return NOTHING
    return name, f"{name} imports a module whose name is decided at run time"


def _literals(site: Site, value: ast.expr) -> list[object]:
    return [item.value for item in site.names.options(value) if isinstance(item, ast.Constant)]


def _import_path(site: Site) -> Found:
    name = site.calls(_PATHS | _FILES)
    if name in _FILES:
        return name, f"{name} executes a file as a module"
    return name, f"{name} changes where Python looks for modules: another file may be imported than was reviewed"


def _fetched_code(site: Site) -> Found:
    name = site.calls(_EVALUATORS | _CODE_LOADERS)
    source = next((found for item in site.arguments if (found := site.names.mentions(item, DOWNLOADS))), "")
    return (name, f"{name} executes what {source} fetched") if source else NOTHING


def _hidden_code(site: Site) -> Found:
    # `().__class__.__base__.__subclasses__()` reaches every class that is loaded, without an import.
    if site.method(_DUNDERS):
        node = site.node.func if isinstance(site.node, ast.Call) else None
        base = ast.unparse(node) if node is not None else ""
        walks = "__base__" in base or "__bases__" in base or "__mro__" in base
        return ("__subclasses__", "all classes are walked to find one that executes") if walks else NOTHING
    name = site.calls(_EVALUATORS - {"compile"} | _CODE_LOADERS | _SHELLS)
    source = next((found for item in site.arguments if (found := site.names.mentions(item, _DECODERS))), "")
    return (name, f"{name} executes what {source} unpacks: the code is hidden from readers") if source else NOTHING


def _template(site: Site) -> Found:
    name = site.calls(_TEMPLATES)
    if name.endswith("Template") and isinstance(site.value("source", 0), ast.Constant):
        return NOTHING
    return name, f"{name} has no sandbox: a template that comes with a model can reach Python"


RULES = (
    Rule("COD-107", _at_import, calls=_SHELLS | _MAKERS | _NATIVE | _WALKERS | _TEXT_RUNNERS),
    Rule("COD-108", _evaluate, calls=_EVALUATORS | _CODE_LOADERS | _TEXT_RUNNERS),
    Rule("COD-115", _native, calls=_NATIVE, methods=_NATIVE_METHODS),
    Rule("COD-117", _computed_import, calls=_IMPORTERS),
    Rule("COD-120", _notebook_shell, methods=_NOTEBOOK_METHODS, also=_NOTEBOOK_SHELLS),
    Rule("COD-122", _fetched_code, calls=_EVALUATORS | _CODE_LOADERS, also=DOWNLOADS),
    Rule("COD-123", _install, calls=_SHELLS | _INSTALLERS),
    Rule("COD-124", _install_from_address, calls=_SHELLS | _INSTALLERS),
    Rule("COD-131", _template, calls=_TEMPLATES),
    Rule("COD-134", _import_path, calls=_PATHS | _FILES),
    Rule(
        "COD-136",
        _hidden_code,
        calls=_EVALUATORS | _CODE_LOADERS | _SHELLS,
        methods=_DUNDERS,
        also=_DECODERS,
    ),
    Rule("COD-137", _process, calls=_SHELLS),
    Rule("COD-138", _named_by_text, keys=_FACTORIES),
    Rule("COD-139", _write_at_import, calls=_WRITERS, methods=_WRITING_METHODS),
)
