"""Words that evaluations and those who judge them share: what becomes of a sample, and what attacks are called."""

from __future__ import annotations

ROBUST, MISCLASSIFIED = -1, -2
"""What became of a sample, besides the number of the stage that fooled it."""
MAX_SAMPLE = 2 << 20
"""Bytes of inputs that a statement keeps."""

_QUICK = ("apgd-ce-10", "apgd-margin-20")
_AUTOATTACK = ("apgd-ce-100", "apgd-dlr-t-9x100", "fab-t-9x100", "square-5000")
STAGES = {
    "triage": (*_QUICK, "apgd-pm-30", "apgd-margin-t-3x30-within-0.4"),
    "standard": (*_QUICK, "apgd-margin-100", "apgd-pm-100", "apgd-dlr-t-9x100-within-0.25"),
    "confirm": (*_QUICK, "apgd-pm-100", *_AUTOATTACK),
}
"""Attacks that each strength asks for, by the names that statements give them; the weakest first."""
BLACK_BOX_QUERIES = 1000
"""What a model without gradients is attacked with, at least: so many queries of a search by scores."""
SEARCHES = ("square-", "random-search-")
"""What such searches are called, in front of their number of queries."""
WORDS = "word-substitution"
"""What the attack on texts is called."""


def lacking(stages: tuple[str, ...], strength: str, *, differentiable: bool) -> str:
    """Return an attack that a strength asks for and that was not run; nothing when there is none.

    A stronger plan serves for a weaker one.
    """
    if not differentiable:
        counts = [name.removeprefix(kind) for name in stages for kind in SEARCHES if name.startswith(kind)]
        enough = WORDS in stages or any(count.isdecimal() and int(count) >= BLACK_BOX_QUERIES for count in counts)
        return "" if enough else f"square-{BLACK_BOX_QUERIES}"
    names = list(STAGES)
    if any(set(STAGES[plan]) <= set(stages) for plan in names[names.index(strength) :]):
        return ""
    return next(name for name in STAGES[strength] if name not in stages)
