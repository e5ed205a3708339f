"""Read JUnit XML into lists of test names. The file is treated as untrusted, though its signer provides it.

There is no one specification; this reads what pytest, Maven Surefire and their like write
(https://github.com/testmoapp/junitxml).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zt_gate.domain import printable
from zt_gate.errors import EvidenceError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_BAD = ("failure", "error")


@dataclass(slots=True)
class JUnit:
    """Names of tests by result. A suite passed if it has a passed test, and none that failed or was skipped."""

    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def read_junit(data: bytes) -> JUnit:
    """Read JUnit XML.

    Raises:
        EvidenceError: no UTF-8, no well-formed XML, a document type declaration, or no test suite.
    """
    import xml.etree.ElementTree as ET

    try:
        # Some test runners on Windows begin the file with a byte order mark.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise EvidenceError("the JUnit file is not UTF-8", "let the test runner write UTF-8") from None
    # Entities let a small XML file grow without end ("billion laughs"); without a declaration there are none.
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise EvidenceError("the JUnit file declares a document type", "no test runner needs one; remove it")
    try:
        root = ET.fromstring(text)  # noqa: S314 - without declarations there is nothing to expand
    except ET.ParseError as error:
        raise EvidenceError(f"the JUnit file is not XML: {printable(str(error), 120)}", "run the tests again") from None
    if root.tag not in ("testsuites", "testsuite"):
        raise EvidenceError(f"the root of the JUnit file is {printable(root.tag, 40)}, not testsuites", "name another")
    result = JUnit()
    for suite in root.iter("testsuite"):
        _suite(suite, result)
    return result


def _suite(suite: Element, result: JUnit) -> None:
    before = len(result.passed), len(result.failed), len(result.skipped)
    for case in suite.findall("testcase"):
        place = [case.get("classname") or "", case.get("name") or "(unnamed)"]
        name = ".".join(part for part in place if part)
        if any(case.find(tag) is not None for tag in _BAD):
            result.failed.append(name)
        elif case.find("skipped") is not None:
            result.skipped.append(name)
        else:
            result.passed.append(name)
    after = len(result.passed), len(result.failed), len(result.skipped)
    # An error outside any case, such as a failed import of the whole file, stands in the counts of the suite alone.
    broken = any(suite.get(count, "0") not in ("0", "") for count in ("errors", "failures"))
    title = suite.get("name") or ""
    if broken and after[1] == before[1]:
        result.failed.append(title or "(unnamed suite)")
    elif title and after[0] > before[0] and after[1:] == before[1:]:
        result.passed.append(title)
