"""A folder that `mlflow artifacts download` wrote, with the file that it adds, is what was checked and signed."""

import json
from pathlib import Path

import pytest

from tests.integration.test_admit import admit, check, digest_of, gate, place, stored  # noqa: F401 - a fixture

META = "registered_model_meta"
ADDED = "model_name: credit\nmodel_version: '3'\n"


@pytest.fixture
def downloaded(place):  # noqa: F811
    """A release that was checked and signed as it is registered, and downloaded afterwards."""
    assert check(place).returncode == 0
    (place / "model" / META).write_text(ADDED)
    return place


@pytest.mark.parametrize("written", [ADDED, "model_name: null\nmodel_version: null\n"])
def test_admit_leaves_it_out_and_says_so(downloaded, written):
    (downloaded / "model" / META).write_text(written)  # both are null for models:/m-…
    done = admit(downloaded)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"left out {META}, which MLflow's client added" in done.stderr
    done = admit(downloaded, "--into", "store")
    assert done.returncode == 0, done.stdout + done.stderr
    copy = Path(done.stdout.splitlines()[1])
    assert not (copy / META).exists()
    (downloaded / "model" / META).unlink()
    assert digest_of(copy) == digest_of(downloaded / "model")


def test_check_and_verify_leave_it_out_and_say_so(downloaded):
    told = f"left out {META}, which MLflow's client added"
    done = check(downloaded, "--format", "json", "--seal", "store")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count(told) == 1
    report = json.loads(done.stdout)
    assert [item["metrics"]["left_out"] for item in report["checks"] if item["id"] == "intake"] == [META]
    assert all(not (downloaded / "store" / name / META).exists() for name in stored(downloaded))
    done = gate("verify", "model", "--key", "keys/release.pub", cwd=downloaded)
    assert done.returncode == 0, done.stdout
    assert told in done.stderr
    (downloaded / "model" / META).unlink()
    assert report["subject"]["digest"] == str(digest_of(downloaded / "model"))


@pytest.mark.parametrize(
    "other",
    [
        "model_name: credit\n",
        f"{ADDED}code: evil\n",
        "model_name: {a: b}\nmodel_version: '3'\n",
        "model_name: credit\nmodel_version: [1]\n",
        "model_name: !!python/name:os.system\nmodel_version: '3'\n",
        "- model_name\n- model_version\n",
        "{",
        "#" * 5000 + f"\n{ADDED}",
    ],
)
def test_any_other_file_of_that_name_is_the_models_own(downloaded, other):
    (downloaded / "model" / META).write_text(other)
    for done in (
        admit(downloaded),
        check(downloaded),
        gate("verify", "model", "--key", "keys/release.pub", cwd=downloaded),
    ):
        assert done.returncode == 1, done.stdout + done.stderr
        assert "left out" not in done.stderr


def test_it_is_left_out_nowhere_but_at_the_top(downloaded):
    (downloaded / "model" / META).unlink()
    (downloaded / "model" / "inner").mkdir()
    (downloaded / "model" / "inner" / META).write_text(ADDED)
    assert admit(downloaded).returncode == 1


def test_without_evidence_about_the_registered_model_it_stays(place):  # noqa: F811
    """Who signs a downloaded folder signs all of it, is told so, and gets it verified as a whole."""
    (place / "model" / META).write_text(ADDED)
    signed = gate("sign", "model", "--key", "keys/release.key", "--out", "whole/x.dsse.json", cwd=place)
    assert signed.returncode == 0, signed.stderr
    assert f"{META} is signed as well" in signed.stderr
    done = gate("verify", "model", "--key", "keys/release.pub", "--evidence", "whole", cwd=place)
    assert done.returncode == 0, done.stdout
    assert "left out" not in done.stderr
    (place / "model" / META).unlink()
    assert gate("verify", "model", "--key", "keys/release.pub", "--evidence", "whole", cwd=place).returncode == 1
