#!/bin/sh
# Install the Debian packages that a make target needs and this machine lacks (scripts/debian-packages.txt).
# Usage: install_debian.sh TARGET. Root on Debian only; others are told the command, and nothing fails here:
# what really cannot do without says so itself.
set -eu
target=$1
list=$(dirname "$0")/debian-packages.txt
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

is_there() {
    case $1 in
        "python3 -m "*) ${PYTHON3:-python3} -c "import ${1#python3 -m }" 2>/dev/null ;;
        /*) for file in $1; do [ -e "$file" ] && return 0; done; return 1 ;;
        *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

missing=$(
    sed -e 's/#.*//' -e '/^ *$/d' "$list" | while read -r package targets program; do
        case ",$targets," in
            *",$target,"*) is_there "$program" || printf ' %s' "$package" ;;
        esac
    done
)
[ -n "$missing" ] || exit 0

install="apt-get install --no-install-recommends$missing"
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "ssm: this machine lacks:$missing. As root: $install" >&2
    exit 0
fi

echo "ssm: installing Debian packages:$missing"
# Packages of servers must not start a second database or sshd beside what the tests start themselves.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM HUP
fi
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
# Lists may be old or missing: try with what is there, then with fresh ones.
# shellcheck disable=SC2086
if ! apt-get install -y -q --no-install-recommends $missing >"$log" 2>&1 </dev/null; then
    if ! { apt-get update -q && apt-get install -y -q --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
        echo "ssm: Debian packages could not be installed: $(grep -E '^E:' "$log" | head -n 1 || tail -n 1 "$log")" >&2
        echo "     Try it yourself: $install" >&2
        rm -f "$log"
        exit 2
    fi
fi
rm -f "$log"
