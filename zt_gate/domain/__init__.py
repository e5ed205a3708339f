"""The words of zt-gate as frozen values: no I/O, no clock, no randomness, standard library only.

Everything that the gate decides is expressed in these types; they are the only interface between the packages before
and after the judge.
"""

from zt_gate.domain.canonical import canonical_json
from zt_gate.domain.digest import Digest
from zt_gate.domain.evidence import Claim, Evidence, Gap, Status
from zt_gate.domain.finding import Finding, Severity, rule_severity
from zt_gate.domain.notes import Notes
from zt_gate.domain.picture import Bars, Curve, Heat, Picture, Pixels, parse_picture
from zt_gate.domain.subject import Entry, Manifest, Mode, Subject
from zt_gate.domain.text import inert, printable, sized
from zt_gate.domain.verdict import BrokenGlass, Decision, Reason, Verdict, WaivedFinding

__all__ = [
    "Bars",
    "BrokenGlass",
    "Claim",
    "Curve",
    "Decision",
    "Digest",
    "Entry",
    "Evidence",
    "Finding",
    "Gap",
    "Heat",
    "Manifest",
    "Mode",
    "Notes",
    "Picture",
    "Pixels",
    "Reason",
    "Severity",
    "Status",
    "Subject",
    "Verdict",
    "WaivedFinding",
    "canonical_json",
    "inert",
    "parse_picture",
    "printable",
    "rule_severity",
    "sized",
]
