"""Static checks. They read frozen bytes, never import the frameworks whose files they read, and never run anything."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Scan(ModuleType):
    """This package, which is also the function `zt_gate.scan`: importing a package binds its name in its parent."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Examine files and folders as one bundle; see `zt_gate.api.scan`."""
        import importlib  # by name: nothing in this package depends on what stands above it

        return importlib.import_module("zt_gate.api").scan(*args, **options)


sys.modules[__name__].__class__ = _Scan
