"""All roads through every combination of MLflow, database, place of sealed copies and way to the artifacts.

Prints a table at the end. The variable ZT_GATE_MATRIX names a file to which each combination adds a line of JSON, so
that a walk can be taken in parts; `python -m tests.support.registry_matrix FILE` makes the table of it.
"""

import json
import os
import time
from dataclasses import asdict

import pytest

from tests.support.databases import mariadb_registry, postgres_registry
from tests.support.mariadb import MariaDb
from tests.support.postgres import Postgres
from tests.support.registry_cell import ENVIRONMENTS, Cell, Running, Tally
from tests.support.registry_matrix import walk

CELLS = [
    Cell(mlflow, database, place, direct)
    for mlflow in ENVIRONMENTS
    for database in ("sqlite", "postgresql", "mariadb")
    for place in ("folder", "moto")
    for direct in (False, True)
]
CELLS += [Cell("3.17.2", "sqlite", "localstack", direct) for direct in (False, True)]


@pytest.fixture(scope="module")
def postgres():
    with Postgres() as server:
        yield server


@pytest.fixture(scope="module")
def mariadb():
    with MariaDb() as server:
        yield server


def database(cell, request):
    if cell.database == "postgresql":
        return postgres_registry(request.getfixturevalue("postgres"), "template1")
    return mariadb_registry(request.getfixturevalue("mariadb"), empty=True) if cell.database == "mariadb" else None


# A cell takes a minute, and ten on a machine that is busy with other things.
@pytest.mark.timeout(3600)
@pytest.mark.nightly
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_no_road_leads_to_unaudited_bytes(cell, request, tmp_path, record_property):
    began, tally = time.monotonic(), Tally()
    try:
        with Running(cell, tmp_path, database(cell, request)) as running:
            walk(running, tally)
    except Exception as error:
        # What was tried until then is told all the same; the walk itself counts as a road that went wrong.
        tally.expect("the whole walk", False, repr(error))
        raise
    finally:
        found = asdict(cell) | asdict(tally) | {"seconds": time.monotonic() - began}
        record_property("matrix", json.dumps(found))
        if tally.tried and (out := os.environ.get("ZT_GATE_MATRIX")):
            with open(out, "a") as file:
                print(json.dumps(found), file=file)
    assert tally.unaudited == []
    assert tally.wrong == []
