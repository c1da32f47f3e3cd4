"""Who may open a log's socket, and what a browser may send over it."""

import json
import uuid

import pytest
from channels.db import database_sync_to_async
from django.contrib.sessions.models import Session

from containers.consumers import logs as consumer
from containers.logs.hub import LogHub, use_hub
from containers.logs.limits import LogLimits
from containers.models import Container
from devices.models import Credential, Device
from ssm.lib import roles
from tests.containers.logstage import LogReader, add_user, session_cookie

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def container() -> Container:
    """A container on a device that refuses connections at once."""
    credential = Credential.objects.create(name="nobody", username="nobody", password="unused-secret")
    device = Device.objects.create(name="gone", address="127.0.0.1", port=1, credential=credential)
    return Container.objects.create(device=device, engine_id="a" * 64, name="web")


@pytest.fixture
async def hub():
    hub = LogHub(LogLimits(linger_s=0.05, first_retry_s=5.0))
    use_hub(hub)
    yield hub
    await hub.close()


async def close_code(reader: LogReader) -> int:
    connected, _ = await reader.socket.connect(timeout=10)
    assert connected
    await reader.until(lambda: reader.closed_with)
    return reader.closed_with


async def test_socket_of_nobody_closes_with_4401(container):
    assert await close_code(LogReader(container.pk, "")) == 4401


@pytest.mark.parametrize(
    ("role", "expected"), [("", 4403), *((role, 0) for role in (roles.VIEWER, roles.OPERATOR, roles.ADMINISTRATOR))]
)
async def test_socket_of_each_role_is_let_in_or_refused(container, hub, role, expected):
    reader = LogReader(container.pk, await _cookie(role))

    if expected:
        assert await close_code(reader) == expected
        return
    await reader.open(tail=10)
    await reader.until(lambda: reader.opened and reader.states)
    assert reader.opened["first"] == 0
    await reader.leave()


async def _cookie(role: str = roles.VIEWER) -> str:
    cookie: str = await database_sync_to_async(lambda: session_cookie(add_user(f"user-{uuid.uuid4().hex[:8]}", role)))()
    return cookie


async def test_socket_for_an_unknown_container_closes_with_4404(db):
    assert await close_code(LogReader(uuid.uuid4(), await _cookie())) == 4404


async def test_socket_with_another_origin_is_refused(container):
    reader = LogReader(container.pk, await _cookie())
    reader.socket.scope["headers"] = [
        (name, b"https://elsewhere.example" if name == b"origin" else value)
        for name, value in reader.socket.scope["headers"]
    ]

    connected, _ = await reader.socket.connect()

    assert not connected


@pytest.mark.parametrize("how", ["role", "session", "user", "container"])
async def test_socket_of_somebody_who_loses_access_is_closed(container, hub, monkeypatch, how):
    monkeypatch.setattr(consumer.LogConsumer, "recheck_s", 0.05)
    user = await database_sync_to_async(add_user)("leaver")
    reader = await LogReader(container.pk, await database_sync_to_async(session_cookie)(user)).open()
    await reader.until(lambda: reader.opened)

    def take_away():
        if how == "role":
            user.groups.clear()
        elif how == "session":
            Session.objects.all().delete()
        elif how == "user":
            user.is_active = False
            user.save()
        else:
            container.delete()

    await database_sync_to_async(take_away)()

    await reader.until(lambda: reader.closed_with)
    expected = {"role": 4403, "session": 4401, "user": 4401, "container": 4404}
    assert reader.closed_with == expected[how]


async def test_socket_ignores_what_is_no_command_and_closes_on_too_much(container, hub):
    reader = LogReader(container.pk, await _cookie())
    await reader.socket.connect()
    for text in (" ", "nonsense", "[]", "1", "{}", '{"type":5}', '{"type":"ack"}', '{"type":"older","edge":7}'):
        await reader.socket.send_to(text_data=text)
    await reader.send({"type": "open", "tail": -5, "epoch": ["x"], "next": "y"})
    await reader.until(lambda: reader.opened)
    for command in (
        {"type": "open"},
        {"type": "ack", "bytes": 10**30},
        {"type": "ack", "bytes": True},
        {"type": "older", "before": "x", "edge": [1, None], "count": 10**9},
        {"type": "unknown"},
    ):
        await reader.send(command)
    await reader.until(lambda: reader.errors)
    assert reader.errors[0]["of"] == "older"
    assert not reader.closed_with

    await reader.socket.send_to(text_data=json.dumps({"type": "open", "epoch": "x" * 10_000}))

    await reader.until(lambda: reader.closed_with == 1009)


async def test_socket_of_an_unreachable_host_says_so_and_when_it_tries_again(container, hub):
    reader = await LogReader(container.pk, await _cookie()).open()

    await reader.until(lambda: reader.state == "offline")

    told = reader.states[-1]
    assert "gone" in told["message"]
    assert told["fix"]
    assert told["retry_at"] > 0
    await reader.leave()


async def test_socket_beyond_the_limit_is_told_and_closed(container):
    hub = LogHub(LogLimits(upstreams=0))
    use_hub(hub)
    reader = await LogReader(container.pk, await _cookie()).open()

    await reader.until(lambda: reader.closed_with)

    assert reader.closed_with == 4429
    assert "as many logs" in reader.errors[0]["message"]
    await hub.close()
