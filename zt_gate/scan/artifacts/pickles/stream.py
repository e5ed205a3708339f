"""Pickle files: every pickle in the file to its last byte, the older PyTorch stack of pickles, and pickles in text."""

from __future__ import annotations

import re

from zt_gate.intake import ByteSource, MemorySource
from zt_gate.scan.artifacts.format import Format, Input
from zt_gate.scan.artifacts.pickles.machine import Listener, Machine
from zt_gate.scan.artifacts.pickles.prefilter import WORTHWHILE, data_only_end
from zt_gate.scan.artifacts.pickles.rules import PickleJudge, PlainReading
from zt_gate.scan.artifacts.pickles.tensors import TensorJudge
from zt_gate.scan.artifacts.pickles.values import Global, Instance
from zt_gate.scan.artifacts.pickles.window import MalformedError
from zt_gate.scan.interface import Examination, Head

_MAX_PICKLES = 10_000
# torch.serialization.MAGIC_NUMBER, pickled with protocol 2.
_TORCH_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_SUFFIXES = frozenset(
    {".pkl", ".pickle", ".joblib", ".pk", ".p", ".sav", ".dill", ".cloudpickle", ".pt", ".pth", ".ckpt"}
)
ITEM_SIZES = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8, "IntStorage": 4,
    "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1, "ComplexDoubleStorage": 16,
    "ComplexFloatStorage": 8, "QUInt8Storage": 1, "QInt8Storage": 1, "QInt32Storage": 4, "QUInt4x2Storage": 1,
    "QUInt2x4Storage": 1, "UntypedStorage": 1,
}  # fmt: skip
# What a pickle without a magic number may begin with: every opcode that needs nothing on the stack.
_START = re.compile(rb"[\x80\x82-\x84\x88-\x8f\x95\x96(\]})cINKGMJLFSTUVXBCP]")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,256}")
"""A module or attribute that could be imported; in binary data, names that are made of anything else are chance."""


def _judge(piece: Input) -> PickleJudge:
    return TensorJudge(piece.exam, piece.source, torch=piece.torch, nested=piece.inside)


def examine_pickle(piece: Input) -> None:
    """Walk every pickle of the piece. What stands behind the last one and is no pickle is a finding."""
    source, exam = piece.source, piece.exam
    offset, arrays = 0, False
    for number in range(1, _MAX_PICKLES + 1):
        judge = _judge(piece)
        try:
            end = _walk(source, judge, offset)
        except MalformedError as error:
            # A text pickle has no magic number, so that what follows the first pickle is only told from junk by running
            # to STOP.
            if number == 1 or source.read_at(offset, 1) == b"\x80":
                exam.gap(f"pickle {number} of {_shown(source)} is broken: {error.message}", "write the file again")
            else:
                _trailing(piece, offset)
            break
        arrays = arrays or judge.arrays
        if number == 1:
            # torch.load reads one pickle of a member, so a second one behind it claims no raw bytes.
            piece.storages |= judge.storages
        exam.cover(offset, end)
        offset = end
        if offset >= source.size:
            break
    else:
        exam.gap(f"more than {_MAX_PICKLES} pickles in {_shown(source)}")
    if arrays:
        _read_plainly(piece)


def _walk(source: ByteSource, listener: Listener, offset: int) -> int:
    """Return the offset behind a pickle's STOP. A large one that only holds data has nothing to tell the listener.

    Raises:
        MalformedError: an unpickler would stop within it.
    """
    end = data_only_end(source, offset) if source.size - offset >= WORTHWHILE else None
    return Machine(source, listener, offset).run() if end is None else end


def _read_plainly(piece: Input) -> None:
    try:
        Machine(piece.source, PlainReading(piece.exam, piece.source, torch=piece.torch)).run()
    except MalformedError:
        return  # a plain loader stops here with an error, which is what honest arrays do to it


def _trailing(piece: Input, offset: int) -> None:
    size = piece.source.size
    piece.exam.finding(
        "ART-111",
        f"{size - offset} bytes behind the last pickle are no pickle",
        member=piece.source.member,
        offset=offset,
        symbol="trailing bytes",
    )
    piece.exam.cover(offset, size)


def _shown(source: ByteSource) -> str:
    return source.member or source.path


def _is_pickle(head: Head) -> bool:
    start = head.start
    if start[:1] == b"\x80" and len(start) > 1 and start[1] <= 5:
        return True
    return head.suffix in _SUFFIXES or is_text_pickle(head)


class _Probe(PickleJudge):
    """Listens for what makes a pickle worth looking at, and writes nothing down."""

    def __init__(self) -> None:
        super().__init__(Examination("", 0), MemorySource("", "", b""))
        self.imports = self.calls = 0

    def imported(self, found: Global, offset: int) -> bool:  # noqa: ARG002 - only the count matters
        self.imports += bool(_NAME.fullmatch(found.module) and _NAME.fullmatch(found.qualname))
        return False

    def called(self, callee: object, args: object, offset: int, use: str) -> None:  # noqa: ARG002 - as above
        self.calls += isinstance(callee, (Global, Instance))

    def persistent(self, pid: object, offset: int) -> None:  # noqa: ARG002 - as above
        raise MalformedError(f"a persistent id at offset {offset}, at which a plain loader stops")


def is_text_pickle(head: Head) -> bool:
    """Whether bytes without a pickle's magic number do what a pickle does: call something, or import and stop."""
    probe, ended = _probe(head)
    return probe.calls > 0 or (ended and probe.imports > 0)


def is_also_pickle(head: Head) -> bool:
    """Whether the bytes of a binary format are a pickle from the first byte, which loads before it breaks."""
    probe, _ = _probe(head)
    return probe.calls + probe.imports > 0


def _probe(head: Head) -> tuple[_Probe, bool]:
    """Walk from the first byte; tell what happened, and whether the end was reached."""
    probe = _Probe()
    if not _START.match(head.start):
        return probe, False
    try:
        _walk(head.source, probe, 0)
    except MalformedError:
        return probe, False
    return probe, True


def _examine_torch_stack(piece: Input) -> None:
    """Walk the five pickles of `torch.save(..., _use_new_zipfile_serialization=False)` and size up the storages."""
    source, exam = piece.source, piece.exam
    piece.torch = True
    offset, storages = 0, dict[str, tuple[str, int]]()
    # Magic number, protocol, system info, the object, keys of storages. modelscan walks the first alone, and misses a
    # payload in the fourth.
    for _ in range(5):
        judge = _judge(piece)
        end = Machine(source, judge, offset).run()
        storages.update(judge.storages)
        exam.cover(offset, end)
        offset = end
    if any(kind not in ITEM_SIZES for kind, _ in storages.values()):
        exam.gap(f"{_shown(source)} has storages of an unknown kind", "save it again with a current torch.save")
        return
    # Each storage is its number of items in eight bytes, and then its numbers.
    expected = offset + sum(8 + count * ITEM_SIZES[kind] for kind, count in storages.values())
    if expected > source.size:
        exam.gap(f"{_shown(source)} ends within its tensors, {expected - source.size} bytes short", "save it again")
        return
    exam.cover(offset, expected)
    if expected < source.size:
        _trailing(piece, expected)


PICKLE = Format("pickle", _is_pickle, examine_pickle)
TORCH_STACK = Format("torch-legacy", lambda head: head.start.startswith(_TORCH_MAGIC), _examine_torch_stack)
