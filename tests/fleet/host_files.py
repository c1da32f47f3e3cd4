"""The files of a host: its directories, users, and the settings of sshd and the engine."""

import json
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.fleet.errors import FleetError
from tests.fleet.inventory import UserEntry
from tests.fleet.layout import Layout
from tests.fleet.packages import BASE, PODMAN, PackageCache
from tests.fleet.shell import SYSTEM_PATH, read_file, write_file

SSH_MODES = ("default", "no-streamlocal", "kbdint", "max1")

_DOCKER_GROUP_ID = 52000
_SSHD_USER_ID = 52022
_DIRECTORIES = (
    *("home", "root", "tmp", "etc", "etc.work", "var/lib/docker", "var/lib/containers", "var/lib/sudo/lectured"),
    *("var/lib/cni", "var/log", "var/tmp", "var/cache", "var/spool", "var/empty", "var/mail"),
)


@dataclass(frozen=True, slots=True)
class _User:
    name: str
    number: int
    docker: str
    in_group: bool = False
    sudoers: str = ""


USERS = (
    _User("op", 52001, "group", in_group=True),
    _User("sudoer", 52002, "sudo", sudoers="sudoer ALL=(ALL:ALL) NOPASSWD: ALL"),
    _User("sudopass", 52003, "sudo with password", sudoers="sudopass ALL=(ALL:ALL) ALL"),
    _User("plain", 52004, "no access"),
)


@dataclass(frozen=True, slots=True)
class Secrets:
    """What all hosts of a fleet share: the users' password, its crypt(3) hash, and the accepted public key."""

    password: str
    password_hash: str
    public_key: str


def user_entries(password: str) -> dict[str, UserEntry]:
    """The users of every host, as the inventory tells them; root logs in by key only."""
    entries = {user.name: UserEntry(password=password, docker=user.docker) for user in USERS}
    return {"root": UserEntry(password=None, docker="root"), **entries}


def make_host_files(
    layout: Layout,
    packages: PackageCache,
    directory: Path,
    *,
    name: str,
    hostname: str,
    number: int,
    engine: str,
    shared: Secrets,
) -> None:
    """Write everything that a host has before its first start, below `directory`."""
    for path in _DIRECTORIES:
        (directory / path).mkdir(parents=True, exist_ok=True)
    for path in ("tmp", "var/tmp"):
        (directory / path).chmod(0o1777)
    (directory / "root").chmod(0o700)
    for link, target in (("run", "/run"), ("lock", "/run/lock")):
        if not (directory / "var" / link).is_symlink():
            (directory / "var" / link).symlink_to(target)
    etc = directory / "etc"
    for what in (BASE, PODMAN) if engine == PODMAN else (BASE,):
        _copy_package_settings(packages.etc(what), etc)
    _write_users(directory, shared)
    write_file(etc / "hostname", hostname + "\n")
    write_file(
        etc / "hosts",
        f"127.0.0.1 localhost\n{layout.host_address(number)} {hostname}\n{layout.gateway} registry\n",
    )
    write_file(etc / "resolv.conf", "# no DNS in the fleet\n")
    write_file(etc / "machine-id", secrets.token_hex(16) + "\n")
    write_file(etc / "ssh" / "fleet_keys", shared.public_key + "\n")
    _write_engine_settings(layout, etc, name)


def sshd_settings(mode: str) -> str:
    """The text of sshd_config for one of SSH_MODES."""
    settings = {
        "Port": "22",
        "HostKey": "/etc/ssh/ssh_host_ed25519_key",
        "AuthorizedKeysFile": "/etc/ssh/fleet_keys",
        "StrictModes": "no",
        "UsePAM": "no",
        "PermitRootLogin": "yes",
        "PasswordAuthentication": "yes",
        "KbdInteractiveAuthentication": "no",
        "AllowStreamLocalForwarding": "yes",
        "MaxSessions": "200",
        "MaxStartups": "200:30:400",
        "UseDNS": "no",
        "PidFile": "none",
        "PrintMotd": "no",
        "PrintLastLog": "no",
        "LogLevel": "VERBOSE",
        "Subsystem": "sftp internal-sftp",
    }
    changes = {
        "default": {},
        "no-streamlocal": {"AllowStreamLocalForwarding": "no"},
        "max1": {"MaxSessions": "1"},
        "kbdint": {"UsePAM": "yes", "PasswordAuthentication": "no", "KbdInteractiveAuthentication": "yes"},
    }
    if mode not in changes:
        raise FleetError(f"ssh mode {mode}: give one of {', '.join(SSH_MODES)}")
    return "".join(f"{key} {value}\n" for key, value in {**settings, **changes[mode]}.items())


def _copy_package_settings(source: Path, etc: Path) -> None:
    """Copy the packages' own /etc files where this machine, the layer below, has none."""
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if (path.is_dir() and not path.is_symlink()) or relative.parts[0] in ("init.d", "default", "systemd"):
            continue
        if not (Path("/etc") / relative).is_symlink() and not (Path("/etc") / relative).exists():
            (etc / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, etc / relative, follow_symlinks=False)


def _write_users(directory: Path, shared: Secrets) -> None:
    etc, ours = directory / "etc", {user.name for user in USERS}
    accounts = [line for line in read_file(Path("/etc/passwd")).splitlines() if line.split(":")[0] not in ours]
    if not any(line.startswith("sshd:") for line in accounts):
        accounts.append(f"sshd:x:{_SSHD_USER_ID}:65534::/run/sshd:/usr/sbin/nologin")
    hashes = [f"{line.split(':')[0]}:*:19700:0:99999:7:::" for line in accounts]
    groups = [
        line for line in read_file(Path("/etc/group")).splitlines() if line.split(":")[0] not in ours | {"docker"}
    ]
    for user in USERS:
        accounts.append(f"{user.name}:x:{user.number}:{user.number}:{user.name}:/home/{user.name}:/bin/bash")
        groups.append(f"{user.name}:x:{user.number}:")
        hashes.append(f"{user.name}:{shared.password_hash}:19700:0:99999:7:::")
        home = directory / "home" / user.name
        home.mkdir(mode=0o700, exist_ok=True)
        shutil.chown(home, user.number, user.number)
    groups.append(f"docker:x:{_DOCKER_GROUP_ID}:" + ",".join(user.name for user in USERS if user.in_group))
    sudoers = [
        "Defaults env_reset",
        "Defaults !lecture",
        f'Defaults secure_path="{SYSTEM_PATH}"',
        "root ALL=(ALL:ALL) ALL",
    ]
    sudoers += [user.sudoers for user in USERS if user.sudoers]
    write_file(etc / "passwd", "\n".join(accounts) + "\n")
    write_file(etc / "group", "\n".join(groups) + "\n")
    write_file(etc / "shadow", "\n".join(hashes) + "\n", 0o640)
    write_file(etc / "sudoers", "\n".join(sudoers) + "\n", 0o440)
    for service in ("sshd", "sudo"):
        write_file(
            etc / "pam.d" / service,
            "auth required pam_unix.so\naccount required pam_unix.so\nsession optional pam_unix.so\n"
            "password required pam_deny.so\n",
        )


def _write_engine_settings(layout: Layout, etc: Path, name: str) -> None:
    docker = {
        "insecure-registries": [layout.subnet],
        "cgroup-parent": f"/{layout.control_group(name)}",
        "log-driver": "json-file",
        "log-opts": {"max-size": "50m", "max-file": "2"},
    }
    write_file(etc / "docker" / "daemon.json", json.dumps(docker, indent=1) + "\n")
    containers = etc / "containers"
    write_file(
        containers / "containers.conf",
        '[engine]\ncgroup_manager="cgroupfs"\nevents_logger="file"\nruntime="runc"\n'
        '[containers]\nlog_driver="k8s-file"\n[network]\nnetwork_backend="netavark"\n',
    )
    write_file(
        containers / "storage.conf",
        '[storage]\ndriver="overlay"\nrunroot="/run/containers/storage"\ngraphroot="/var/lib/containers/storage"\n',
    )
    write_file(containers / "policy.json", '{"default":[{"type":"insecureAcceptAnything"}]}\n')
    write_file(
        containers / "registries.conf.d" / "fleet.conf", f'[[registry]]\nlocation="{layout.registry}"\ninsecure=true\n'
    )
