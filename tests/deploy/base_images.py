"""The images that deploy/ names, made of Debian's packages: nothing is pulled.

Each is one layer of a small Debian, under the very name that the Dockerfile or the compose file asks for, so that these
are used as they are. PostgreSQL is Debian's 15, where the compose file wants 16; Redis and Caddy are Debian's too.
"""

import io
import re
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.fleet import Host
from tests.fleet.packages import PYTHON_SYSTEM, SERVER_SYSTEM, PackageCache
from tests.fleet.shell import run

PYTHON_BASE = "python:3.11-slim-bookworm"
PYTHON_BUILD_BASE = "ssm-test/python-with-wheels"
_PASSWD = """root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
postgres:x:70:70::/var/lib/postgresql:/bin/sh
redis:x:999:999::/data:/usr/sbin/nologin
"""
_GROUP = "root:x:0:\nshadow:x:42:\nnogroup:x:65534:\npostgres:x:70:\nredis:x:999:\n"
# What the official image's does, as far as the compose file uses it.
_POSTGRES_ENTRY = """#!/bin/sh
set -eu
as_postgres() { chroot --userspec=postgres:postgres / env HOME=/tmp "$@"; }
mkdir -p "$PGDATA" /run/postgresql
chown postgres:postgres "$PGDATA" /run/postgresql
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    password=$(cat "$POSTGRES_PASSWORD_FILE")
    printf '%s' "$password" >/tmp/password && chmod 644 /tmp/password
    as_postgres initdb -D "$PGDATA" -U "$POSTGRES_USER" -A scram-sha-256 --pwfile=/tmp/password \\
        -E UTF8 --no-sync >/dev/null
    rm /tmp/password
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    echo "local all all trust" >"$PGDATA/hba.new"; cat "$PGDATA/pg_hba.conf" >>"$PGDATA/hba.new"
    as_postgres cp "$PGDATA/hba.new" "$PGDATA/pg_hba.conf"
    printf 'CREATE DATABASE %s;\\n' "$POSTGRES_DB" | as_postgres postgres --single -D "$PGDATA" postgres >/dev/null
fi
exec chroot --userspec=postgres:postgres / postgres -D "$PGDATA" -c listen_addresses='*' -c fsync=off
"""
# Only what is run is kept: imports of images cost a second per 50 MB.
_LEFT_OUT = (
    *("usr/lib/postgresql/15/lib/bitcode", "usr/share/perl", "usr/lib/x86_64-linux-gnu/perl", "usr/share/i18n"),
    *("usr/lib/x86_64-linux-gnu/gconv", "usr/share/zoneinfo/right", "usr/include", "usr/share/bash-completion"),
)


@dataclass(frozen=True, slots=True)
class BaseImage:
    """One image: the unpacked packages that it is made of, and what the Engine is told of it.

    ``files`` are further texts by path, executable; ``folders`` of this machine are laid at a path.
    """

    names: tuple[str, ...]
    system: str
    changes: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)


SERVERS = BaseImage(
    names=("postgres:16-bookworm", "redis:7-bookworm", "caddy:2"),
    system=SERVER_SYSTEM,
    changes=(
        "ENV PATH=/usr/lib/postgresql/15/bin:/usr/sbin:/usr/bin PGDATA=/var/lib/postgresql/data",
        "ENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config",
        'CMD ["postgres-entry"]',
    ),
    files={"usr/bin/postgres-entry": _POSTGRES_ENTRY},
)
PYTHON = BaseImage(
    names=(PYTHON_BASE,), system=PYTHON_SYSTEM, changes=('CMD ["python3"]', "ENV PATH=/usr/sbin:/usr/bin")
)


def python_with_wheels(wheels: Path) -> BaseImage:
    """The image that builds: pip and uv find their packages in a folder, and look nowhere else."""
    return BaseImage(
        names=(PYTHON_BUILD_BASE,),
        system=PYTHON_SYSTEM,
        changes=("ENV PATH=/usr/sbin:/usr/bin PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels",),
        files={"etc/uv/uv.toml": 'no-index = true\nfind-links = ["/wheels"]\n'},
        folders={"wheels": wheels},
    )


def bring(host: Host, packages: PackageCache, image: BaseImage) -> None:
    """Have an image on a host under its names."""
    packages.fetch(image.system)
    place = host.directory / "var" / "tmp"
    archive = place / f"{image.names[0].replace('/', '-').replace(':', '-')}.tar"
    _write(archive, packages, image)
    changes = " ".join(f"--change '{change}'" for change in image.changes)
    host.exec(f"docker import {changes} /var/tmp/{archive.name} {image.names[0]} && rm /var/tmp/{archive.name}")
    for name in image.names[1:]:
        host.exec(["docker", "tag", image.names[0], name])


def _write(archive: Path, packages: PackageCache, image: BaseImage) -> None:
    source = packages.usr(image.system).parent
    leave_out = [f"--exclude={path}" for path in _LEFT_OUT]
    run("tar", "-C", source, "--owner=0", "--group=0", *leave_out, "-cf", archive, "usr", "etc", timeout_s=120)
    for path, folder in image.folders.items():
        run("tar", "-C", folder, "--owner=0", "--group=0", "--transform", f"s,^\\.,{path},", "-rf", archive, ".")
    with tarfile.open(archive, "a") as tar:
        for name in ("bin", "sbin", "lib", "lib64"):
            _add(tar, name, link=f"usr/{name}")
        for name, mode in (("tmp", 0o1777), ("run", 0o755), ("root", 0o700), ("var", 0o755), ("var/lib", 0o755)):
            _add(tar, name, mode=mode)
        for name in ("proc", "sys", "dev", "data", "config", "var/lib/postgresql", "var/lib/nginx", "var/log/nginx"):
            _add(tar, name, mode=0o755)
        _add(tar, "var/run", link="/run")
        _add(tar, "usr/bin/awk", link="mawk")
        _add(tar, "usr/bin/python", link="python3")
        for name, text in {"etc/passwd": _PASSWD, "etc/group": _GROUP}.items():
            _add(tar, name, mode=0o644, text=text)
        for name, text in image.files.items():
            _add(tar, name, mode=0o755, text=text)


def _add(tar: tarfile.TarFile, name: str, *, mode: int = 0o777, text: str | None = None, link: str = "") -> None:
    member = tarfile.TarInfo(name)
    member.mode = mode
    if link:
        member.type, member.linkname = tarfile.SYMTYPE, link
    elif text is None:
        member.type = tarfile.DIRTYPE
    else:
        member.size = len(text.encode())
    tar.addfile(member, io.BytesIO(text.encode()) if text is not None else None)


def download_wheels(requirements: tuple[Path, ...], place: Path, python: str) -> Path:
    """Have the locked packages of requirement files in a folder, by the machine's own pip and its settings.

    Hashes are checked as on installing. Raises CalledProcessError.
    """
    place.mkdir(parents=True, exist_ok=True)
    done = place / ".complete"
    wanted = "".join(path.read_text() for path in requirements)
    if done.exists() and done.read_text() == wanted:
        return place
    for path in place.iterdir():
        path.unlink()
    # pip judges "only for Pythons before 3.11.3" by the Python that it runs on, not by the one it is asked for.
    listed = place.with_suffix(".txt")
    listed.write_text(re.sub(r" ; python_full_version < [^\\\n]*", " ", wanted))
    command = [python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    # For the Python of the image, whatever ours is.
    command += [
        "--only-binary",
        ":all:",
        "--python-version",
        "3.11",
        "--require-hashes",
        "-d",
        str(place),
        "-r",
        str(listed),
    ]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=280)
    done.write_text(wanted)
    return place
