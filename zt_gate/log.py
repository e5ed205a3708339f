"""The log below `zt_gate`: steps, timings, ends of workers; never a value of a secret, never content of a file.

Callers that want the log have imported `logging`; others do not pay for the import at start-up.
"""

from __future__ import annotations

import sys


def info(name: str, message: str, *values: object) -> None:
    """Log a message at level INFO.

    Args:
        name: the logger, which is the module's `__name__`.
        message: with a `%` directive for each value.
        values: numbers, digests, statuses and names of ours; nothing that came with a model.
    """
    logging = sys.modules.get("logging")
    if logging is not None:
        logging.getLogger(name).info(message, *values, stacklevel=2)


def warning(name: str, message: str, *values: object) -> None:
    """Log a message at level WARNING, which Python shows on standard error where nobody set up a log.

    Args:
        name: the logger, which is the module's `__name__`.
        message: with a `%` directive for each value.
        values: as of `info`; names of an operator's files, made printable.
    """
    import logging

    logging.getLogger(name).warning(message, *values, stacklevel=2)
