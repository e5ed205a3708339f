"""Loads race an editor who puts another model in the place of the loaded one."""

import pytest

from tests.support.mlflow_server import ENV3, Server, demand
from tests.support.registry_race import EVIL, GOOD, race


@pytest.fixture
def server(tmp_path, site):
    demand(ENV3)
    made = Server(tmp_path / "server", app="ztgate", workers=2, variables=site.variables)
    yield made.start()
    made.stop()


def test_every_load_is_refused_or_has_the_admitted_bytes(server, site, tmp_path, record_property):
    found = race(server, site, tmp_path, 100)
    record_property("loads", dict(found))
    assert found[EVIL.decode()] == 0, found
    assert found["rounds"] > 0, found
    others = {what for what in found if what not in (GOOD.decode(), "rounds") and not what.startswith("refused: ")}
    assert others == set(), found
    assert found[GOOD.decode()] > 0, found
