"""Who may open the socket of live figures, and what a browser may send over it."""

import uuid

import pytest
from channels.db import database_sync_to_async
from django.contrib.sessions.models import Session

from containers.consumers import statistics as consumer
from containers.models import Container
from containers.statistics.following import FollowLimits
from containers.statistics.live import LiveHub, LiveLimits, use_hub
from ssm.lib import roles
from tests.containers.logstage import add_user, session_cookie
from tests.containers.statistics.livestage import FiguresReader
from tests.factories import ContainerFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def container() -> Container:
    """A container on a device that refuses connections at once."""
    made: Container = ContainerFactory()
    return made


@pytest.fixture
async def hub():
    hub = LiveHub(LiveLimits(upstreams=2, viewers=3, linger_s=0.05, follow=FollowLimits(first_retry_s=5.0)))
    use_hub(hub)
    yield hub
    await hub.close()


async def cookie(role: str = roles.VIEWER) -> str:
    made: str = await database_sync_to_async(lambda: session_cookie(add_user(f"user-{uuid.uuid4().hex[:8]}", role)))()
    return made


async def close_code(reader: FiguresReader) -> int:
    await reader.open()
    await reader.until(lambda: reader.closed_with)
    return reader.closed_with


async def test_socket_of_nobody_closes_with_4401(container, hub):
    assert await close_code(FiguresReader(container.pk, "")) == 4401


async def test_socket_without_a_role_closes_with_4403(container, hub):
    assert await close_code(FiguresReader(container.pk, await cookie(""))) == 4403


async def test_socket_of_an_unknown_container_closes_with_4404(container, hub):
    assert await close_code(FiguresReader(uuid.uuid4(), await cookie())) == 4404
    assert not hub.upstreams


@pytest.mark.parametrize("role", [roles.VIEWER, roles.OPERATOR, roles.ADMINISTRATOR])
async def test_socket_of_each_role_is_let_in_and_told_how_the_host_stands(container, hub, role):
    reader = await FiguresReader(container.pk, await cookie(role)).open()

    await reader.state("offline")

    assert reader.states[0]["state"] == "connecting"
    assert reader.states[-1]["fix"]
    await reader.leave()


async def test_socket_from_another_origin_is_refused(container, hub):
    reader = FiguresReader(container.pk, await cookie())
    reader.socket.scope["headers"] = [
        (name, b"https://elsewhere.example" if name == b"origin" else value)
        for name, value in reader.socket.scope["headers"]
    ]

    connected, _ = await reader.socket.connect()

    assert not connected


@pytest.mark.parametrize(("how", "code"), [("role", 4403), ("session", 4401), ("user", 4401), ("container", 4404)])
async def test_socket_of_somebody_who_loses_access_is_closed(container, hub, monkeypatch, how, code):
    monkeypatch.setattr(consumer.StatisticsConsumer, "recheck_s", 0.05)
    user = await database_sync_to_async(add_user)("leaver")
    reader = await FiguresReader(container.pk, await database_sync_to_async(session_cookie)(user)).open()
    await reader.until(lambda: reader.states)

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
    assert reader.closed_with == code
    await reader.leave()


async def test_socket_ignores_what_it_does_not_know_and_closes_on_what_is_too_large(container, hub):
    reader = await FiguresReader(container.pk, await cookie()).open()
    await reader.until(lambda: reader.states)
    for text in (" ", "no json", "[]", '{"type":"other"}', "[" * 1000):
        await reader.socket.send_to(text_data=text)

    await reader.socket.send_to(text_data="x" * 2000)

    await reader.until(lambda: reader.closed_with)
    assert reader.closed_with == 1009
    await reader.leave()


async def test_sockets_beyond_what_the_process_serves_are_closed_with_4429(container, hub):
    others = [await database_sync_to_async(ContainerFactory)() for _ in range(2)]
    someone = await cookie()
    readers = [await FiguresReader(each.pk, someone).open() for each in (container, others[0])]
    for reader in readers:
        await reader.until(lambda reader=reader: reader.states)

    assert await close_code(FiguresReader(others[1].pk, someone)) == 4429
    third = await FiguresReader(container.pk, someone).open()
    await third.until(lambda: third.states)
    assert await close_code(FiguresReader(container.pk, someone)) == 4429

    for reader in (*readers, third):
        await reader.leave()
