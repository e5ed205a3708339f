"""Attack a classifier, cheaply and honestly.

`masking_flags` asks whether the answers can be believed, `attack_batch` climbs the ladder. Both see nothing of a model
but its adapter, and import nothing but torch and this package.
"""

from zt_gate.evaluate.robustness.ladder import LadderResult, attack_batch, stage_counts
from zt_gate.evaluate.robustness.masking import MEANING, MaskingFlags, masking_flags
from zt_gate.evaluate.robustness.plan import CONFIRM, PLANS, STANDARD, TRIAGE, Plan, Stage
from zt_gate.evaluate.robustness.threat import Threat

__all__ = [
    "CONFIRM",
    "MEANING",
    "PLANS",
    "STANDARD",
    "TRIAGE",
    "LadderResult",
    "MaskingFlags",
    "Plan",
    "Stage",
    "Threat",
    "attack_batch",
    "masking_flags",
    "stage_counts",
]
