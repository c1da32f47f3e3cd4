"""The connection test as browsers get it: one line a step, while it happens."""

import json
import socket
import threading

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import AsyncClient

from devices.models import Device
from tests.factories import DeviceFactory
from tests.people import People

pytestmark = pytest.mark.django_db(transaction=True)
FIELDS = {
    "port": "22",
    "docker_socket": "/var/run/docker.sock",
    "connect_timeout_s": "5",
    "request_timeout_s": "5",
    "sweep_schedule": "0 * * * *",
    "statistics_schedule": "* * * * *",
    "update_schedule": "0 */6 * * *",
    "login": "new",
    "username": "op",
    "password": "x",
}


@pytest.fixture
def device(db: None) -> Device:
    """A stored device that refuses connections."""
    return DeviceFactory()


@pytest.fixture
def browsers(people: People) -> dict[str, AsyncClient]:
    """A browser for each person, logged in from here: an asynchronous log-in leaks its database connection."""
    made = {}
    for who in ("administrator", "operator", "viewer", "stranger"):
        made[who] = AsyncClient()
        made[who].cookies = people.client(who).cookies
    return made


async def steps(browser: AsyncClient, data: dict[str, str]) -> tuple[int, list[dict]]:
    try:
        answer = await browser.post("/devices/test/", data)
        if not answer.streaming:
            return answer.status_code, []
        text = b"".join([chunk async for chunk in answer.streaming_content])
    finally:
        # A connection belongs to its task: left open, it would keep the test database from being dropped.
        await sync_to_async(connections.close_all)()
    return answer.status_code, [json.loads(line) for line in text.splitlines()]


async def test_refused_connection_is_told_step_by_step(browsers: dict[str, AsyncClient]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

    status, lines = await steps(browsers["administrator"], FIELDS | {"address": "127.0.0.1", "port": str(port)})

    assert status == 200
    ended = {line["key"]: line["state"] for line in lines if "key" in line}
    assert (ended["resolve"], ended["tcp"], ended["host_key"]) == ("ok", "failed", "skipped")
    assert lines[-1]["done"] is True
    assert lines[-1]["ok"] is False
    failure = next(line["html"] for line in lines if line.get("state") == "failed")
    assert "Fix:" in failure


async def test_silent_server_ends_by_its_time_out(browsers: dict[str, AsyncClient]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []
        threading.Thread(target=lambda: held.append(server.accept()[0]), daemon=True).start()

        data = FIELDS | {"address": "127.0.0.1", "port": str(server.getsockname()[1]), "connect_timeout_s": "1"}
        _status, lines = await steps(browsers["administrator"], data)

        for connection in held:
            connection.close()
    assert {line["key"]: line["state"] for line in lines if "key" in line}["host_key"] == "failed"


async def test_stored_device_is_tested_by_its_id_alone(browsers: dict[str, AsyncClient], device: Device) -> None:

    status, lines = await steps(browsers["administrator"], {"device": str(device.pk)})

    assert status == 200
    assert lines[-1]["done"] is True


async def test_form_that_lacks_something_is_not_tested(browsers: dict[str, AsyncClient]) -> None:
    status, _lines = await steps(browsers["administrator"], FIELDS | {"address": ""})

    assert status == 422


@pytest.mark.parametrize("who", ["operator", "viewer", "stranger"])
async def test_test_by_somebody_who_may_not_is_forbidden(browsers: dict[str, AsyncClient], who: str) -> None:
    status, _lines = await steps(browsers[who], FIELDS | {"address": "127.0.0.1"})

    assert status == 403
