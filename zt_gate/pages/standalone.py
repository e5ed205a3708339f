"""A picture as a file of its own: the same SVG with its name space and colours inside, still without a script."""

from __future__ import annotations

from zt_gate.pages.element import Markup

_STYLE = (
    "text{font:13px system-ui,'DejaVu Sans',sans-serif;fill:#1d2433}.axis{fill:#5b6472;font-size:12px}"
    ".grid{stroke:#d7dbe2}.band{fill:#2f6fde;fill-opacity:.16}.line{fill:none;stroke:#2f6fde;stroke-width:2.2}"
    ".dot{fill:#2f6fde}.limit{stroke:#c2313c;stroke-dasharray:6 4;stroke-width:1.6}"
    ".track{fill:#eceff4}.bar{fill:#2f6fde}"
    ".over{fill:#c2313c}.heat{fill:#2f6fde}"
)


def standalone(svg: Markup) -> str:
    """Return the text of an SVG file.

    Args:
        svg: one picture, as `zt_gate.pages.pictures` draws it.
    """
    text = str(svg)
    if not text.startswith("<svg "):
        raise ValueError("this is no picture")
    head, rest = text.split(">", 1)
    # HTML gives inline SVG its name space; a file of its own is XML and needs it spelt out.
    head = head.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return f'{head}><style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>{rest}\n'
