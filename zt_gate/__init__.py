"""zt-gate: a release gate for machine-learning models.

One question is answered here: *may these exact bytes be promoted to this stage, on this evidence, now?* The default
answer is no.

Data walks through the package once, from left to right: `intake` freezes a target into a subject, `scan` and
`trust` turn it and the signed statements about it into evidence, `policy.judge` turns evidence into a verdict,
`report` and `audit` write it down. `gate.py` is the whole walk on one page.
"""

__version__ = "0.2.0"
