"""JUnit XML to names of tests."""

from __future__ import annotations

import pytest

from zt_gate.errors import EvidenceError
from zt_gate.trust.statements.junit_reader import read_junit

PYTEST = b"""<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests">
  <testsuite name="robustness" tests="2" failures="0" errors="0">
    <testcase classname="attacks" name="apgd"/><testcase classname="" name="noise"/>
  </testsuite>
  <testsuite name="backdoor" tests="3" failures="1" errors="1">
    <testcase classname="b" name="trigger"><failure message="x"/></testcase>
    <testcase classname="b" name="crash"><error/></testcase>
    <testcase classname="b" name="clean"/>
  </testsuite>
  <testsuite name="drift"><testcase name="month"/><testcase name="year"><skipped/></testcase></testsuite>
  <testsuite name="unstarted" tests="0" errors="1"></testsuite>
  <testsuite name="empty" tests="0"/>
</testsuites>"""


def test_tests_are_named_with_their_class_and_suites_pass_as_a_whole() -> None:
    found = read_junit(PYTEST)
    assert found.passed == ["attacks.apgd", "noise", "robustness", "b.clean", "month"]
    assert found.failed == ["b.trigger", "b.crash", "unstarted"]
    assert found.skipped == ["year"]


def test_a_single_suite_may_be_the_root() -> None:
    assert read_junit(b'<testsuite name="s"><testcase name="t"/></testsuite>').passed == ["t", "s"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"<testsuites>", "not XML"),
        (b"", "not XML"),
        (b"<html/>", "not testsuites"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><testsuites/>', "document type"),
        ('<?xml version="1.0"?><testsuites/>'.encode("utf-16"), "not UTF-8"),
    ],
)
def test_what_is_no_junit_is_refused(data, why) -> None:
    with pytest.raises(EvidenceError, match=why):
        read_junit(data)
