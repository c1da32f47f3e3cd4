#!/bin/sh
# All static checks; every one runs, the exit code tells whether all passed. `make check` starts it between a
# PostgreSQL and a Redis of its own, since Django's checks load the settings and look at the migrations.
set -u
cd "$(dirname "$0")/.."
bin=.venv/bin
export DJANGO_SETTINGS_MODULE=ssm.settings SSM_HTTPS=true
failed=""

check() {
    name=$1
    shift
    if output=$("$@" 2>&1); then
        printf 'ok      %s\n' "$name"
        [ "$name" != audit ] || printf '%s\n' "$output" | sed -n 's/^no /        no /p'
    else
        printf 'FAILED  %s\n%s\n' "$name" "$output"
        failed="$failed $name"
    fi
}

check format "$bin/ruff" format --check .
check lint "$bin/ruff" check .
check types "$bin/mypy" .
check imports "$bin/lint-imports"
check django "$bin/python" manage.py check --deploy --fail-level WARNING
check migrations "$bin/python" manage.py makemigrations --check --dry-run
check templates "$bin/python" scripts/scan_templates.py
check audit "$bin/python" scripts/audit.py
# H015 wants a line break after headings, which only moves white space about.
check markup "$bin/djlint" --lint --quiet --profile django --ignore H015 templates

[ -z "$failed" ] || {
    printf 'Failed:%s\n' "$failed"
    exit 1
}
