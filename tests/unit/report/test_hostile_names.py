"""Names as attackers choose them, through every format: what they spell never becomes markup, a link or a command."""

import html.parser
import json
import re
import xml.etree.ElementTree as ET
from urllib.parse import unquote

import cmarkgfm
import jsonschema
import pytest
from cmarkgfm.cmark import Options
from junitparser import JUnitXml

from tests.support import reports
from tests.support.github_sarif import problems
from tests.support.gitlab_schema import CODE_QUALITY, SAST
from tests.support.hostile_names import COUNT, names
from tests.support.screens import piped, shown
from zt_gate.cli.common.console import Console
from zt_gate.domain import Bars, Evidence, Finding, Gap, Severity, printable
from zt_gate.domain.text import is_unsafe
from zt_gate.errors import TargetError
from zt_gate.report import formats
from zt_gate.report.model import build_error
from zt_gate.report.rows import rows

SEEDS = range(COUNT // 100)
COMMAND = re.compile(r"(?m)^\s*::|##\[|##vso\[|##teamcity\[")
PAGE = """html head meta title style body header nav main footer section article div span p h1 h2 h3 a ul ol li dl dt dd
code pre strong time details summary fieldset legend input label figure figcaption svg g rect circle path line text
table thead tbody tr th td"""
SUMMARY = "h2 h3 p table thead tbody tr th td code strong ol ul li blockquote"


class Tags(html.parser.HTMLParser):
    """Collects what a parser sees."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.comments = set(), [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_comment(self, data):
        self.comments.append(data)


def finding(number, name):
    return Finding(
        ("ART-101", "COD-107", "bandit.B301")[number % 3],
        list(Severity)[number % 5],
        f"it imports {name} and more",
        path=name,
        member=name if number % 2 else "",
        offset=number,
        symbol=name,
        fix=f"remove {name}, then zt-gate scan {name}" if number % 4 == 0 else "",
    )


def hostile(seed):
    """Return a report in which everything that an author chooses is chosen by an attacker."""
    # Intake refuses names that are no text, so that the judge never meets one; a report is read from anywhere.
    chosen = [name.encode("utf-8", "replace").decode() for name in names(seed)]
    about = reports.subject({name: number for number, name in enumerate(chosen)}, name=printable(chosen[0]))
    extra = [
        Evidence.of(
            "custom", chosen[1], about.digest, gaps=[Gap(f"cannot read {chosen[2]}", chosen[3], chosen[4])],
            metrics={chosen[5]: chosen[6]}, pictures=[Bars(chosen[7][:200], ((chosen[8][:200], 1.0),))],
        )
    ]  # fmt: skip
    report = reports.report([finding(n, name) for n, name in enumerate(chosen)], about=about, signed=False, extra=extra)
    report["notes"] = [f"waiver {chosen[9]} ends soon"]
    next(check for check in report["checks"] if check["findings"])["findings"][-1]["waived_by"] = chosen[10]
    odd = next((name for name in names(seed) if "\ud800" in name), "\ud800")
    next(check for check in report["checks"] if check["findings"])["findings"][0].update(
        path=odd, member=odd, message=odd
    )
    said = {"artifacts": "critical", "modelscan": "nothing"}
    report["agreement"] = {
        "asked": ["modelscan"], "looked": ["modelscan"], "files": 1, "more": 3,
        "differ": [{"path": chosen[11], "said": said}],
    }  # fmt: skip
    report["broken_glass"] = {"incident": chosen[12], "persons": chosen[13:15], "until": "2026-06-01T00:00:00Z"}
    return report


@pytest.fixture(scope="module", params=SEEDS)
def report(request):
    return hostile(request.param)


def texts(value):
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("name", formats.FILES)
def test_no_format_passes_a_character_or_a_command_on(report, name):
    text = formats.render(name, report)
    assert not any(is_unsafe(char) for char in text.replace("\n", ""))
    assert not COMMAND.search(text)


def test_json_says_exactly_what_was_found(report):
    assert json.loads(formats.render("json", report)) == report


def test_code_scanning_takes_it(report):
    value = json.loads(formats.render("sarif", report))
    assert problems(value) == []
    run = value["runs"][0]
    assert not any(is_unsafe(char) for text in texts(run) for char in text.replace("\n\n", ""))
    assert not any(re.search(r"(?<!\\)\]\(", result["message"]["text"]) for result in run["results"])
    for result in run["results"]:
        uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert re.fullmatch(r"[\w.~/%-]+", uri)
        assert "\n" not in unquote(uri) or "%0A" in uri


@pytest.mark.parametrize(("name", "schema"), [("gitlab", SAST), ("codequality", CODE_QUALITY)])
def test_gitlab_takes_it(report, name, schema):
    value = json.loads(formats.render(name, report))
    jsonschema.validate(value, schema)
    assert not any(is_unsafe(char) for text in texts(value) for char in text)
    rows = value if name == "codequality" else value["vulnerabilities"]
    ids = [row.get("fingerprint") or row["id"] for row in rows]
    assert len(set(ids)) == len(ids) > 90


def test_test_tabs_take_it(report, tmp_path):
    text = formats.render("junit", report)
    root = ET.fromstring(text)
    assert {item.tag for item in root.iter()} <= {
        "testsuites", "testsuite", "testcase", "failure", "skipped", "system-out"
    }  # fmt: skip
    (tmp_path / "junit.xml").write_text(text)
    suites = JUnitXml.fromfile(str(tmp_path / "junit.xml"))
    assert suites.tests == sum(1 for _ in root.iter("testcase"))
    assert suites.failures == sum(row.blocks for row in rows(report)) > 30


def test_a_summary_stays_text_under_the_parser_that_github_uses(report):
    text = formats.render("markdown", report)
    options = Options.CMARK_OPT_UNSAFE
    rendered = cmarkgfm.markdown_to_html_with_extensions(
        text, options, ["table", "autolink", "strikethrough", "tasklist"]
    )
    seen = Tags(rendered)
    assert seen.tags <= set(SUMMARY.split())
    assert [name for name, _ in seen.attributes if name not in ("align", "start")] == []
    assert not any(comment.strip() for comment in seen.comments)
    assert not re.search(r"@(?!<!-- -->)|#(?!<!-- -->)", re.sub(r"<[^!>][^>]*>", "", rendered))


def test_a_page_stays_a_page(report):
    seen = Tags(formats.render("html", report))
    assert seen.tags <= set(PAGE.split())
    assert seen.comments == []
    assert not [name for name, _ in seen.attributes if name.startswith("on") or name in ("style", "src", "srcset")]
    assert all(value.startswith(("#", "https://")) for name, value in seen.attributes if name == "href")
    assert not any("evil" in value for name, value in seen.attributes if name == "href")


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_a_screen_shows_no_escape_and_no_command(report, columns):
    for text in (shown(report, columns, verbose=True), piped(report, verbose=True)):
        assert not any(is_unsafe(char) for char in text.replace("\n", ""))
        assert not COMMAND.search(text)


STYLED = re.compile(r"\x1b\[[0-9;]*m")
"""All that rich may put between texts: no cursor, no title, no link."""


@pytest.mark.parametrize("columns", [40, 120])
def test_a_coloured_screen_says_the_same_words_and_has_our_styles_alone(report, columns):
    """Markup in a name stays literal: `[red]`, `[link=…]`, `:smile:` and escapes are words."""
    coloured = shown(report, columns, verbose=True, colour=True)
    assert STYLED.sub("", coloured) == shown(report, columns, verbose=True)
    assert set(STYLED.findall(coloured)) <= {f"\x1b[{code}m" for code in ("0", "1", "2", "33", "36", "1;31", "1;32")}


@pytest.mark.parametrize("seed", SEEDS)
def test_errors_and_hints_forge_nothing(seed, capsys):
    console = Console()
    for name in names(seed):
        error = TargetError(f"{name} is no model", f"name another: {name}")
        console.error(error)
        told = build_error(error, reports.NOW)
        for form in formats.FILES:
            assert not COMMAND.search(formats.render(form, told))
    shown = capsys.readouterr().err
    assert not any(is_unsafe(char) for char in shown.replace("\n", ""))
    assert not COMMAND.search(shown)


def test_the_names_are_hostile_indeed():
    """Without care every one of these checks would fail."""
    chosen = [name for seed in SEEDS for name in names(seed)]
    assert len(chosen) == COUNT
    for odd in (
        "\n",
        "::error",
        "##[",
        "<script>",
        "\u202e",
        "\x1b",
        "](https",
        "${{",
        "\ud800",
        "[bold red]",
        "[link=",
        ":smile:",
    ):
        assert any(odd in name for name in chosen)
