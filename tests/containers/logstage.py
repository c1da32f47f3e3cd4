"""What log tests and the log benchmark need: rows for a fleet host and its containers, and a real web process."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore

from containers.models import Container
from devices.models import Credential, Device, HostKey
from devices.rules.host_keys import PinnedKey
from ssm.lib import roles
from tests.fleet import HostEntry

PROJECT = Path(__file__).resolve().parents[2]


def add_device(entry: HostEntry, name: str = "") -> Device:
    """A row for a fleet host, with its key accepted, reached as a user of group docker."""
    credential = Credential.objects.create(
        name=f"key of {name or entry.name}", username=entry.user, private_key=Path(entry.key_file).read_text()
    )
    device = Device.objects.create(
        name=name or entry.name,
        address=entry.address,
        port=entry.port,
        credential=credential,
        docker_socket=entry.socket,
        connect_timeout_s=5,
    )
    key_type, key_base64 = entry.host_key.split()
    key = PinnedKey(key_type=key_type, key_base64=key_base64)
    HostKey.objects.create(device=device, key_type=key_type, key_base64=key_base64, fingerprint=key.fingerprint)
    return device


def add_container(device: Device, engine_id: str, name: str) -> Container:
    """A row for a container that was started on the device."""
    return Container.objects.create(device=device, engine_id=engine_id, name=name, state="running")


def add_user(name: str, role: str = roles.VIEWER) -> User:
    """A user with one of the three roles, or none for an empty one."""
    roles.ensure_roles()
    user = User.objects.create_user(name, password=f"{name}-secret-password")
    if role:
        user.groups.add(Group.objects.get(name=role))
    return user


def session_cookie(user: User) -> str:
    """The Cookie header of a logged-in browser."""
    session = SessionStore()
    session["_auth_user_id"] = str(user.pk)
    session["_auth_user_backend"] = "django.contrib.auth.backends.ModelBackend"
    session["_auth_user_hash"] = user.get_session_auth_hash()
    session.save()
    return f"{settings.SESSION_COOKIE_NAME}={session.session_key}"


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def web_process(database_url: str = "", **environment: str) -> Iterator[tuple[int, int]]:
    """Run daphne with the real application; gives its port and process id."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "ssm.asgi:application"],
        cwd=PROJECT,
        env=os.environ | ({"DATABASE_URL": database_url} if database_url else {}) | environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_until_answering(port, process)
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_answering(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(300):
        if process.poll() is not None:
            raise RuntimeError(f"daphne ended with {process.returncode}")
        try:
            urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
            return
        except HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("daphne does not answer")


def resident_mb(pid: int) -> float:
    """Resident memory of a process in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
