"""Where a checkout keeps what its servers write, and which account they run as."""

import errno
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ssm.lib.env import env_str
from ssm.services.errors import DiskFull, ServiceError

PROJECT = Path(__file__).resolve().parents[2]
SYSTEM_STATE = Path("/var/lib/ssm")
SERVICE_ACCOUNT = "ssm"
# An empty PostgreSQL takes 40 MB, and its log of changes may grow by 64 MB before the first checkpoint.
FREE_BYTES_NEEDED = 150 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Account:
    """An ordinary user that servers run as when we are root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The directories of one checkout.

    `data` holds secrets and state of the checkout. `servers` holds the directories of PostgreSQL and Redis:
    the same one, or one below /var/lib/ssm when we are root and `account` could not reach `data`.
    """

    project: Path
    data: Path
    servers: Path
    account: Account | None

    @property
    def environment_file(self) -> Path:
        return self.data / "ssm.env"

    @property
    def lock_file(self) -> Path:
        return self.data / "up.lock"


def find_layout(data: Path | None = None, *, project: Path = PROJECT, with_account: bool = True) -> Layout:
    """The layout of this checkout; writes nothing but, as root, the servers' account when it is missing.

    `data` defaults to SSM_DATA_DIR, else `.data` in the checkout. `with_account=False` is for those who start
    no servers. Raises ServiceError.
    """
    directory = data or Path(env_str("SSM_DATA_DIR", str(project / ".data")))
    directory = directory.absolute()
    if os.geteuid() != 0:
        return Layout(project, directory, directory, None)
    system = SYSTEM_STATE / f"{project.name}-{hashlib.sha256(str(directory).encode()).hexdigest()[:8]}"
    if (directory / "postgres").exists():
        servers = directory
    elif (system / "postgres").exists():
        servers = system
    else:
        servers = directory if is_reachable(directory.parent) else system
    return Layout(project, directory, servers, service_account() if with_account else None)


def make_directories(layout: Layout) -> None:
    """Create the directories; those of the servers belong to their account. Raises DiskFull, ServiceError."""
    with disk_errors(layout.data):
        # As root, others may pass through to what belongs to them; the files in it are readable by root alone.
        layout.data.mkdir(parents=True, exist_ok=True)
        layout.data.chmod(0o711 if layout.account else 0o700)
        layout.servers.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(layout.servers).free
    if free < FREE_BYTES_NEEDED:
        raise DiskFull(
            f"Only {free // 1024**2} MB are free on the disk of {layout.servers}, a database needs "
            f"{FREE_BYTES_NEEDED // 1024**2} MB.",
            fix="Free some space, or set SSM_DATA_DIR to a directory on a larger disk.",
        )


def make_private_directory(path: Path, account: Account | None) -> Path:
    """Create `path` for `account` (or us) alone: mode 0700."""
    with disk_errors(path):
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(0o700)
        if account:
            os.chown(path, account.uid, account.gid)
    return path


def is_reachable(path: Path) -> bool:
    """Whether any account may pass through `path` and all directories above it."""
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    folders = (existing, *existing.resolve().parents)
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in folders)


def service_account() -> Account:
    """The account for servers that refuse to run as root: SSM_SERVICE_ACCOUNT, else a system user `ssm`.

    The system user is created on first need, as a Debian package would do. Raises ServiceError.
    """
    name = env_str("SSM_SERVICE_ACCOUNT", SERVICE_ACCOUNT)
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        entry = _create_account(name)
    if entry.pw_uid == 0:
        raise ServiceError(
            f"The account {name} is root, and PostgreSQL refuses to run as root.",
            fix="Set SSM_SERVICE_ACCOUNT to an ordinary user.",
        )
    return Account(name, entry.pw_uid, entry.pw_gid)


def _create_account(name: str) -> pwd.struct_passwd:
    """Create a system user without home and shell; two checkouts that do it at once both succeed."""
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    command += ["--shell", "/usr/sbin/nologin", name]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        return pwd.getpwnam(name)
    except (OSError, KeyError, subprocess.TimeoutExpired) as exc:
        reason = str(exc) if isinstance(exc, OSError) else result.stderr.strip()
        raise ServiceError(
            f"PostgreSQL refuses to run as root, and the system user {name} could not be created: {reason}.",
            fix="Set SSM_SERVICE_ACCOUNT to an ordinary user, or run this as one.",
        ) from exc


@contextmanager
def temporary_layout() -> Iterator[Layout]:
    """A layout below the system's temporary directory, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="ssm-services-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)  # as root, the servers' account passes through
        # Its own "checkout" as well, so that the developer's .env is not read.
        yield find_layout(Path(name), project=Path(name))


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk, a read-only one and missing rights at `path` into one sentence."""
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"The disk of {path} is full.",
                fix="Free some space, or set SSM_DATA_DIR to a directory on a larger disk.",
            ) from exc
        raise ServiceError(
            f"{exc.filename or path} cannot be written: {exc.strerror}.",
            fix="Correct its owner and rights, or set SSM_DATA_DIR to a directory of your own.",
        ) from exc
