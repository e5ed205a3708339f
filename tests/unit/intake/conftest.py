"""A store for every test that asks for one: moto anywhere, and localstack where it is built."""

import pytest

from tests.support.s3_places import forget
from tests.support.s3_store import STORES, running


@pytest.fixture(params=STORES)
def s3(request, monkeypatch):
    store = running(request.param)
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    forget()
    return store


@pytest.fixture
def moto(monkeypatch):
    """For what does not depend on the store."""
    store = running("moto")
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    forget()
    return store
