#!/usr/bin/env bash
# Installs this very commit of zt-gate into a folder of its own and puts it on PATH for the steps that follow.
# Usage: install.sh [EXTRA]
# -P: the job runs in the checked-out repository, whose own `pip.py` or `venv.py` must not be run.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
place="${RUNNER_TEMP:?only a GitHub runner sets it}/zt-gate"
python3 -P -m venv "$place"
"$place/bin/python" -P -m pip install --quiet --disable-pip-version-check --constraint "$root/constraints.txt" "$root${1:+[$1]}"
echo "$place/bin" >>"$GITHUB_PATH"
