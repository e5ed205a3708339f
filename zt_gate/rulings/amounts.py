"""Numbers as a policy writes them, read without rounding."""

from __future__ import annotations

import re
from fractions import Fraction

AMOUNT_PATTERN = r"^(\d{1,9}(\.\d{1,9})?%?|\d{1,9}/[1-9]\d{0,8})$"


def parse_amount(text: str) -> Fraction:
    """Read a number without rounding it: `40%`, `8/255`, `"0.3"`.

    Raises:
        ValueError: another form.
    """
    if not re.fullmatch(AMOUNT_PATTERN, text):
        raise ValueError(f'{text!r} is no number such as 40%, 8/255 or "0.3"')
    return Fraction(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
