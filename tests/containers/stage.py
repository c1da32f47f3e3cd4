"""Rows for real hosts, and what watches or disturbs the way between them and us."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from channels.layers import get_channel_layer
from django.conf import settings

from containers import sync
from containers.events.recording import record
from containers.inventory_rows import Changes
from containers.models import Container
from containers.rules.events import EngineEvent
from devices.connections import Engine, pool
from devices.models import Device
from devices.services import connection_target
from ssm.lib.database import database_work
from tests.containers.logstage import add_device
from tests.fleet import Fleet, Host
from tests.fleet.fixtures import LeaseHost


def eventually(condition: Callable[[], Any], timeout_s: float = 20, what: str = "") -> Any:
    """The first true value of the condition; fails after the time."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout_s} s: {what or condition}", pytrace=True)
        time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Stage:
    """A real host with its row and a connection to its engine."""

    host: Host
    device: Device
    engine: Engine

    def sweep(self) -> Changes:
        """One sweep."""
        return sync.sweep(self.device, self.engine)

    def row(self, engine_id: str) -> Container:
        """The row that shows this container."""
        return Container.objects.get(device=self.device, engine_id=engine_id)

    def clock_ns(self) -> int:
        """The host's time."""
        return sync.take_snapshot(self.engine).clock_ns

    def tell(self, *actions: str, engine_id: str, name: str = "", at_ns: int = 0, **attributes: str) -> None:
        """Handle events of one container as if the stream had just told them."""
        at_ns = at_ns or self.clock_ns()
        events = [
            EngineEvent("container", action, engine_id, name, {"name": name, **attributes}, at_ns + place)
            for place, action in enumerate(actions)
        ]
        record(self.device, self.engine, events)


MakeStage = Callable[..., Stage]


@pytest.fixture
def make_stage(fleet: Fleet, lease_host: LeaseHost) -> Iterator[MakeStage]:
    """Function that gives the stage of a host by engine; its connections are closed at the end."""

    def make(which: str = "28", *, exclusive: bool = False) -> Stage:
        host = lease_host(which, exclusive=exclusive)
        device = add_device(fleet.entry(host.number), f"{host.name}-{uuid.uuid4().hex[:6]}")
        return Stage(host, device, pool.engine(connection_target(device)))

    yield make
    pool.close_all()


@pytest.fixture
def stage(db: None, make_stage: MakeStage) -> Stage:
    """The host with Docker Engine 28, shared with others."""
    return make_stage("28")


def unique(word: str) -> str:
    """A container's name that nobody else has."""
    return f"{word}-{uuid.uuid4().hex[:8]}"


class Onlooker:
    """A real engine that notes what is asked, and lets a test act, wait or fail when an answer has come.

    Inspections come from threads: what a hook reads and writes has to be committed, so no test in a transaction.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.asked: list[str] = []
        self.after: dict[str, Callable[[], object]] = {}
        self.before: dict[str, Callable[[], object]] = {}
        self.answers: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    @property
    def inspected(self) -> list[str]:
        """Ids of the containers that were inspected."""
        return [path.split("/")[2] for path in self.asked if path.startswith("/containers/") and path.count("/") == 3]

    def get_json(self, path: str, params: Mapping[str, Any] | None = None, timeout_s: float | None = None) -> Any:
        with self._lock:
            self.asked.append(path)
            before, after = self.before.pop(path, None), self.after.pop(path, None)
        if before:
            before()
        answer = self.answers[path] if path in self.answers else self._engine.get_json(path, params, timeout_s)
        if after:
            with database_work():
                after()
        return answer


@contextmanager
def heard() -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """Listens to what is pushed; the value gives the messages so far, after waiting for ``count`` of them."""
    messages: list[dict[str, Any]] = []
    layer = get_channel_layer()
    with redis.Redis.from_url(settings.REDIS_URL) as client, client.pubsub() as pubsub:
        pubsub.subscribe("ssm__group__fleet")
        pubsub.get_message(timeout=5)

        def read(count: int = 0, timeout_s: float = 5) -> list[dict[str, Any]]:
            deadline = time.monotonic() + timeout_s
            while True:
                message = pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1)
                if message is not None:
                    messages.append(layer.deserialize(message["data"]))
                elif len(messages) >= count or time.monotonic() > deadline:
                    return list(messages)

        yield read
