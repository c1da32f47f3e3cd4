#!/bin/sh
# All tests, in two lanes at once: those of the fleet mostly wait for their hosts and must do so one after another, so
# all others run meanwhile, in two workers with a PostgreSQL and a Redis each. The browser's follow the fleet's, in a
# call of their own: a synchronous Playwright session leaves an event loop in its process, which asynchronous tests then
# trip over; and Chromium drops requests while interfaces come and go, so nothing else may make hosts by then. Last comes
# what needs the machine for itself.
# With arguments: one call of pytest with them.
set -u
cd "$(dirname "$0")/.."
pytest=".venv/bin/python -m pytest --durations=15 --durations-min=1"

if [ $# -gt 0 ]; then
    exec $pytest -m "not browser" "$@"
fi

mkdir -p test-results
others=test-results/others.log
$pytest -m "not browser and not fleet and not alone" -n 2 --dist loadfile -q >"$others" 2>&1 &
others_pid=$!
trap 'kill $others_pid 2>/dev/null' EXIT
trap 'exit 130' INT TERM HUP

status=0
echo "== tests of the fleet (all others meanwhile, see $others)"
$pytest -m "fleet and not browser and not alone" || status=$?
echo "== tests in a browser"
$pytest -m browser tests/browser || status=$?
echo "== all others"
wait $others_pid || status=$?
trap - EXIT
cat "$others"
echo "== tests that run alone"
$pytest -m alone tests/chaos || status=$?
exit $status
