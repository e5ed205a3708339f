"""What must never reach the record: secrets, and the values of variables that hold them.

There is one place where text enters the log (`event.encode`), and it passes through here. Redaction is a net under
the rule that nobody hands a secret to the log in the first place: it knows the shapes of common tokens and the values
of this process's own secret variables, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from zt_gate.domain.secret_shapes import mask

REDACTED = "[redacted]"
_SHORTEST = 8
"""A shorter value of a variable is more likely an ordinary word than a secret."""
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY", re.IGNORECASE)
_LOOSE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bsk-[A-Za-z0-9_-]{20,}|\bxox[abeoprs]-[A-Za-z0-9-]{10,}"
    r"|\bpypi-[A-Za-z0-9_-]{20,}|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
    r"|(?i:(?<=bearer )[A-Za-z0-9._~+/=-]{8,})",
    re.DOTALL,
)
"""What is removed beyond the exact shapes of `domain.secret_shapes`: bearer tokens, and forms that a search would have
to be stricter about, since here a false alarm costs a word and a miss costs a secret."""


def secret_values(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of the variables whose names say that they are secret, longest first."""
    values = {value for name, value in environment.items() if len(value) >= _SHORTEST and _SECRET_NAME.search(name)}
    return tuple(sorted(values, key=len, reverse=True))


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return the text without these values and without anything else that looks like a secret."""
    for value in secrets:
        text = text.replace(value, REDACTED)
    return mask(_LOOSE.sub(REDACTED, text), REDACTED)
