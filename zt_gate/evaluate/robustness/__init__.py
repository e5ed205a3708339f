"""Attack a classifier, cheaply and honestly.

`masking_flags` asks whether the answers can be believed, `attack_batch` climbs the ladder, `attack_table` and
`attack_texts` search where there are no gradients. All see nothing of a model but its adapter, and import nothing but
torch and this package.
"""

from zt_gate.evaluate.robustness.corruptions import withstands_corruption
from zt_gate.evaluate.robustness.ladder import LadderResult, attack_batch, stage_counts
from zt_gate.evaluate.robustness.masking import MEANING, MaskingFlags, masking_flags
from zt_gate.evaluate.robustness.plan import CONFIRM, PLANS, STANDARD, TRIAGE, AttackStage, Plan
from zt_gate.evaluate.robustness.smoothing import SmoothedVote, certify
from zt_gate.evaluate.robustness.tables import Feasible, attack_table
from zt_gate.evaluate.robustness.texts import TextResult, attack_texts
from zt_gate.evaluate.robustness.threat import ThreatModel

__all__ = [
    "CONFIRM",
    "MEANING",
    "PLANS",
    "STANDARD",
    "TRIAGE",
    "AttackStage",
    "Feasible",
    "LadderResult",
    "MaskingFlags",
    "Plan",
    "SmoothedVote",
    "TextResult",
    "ThreatModel",
    "attack_batch",
    "attack_table",
    "attack_texts",
    "certify",
    "masking_flags",
    "stage_counts",
    "withstands_corruption",
]
