"""Load an alias thousands of times while an editor renames, deletes and remakes the model under it.

    python benchmarks/registry_race.py [--loads 5000] [--database sqlite|postgresql|mariadb]

A real server with two workers, from build/env-mlflow3 (`make registry` builds it), and MLflow's own client in several
processes. Every load is refused or has the admitted bytes; the exit code is 1 when one has others. Prints the counts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.mariadb import MariaDb  # noqa: E402 - the tests' own servers
from tests.support.mlflow_server import Server  # noqa: E402
from tests.support.postgres import Postgres  # noqa: E402
from tests.support.registry_race import EVIL, race  # noqa: E402
from tests.support.registry_site import Site  # noqa: E402


def main() -> int:
    """Run one race and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=int, default=5000)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "mariadb"), default="sqlite")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        uri = ""
        if options.database != "sqlite":
            uri = stack.enter_context(Postgres() if options.database == "postgresql" else MariaDb()).uri
        site = Site(folder / "site")
        server = Server(folder / "server", database=uri, app="ztgate", workers=2, variables=site.variables)
        stack.callback(server.stop)
        server.start()
        began = time.monotonic()
        found = race(server, site, folder, options.loads)
        print(f"{options.database}: {dict(found)} in {time.monotonic() - began:.0f} s")
    return int(EVIL.decode() in found)


if __name__ == "__main__":
    raise SystemExit(main())
