"""How pages are made: HTML in which every value is escaped by construction, and charts as inline SVG."""

from zt_gate.pages.charts import ChartLine, bars, lines, shown
from zt_gate.pages.element import Markup, document, element, join, link
from zt_gate.pages.pictures import draw

__all__ = [
    "ChartLine",
    "Markup",
    "bars",
    "document",
    "draw",
    "element",
    "join",
    "lines",
    "link",
    "shown",
]
