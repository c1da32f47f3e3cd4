#!/bin/sh
# The inner half of bare_machine.sh: runs as process 1 of the empty system. Argument: the case.
set -eu
case=$1
while IFS= read -r line; do
    export "${line?}"
done </environment

now() { python3 -c 'import time; print(f"{time.monotonic():.1f}")'; }
say() { echo "bare: $case: $*"; }
die() {
    say "FAILED: $*"
    exit 1
}

as=""
case $case in
    root-closed) checkout=/root/ssm ;; # closed to the account that the servers run as
    root-open) checkout=/opt/ssm ;;
    user)
        checkout=/home/person/ssm
        adduser --quiet --disabled-password --gecos "" person
        as="setpriv --reuid=person --regid=person --init-groups env HOME=/home/person"
        ;;
esac
mv /clone "$checkout"
[ -z "$as" ] || chown -R person:person "$checkout"
cd "$checkout"

# Start in a session of its own and wait for the end of the start, or of the process.
start() {
    begin=$(now)
    # shellcheck disable=SC2086
    setsid $as make run >/log 2>&1 </dev/null &
    process=$!
    for _ in $(seq 1 6000); do
        grep -q "Ctrl-C ends it" /log && break
        kill -0 "$process" 2>/dev/null || break
        sleep 0.1
    done
    took=$(python3 -c "import time; print(f'{time.monotonic() - $begin:.1f}')")
}

# Ctrl-C: the interrupt goes to the whole foreground group, as a terminal sends it.
finish() {
    begin=$(now)
    kill -INT -"$process"
    wait "$process" || code=$?
    took=$(python3 -c "import time; print(f'{time.monotonic() - $begin:.1f}')")
    say "ended in $took s with exit code ${code:-0}"
    left=$(python3 -c '
import pathlib, os
for folder in pathlib.Path("/proc").iterdir():
    if folder.name.isdigit() and int(folder.name) not in (1, os.getpid(), os.getppid()):
        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        if command:
            print(folder.name, command)
')
    [ -z "$left" ] || die "left running: $left"
}

start
if [ "$case" = user ] && ! grep -q "Ctrl-C ends it" /log; then
    say "without python3-venv: $(head -n 1 /log)"
    [ "$(grep -c . /log)" -le 2 ] || die "more than one line: $(cat /log)"
    { apt-get update && apt-get install -y --no-install-recommends python3-venv; } >/apt.log 2>&1 || die "$(tail -n 3 /apt.log)"
    start
fi
grep -q "Ctrl-C ends it" /log || {
    tail -n 30 /log
    die "did not start"
}
say "first start took $took s"
grep -E "password|ready|running as" /log
python3 - <<'PYTHON' || die "does not answer"
import os, urllib.request
base = f"http://127.0.0.1:{os.environ['SSM_HTTP_PORT']}"
for path in ("/healthz", "/readyz", "/login/"):
    with urllib.request.urlopen(base + path, timeout=10) as answer:
        body = answer.read()
        print("bare:", path, answer.status, len(body), "bytes")
        assert answer.status == 200
PYTHON
python3 - <<'PYTHON'
import os, pathlib, pwd
for folder in sorted(pathlib.Path("/proc").iterdir(), key=lambda folder: folder.name.zfill(9)):
    if folder.name.isdigit():
        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        if any(word in command for word in ("daphne", "celery", "manage.py", "postgres -D", "redis-server")):
            print("bare:", pwd.getpwuid(folder.stat().st_uid).pw_name, command[:90])
PYTHON
finish

start
grep -q "Ctrl-C ends it" /log || {
    tail -n 30 /log
    die "did not start again"
}
! grep -q password /log || die "the password was shown again"
say "second start took $took s"
finish
say "passed; disk used: $(du -sh "$checkout" | cut -f 1)"
