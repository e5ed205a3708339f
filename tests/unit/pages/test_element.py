import html.parser
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.domain.text import is_unsafe
from zt_gate.pages import Markup, document, element, join, link

ODD = '<script>alert(1)</script>"onload="x\u202e\x1b[31m'


class Reader(html.parser.HTMLParser):
    """Says which elements and attributes a parser sees."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


@given(st.text(), st.text())
def test_no_text_becomes_markup(inside, attribute):
    seen = Reader(element("p", inside, element("b", inside), title=attribute))
    assert seen.tags == ["p", "b"]
    assert [name for name, _ in seen.attributes] == ["title"]
    assert not any(is_unsafe(char) for char in seen.text)


def test_only_the_builder_makes_markup():
    assert element("p", element("b", "x") + ODD) == element("p", str(element("b", "x")) + ODD)
    assert "<b>" not in element("p", element("b", "x") + "")
    assert "<b>" in element("p", element("b", "x"))


def test_children_may_be_text_numbers_nothing_and_several():
    assert join("a", None, 1, [element("i", "b"), None, "c"]) == "a1<i>b</i>c"
    assert element("input", type="radio", checked=True, disabled=False, id=None) == '<input type="radio" checked>'
    assert element("label", "x", for_="y", aria_label="z") == '<label for="y" aria-label="z">x</label>'


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "http://x", "//x", "\x01javascript:x", ""])
def test_only_pages_and_places_are_linked(url):
    assert "<a" not in link(url, "x")
    assert link("https://example.org/", "x").startswith("<a ")
    assert link("#x", "x") == '<a href="#x">x</a>'


def test_a_page_allows_nothing_but_its_own_style():
    page = document(ODD, "p{color:red}", element("p", ODD))
    assert "default-src 'none'; style-src 'sha256-" in page
    assert "script" not in Reader(page).tags
    assert re.search(r"<title>&lt;script&gt;", page)
    assert isinstance(element("p"), Markup)
