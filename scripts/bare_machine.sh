#!/bin/sh
# Prove `make run` on an empty Debian 12: debootstrap one, put a clean clone into it, and there, in mount and
# process namespaces of its own, start SSM as root and as an ordinary user, end it, and look for what is left.
# Needs root. The machine's own package sources, certificates and pip settings are passed in. BARE_DIR keeps the
# empty system for the next time (default /var/tmp/ssm-bare); `bare_machine.sh clean` removes it.
set -eu
cd "$(dirname "$0")/.."
place=${BARE_DIR:-/var/tmp/ssm-bare}
root=$place/root

[ "$(id -u)" = 0 ] || {
    echo "ssm: an empty Debian can be made by root alone" >&2
    exit 2
}
if [ "${1:-}" = clean ]; then
    rm -rf "$place"
    exit 0
fi
sh scripts/install_debian.sh bare
mkdir -p "$place"

if [ ! -e "$place/base.tar" ]; then
    echo "bare: debootstrap"
    mirror=$(apt-get indextargets --format '$(SITE)' | grep '/debian/*$' | head -n 1)
    rm -rf "$root"
    # python3, make and git are what the README asks for; the rest comes with Debian.
    debootstrap --variant=minbase --include=python3,make,git,adduser bookworm "$root" "$mirror" >"$place/debootstrap.log" 2>&1 || {
        tail -n 3 "$place/debootstrap.log" >&2
        exit 2
    }
    tar -C "$root" -cf "$place/base.tar" .
fi

status=0
for case in ${BARE_CASES:-root-closed root-open user}; do
    rm -rf "$root"
    mkdir -p "$root"
    tar -C "$root" -xf "$place/base.tar"
    rm -f "$root/etc/apt/sources.list"
    cp -r /etc/apt/sources.list.d /etc/apt/apt.conf.d "$root/etc/apt/"
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    # Under a name of its own, as the package ca-certificates would write over the usual one.
    certificates=/etc/ssl/certs/ca-certificates.crt
    install -D -m 644 $certificates "$root/etc/outside.crt"
    for file in /etc/pip.conf /etc/npmrc; do
        [ ! -e "$file" ] || sed "s#$certificates#/etc/outside.crt#" "$file" >"$root$file"
    done
    # npm of the Python package reads its global settings from its own prefix only.
    [ ! -e /etc/npmrc ] || set -- "NPM_CONFIG_GLOBALCONFIG=/etc/npmrc"
    git clone -q --no-hardlinks . "$root/clone"
    cp scripts/bare_machine_inside.sh "$root/inside.sh"
    env | grep -E '^(PIP_|UV_|SSL_CERT|REQUESTS_CA|NODE_EXTRA_CA|CURL_CA|https?_proxy=|no_proxy=)' |
        grep -v FIND_LINKS | sed "s#$certificates#/etc/outside.crt#" >"$root/environment" || true
    unshare --mount --pid --fork sh -eu -c '
        mount --bind "$0" "$0"
        mount -t proc proc "$0/proc"
        mount --rbind /dev "$0/dev"
        mount -t tmpfs tmpfs "$0/run"
        exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
            "$2" SSM_HTTP_PORT="$3" chroot "$0" sh /inside.sh "$1"
    ' "$root" "$case" "${1:-A=}" "${BARE_PORT:-18000}" || status=1
done
rm -rf "$root"
exit $status
