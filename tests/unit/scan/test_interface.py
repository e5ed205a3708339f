"""What an examination of one file notes."""

from zt_gate.scan.interface import BrokenFileError, Examination


def test_an_error_is_told_without_the_address_of_an_object():
    exam = Examination("a.npy", 3)
    with exam.guarded("npy"):
        raise BrokenFileError(f"no literal: {object()}", "save it again")
    with exam.guarded("npy"):
        raise TypeError(f"cannot read {object()}")
    assert [gap.reason for gap in exam.gaps] == [
        "npy: no literal: <object object>",
        "npy: TypeError: cannot read <object object>",
    ]
    assert exam.findings[0].message == exam.gaps[0].reason
