"""The report as one HTML file that loads and runs nothing: the verdict first, then why, then what would turn it."""

from zt_gate.report.html.page import render

__all__ = ["render"]
