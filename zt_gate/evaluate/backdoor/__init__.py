"""Look for backdoors: find the smallest trigger, try it on unseen images, and say what was measured."""

from zt_gate.evaluate.backdoor.examine import examine
from zt_gate.evaluate.backdoor.report import BackdoorReport, DetectorReport, SearchBudget

__all__ = ["BackdoorReport", "DetectorReport", "SearchBudget", "examine"]
