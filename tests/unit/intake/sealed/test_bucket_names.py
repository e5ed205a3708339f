"""However a URI is spelled, one that leads to sealed copies, below or above them, is recognised."""

import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.intake.sealed.object_store import SealedBucket

PLACE = SealedBucket("s3://models/team/sealed")

LEADS = [
    "s3://models/team/sealed",
    "s3://models/team/sealed/",
    "s3://models/team/sealed/sha256-abc/a/b",
    "s3://models/team",
    "s3://models",
    "s3://models/",
    "S3://models/team/sealed/x",
    "s3a://models/team/sealed/x",
    "s3n://models/team/sealed/x",
    "S3A://MODELS/team/sealed/x",
    "s3://models//team///sealed//x",
    "s3:///models/team/sealed/x",
    "s3:/models/team/sealed/x",
    "s3:models/team/sealed/x",
    "s3://models/./team/./sealed/x",
    "s3://models/other/../team/sealed/x",
    "s3://other/../models/team/sealed",
    "s3://models/../models/team/sealed",
    "s3://models/../team/sealed",
    "s3://models/team/sealed/..",
    "s3://models/team/sealed/../..",
    "s3://models/team/%73ealed/x",
    "s3://models/team%2Fsealed%2Fx",
    "s3://models/team/%2573ealed/x",
    "s3://models/other/%2e%2e/team/sealed",
    "s3://models/other/%252e%252e/team/sealed",
    "s3://%6dodels/team/sealed",
    "s3://models/team/sealed/../open",  # a key like any other to S3 itself, and below the root
    "s3://models/team/sealed?versionId=1",
    "s3://models/team/sealed#x",
    "s3://models?x=y",
    "s3%3A//models/team/sealed",
    "%73%33://models/team/sealed",
    "s3://models#/team",
    "s3://models/team?/other",
    "s3://models/team#/../other",
    "s3://key:secret@models/team/sealed",
    "s3://models:443/team/sealed",
    "s3://models\\team\\sealed",
    "s3://models/team\\sealed\\x",
    " s3://models/team/sealed",
    "s3://models/te\nam/sealed",
    "s3://models/te\tam/sealed\r\n",
    "https://models.s3.amazonaws.com/team/sealed/x",
    "https://models.s3.eu-central-1.amazonaws.com/team/sealed/x",
    "https://models.s3-eu-west-1.amazonaws.com/team/sealed/x",
    "https://models.s3.dualstack.eu-central-1.amazonaws.com/team",
    "https://models.s3-accelerate.amazonaws.com/",
    "https://models.s3-website.eu-central-1.amazonaws.com/team/sealed",
    "https://s3.amazonaws.com/models/team/sealed/x",
    "https://s3.eu-central-1.amazonaws.com/models/team",
    "HTTPS://S3.AMAZONAWS.COM:443/models/team/sealed?X-Amz-Signature=1",
    "http://127.0.0.1:9000/models/team/sealed/x",
    "http://minio:9000/models",
    "http://user:password@minio:9000/models/team",
    "http://models.minio.example:9000/team/sealed/x",
    "gs://models/team/sealed",
    "r2://models@account.r2.cloudflarestorage.com/team/sealed",
    "b2://models@s3.us-west.backblazeb2.com/team",
    "s3://arn:aws:s3:eu-central-1:123456789012:accesspoint/mine/team/sealed",
    "s3://mine-123456789012-s3alias/x",
    "https://mine-123456789012.s3-accesspoint.eu-central-1.amazonaws.com/x",
    "s3://models/team/sealed/" + "a/" * 60_000,
]
ELSEWHERE = [
    "",
    "/srv/models/team/sealed",
    "models/team/sealed",
    "file:///models/team/sealed",
    "mlflow-artifacts:/models/team/sealed",
    "models:/models/1",
    "runs:/models/team/sealed",
    "s3://models/teams",
    "s3://models/team/seal",
    "s3://models/team/sealed2/x",
    "s3://models/other/team/sealed",
    "s3://models/mlruns/1/artifacts",
    "s3://other/team/sealed",
    "s3://models2/team/sealed",
    "s3://models/mlruns/%41/artifacts",
    "https://models.example.s3.amazonaws.com.example/other/x",
    "https://other.s3.amazonaws.com/team/sealed",
    "https://s3.amazonaws.com/other/team/sealed",
    "mlflow-artifacts:/1/artifacts",
    "mlflow-artifacts:/ztgate-sealed/sha256-abc",
    "runs:/0123/model",
    "http://mlflow.example/api/2.0/mlflow-artifacts/artifacts",
    "gs://other/team/sealed",
    "s3://models/100%/x",
    "Note: what arn:aws:s3:::models means, and s3-accesspoint, is told elsewhere",
    "x" * 2_000_000,
    "note:" + "." * 1_000_000 + "@" * 1_000_000,
    "note:" + "/.." * 300_000,
]


@pytest.mark.parametrize("uri", LEADS, ids=lambda uri: uri[:70])
def test_it_leads_there(uri):
    assert PLACE.contains(uri)


@pytest.mark.parametrize("uri", ELSEWHERE, ids=lambda uri: uri[:70])
def test_it_leads_elsewhere(uri):
    assert not PLACE.contains(uri)


@pytest.mark.parametrize("uri", ["s3://models", "s3://models/anything", "https://models.s3.amazonaws.com/x"])
def test_a_root_that_is_a_bucket_contains_all_of_it(uri):
    assert SealedBucket("s3://models").contains(uri)
    assert not SealedBucket("s3://models").contains(uri.replace("models", "others"))


def test_a_bucket_with_dots():
    place = SealedBucket("s3://my.own.models/sealed")
    assert place.contains("https://my.own.models.s3.amazonaws.com/sealed/x")
    assert place.contains("s3://my.own.models/sealed")
    assert not place.contains("s3://my.own/sealed")


def test_text_that_never_ends_decoding_is_taken_to_lead_there():
    assert PLACE.contains("s3://other/%" + "25" * 60 + "41")


def test_its_own_root_and_every_copy_are_its_own():
    from zt_gate.domain import Digest

    assert PLACE.contains(PLACE.root)
    assert PLACE.contains(PLACE.location(Digest("0" * 64)))


STARTS = [
    "s3://models",
    "S3://Models",
    "s3a://models",
    "s3n:///models",
    "s3:/models",
    "s3://k:s@models",
    "https://models.s3.amazonaws.com",
    "https://s3.eu-west-1.amazonaws.com/models",
    "http://h:1/models",
]


@st.composite
def spellings(draw):
    """A URI of something below the root, in some spelling that a reader may undo."""
    names = ["team", "sealed", *draw(st.lists(st.text(string.ascii_letters + " +ü", min_size=1), max_size=3))]
    path = ""
    for name in names:
        path += draw(st.sampled_from(["/", "//", "/./", "/x/../", "\\", "/x/y/../../"]))
        path += "".join(f"%{ord(char):02X}" if char.isascii() and draw(st.booleans()) else char for char in name)
    for _ in range(draw(st.integers(0, 2))):
        path = quote(path, safe="/\\")
    start = draw(st.sampled_from(STARTS))
    return start + path + draw(st.sampled_from(["", "/", "?a=b", "#c", "/..", "/./", "\n"]))


@given(spellings())
def test_no_spelling_escapes(uri):
    assert PLACE.contains(uri)


@given(st.text())
def test_any_text_has_an_answer(text):
    assert isinstance(PLACE.contains(text), bool)
    assert isinstance(PLACE.contains(f"s3://{text}"), bool)


@given(st.text(string.ascii_lowercase + "-", min_size=1).filter(lambda name: name != "team"))
def test_names_beside_it_stay_free(name):
    assert not PLACE.contains(f"s3://models/{name}/sealed")
