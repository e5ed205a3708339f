#!/bin/sh
# Build the wheel, install it without the checkout in an environment of its own, and gate something with it.
# The dependencies are those of the calling environment; what is tested is what the wheel carries.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$PYTHON" -m build --wheel --no-isolation --outdir "$work" "$root" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$PYTHON" -m pip --disable-pip-version-check install --quiet --no-deps --target "$work/site" "$work"/zt_gate-*.whl
cd "$work"
gate() { PYTHONPATH="$work/site" "$PYTHON" -P -m zt_gate "$@"; }
where=$(PYTHONPATH="$work/site" "$PYTHON" -P -c 'import zt_gate; print(zt_gate.__file__)')
case "$where" in "$work"/*) ;; *) echo "wheel: tested $where instead of the wheel"; exit 1 ;; esac
gate policy packs | grep -q pack:baseline
gate explain INT-001 >/dev/null
gate demo >"$work/demo" || { cat "$work/demo"; exit 1; }
echo "wheel: $(ls "$work" | grep whl): demo passed, rules found"
