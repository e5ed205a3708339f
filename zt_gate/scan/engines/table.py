"""The engines: who they are, what to install, and which files each is asked about.

Their licences (modelscan Apache-2.0, picklescan MIT, fickling LGPL-3.0, modelaudit MIT) are those of programs that run
beside the gate; nothing of them is part of it.
"""

from __future__ import annotations

from typing import ClassVar

from zt_gate.scan.engines.engine import EngineCheck
from zt_gate.scan.engines.formats import holds_arrays, holds_pickles


class ModelscanCheck(EngineCheck):
    """modelscan of Protect AI: a list of dangerous modules, matched over the opcodes of pickles."""

    id: ClassVar[str] = "modelscan"
    version: ClassVar[str] = "1"
    rule: ClassVar[str] = "ENG-101"
    requirement: ClassVar[str] = "modelscan>=0.8.8,<0.9"
    needs: ClassVar[str] = " on Python 3.12 or older"
    worker: ClassVar[str] = "zt_gate.scan.engines.modelscan_worker"
    wanted = staticmethod(holds_pickles)


class PicklescanCheck(EngineCheck):
    """picklescan, which the Hugging Face Hub runs: names of dangerous and of harmless globals."""

    id: ClassVar[str] = "picklescan"
    version: ClassVar[str] = "1"
    rule: ClassVar[str] = "ENG-102"
    requirement: ClassVar[str] = "picklescan>=1.0.5,<2"
    worker: ClassVar[str] = "zt_gate.scan.engines.picklescan_worker"

    @staticmethod
    def wanted(name: str, head: bytes) -> bool:
        """See `EngineCheck.wanted`."""
        return holds_pickles(name, head) or holds_arrays(name, head)


class FicklingCheck(EngineCheck):
    """fickling of Trail of Bits: decompiles pickles, and judges the program that comes out."""

    id: ClassVar[str] = "fickling"
    version: ClassVar[str] = "1"
    rule: ClassVar[str] = "ENG-103"
    requirement: ClassVar[str] = "fickling>=0.1.12,<0.2"
    worker: ClassVar[str] = "zt_gate.scan.engines.fickling_worker"
    wanted = staticmethod(holds_pickles)


class ModelauditCheck(EngineCheck):
    """modelaudit of Promptfoo: some forty formats. It sorts files by content itself, so it is asked about all."""

    id: ClassVar[str] = "modelaudit"
    version: ClassVar[str] = "1"
    rule: ClassVar[str] = "ENG-104"
    requirement: ClassVar[str] = "modelaudit>=0.2.54,<0.3"
    worker: ClassVar[str] = "zt_gate.scan.engines.modelaudit_worker"

    @staticmethod
    def wanted(name: str, head: bytes) -> bool:  # noqa: ARG004 - every engine is asked with both
        """See `EngineCheck.wanted`."""
        return bool(head)


class UnpicklerCheck(EngineCheck):
    """CPython's own unpickler with inert stand-ins: whether it reads a pickle as our machine does."""

    id: ClassVar[str] = "unpickler"
    version: ClassVar[str] = "1"
    rule: ClassVar[str] = "ENG-105"
    requirement: ClassVar[str] = ""
    worker: ClassVar[str] = "zt_gate.scan.engines.unpickler_worker"
    wanted = staticmethod(holds_pickles)


ENGINES: dict[str, type[EngineCheck]] = {
    check.id: check for check in (ModelscanCheck, PicklescanCheck, FicklingCheck, ModelauditCheck, UnpicklerCheck)
}
"""Every engine by its check id, in the order in which they are shown."""
