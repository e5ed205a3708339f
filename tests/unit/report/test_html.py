"""What the page says, and in which order. How it looks and behaves is for a browser: test_report_page.py."""

import re

import pytest

from tests.support import reports
from zt_gate.domain import Finding, Severity
from zt_gate.report import formats
from zt_gate.report.fixes import Step
from zt_gate.report.html.commands import command_block, with_code


def page(report):
    return formats.render("html", report)


def text_of(markup):
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]+>", " ", markup, flags=re.DOTALL))


def test_the_verdict_comes_first_then_why_then_how_to_fix_it():
    text = text_of(page(reports.blocked()))
    order = ["Blocked", "Blocked for 5 reasons", "Why it is blocked", "Each fix removes every reason", "Evidence"]
    order += ["What was measured", "Severity", "Coverage", "Record"]
    body = text[text.index("To the content") :]
    places = [body.index(part) for part in order[:2]] + [body.rindex(part) for part in order[2:]]
    assert places == sorted(places)
    assert "zt-gate sign models/fraud-detector --key KEY" in text
    assert "zt-gate explain ART-101" in text


def test_an_allowed_release_has_nothing_to_fix():
    text = text_of(page(reports.allowed()))
    assert "Every demand of the policy is met" in text
    assert "Why it is blocked" not in text
    assert "How to fix it" not in text


def test_a_waiver_is_told_at_the_top():
    text = text_of(page(reports.waived()))
    assert text.index("W-2026-014 lets ART-102 through") < text.index("Evidence", text.index("Waived"))
    assert "waiver W-2026-014 for ART-102 ends at" in text


def test_an_error_says_what_and_what_to_do():
    text = text_of(page(reports.error()))
    assert "Not decided" in text
    assert "zt-gate.yaml:7:1: unknown key stagse" in re.sub(r" +", " ", text.replace("` ", "").replace("`", ""))
    assert "did you mean" in text
    assert "This is not a verdict" in text


def test_nobody_misses_that_nothing_was_enforced():
    text = text_of(page(reports.report(reports.PIPELINE, report_only=True)))
    assert "Nothing was enforced" in text


def test_broken_glass_is_no_ordinary_allow():
    report = reports.blocked()
    report.update(
        decision="allow", broken_glass={"incident": "INC-7", "persons": ["ann", "bo"], "until": "2026-06-02T00:00:00Z"}
    )
    text = text_of(page(report))
    assert "Let through in an emergency, although 5 reasons to block it still hold." in text
    assert "ann, bo let this through for the incident INC-7" in text


def test_what_was_measured_is_drawn():
    markup = page(reports.allowed())
    assert re.search(r'aria-label="Robust accuracy\. strength of the attack', markup)
    assert re.search(r'aria-label="Anomaly index by target class\. 0: 0\.40;', markup)
    assert 'class="bar over"' in markup
    assert markup.count('shape-rendering="crispEdges"') == 1


def test_scanners_that_differ_stand_side_by_side():
    report = reports.blocked()
    said = {"artifacts": "critical", "modelscan": "nothing"}
    report["agreement"] = {
        "asked": ["modelscan"],
        "looked": ["modelscan"],
        "files": 3,
        "differ": [{"path": "m.pkl", "said": said}],
        "more": 0,
    }
    text = text_of(page(report))
    assert "1 of 1 second opinions looked at 3 files. Scanners disagree" in text


def test_five_thousand_places_stand_on_a_page_and_the_rest_is_counted():
    markup = page(reports.crowded(5600))
    assert "601 places are not on this page" in text_of(markup)
    assert markup.count("shards/part-") <= 5000 + 200
    assert len(markup) < 2_000_000


def test_every_link_inside_the_page_leads_somewhere():
    for kind in ("allowed", "blocked", "waived", "crowded"):
        markup = page(getattr(reports, kind)())
        ids = re.findall(r' id="([^"]+)"', markup)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'href="#([^"]+)"', markup)) <= set(ids)


@pytest.mark.parametrize(
    ("fix", "code"),
    [
        ("sign the release: zt-gate sign TARGET --key KEY", ["zt-gate sign TARGET --key KEY"]),
        ("zt-gate policy sign A; then zt-gate check --policy A", ["zt-gate policy sign A", "zt-gate check --policy A"]),
        ("did you mean `stages`?", ["stages"]),
        ("one ` alone", []),
        ("To see it: python -m pickletools FILE. Then fix it.", ["python -m pickletools FILE"]),
        ("zt-gate explains nothing", []),
    ],
)  # fmt: skip
def test_commands_are_set_apart(fix, code):
    found = re.findall(r"<code>(.*?)</code>", with_code(fix))
    assert found == code or (code == [] and all(item.startswith("zt-gate explains") for item in found))


@pytest.mark.parametrize(
    ("name", "typed"), [("a/b-c.pt", "a/b-c.pt"), ("a b", "TARGET"), ("$(id)", "TARGET"), ("-rf", "TARGET")]
)
def test_only_a_plain_name_is_put_into_a_command(name, typed):
    step = Step("evidence", "zt-gate sign TARGET --key KEY", "signature", (), (), ())
    assert f"zt-gate sign {typed} --key KEY" in command_block(step, {"subject": {"name": name}})


def test_the_style_sheet_fits_the_policy_of_the_page():
    import base64
    import hashlib

    markup = page(reports.report([Finding("ART-101", Severity.HIGH, "x", path="a")]))
    style = re.search(r"<style>(.*?)</style>", markup, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'" in markup
    assert "url(" not in style
    assert "@import" not in style
