"""What tests of images share: images of their own on real hosts, a registry that stops in the middle, operations."""

import base64
import os
import select
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from django.conf import settings
from django.contrib.auth.models import User

from containers import execution, tasks
from containers.image_requests import image_lock
from containers.image_sync import refresh_image
from containers.models import Image, Operation
from containers.operation_requests import request_device_operation
from devices.models import Device
from ssm.lib.database import database_work
from tests.containers.listening import Process
from tests.containers.stage import Stage
from tests.fleet import Host
from tests.fleet.images import ImageRecipe
from tests.queued import run_queued, take_queued


def recipe(size_bytes: int = 0, *, name: str = "") -> ImageRecipe:
    """An image that nobody else has, with so much in it that does not compress."""
    text = base64.b64encode(os.urandom(size_bytes * 3 // 4)).decode() if size_bytes else ""
    return ImageRecipe(
        name or f"made/{uuid.uuid4().hex[:10]}", f"#!/bin/sh\nexec sleep 3600\n# {uuid.uuid4()} {text}\n"
    )


@dataclass(slots=True)
class Shelf:
    """Images that a test has put on hosts; all of their names and ids are taken away at its end."""

    put: list[tuple[Host, str]] = field(default_factory=list)

    def load(self, stage: Stage, *, size_bytes: int = 0, tag: str = "1") -> Image:
        """Have an image of its own on the host, and its row."""
        made = recipe(size_bytes)
        stage.host.load((made, tag))
        prefix = "localhost/" if stage.host.engine == "podman" else ""
        return self.row(stage, f"{prefix}{made.name}:{tag}")

    def row(self, stage: Stage, name: str) -> Image:
        """The row of an image that is on the host."""
        row = refresh_image(stage.device, stage.engine, name)
        assert row is not None, name
        self.put.append((stage.host, row.engine_id))
        return row

    def expect(self, stage: Stage, name: str) -> None:
        """Take a name away at the end, if it comes to be there."""
        self.put.append((stage.host, name))

    def clear(self) -> None:
        """Take all of it away."""
        for host, name in reversed(self.put):
            with suppress(Exception):
                host.api("DELETE", f"/images/{name}?force=1")


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    """See `Shelf`."""
    shelf = Shelf()
    yield shelf
    shelf.clear()


def somebody() -> User:
    return User.objects.get_or_create(username="somebody", is_superuser=True)[0]


def ask(device: Device, kind: str, name: str, engine_id: str = "", **parameters: Any) -> Operation:
    """An act on an image, as the pages ask for it."""
    return request_device_operation(
        somebody(),
        device,
        kind,
        object_kind="image",
        target_name=name,
        engine_id=engine_id or name,
        lock=image_lock(device, engine_id or name),
        parameters=parameters,
    )


def done(operation: Operation) -> Operation:
    """Work off the queues and read what became of the operation."""
    run_queued()
    return Operation.objects.get(pk=operation.pk)


def is_there(stage: Stage, name: str) -> bool:
    """The host's own word."""
    try:
        stage.host.api("GET", f"/images/{name}/json")
    except Exception as exc:
        if "No such image" in str(exc) or "no such image" in str(exc) or "404" in str(exc):
            return False
        raise
    return True


class StoppingProxy:
    """Stands before a registry and passes everything on, but stops after so many bytes until it is let go on.

    ``stopped`` is set when it does, so that a test can act in the middle of a transfer.
    """

    def __init__(self, bind: str, target: tuple[str, int], after_bytes: int) -> None:
        self._target = target
        self._left = after_bytes
        self._lock = threading.Lock()
        self.stopped = threading.Event()
        self._go_on = threading.Event()
        self._is_closed = threading.Event()
        self._server = socket.create_server((bind, 0))
        self.host = f"{bind}:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def go_on(self) -> None:
        """Pass on all that comes."""
        self._go_on.set()

    def close(self) -> None:
        """End; connections through it end too."""
        self._is_closed.set()
        self._go_on.set()
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _address = self._server.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(self._target) as upstream:
            while not self._is_closed.is_set():
                readable, _w, _x = select.select([client, upstream], [], [], 0.5)
                for source in readable:
                    data = source.recv(16384)
                    if not data:
                        return
                    if source is upstream:
                        self._account(len(data))
                        client.sendall(data)
                    else:
                        # The registry names itself by this header in its answers.
                        upstream.sendall(data)

    def _account(self, count: int) -> None:
        with self._lock:
            self._left -= count
            is_over = self._left < 0
        if is_over and not self._go_on.is_set():
            self.stopped.set()
            self._go_on.wait(60)


@contextmanager
def stopping_proxy(bind: str, port: int, after_bytes: int) -> Iterator[StoppingProxy]:
    """See `StoppingProxy`, before the fleet's registry."""
    proxy = StoppingProxy(bind, (bind, port), after_bytes)
    try:
        yield proxy
    finally:
        proxy.close()


# ---- workers that do not come to the end -------------------------------------------------------------------


def in_thread(operation: Operation) -> threading.Thread:
    """Work on it beside the test, as a worker's thread does."""

    def work() -> None:
        with database_work():
            execution.run(str(operation.pk))

    take_queued()
    worker = threading.Thread(target=work)
    worker.start()
    return worker


_WORK: Final = "import sys, django; django.setup(); from containers import execution; execution.run(sys.argv[1])"


@contextmanager
def worker_process(operation: Operation) -> Iterator[Process]:
    """Work on it in a process of its own, which the test can kill."""
    take_queued()
    process = Process(("-c", _WORK, str(operation.pk)), settings.REDIS_URL)
    try:
        yield process
    finally:
        process.kill()


def taken_over(operation: Operation) -> Operation:
    """Let the reaper find that its worker is silent, and what became of it then."""
    Operation.objects.filter(pk=operation.pk).update(heartbeat_at=datetime.now(UTC) - timedelta(seconds=30))
    tasks.settle_operations()
    return done(operation)
