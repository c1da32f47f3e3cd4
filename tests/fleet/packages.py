"""Debian packages for the hosts: downloaded once, unpacked into the cache, never installed.

Reads the archive that the machine's own apt uses, through private lists, so that nothing of the machine changes.
The cache is shared by all fleets of the machine; a file lock lets one fetch at a time.
"""

import functools
import os
import re
import shutil
from pathlib import Path

from tests.fleet.errors import FleetError
from tests.fleet.layout import MARK, Layout
from tests.fleet.locks import hold_lock
from tests.fleet.shell import SYSTEM_PATH, announce, read_file, run, write_file

# The Debian release that carries each generation of the Docker Engine.
ENGINE_RELEASES = {"20": "bookworm", "26": "trixie", "28": "sid"}
# The last release whose docker-compose is the one in Go runs on the libraries of this one.
_COMPOSE_RELEASE = "trixie"
PODMAN = "podman"
ENGINES = (*ENGINE_RELEASES, PODMAN)

BASE = "base"
HAPROXY = "haproxy"
COMPOSE = "compose"
PYTHON_SYSTEM = "python-system"
SERVER_SYSTEM = "server-system"
_BASE_PACKAGES = [
    "openssh-server",
    "openssh-client",
    "sudo",
    "iptables",
    "busybox-static",
    "runc",
    "tini",
    "docker-registry",
    "iproute2",
    "libsystemd0",
    "libdevmapper1.02.1",
    "libseccomp2",
]
_PACKAGES = {
    BASE: _BASE_PACKAGES,
    PODMAN: ["podman", "runc", "netavark", "aardvark-dns"],
    # What tests bring to a host that needs it.
    HAPROXY: ["haproxy"],
}
# What a whole small Debian is made of, as images have it: resolved as if nothing were installed.
_SMALL = (
    *("base-files", "libc-bin", "dash", "coreutils", "sed", "grep", "mawk", "findutils", "tar", "gzip", "diffutils"),
    *("passwd", "netbase", "tzdata"),
)
_SYSTEMS = {
    PYTHON_SYSTEM: [*_SMALL, "python3", "python3-venv", "media-types", "libstdc++6"],
    SERVER_SYSTEM: [*_SMALL, "postgresql-15", "redis-server", "caddy", "nginx-light"],
}
# Compiles long queries for PostgreSQL, which does without; larger than all others together.
_LEFT_OUT = ("libllvm",)
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_NEEDED = {
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
    "perl": "perl-base",
    "ip": "iproute2",
}


def require_machine() -> None:
    """Raise FleetError naming what this machine lacks: root, Debian's tools, overlay mounts."""
    if os.geteuid() != 0:
        raise FleetError("needs root: hosts are made of network, mount and PID namespaces")
    missing = sorted({package for program, package in _NEEDED.items() if not shutil.which(program, path=SYSTEM_PATH)})
    if missing:
        raise FleetError(f"missing Debian packages: {' '.join(missing)} (apt-get install {' '.join(missing)})")
    if not Path(_KEYRING).exists():
        raise FleetError("missing Debian package: debian-archive-keyring (is this Debian?)")


def require_directory(directory: Path) -> None:
    """Raise FleetError when a directory cannot hold hosts: overlay mounts refuse overlay as their upper layer."""
    kind = run("stat", "-f", "-c", "%T", directory).stdout.strip()
    if kind.startswith("overlay"):
        raise FleetError(
            f"{directory} is on an overlay file system, as in a container: set FLEET_HOME to one on a volume or tmpfs"
        )


class PackageCache:
    """Unpacked packages below `layout.cache`: `base`, `podman`, and one directory per Docker Engine."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.directory = layout.cache

    def usr(self, what: str) -> Path:
        """The unpacked /usr of `what`."""
        return self.directory / what / "usr"

    def etc(self, what: str) -> Path:
        """The unpacked /etc of `what`, which may be absent."""
        return self.directory / what / "etc"

    def fetch(self, what: str) -> None:
        """Unpack `what` (a word of this module, or `20`, `26`, `28`); downloaded only where it is missing."""
        if self.usr(what).is_dir():
            return
        with hold_lock(self.directory / ".lock"):
            if self.usr(what).is_dir():
                return
            release = _COMPOSE_RELEASE if what == COMPOSE else ENGINE_RELEASES.get(what, _release())
            announce(f"reading Debian {release}'s package lists for {what} (a private copy)")
            apt = _PrivateApt(self.directory / "apt" / release, release)
            apt.update()
            announce(f"fetching {what}")
            archives = apt.empty_archives()
            if what in ENGINE_RELEASES:
                # docker.io carries the command line itself up to bookworm.
                names = ["docker.io", "containerd"] + ([] if release == "bookworm" else ["docker-cli"])
                apt.run("download", *[f"{name}/{release}" for name in names], cwd=archives)
            elif what == COMPOSE:
                apt.run("download", f"docker-compose/{release}", cwd=archives)
            elif what in _SYSTEMS:
                status = self.directory / "apt" / "nothing-installed"
                write_file(status, "")
                apt.run("-o", f"Dir::State::status={status}", "--download-only", "install", *_SYSTEMS[what])
            else:
                apt.run("--download-only", "install", *_PACKAGES[what])
            packages = sorted(path for path in archives.glob("*.deb") if not path.name.startswith(_LEFT_OUT))
            write_file(self.directory / f"{what}.packages", "".join(f"{package.name}\n" for package in packages))
            _unpack(packages, self.directory / what)
            apt.empty_archives()

    def tool(self, name: str) -> str:
        """Path of a program: the cache's, else the machine's."""
        for directory in ("sbin", "bin"):
            path = self.usr(BASE) / directory / name
            if path.exists():
                return str(path)
        found = shutil.which(name, path=SYSTEM_PATH)
        if not found:
            raise FleetError(f"{name}: not on this machine and not in {self.directory}; `down --purge` and try again")
        return found

    def tool_environment(self, what: str = "") -> dict[str, str]:
        """Variables for a program of the cache; with `what`, marked as that part of the fleet."""
        libraries = sorted(str(path) for path in (self.usr(BASE) / "lib").glob("*-linux-gnu*") if path.is_dir())
        variables = {"PATH": SYSTEM_PATH, "LC_ALL": "C", "LD_LIBRARY_PATH": ":".join(libraries)}
        if what:
            variables[MARK] = self._layout.mark(what)
        return variables


class _PrivateApt:
    """apt-get with lists, cache and sources of its own, for one Debian release."""

    def __init__(self, directory: Path, release: str) -> None:
        self._directory = directory
        self._release = release

    def update(self) -> None:
        """Read the release's package lists."""
        for name in ("lists/partial", "archives/partial", "cache"):
            (self._directory / name).mkdir(parents=True, exist_ok=True)
        base, signed = _archive(), f"[signed-by={_KEYRING}]"
        sources = f"deb {signed} {base}/debian {self._release} main\n"
        if self._release == _release():
            sources += f"deb {signed} {base}/debian-security {self._release}-security main\n"
        write_file(self._directory / "sources.list", sources)
        self.run("update")

    def empty_archives(self) -> Path:
        """The directory of downloaded packages, emptied."""
        archives = self._directory / "archives"
        for package in archives.glob("*.deb"):
            package.unlink()
        return archives

    def run(self, *arguments: str, cwd: Path | None = None) -> None:
        """Run one apt-get command on the private state."""
        options = {
            "Dir::Etc::sourcelist": self._directory / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State::lists": self._directory / "lists",
            "Dir::Cache": self._directory / "cache",
            "Dir::Cache::archives": self._directory / "archives",
            "APT::Sandbox::User": "root",
            "APT::Default-Release": self._release,
            "APT::Install-Recommends": "0",
            "APT::Keep-Downloaded-Packages": "1",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Debug::NoLocking": "1",
        }
        words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
        run("apt-get", "-q", "-y", *words, *arguments, cwd=cwd, environment=variables)


@functools.cache
def _release() -> str:
    """Code name of this machine's Debian release."""
    found = re.search(r"^VERSION_CODENAME=(\w+)", read_file(Path("/etc/os-release")), re.MULTILINE)
    return found.group(1) if found else "bookworm"


@functools.cache
def _archive() -> str:
    """Base URL of the Debian archive that this machine's own apt uses, without the trailing `/debian`."""
    for site in run("apt-get", "indextargets", "--format", "$(SITE)").stdout.split():
        base = site.rstrip("/")
        if base.endswith("/debian"):
            return base.removesuffix("/debian")
    raise FleetError("no Debian archive in this machine's apt sources")


@functools.cache
def architecture() -> str:
    """Debian's word for this machine's processor, which is also Docker's (amd64, arm64)."""
    return run("dpkg", "--print-architecture").stdout.strip()


def _unpack(packages: list[Path], destination: Path) -> None:
    """Unpack packages into one tree with everything under /usr, as on a merged-/usr machine."""
    fresh = destination.with_name(destination.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    (fresh / "usr").mkdir(parents=True)
    for package in packages:
        run("dpkg-deb", "-x", package, fresh)
    for name in ("bin", "sbin", "lib", "lib64"):
        if (fresh / name).is_dir():
            (fresh / "usr" / name).mkdir(parents=True, exist_ok=True)
            run("cp", "-a", f"{fresh / name}/.", f"{fresh / 'usr' / name}/")
            shutil.rmtree(fresh / name)
    for name in ("var", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(fresh / name, ignore_errors=True)
    programs = fresh / "usr" / "sbin"
    for name in ("iptables", "ip6tables"):  # what update-alternatives would do on installing
        for suffix in ("", "-save", "-restore"):
            chosen, link = programs / f"{name}-nft{suffix}", programs / f"{name}{suffix}"
            if (chosen.is_symlink() or chosen.exists()) and not (link.is_symlink() or link.exists()):
                link.symlink_to(chosen.name)
    shutil.rmtree(destination, ignore_errors=True)
    fresh.rename(destination)
