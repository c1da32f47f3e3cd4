# Fails some seconds after each start, so that the engine restarts it again and again.
echo "$(now) INFO importer $VERSION starting"
pause 6
echo "$(now) INFO fetching prices from the supplier's feed"
pause 2
echo "Traceback (most recent call last):" >&2
printf '  File "/app/importer.py", line 88, in main\n    items = json.loads(body)["items"]\n' >&2
echo "KeyError: 'items'" >&2
exit 1
