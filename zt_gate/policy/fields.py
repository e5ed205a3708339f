"""The small types that a policy's fields are made of, each with what pydantic checks when a file is loaded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

from zt_gate.domain import Severity
from zt_gate.rulings.amounts import AMOUNT_PATTERN, parse_amount

STRICT: dict[str, Any] = {"strict": True, "extra": "forbid"}


@dataclass(frozen=True, slots=True)
class Checked:
    """Marks a field with a function that raises ValueError; pydantic calls it when a file is loaded."""

    check: Callable[[Any], object]
    schema: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What the published JSON Schema says about it, so that an editor can, too."""

    def __get_pydantic_json_schema__(self, source: Any, handler: Any) -> Any:
        """Add `schema` to what pydantic derives from the type."""
        return handler(source) | dict(self.schema)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Tell pydantic to call the function after its own validation (pydantic docs, "Custom types")."""
        from pydantic_core import core_schema

        def checked(value: Any) -> Any:
            self.check(value)
            return value

        return core_schema.no_info_after_validator_function(checked, handler(source))


def parse_instant(text: str) -> datetime:
    """Read an RFC 3339 instant in UTC, such as `2027-06-30T00:00:00Z`.

    Raises:
        ValueError: another form, or a time zone other than Z.
    """
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text):
        raise ValueError(f"{text!r} is not a UTC instant such as 2027-06-30T00:00:00Z")
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _positive(text: str) -> None:
    if parse_amount(text) <= 0:
        raise ValueError(f"{text!r} is not greater than 0")


def _share(text: str) -> None:
    if not 0 < parse_amount(text) < 1:
        raise ValueError(f"{text!r} is not between 0% and 100%")


_IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


def _identifier(text: str) -> None:
    if not re.fullmatch(_IDENTIFIER, text):
        raise ValueError(f"{text!r} is not a name; use up to 64 letters, digits, dots, dashes and underscores")


def between(low: int, high: int) -> Checked:
    """Return a check that a number lies in a range, its ends included."""

    def check(value: int) -> None:
        if not low <= value <= high:
            raise ValueError(f"{value} is not between {low} and {high}")

    return Checked(check, {"minimum": low, "maximum": high})


def at_least(length: int) -> Checked:
    """Return a check that a text has so many characters, apart from white space around it."""

    def check(value: str) -> None:
        if len(value.strip()) < length:
            raise ValueError(f"at least {length} characters are needed")

    return Checked(check, {"minLength": length})


SeverityName = Annotated[str, Checked(Severity.parse, {"enum": [str(severity) for severity in Severity]})]
Instant = Annotated[str, Checked(parse_instant, {"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"})]
Identifier = Annotated[str, Checked(_identifier, {"pattern": _IDENTIFIER})]
Text = Annotated[str, at_least(1)]
Amount = Annotated[str, Checked(_positive, {"pattern": AMOUNT_PATTERN})]
"""A positive number as text, since a policy's digest has no place for rounding."""
Share = Annotated[str, Checked(_share, {"pattern": AMOUNT_PATTERN})]
"""A share between 0 and 1, without either, as text."""
Days = Annotated[int, between(1, 3650)]
