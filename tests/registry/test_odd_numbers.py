"""Odd names and numbers of versions are MLflow's own 400, whatever a name is protected as: a client repeats a 500."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException

from tests.support.registry_store import tag
from zt_gate.intake.sealed.folder import SealedFolder
from zt_gate.registry.artifacts import Destination
from zt_gate.registry.places import leads_to_sealed

ODD = [
    "abc",
    "",
    " ",
    None,
    "-1",
    -1,
    0,
    "1.5",
    "9" * 30,
    "9" * 5000,
    float("nan"),
    float("inf"),
    [],
    {},
    "1;",
    "\0",
    b"x",
]
WITH_A_VERSION = {
    "alias": lambda store, name, version: store.set_registered_model_alias(name, "champion", version),
    "free alias": lambda store, name, version: store.set_registered_model_alias(name, "free", version),
    "stage": lambda store, name, version: store.transition_model_version_stage(name, version, "Production", False),
    "free stage": lambda store, name, version: store.transition_model_version_stage(name, version, "None", False),
    "tag": lambda store, name, version: store.set_model_version_tag(name, version, tag("validation_status")),
    "free tag": lambda store, name, version: store.set_model_version_tag(name, version, tag("note")),
    "summary": lambda store, name, version: store.set_model_version_tag(name, version, tag("zt-gate.summary", "{}")),
    "tag removed": lambda store, name, version: store.delete_model_version_tag(name, version, "note"),
    "download": lambda store, name, version: store.get_model_version_download_uri(name, version),
}  # fmt: skip


def code(act):
    with pytest.raises(MlflowException) as caught:
        act()
    return caught.value.error_code


@pytest.mark.parametrize("road", WITH_A_VERSION)
def test_an_odd_number_is_a_bad_parameter(store, version, road):
    for odd in ODD:
        assert code(lambda odd=odd: WITH_A_VERSION[road](store, "x", odd)) == "INVALID_PARAMETER_VALUE", odd


@pytest.mark.parametrize("road", WITH_A_VERSION)
def test_an_odd_name_is_a_bad_parameter(store, version, road):
    for odd in (None, ""):
        assert code(lambda odd=odd: WITH_A_VERSION[road](store, odd, 1)) == "INVALID_PARAMETER_VALUE", odd
    for name in ("a\0b", "n" * 4000):
        assert code(lambda name=name: WITH_A_VERSION[road](store, name, 1)) in (
            "RESOURCE_DOES_NOT_EXIST",
            "PERMISSION_DENIED",
        ), name


@pytest.mark.parametrize("spelling", [1, "1", " 1 ", "01", True, 1.0])
def test_what_mlflow_takes_for_a_number_still_is_one(store, version, spelling):
    store.set_registered_model_alias("x", "free", spelling)
    assert store.get_model_version_by_alias("x", "free").version == 1


@given(st.one_of(st.text(), st.sampled_from(["http://[", "x://[::1", "//[", "http://\u2100/", "file://[:/a", "a\0:b"])))
def test_any_text_may_stand_in_a_request(text):
    for place in (None, SealedFolder(Path("/nowhere-else"))):
        assert leads_to_sealed(text, Destination("/nowhere", True), place) in (True, False)
