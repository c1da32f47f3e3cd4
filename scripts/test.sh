#!/bin/sh
# All tests. The browser's run as a call of their own: a synchronous Playwright session leaves an event loop in
# its process, which the asynchronous tests then trip over. Arguments go to the first call.
set -u
cd "$(dirname "$0")/.."
pytest=".venv/bin/python -m pytest --durations=15 --durations-min=1"
status=0

$pytest -m "not browser" "$@" || status=$?
if [ $# -eq 0 ] && [ -d tests/browser ]; then
    $pytest -m browser tests/browser || status=$?
fi
exit $status
