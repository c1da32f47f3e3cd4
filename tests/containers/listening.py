"""Real listener and worker processes on the test's database, and what is seen of them there."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import psycopg
import redis
from django.db import connection
from psycopg import sql

from containers.models import Container, Event
from devices.models import Device
from ssm.services.binaries import find_redis
from tests.containers.logstage import PROJECT, add_device, database_url, free_port
from tests.containers.stage import eventually
from tests.fleet import Fleet, Host

LISTENER = ("manage.py", "watch_hosts")
WORKER = ("-m", "celery", "-A", "ssm", "worker", "-P", "threads", "-c", "4", "--without-gossip", "--without-mingle")


class OwnRedis:
    """A Redis of these processes alone, on a port of its own, that can be killed and comes back empty."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [find_redis()["redis-server"], *options], stdout=subprocess.DEVNULL, cwd=tempfile.gettempdir()
        )
        eventually(self._answers, what="redis-server")

    def kill(self) -> None:
        """End it at once; what it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def holders(self) -> dict[str, str]:
        """Who holds the lease of each device."""
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            prefix = "ssm:follow:"
            return {key.removeprefix(prefix): client.get(key) or "" for key in client.scan_iter(f"{prefix}*")}

    def listeners(self) -> int:
        """How many listeners have announced themselves."""
        with redis.Redis.from_url(self.url) as client:
            return int(client.zcard("ssm:listeners"))

    def is_idle(self) -> bool:
        """Whether no task waits or is under way."""
        with redis.Redis.from_url(self.url) as client:
            return not client.llen("ssm-celery:celery") and not client.hlen("ssm-celery:unacked")

    def _answers(self) -> bool:
        with suppress(redis.RedisError), redis.Redis.from_url(self.url) as client:
            return bool(client.ping())
        return False


class Process:
    """One of our processes; its output is shown when the test fails."""

    def __init__(self, command: tuple[str, ...], redis_url: str) -> None:
        environment = os.environ | {"DATABASE_URL": database_url(), "REDIS_URL": redis_url}
        self._process = subprocess.Popen([sys.executable, *command], cwd=PROJECT, env=environment)

    def kill(self) -> None:
        """End it as the kernel does when memory runs out."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """Ask it to end; its exit code, also when it has ended before."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


class KeptProcess:
    """A process that is started again when it ends, as `manage.py up` does.

    A worker whose broker dies reconnects most times, and now and then ends itself (kombu loses the connection's
    parameters while it stops its hub).
    """

    def __init__(self, command: tuple[str, ...], redis_url: str) -> None:
        environment = os.environ | {"DATABASE_URL": database_url(), "REDIS_URL": redis_url}
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._start = lambda: subprocess.Popen([sys.executable, *command], cwd=PROJECT, env=environment)
        self._process = self._start()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    def _keep(self) -> None:
        while not self._is_over.wait(0.5):
            with self._lock:
                if self._process.poll() is not None and not self._is_over.is_set():
                    self._process = self._start()

    def stop(self) -> None:
        """End it for good."""
        self._is_over.set()
        self._keeper.join()
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass(slots=True)
class Watch:
    """Listeners and a worker at work on a fleet."""

    fleet: Fleet
    redis: OwnRedis
    worker: KeptProcess
    listeners: list[Process] = field(default_factory=list)

    def listen(self) -> Process:
        """Start one more listener."""
        listener = Process(LISTENER, self.redis.url)
        self.listeners.append(listener)
        return listener

    def watched(self, *hosts: Host, online: bool = True) -> list["Watched"]:
        """Rows for hosts, followed from now on; by default waits until they are online and swept."""
        seen = [Watched(host, add_device(self.fleet.entry(host.number))) for host in hosts]
        for one in seen if online else ():
            one.await_state("online", 40)
            eventually(lambda one=one: one.has_been_swept, 40, f"{one.host.name} swept")
        return seen

    def rest(self) -> None:
        """Have nobody follow or sweep any more, so that the rows can be deleted."""
        Device.objects.update(watch_enabled=False)
        while self.listeners:
            self.listeners.pop().stop()
        eventually(self.redis.is_idle, 60, "the worker has done its work")


@dataclass(frozen=True, slots=True)
class Watched:
    """A host and what its rows say."""

    host: Host
    device: Device

    @property
    def now(self) -> Device:
        """The device's row as it is now."""
        return Device.objects.get(pk=self.device.pk)

    @property
    def has_been_swept(self) -> bool:
        """Whether a sweep has ended."""
        return self.now.last_sweep_at is not None

    def await_state(self, state: str, timeout_s: float) -> float:
        """Wait for a state of the device; the seconds it took."""
        began = time.monotonic()
        eventually(lambda: self.now.state == state, timeout_s, f"{self.host.name} {state}, is {self._told()}")
        return time.monotonic() - began

    def container(self, engine_id: str) -> Container | None:
        """The row that shows this container."""
        return Container.objects.filter(device=self.device, engine_id=engine_id).first()

    def await_container(self, engine_id: str, state: str, timeout_s: float = 20) -> None:
        """Wait until the row shows a state, or "removed"."""

        def is_so() -> bool:
            row = self.container(engine_id)
            return row is not None and (row.removed_at is not None if state == "removed" else row.state == state)

        eventually(is_so, timeout_s, f"{engine_id[:12]} on {self.host.name} {state}")

    def actions(self, engine_id: str) -> list[str]:
        """What was stored of the container's events, in order of time."""
        events = Event.objects.filter(device=self.device, actor_id=engine_id).order_by("time_ns")
        return list(events.values_list("action", flat=True))

    def _told(self) -> str:
        device = self.now
        return f"{device.state} {device.state_code} {device.state_message}"


@contextmanager
def database_away() -> Iterator[None]:
    """End all sessions of the test's database and let nobody in, as while PostgreSQL restarts.

    The server itself goes on, as other workers of the test run use it.
    """
    made = connection.settings_dict
    url = urlsplit(database_url())
    connection.close()
    connection.close_pool()
    with psycopg.connect(url._replace(path="/postgres").geturl(), autocommit=True) as outside:
        name = sql.Identifier(made["NAME"])
        outside.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        try:
            _end_sessions(outside, made["NAME"])
            yield
        finally:
            _end_sessions(outside, made["NAME"])
            outside.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))


def _end_sessions(outside: psycopg.Connection[Any], name: str) -> None:
    outside.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
