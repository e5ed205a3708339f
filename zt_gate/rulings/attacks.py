"""Names that runner and gate share: the outcomes of a sample, the attacks of each strength, the corruptions."""

from __future__ import annotations

from typing import Final

ROBUST, MISCLASSIFIED = -1, -2
"""What became of a sample, besides the number of the stage that fooled it."""
MAX_SAMPLE = 2 << 20
"""Bytes of inputs that a statement keeps."""

_QUICK = ("apgd-ce-10", "apgd-margin-20")
AUTOATTACK = ("apgd-ce-100", "apgd-dlr-t-9x100", "fab-t-9x100", "square-5000")
"""The four families of AutoAttack's standard version, at their full length."""
STAGES = {
    "triage": (*_QUICK, "apgd-pm-30", "apgd-margin-t-3x30-within-0.4"),
    "standard": (*_QUICK, "apgd-margin-100", "apgd-pm-100", "apgd-dlr-t-9x100-within-0.25"),
    "confirm": (*_QUICK, "apgd-pm-100", *AUTOATTACK),
}
"""Attacks that each strength asks for, by the names that statements give them; the weakest first."""
QUERIES = {"triage": 1000, "standard": 1000, "confirm": 5000}
"""How many queries of a search by scores each strength asks for where there are no gradients."""
SEARCHES = ("square-", "random-search-")
"""What such searches are called, in front of their number of queries."""
WORDS = "word-substitution"
"""What the attack on texts is called."""
NO_GRADIENTS = ("no_gradients",)
"""Signs of masking that mean no more than that there are no gradients."""
STRENGTH: Final = "standard"
"""The strength that is asked for where the policy says none."""
NEAR = 0.03
"""Distance from a threshold within which nothing passes before the attacks of `confirm` ran."""
CORRUPTIONS = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "blur",
    "contrast",
    "brightness",
    "pixelate",
    "jpeg",
)
"""Common corruptions of images (after Hendrycks and Dietterich, ICLR 2019), by the names that statements give them."""
SEVERITIES = 5
"""Severities at which each of them is tried."""


def near(robust: int, tried: int, threshold: float) -> bool:
    """Whether a share lies so close to a threshold that stronger attacks may move it across."""
    return robust > 0 and abs(robust / tried - threshold) <= NEAR


def withstood_plan(code: int, plan: int) -> bool:
    """Whether a sample withstood the first `plan` stages, which any two releases have in common."""
    return code == ROBUST or code >= plan


def corruption_loss(right: int, *, clean: bool) -> float:
    """Return how much of its accuracy a sample loses, on average over all corruptions.

    Args:
        right: how many of its corrupted images are answered correctly.
        clean: whether the sample itself is.
    """
    return clean - right / (len(CORRUPTIONS) * SEVERITIES)


def lacking(stages: tuple[str, ...], strength: str, *, differentiable: bool) -> str:
    """Return an attack that a strength asks for and that was not run; nothing when there is none.

    A stronger plan serves for a weaker one.
    """
    if not differentiable:
        least = QUERIES[strength]
        counts = [name.removeprefix(kind) for name in stages for kind in SEARCHES if name.startswith(kind)]
        enough = WORDS in stages or any(count.isdecimal() and int(count) >= least for count in counts)
        return "" if enough else f"square-{least}"
    names = list(STAGES)
    if any(set(STAGES[plan]) <= set(stages) for plan in names[names.index(strength) :]):
        return ""
    return next(name for name in STAGES[strength] if name not in stages)
