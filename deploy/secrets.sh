#!/bin/sh
# Make the four files of secrets that compose.yaml wants, in deploy/secrets/ or the directory given. What is there
# already stays: another key would make the stored credentials unreadable. As root, so that user 10001 can read them.
set -eu
umask 077
place=${1:-$(dirname "$0")/secrets}
mkdir -p "$place"

random() { head -c "$1" /dev/urandom | base64 -w 0 | tr '+/' '-_'; }
make() {
    if [ -s "$place/$1" ]; then
        echo "secrets: $1 is there and stays"
    else
        # In two steps: a file that is there is whole.
        printf '%s' "$2" >"$place/$1.new"
        mv "$place/$1.new" "$place/$1"
        echo "secrets: made $1"
    fi
}
make secret_key "$(random 48)"
make field_keys "$(random 32)"
make database_password "$(random 24)"
make database_url "postgres://ssm:$(cat "$place/database_password")@database/ssm"

if [ "$(id -u)" = 0 ]; then
    chown 10001:10001 "$place/secret_key" "$place/field_keys" "$place/database_url"
else
    echo "secrets: give secret_key, field_keys and database_url to user 10001: run this as root, or chown them" >&2
fi
echo "secrets: keep a copy of $place/field_keys apart from the backups: without it no stored secret opens"
