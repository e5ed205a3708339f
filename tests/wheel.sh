#!/bin/sh
# Build the wheel and install it, with nothing but its declared dependencies, into an environment of its own.
# There it has to find its rules, pass the demo, and give the verdict digest that this environment gives, which has
# torch, mlflow and more installed: what is installed must not show in a verdict.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$PYTHON" -m build --wheel --no-isolation --outdir "$work" "$root" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$PYTHON" -m venv "$work/bare"
"$work/bare/bin/python" -m pip --disable-pip-version-check install --quiet --constraint "$root/constraints.txt" \
  "$work"/zt_gate-*.whl
cd "$work"
bare() { "$work/bare/bin/zt-gate" "$@"; }
full() { "$PYTHON" -m zt_gate "$@"; }
where=$("$work/bare/bin/python" -c 'import zt_gate; print(zt_gate.__file__)')
case "$where" in "$work"/*) ;; *) echo "wheel: tested $where instead of the wheel"; exit 1 ;; esac
if "$work/bare/bin/python" -c 'import torch' 2>/dev/null; then echo "wheel: the bare environment has torch"; exit 1; fi
bare policy packs | grep -q pack:baseline
bare explain INT-001 >/dev/null
bare demo >demo.txt || { cat demo.txt; exit 1; }

"$PYTHON" "$root/examples/digits/build_release.py" --out release --statements statements >/dev/null
printf "cos\nsystem\n(S'true'\ntR." >hostile.pkl
bare keygen --out keys --quiet >/dev/null
bare sign release --key keys/zt-gate.key --quiet >/dev/null
bare policy new --key keys/zt-gate.pub >policy.yaml
verdict() { "$PYTHON" -c 'import json,sys; r=json.load(sys.stdin); print(r["decision"], r["verdict"])'; }
for target in release hostile.pkl; do
  one=$(bare check "$target" --policy policy.yaml --format json | verdict)
  other=$(full check "$target" --policy policy.yaml --format json | verdict)
  echo "wheel: $target: $one"
  [ "$one" = "$other" ] || { echo "wheel: with other packages installed: $other"; exit 1; }
done
