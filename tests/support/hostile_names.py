"""Names that somebody would give a model to forge what is said about it: 2,000 of them, the same each time."""

import random
from pathlib import Path

COUNT = 2000
_CONTROLS = [
    "\n",
    "\r\n",
    "\r",
    "\x1b[31m",
    "\x1b]8;;https://evil.example\x07",
    "\x9b2J",
    "\x00",
    "\x7f",
    "\u2028",
    "\ufffe",
    "\ud800",
]
_MARKS = ["\u202e", "\u2066", "\u200f", "\N{GRINNING FACE}", "\N{CJK UNIFIED IDEOGRAPH-6F22}" * 3, "a" * 90, " ", "  "]
_WORDS = (Path(__file__).parent / "hostile_names.txt").read_text().splitlines()
_PIECES = (*_CONTROLS, *_MARKS, *_WORDS)


def names(seed):
    """Return a hundred names."""
    chance = random.Random(seed)
    return ["".join(chance.choices(_PIECES, k=chance.randint(1, 5))) for _ in range(100)]
