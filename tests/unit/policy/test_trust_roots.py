"""What a policy file may say about people, and what it is told when that makes no sense."""

import pytest

from zt_gate.domain import Digest
from zt_gate.errors import PolicyError
from zt_gate.policy.load import load_policy
from zt_gate.policy.merge import merge
from zt_gate.policy.model import Metadata, Policy
from zt_gate.policy.roles import BreakGlass, Role, Separation
from zt_gate.policy.strictness import Loosening

HEAD = "apiVersion: zt-gate/v1\nkind: Policy\nmetadata: {name: t}\n"
WAIVER = (
    f"  - {{{{id: {{id}}, rule: {{rule}}, subject: 'sha256:{Digest.of(b'').hex}', owner: ann, approved_by: bob,\n"
    "     ticket: T-1, reason: 'reviewed by hand on the ticket',\n"
    "     created: '2026-01-01T00:00:00Z', expires: '2026-02-01T00:00:00Z'}}\n"
)
KEY = """
    pem: |
      -----BEGIN PUBLIC KEY-----
      MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
      -----END PUBLIC KEY-----
"""


@pytest.fixture
def load(tmp_path):
    def read(text, waivers=None):
        (tmp_path / "policy.yaml").write_text(HEAD + text)
        if waivers is not None:
            (tmp_path / "waivers.yaml").write_text(f"apiVersion: zt-gate/v1\nkind: Waivers\nwaivers:\n{waivers}")
        return load_policy(str(tmp_path / "policy.yaml"))

    return read


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"trust:\n  keys:\n  - id: a\n    roles: [author]{KEY}", "no role is called 'author'"),
        (f"trust:\n  keys:\n  - id: a\n    roles: [autor]{KEY}roles: {{author: {{may: [submit]}}}}\n", "no role"),
        ("roles: {author: {may: [sing]}}\n", "submit"),
        ("roles: {author: {may: [audit]}}\n", "submit"),
        ("separation_of_duties: [{distinct: [author]}]\n", "at least two duties"),
        ("separation_of_duties: [{distinct: [author, author]}]\n", "at least two duties"),
        ("separation_of_duties: [{distinct: [author, boss]}]\n", "boss|promoter"),
        ("break_glass: {by: [zoe]}\n", "nobody is called 'zoe'"),
        ("break_glass: {by: [], count: 1}\n", "between 2 and 16"),
        ("break_glass: {by: [], max_hours: 73}\n", "between 1 and 72"),
        ("break_glass: {by: [], never: [APR-004]}\n", "belongs to a demand"),
        (f"waivers:\n{WAIVER.format(id='w', rule='ART-102')}", "waivers stand in a file of their own"),
        ("stages: {s: {promotion: {by: [zoe]}}}\n", "nobody is called 'zoe'"),
    ],
)
def test_what_makes_no_sense_is_an_error(load, text, message):
    with pytest.raises(PolicyError, match=message):
        load(text)


@pytest.mark.parametrize(
    ("waivers", "line", "message"),
    [
        (WAIVER.format(id="w", rule="SIG-004"), 4, "SIG-004 is never waived"),
        (WAIVER.format(id="w", rule="ART-101"), 4, "ART-101 is never waived"),
        (WAIVER.format(id="w", rule="ART-102") * 2, 7, "id 'w' is used twice"),
        ("  - {id: w}\n", 4, "rule is missing"),
        ("  7\n", 4, "waivers"),
    ],
)
def test_a_waiver_that_cannot_hold_is_shown_where_it_stands(load, waivers, line, message):
    with pytest.raises(PolicyError, match=message) as caught:
        load("waivers_file: waivers.yaml\nnever_waive: [ART-101]\n", waivers)
    assert caught.value.file.endswith("waivers.yaml")
    assert caught.value.line == line


def test_the_digest_covers_waivers_and_not_where_they_stand(load, tmp_path):
    one = load("waivers_file: waivers.yaml\n", WAIVER.format(id="w", rule="ART-102"))
    (tmp_path / "waivers.yaml").rename(tmp_path / "other.yaml")
    assert load("waivers_file: other.yaml\n").digest == one.digest
    assert load("waivers_file: waivers.yaml\n", WAIVER.format(id="w", rule="ART-103")).digest != one.digest


def policy(**changes):
    return Policy("zt-gate/v1", "Policy", Metadata("p"), **changes)


def test_what_a_pack_says_of_people_holds_for_its_children():
    pack = policy(
        roles={"author": Role(("submit",))},
        separation_of_duties=(Separation(("author", "approver")),),
        never_waive=("ART-101",),
        break_glass=BreakGlass(("a", "b"), never=("ART-101",)),
    )
    assert merge(pack, policy(), "pack") == pack
    child = policy(
        roles={"author": Role(()), "reviewer": Role(("approve",))},
        separation_of_duties=(Separation(("approver", "promoter")),),
        never_waive=("ART-102",),
        break_glass=BreakGlass(("a",), count=3, max_hours=1),
    )
    both = merge(pack, child, "pack")
    assert (both.roles or {})["author"].may == ()
    assert len(both.separation_of_duties) == 2
    assert both.never_waive == ("ART-101", "ART-102")
    assert both.break_glass == BreakGlass(("a",), count=3, max_hours=1, never=("ART-101",))


@pytest.mark.parametrize(
    ("pack", "child"),
    [
        ({"roles": {"author": Role(("submit",))}}, {"roles": {"author": Role(("submit", "approve"))}}),
        ({"roles": {"author": Role(())}}, {"roles": {"author": Role(("submit",))}}),
        ({"break_glass": BreakGlass(("a",), count=3)}, {"break_glass": BreakGlass(("a",))}),
        ({"break_glass": BreakGlass(("a",), max_hours=2)}, {"break_glass": BreakGlass(("a",))}),
        ({"break_glass": BreakGlass(("a",))}, {"break_glass": BreakGlass(("a", "b"))}),
    ],
)
def test_a_child_that_lets_people_do_more_is_refused(pack, child):
    with pytest.raises(Loosening):
        merge(policy(**pack), policy(**child), "pack")
