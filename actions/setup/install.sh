#!/usr/bin/env bash
# Installs this very commit of zt-gate into a folder of its own and puts it on PATH for the steps that follow.
# Usage: install.sh [EXTRA]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
place="${RUNNER_TEMP:?only a GitHub runner sets it}/zt-gate"
python3 -m venv "$place"
"$place/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$root/constraints.txt" "$root${1:+[$1]}"
echo "$place/bin" >>"$GITHUB_PATH"
