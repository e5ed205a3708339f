"""ArcSight Common Event Format 0.1 ("Implementing ArcSight Common Event Format", version 26)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zt_gate import __version__
from zt_gate.audit.export.kinds import PRODUCT, VENDOR, denied, milliseconds, severity, title


def cef(event: Mapping[str, Any]) -> str:
    """Return one event of an intact log as a CEF line, without a syslog header."""
    details = event.get("details", {})
    extension = {
        "rt": str(milliseconds(event)),
        "externalId": str(event["seq"]),
        "suser": event["who"],
        "msg": event["what"],
        "reason": event["why"],
        "outcome": event["outcome"],
        "act": _act(event),
        "cs1Label": "run",
        "cs1": event["run"],
        "cs2Label": "prev",
        "cs2": event["prev"],
        "cs3Label": "subject",
        "cs3": details.get("subject", ""),
        "cs4Label": "stage",
        "cs4": details.get("stage", ""),
        "cs5Label": "rules",
        "cs5": details.get("rules", ""),
    }
    # CEF counts from 0 to 10, the severities here from 1 to 5.
    head = ("0", VENDOR, PRODUCT, __version__, event["event"], title(event), str(severity(event) * 2 - 1))
    fields = " ".join(
        f"{name}={escape_extension(text)}" for name, text in extension.items() if _has_value(name, extension)
    )
    return "CEF:" + "|".join(escape_header(text) for text in head) + "|" + fields


def escape_header(text: str) -> str:
    """Escape a field of the header: backslash and pipe; it is one line, so a line break becomes a space."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\r", " ").replace("\n", " ")


def escape_extension(text: str) -> str:
    """Escape a value of the extension: backslash, equals sign and line breaks."""
    return text.replace("\\", "\\\\").replace("=", "\\=").replace("\r", "\\r").replace("\n", "\\n")


def _act(event: Mapping[str, Any]) -> str:
    if event["event"] not in ("run.finished", "promotion.done", "promotion.denied"):
        return ""
    return "denied" if denied(event) else "allowed"


def _has_value(name: str, extension: Mapping[str, str]) -> bool:
    """A label without its value says nothing."""
    return bool(extension[name.removesuffix("Label")])
