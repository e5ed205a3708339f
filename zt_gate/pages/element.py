"""A small builder for HTML and SVG: whatever is no `Markup` is escaped, and only this module makes `Markup`.

Control characters, surrogates and direction marks become visible escapes on the way, so that a name cannot reorder the
text around it (CVE-2021-42574).
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable

from zt_gate.domain import printable

_MAX_TEXT = 8000
_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | int | None | Iterable["str | int | None"]
"""What may stand inside an element: text, a number, markup, nothing, or several of them."""
Value = str | int | float | bool | None
"""An attribute: `True` has no value, `False` and `None` leave it out."""


def element(tag: str, *children: Child, **attributes: Value) -> Markup:
    """Return one element.

    Args:
        tag: a literal name.
        children: what stands inside; text is escaped.
        attributes: names as literals, `_` for `-`, a trailing `_` for names that Python keeps for itself.
    """
    attribute_text = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _VOID:
        return Markup(f"<{tag}{attribute_text}>")
    return Markup(f"<{tag}{attribute_text}>{join(*children)}</{tag}>")


def join(*children: Child) -> Markup:
    """Return pieces one after the other, without an element around them."""
    parts: list[str] = []
    for child in children:
        if isinstance(child, Markup):
            parts.append(child)
        elif isinstance(child, (str, int)):
            parts.append(_escaped(str(child)))
        elif child is not None:
            parts.append(join(*child))
    return Markup("".join(parts))


def link(url: str, *children: Child) -> Markup:
    """Return a link to a web page or to a place on this page; any other address is shown as text."""
    # Addresses come from rule files and reports, and `javascript:` or `data:` must not become a link.
    if url.startswith(("https://", "#")):
        return element("a", *children, href=url, rel=None if url.startswith("#") else "noreferrer")
    return join(*children)


def document(title: str, style: str, *body: Child) -> str:
    """Return a whole page that loads and runs nothing: its policy names the hash of its one style sheet.

    Args:
        title: the page's title.
        style: the style sheet, a literal of this program.
        body: what the page shows.
    """
    # By hash and not 'unsafe-inline': a style that slipped in with a name is then not applied.
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width,initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        Markup(f"<style>{style}</style>"),
    )
    return f"<!doctype html>\n{element('html', head, element('body', *body), lang='en')}\n"


def _attribute(name: str, value: Value) -> str:
    if value is None or value is False:
        return ""
    label = name.rstrip("_").replace("_", "-")
    return f" {label}" if value is True else f' {label}="{_escaped(str(value))}"'


def _escaped(text: str) -> str:
    # Attributes always stand in double quotes.
    return html.escape(printable(text, _MAX_TEXT), quote=False).replace('"', "&quot;").replace("##", "&#35;#")
