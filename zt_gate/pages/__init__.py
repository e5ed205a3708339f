"""How pages are made: HTML in which every value is escaped by construction, and charts as inline SVG."""

from zt_gate.pages.charts import ChartLine, bars, format_value, lines
from zt_gate.pages.element import Markup, document, element, join, link
from zt_gate.pages.pictures import draw

__all__ = [
    "ChartLine",
    "Markup",
    "bars",
    "document",
    "draw",
    "element",
    "format_value",
    "join",
    "lines",
    "link",
]
