"""Turn a target into a subject: acquire, freeze, hash, build the manifest. Every judged byte is read here, once."""

from zt_gate.intake.blake3_digest import FastDigest
from zt_gate.intake.frozen import FastFrozen, Freeze, Frozen, freeze, freeze_fast
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
