"""The opcodes that import, call and set state: the ones that every attack needs."""

from __future__ import annotations

import _compat_pickle
from typing import TYPE_CHECKING, Any

from zt_gate.scan.artifacts.pickles.arguments import problem_with_keywords
from zt_gate.scan.artifacts.pickles.globals import is_module
from zt_gate.scan.artifacts.pickles.opcodes import CONSTANTS, HANDLERS, Handler, number, opcode, text_line
from zt_gate.scan.artifacts.pickles.values import (
    DILL_MODULE,
    KEEP_TEXT,
    UNKNOWN,
    Global,
    Instance,
    Module,
    Tuple,
    attribute_of,
    module_class,
    result_of,
)

if TYPE_CHECKING:
    from zt_gate.scan.artifacts.pickles.machine import Machine


__all__ = ["CONSTANTS", "HANDLERS"]


def _import(m: Machine, module: str, qualname: str) -> Global:
    """Look a name up as `find_class` does; below protocol 3 the names of Python 2 are mapped."""
    # `pickle.load` maps names by default (`fix_imports`), and every PROTO in the stream may switch that on or off.
    if m.protocol < 3:
        # Whole names first, and then modules alone: the order of `_pickle.c`.
        if (module, qualname) in _compat_pickle.NAME_MAPPING:
            module, qualname = _compat_pickle.NAME_MAPPING[(module, qualname)]
        elif module in _compat_pickle.IMPORT_MAPPING:
            module = _compat_pickle.IMPORT_MAPPING[module]
    found = Global(module, qualname)
    # What is handed on is only watched once a restricted name is about: a test per item would slow every honest pickle.
    m.watch |= m.listener.imported(found, m.offset)
    return found


def _name(m: Machine) -> str:
    line = text_line(m)
    # `load_global` of `_pickle.c` refuses a line of fewer than two bytes, its newline included.
    if not line:
        m.refuse("an empty name")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        m.refuse("a name that is not UTF-8")


@opcode(b"c")
def _global(m: Machine) -> None:
    m.stack.append(_import(m, _name(m), _name(m)))


@opcode(b"\x93")
def _stack_global(m: Machine) -> None:
    qualname, module = m.pop(), m.pop()
    if isinstance(module, str) and isinstance(qualname, str):
        m.stack.append(_import(m, module, qualname))
        return
    # CPython demands text here, but text may also be what a call has returned.
    m.listener.unresolved("a name that is no literal", m.offset)
    m.stack.append(UNKNOWN)


def _call(m: Machine, callee: Any, args: Any, use: str, keywords: Any = None) -> None:
    if found := attribute_of(callee, args):
        m.stack.append(_import(m, found.module, found.qualname))
        return
    if callee == DILL_MODULE and isinstance(args, Tuple) and args.items and is_module(args.items[0]):
        m.stack.append(Module(args.items[0]))
        return
    # Told at the opcode and not at STOP: a result that POP removes has run all the same, which fickling once missed.
    m.listener.called(callee, args, m.offset, use)
    if keywords is not None:
        m.listener.added(result_of(callee, args), [keywords], m.offset)
    m.stack.append(result_of(callee, args))


@opcode(b"R")
def _reduce(m: Machine) -> None:
    args = m.pop()
    callee = m.pop()
    _call(m, callee, args, "call")


@opcode(b"\x81")
def _newobj(m: Machine) -> None:
    args = m.pop()
    callee = m.pop()
    _call(m, callee, args, "newobj")


@opcode(b"\x92")
def _newobj_ex(m: Machine) -> None:
    keywords, args, callee = m.pop(), m.pop(), m.pop()
    if keywords and (problem := problem_with_keywords(keywords)):
        m.listener.unresolved(problem, m.offset)
    _call(m, callee, args, "newobj", keywords)


def _instantiation(args: Tuple) -> str:
    """Return how INST and OBJ use a class: `instantiate` of `_pickle.c` calls it, unless there are no arguments."""
    return "newobj" if args.items == () else "call"


@opcode(b"i")
def _inst(m: Machine) -> None:
    args = m.tuple_of(m.pop_to_mark())
    found = _import(m, _name(m), _name(m))
    _call(m, found, args, _instantiation(args))


@opcode(b"o")
def _obj(m: Machine) -> None:
    items = m.pop_to_mark()
    if not items:
        m.refuse("stack underflow")
    args = m.tuple_of(items[1:])
    _call(m, items[0], args, _instantiation(args))


@opcode(b"b")
def _build(m: Machine) -> None:
    if len(m.stack) - m.fence < 2:
        m.refuse("stack underflow")
    state = m.pop()
    if m.watch:
        m.hand_on([state])
    receiver = m.stack[-1]
    m.listener.built(receiver, state, m.offset)
    if isinstance(receiver, Instance):
        if receiver.cls == "numpy.dtype":
            # numpy takes a second state, too; in place of following it, the type counts as unknown.
            receiver.state = state if receiver.state is None else UNKNOWN
        elif receiver.cls.endswith(".NumpyArrayWrapper") or receiver.cls.endswith(".NDArrayWrapper"):
            # joblib would read an array at every BUILD of the wrapper; honest files have one.
            if receiver.state is not None:
                m.refuse("state that is put into an array wrapper for a second time,")
            receiver.state = state
            after = m.window.base + m.position
            # joblib's unpickler reads the array within its `load_build`, so its raw bytes follow the opcode at once.
            onward = m.listener.array(receiver, after)
            if onward != after:
                # joblib reads the array from the file itself and not through the frame, so an open frame would hold
                # other bytes.
                m.window.leave_frame(after)
                m.position = m.window.skip(m.position, onward - after)


@opcode(b"P")
def _persid(m: Machine) -> None:
    line = text_line(m)
    m.listener.persistent(line.decode("latin-1")[:KEEP_TEXT], m.offset)
    m.stack.append(UNKNOWN)


@opcode(b"Q")
def _binpersid(m: Machine) -> None:
    pid = m.pop()
    m.listener.persistent(pid, m.offset)
    module = module_class(pid)
    m.stack.append(module or Instance("torch.storage.UntypedStorage", "torch.storage.UntypedStorage", pid))


def _extension_of(width: int) -> Handler:
    def push(m: Machine) -> None:
        # copyreg's cache hands out objects that never pass `find_class`, so no allowlist of names sees them.
        m.listener.extension(number(m, width), m.offset)
        m.stack.append(UNKNOWN)

    return push


HANDLERS[0x82], HANDLERS[0x83], HANDLERS[0x84] = _extension_of(1), _extension_of(2), _extension_of(4)
