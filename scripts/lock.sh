#!/bin/sh
# Resolve requirements/*.in into exact versions with hashes. The lock files name no package index on purpose:
# each machine's own configuration does.
set -eu
cd "$(dirname "$0")/../requirements"
compile() { ../.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate "$@"; }
[ "${1:-}" != upgrade ] || set -- --upgrade
compile "$@" base.in -o base.txt
compile "$@" -c base.txt dev.in -o dev.txt
# Only the programs in these packages are used, or they need nothing: their dependencies stay out.
for name in embedded node installer; do
    compile "$@" --no-deps "$name.in" -o "$name.txt"
done
