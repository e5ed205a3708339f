"""Sealed copies: the approved bytes under their digest, so that what was verified is what is loaded.

`place` says what a place of sealed copies has to do. `folder` keeps them on a disk, `object_store` in a bucket.
"""

from zt_gate.intake.sealed.folder_store import SealedStore
from zt_gate.intake.sealed.named import sealed_place
from zt_gate.intake.sealed.place import Admit, Probe, Sealed, SealedPlace

__all__ = ["Admit", "Probe", "Sealed", "SealedPlace", "SealedStore", "sealed_place"]
