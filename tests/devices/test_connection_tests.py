"""The connection test as browsers get it: one line a step, while it happens."""

import json
import socket
import threading

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from tests.factories import DeviceFactory
from tests.people import People

pytestmark = pytest.mark.django_db(transaction=True)
FIELDS = {
    "port": "22",
    "docker_socket": "/var/run/docker.sock",
    "connect_timeout_s": "5",
    "request_timeout_s": "5",
    "sweep_schedule": "0 * * * *",
    "login": "new",
    "username": "op",
    "password": "x",
}


async def steps(people: People, data: dict[str, str], who: str = "administrator") -> tuple[int, list[dict]]:
    client = AsyncClient()
    await client.aforce_login(getattr(people, who))
    answer = await client.post("/devices/test/", data)
    if not answer.streaming:
        return answer.status_code, []
    text = b"".join([chunk async for chunk in answer.streaming_content])
    return answer.status_code, [json.loads(line) for line in text.splitlines()]


async def test_refused_connection_is_told_step_by_step(people: People) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

    status, lines = await steps(people, FIELDS | {"address": "127.0.0.1", "port": str(port)})

    assert status == 200
    ended = {line["key"]: line["state"] for line in lines if "key" in line}
    assert (ended["resolve"], ended["tcp"], ended["host_key"]) == ("ok", "failed", "skipped")
    assert lines[-1]["done"] is True
    assert lines[-1]["ok"] is False
    failure = next(line["html"] for line in lines if line.get("state") == "failed")
    assert "Fix:" in failure


async def test_silent_server_ends_by_its_time_out(people: People) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []
        threading.Thread(target=lambda: held.append(server.accept()[0]), daemon=True).start()

        data = FIELDS | {"address": "127.0.0.1", "port": str(server.getsockname()[1]), "connect_timeout_s": "1"}
        _status, lines = await steps(people, data)

        for connection in held:
            connection.close()
    assert {line["key"]: line["state"] for line in lines if "key" in line}["host_key"] == "failed"


async def test_stored_device_is_tested_by_its_id_alone(people: People) -> None:
    device = await sync_to_async(DeviceFactory)()

    status, lines = await steps(people, {"device": str(device.pk)})

    assert status == 200
    assert lines[-1]["done"] is True


async def test_form_that_lacks_something_is_not_tested(people: People) -> None:
    status, _lines = await steps(people, FIELDS | {"address": ""})

    assert status == 422


@pytest.mark.parametrize("who", ["operator", "viewer", "stranger"])
async def test_test_by_somebody_who_may_not_is_forbidden(people: People, who: str) -> None:
    status, _lines = await steps(people, FIELDS | {"address": "127.0.0.1"}, who)

    assert status == 403
