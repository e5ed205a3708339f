"""Libraries that may not be in an environment."""

import importlib


def optional(name):
    """Import a module, or return None where it is missing or cannot run here."""
    try:
        return importlib.import_module(name)
    except Exception:
        return None
