#!/bin/sh
# Put before every program: ends at once when asked to, and a few words for writing log lines.
trap 'exit 0' TERM INT
pick() { shift $((RANDOM % $#)); echo "$1"; }
below() { echo $((RANDOM % $1)); }
now() { date -u +%Y-%m-%dT%H:%M:%SZ; }
pause() { sleep "$1" & wait $!; }
serve() {
  mkdir -p /www
  echo "<!doctype html><title>$TITLE</title><h1>$TITLE $VERSION</h1>" > /www/index.html
  httpd -p 80 -h /www
  echo "listening on :80, version $VERSION"
}
i=0
