"""The report as one HTML file that loads and runs nothing: the verdict first, then why, then how to fix it."""

from zt_gate.report.html.page import render

__all__ = ["render"]
