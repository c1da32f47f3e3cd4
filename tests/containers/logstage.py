"""What log tests and the log benchmark need: rows for a fleet host and its containers, and a real web process."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection

from containers.models import Container
from devices.models import Credential, Device, HostKey
from devices.rules.host_keys import PinnedKey
from ssm.asgi import application
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
def web_process(
    database_url: str = "", port: int = 0, log: Path | None = None, **environment: str
) -> Iterator[tuple[int, int]]:
    """Run the web process as it is, on a free port if none is given; gives its port and process id.

    What it says goes to ``log`` where one is given.
    """
    port = port or free_port()
    said = log.open("wb") if log else subprocess.DEVNULL
    process = subprocess.Popen(
        [sys.executable, "manage.py", "serve", "--host", "127.0.0.1", "--port", str(port)],
        cwd=PROJECT,
        env=os.environ | ({"DATABASE_URL": database_url} if database_url else {}) | environment,
        stdout=said,
        stderr=subprocess.STDOUT if log else None,
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


def database_url() -> str:
    """Where a process of its own finds the test's database."""
    made = connection.settings_dict
    return f"postgres://{made['USER']}:{made['PASSWORD']}@{made['HOST']}:{made['PORT']}/{made['NAME']}"


def _wait_until_answering(port: int, process: "subprocess.Popen[bytes]") -> None:
    # Starting takes five seconds of a core, of which a busy machine may have little to give.
    for _ in range(1200):
        if process.poll() is not None:
            raise RuntimeError(f"the web process ended with {process.returncode}")
        try:
            urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
            return
        except HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the web process does not answer")


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


@dataclass(frozen=True, slots=True)
class LogLine:
    """A record as a browser gets it."""

    number: int
    mark: str
    stamp: str
    text: str


class LogReader:
    """One browser's socket on the real ASGI application. `lines`, `markers`, `states` hold what came, in order.

    With ``acknowledges`` false it is a browser that no longer takes anything in.
    """

    def __init__(self, container_id: object, cookie: str, *, acknowledges: bool = True) -> None:
        headers = [(b"host", b"localhost"), (b"origin", b"http://localhost"), (b"cookie", cookie.encode())]
        self.socket = WebsocketCommunicator(application, f"/ws/containers/{container_id}/logs/", headers=headers)
        self.acknowledges = acknowledges
        self.lines: list[LogLine] = []
        self.markers: list[dict[str, Any]] = []
        self.states: list[dict[str, Any]] = []
        self.skipped: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []
        self.pages: list[dict[str, Any]] = []
        self.opened: dict[str, Any] = {}
        self.order: list[str] = []
        self.closed_with = 0
        self.taken = 0

    @property
    def texts(self) -> list[str]:
        """The text of each line."""
        return [line.text for line in self.lines]

    @property
    def state(self) -> str:
        """The state that was told last."""
        return str(self.states[-1]["state"]) if self.states else ""

    async def open(self, **command: Any) -> "LogReader":
        """Connect and send the open command."""
        connected, _ = await self.socket.connect(timeout=10)
        assert connected
        await self.send({"type": "open", **command})
        return self

    async def send(self, command: dict[str, Any]) -> None:
        """Send a command."""
        await self.socket.send_to(text_data=json.dumps(command))

    async def until(self, reached: Callable[[], object], timeout_s: float = 20) -> "LogReader":
        """Take messages until ``reached`` gives something true; AssertionError with what came when it does not."""
        try:
            async with asyncio.timeout(timeout_s):
                while not reached():
                    await self.take()
        except TimeoutError:
            raise AssertionError(
                f"not reached: {len(self.lines)} lines, last {self.lines[-1:]}, states {self.states[-3:]}, "
                f"markers {self.markers[-3:]}, skipped {self.skipped}, errors {self.errors}"
            ) from None
        return self

    async def take(self) -> None:
        """Take one message."""
        output = await self.socket.output_queue.get()
        if output["type"] == "websocket.close":
            self.closed_with = output.get("code", 1000)
        elif output["type"] == "websocket.send" and output.get("text") is not None:
            self._told(json.loads(output["text"]))
        elif output["type"] == "websocket.send":
            await self._lines(output["bytes"])

    def _told(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "opened":
            self.opened = message
            return
        kept = {"state": self.states, "marker": self.markers, "skipped": self.skipped, "error": self.errors}
        kept[kind].append(message)
        if kind in ("marker", "skipped"):
            self.order.append(message.get("kind", kind))

    async def _lines(self, data: bytes) -> None:
        head_text, _, body = data.partition(b"\n")
        head = json.loads(head_text)
        records = body.split(b"\n")
        assert records.pop() == b""
        assert len(records) == head["count"]
        lines = []
        for place, record in enumerate(records):
            mark_stamp, _, text = record.partition(b" ")
            lines.append(
                LogLine(
                    head["first"] + place,
                    mark_stamp[:1].decode(),
                    mark_stamp[1:].decode(),
                    text.decode("utf-8", "replace"),
                )
            )
        if head["type"] == "older":
            self.pages.append(head)
            self.lines = lines + self.lines
            return
        self.lines += lines
        self.order += [line.text for line in lines]
        self.taken += len(data)
        if self.acknowledges:
            await self.send({"type": "ack", "bytes": self.taken})

    async def leave(self) -> None:
        """Close the page."""
        await self.socket.disconnect()


async def eventually(reached: Callable[[], object], timeout_s: float = 10) -> None:
    """Wait until something outside of this process's events is so."""
    async with asyncio.timeout(timeout_s):
        while not await asyncio.to_thread(reached):
            await asyncio.sleep(0.05)
