"""What is told of scanners that differ: the files in question, who said what, and nothing else."""

from zt_gate.domain import Digest, Evidence, Finding, Gap, Severity
from zt_gate.report import terminal
from zt_gate.report.lines import plain
from zt_gate.report.model import agreement

SUBJECT = Digest.of(b"x")


def said(check, looked=(), gaps=(), **found):
    """Return the evidence of a check that reports one severity for each of some files."""
    findings = [Finding("ENG-101", Severity.parse(word), "m", path=f"{name}.pkl") for name, word in found.items()]
    return Evidence.of(
        check, "1", SUBJECT, findings=findings, gaps=[Gap("unreadable", path) for path in gaps], looked=looked
    )


def shown(told):
    return [plain([item]) for item in terminal._agreement(told, verbose=False)]


def test_nothing_is_told_where_no_engine_was_asked():
    assert agreement([said("artifacts", a="critical"), said("code")]) is None
    assert shown(None) == []


def test_a_file_on_which_one_raises_the_alarm_and_another_does_not():
    told = agreement(
        [
            said("artifacts", a="critical"),
            said("modelscan", ["a.pkl", "b.pkl"]),
            said("picklescan", ["a.pkl"], a="high"),
            said("fickling", ["b.pkl"], gaps=["a.pkl"]),
            Evidence.missing("modelaudit", SUBJECT, "modelaudit is not installed"),
        ]
    )
    assert told["asked"] == ["modelscan", "picklescan", "fickling", "modelaudit"]
    assert told["looked"] == ["modelscan", "picklescan", "fickling"]
    assert (told["files"], told["more"]) == (2, 0)
    words = {"artifacts": "critical", "modelscan": "nothing", "picklescan": "high", "fickling": "unread"}
    assert told["differ"] == [{"path": "a.pkl", "said": words}]
    [_, head, row] = shown(told)
    assert head.strip() == "agreement: 3 of 4 engines looked at 2 files; they differ on"
    assert "a.pkl (artifacts: critical, modelscan: nothing, picklescan: high, fickling: unread)" in row


def test_agreement_in_alarm_in_silence_and_in_remarks_is_no_difference():
    told = agreement(
        [
            said("artifacts", a="critical", c="low"),
            said("modelscan", ["a.pkl", "b.pkl", "c.pkl"], a="high"),
            said("fickling", ["a.pkl", "b.pkl", "c.pkl"], a="high", c="medium"),
        ]
    )
    assert told["differ"] == []
    assert "none differs" in shown(told)[-1]


def test_an_engine_that_never_looked_has_no_word():
    told = agreement([said("artifacts", a="critical"), said("modelscan", ["b.pkl"]), said("fickling", ["a.pkl"])])
    assert told["differ"][0]["said"] == {"artifacts": "critical", "fickling": "nothing"}


def test_many_differences_are_counted_and_cut():
    names = [f"f{number:03}" for number in range(50)]
    told = agreement(
        [said("artifacts", **dict.fromkeys(names, "high")), said("modelscan", [f"{n}.pkl" for n in names])]
    )
    assert (len(told["differ"]), told["more"]) == (20, 30)
    assert shown(told)[-1].strip() == "and 42 more"
