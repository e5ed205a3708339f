"""Target to subject: acquire, freeze, hash, manifest. Every byte that is judged enters the house here, once."""

from zt_gate.intake.blake3_digest import FastDigest, FastFrozen
from zt_gate.intake.frozen import Freeze, Frozen, freeze, freeze_fast
from zt_gate.intake.source import ByteSource, FrozenFile, MemorySource
from zt_gate.intake.walk import IntakeLimits

__all__ = [
    "ByteSource",
    "FastDigest",
    "FastFrozen",
    "Freeze",
    "Frozen",
    "FrozenFile",
    "IntakeLimits",
    "MemorySource",
    "freeze",
    "freeze_fast",
]
