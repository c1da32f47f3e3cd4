"""Open streams end when what they take is withdrawn: by an event, well before the look that comes once a minute."""

import time
from collections.abc import Callable

import pytest
from channels.db import database_sync_to_async
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client

from containers.consumers.live import LiveConsumer
from containers.consumers.streams import StreamConsumer
from containers.models import Container
from containers.push import publish
from devices.models import Device
from ssm.accounts.models import Account, Role
from ssm.lib.roles import Right, permissions_of
from tests.accounts.people import make_role, make_user
from tests.containers.livepage import Page, in_thread, row_name, settled
from tests.containers.logstage import LogReader, session_cookie
from tests.factories import OperationFactory
from tests.people import People

pytestmark = pytest.mark.django_db(transaction=True)
WITHIN_S = 5.0


@pytest.fixture
def role(db: None) -> Role:
    return make_role("shop", [Right.SEE, Right.LOGS], device_groups=["shop"])


@pytest.fixture
def anna(role: Role) -> User:
    return make_user("anna", role)


def _lose_role(user: User) -> None:
    user.groups.clear()


def _lose_right(_user: User) -> None:
    group = Role.objects.get(group__name="shop").group
    group.permissions.remove(*permissions_of([Right.LOGS, Right.SEE]))


def _move_limit(_user: User) -> None:
    role = Role.objects.get(group__name="shop")
    role.device_groups = ["elsewhere"]
    role.save()


def _move_device(_user: User) -> None:
    device = Device.objects.get()
    device.groups = ["elsewhere"]
    device.save()


def _deactivate_on_page(user: User) -> None:
    root = User.objects.create_user("root", is_superuser=True)
    client = Client()
    client.force_login(root)
    data = {"username": user.username, "roles": [user.groups.get().pk]}
    assert client.post(f"/users/{user.pk}/", data).status_code == 302


def _end_sessions_on_page(user: User) -> None:
    root = User.objects.create_user("root", is_superuser=True)
    client = Client()
    client.force_login(root)
    session = Session.objects.exclude(pk=client.session.session_key).get()
    user.open_sessions.create(session=session)
    assert client.post(f"/users/{user.pk}/act/", {"act": "end-sessions"}).status_code == 302


def _log_out(_user: User) -> None:
    Session.objects.all().delete()


def _demand_second_factor(_user: User) -> None:
    Role.objects.update(demands_second_factor=True)
    Role.objects.get(group__name="shop").save()


def _remove_user(user: User) -> None:
    user.delete()


LOSSES = (
    _lose_role,
    _lose_right,
    _move_limit,
    _move_device,
    _deactivate_on_page,
    _end_sessions_on_page,
    _log_out,
    _demand_second_factor,
    _remove_user,
)


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__.strip("_"))
async def test_streams_end_within_five_seconds_of_the_loss(anna: User, lose: Callable[[User], None]) -> None:
    assert LiveConsumer.recheck_s == StreamConsumer.recheck_s == 60, "nothing here is due to the look once a minute"
    container = await settled()
    await in_thread(lambda: Device.objects.update(groups=["shop"]))()
    cookie = await in_thread(session_cookie)(anna)
    page = await Page(cookie).open()
    await page.watch_quietly(row_name(container))
    log = await LogReader(container.pk, cookie).open()
    await log.until(lambda: log.opened)

    await in_thread(lose)(anna)
    begun = time.monotonic()
    await log.until(lambda: log.closed_with)
    code = await page.closing_code()

    assert time.monotonic() - begun < WITHIN_S
    # Who sees less than before comes back and reads the page anew; who sees nothing stays out.
    assert code in (4403, 1012)
    assert log.closed_with in (4401, 4403, 4404)


async def test_log_stream_needs_the_right_to_read_logs(db: None) -> None:
    container = await settled()
    ben = await in_thread(lambda: make_user("ben", make_role("see", [Right.SEE])))()

    log = await LogReader(container.pk, await in_thread(session_cookie)(ben)).open()

    await log.until(lambda: log.closed_with)
    assert log.closed_with == 4403


async def test_log_stream_outside_of_the_limit_is_unknown(anna: User) -> None:
    container = await settled()

    log = await LogReader(container.pk, await in_thread(session_cookie)(anna)).open()

    await log.until(lambda: log.closed_with)
    assert log.closed_with == 4404


async def test_who_is_held_back_gets_no_stream(anna: User) -> None:
    def hold() -> str:
        cookie = session_cookie(anna)
        Role.objects.update(demands_second_factor=True)
        return cookie

    page = await Page(await in_thread(hold)()).open()

    assert await page.closing_code() == 4403


async def test_page_of_a_limited_user_is_sent_nothing_of_others(anna: User, people: People) -> None:
    inside, outside = await settled(), await settled()

    def prepare() -> list[str]:
        Device.objects.filter(pk=inside.device_id).update(groups=["shop"])
        operation = OperationFactory(container=outside)
        return [
            row_name(inside),
            row_name(outside),
            f"operation-{operation.pk}-row",
            f"device-{outside.device_id}-row",
            f"device-{outside.device_id}-usage",
            f"container-{outside.pk}-cpu",
            "home-counts",
        ]

    names = await in_thread(prepare)()
    page = await Page(await in_thread(session_cookie)(anna)).open()
    await page.say(f'{{"type": "watch", "page": "home", "ids": {str(names).replace(chr(39), chr(34))}}}')
    await page.until(lambda: page.of("home-counts"))

    def touch() -> None:
        for container in (outside, inside):
            Container.objects.filter(pk=container.pk).update(state="paused")
            publish("container", container.device_id, [container.pk])
            publish("usage", container.device_id, [container.device_id])

    await in_thread(touch)()
    await page.until(lambda: page.of(row_name(inside)))
    await page.rest()

    text = "".join(page.messages)
    assert str(outside.pk) not in text and str(outside.device_id) not in text and outside.name not in text
    everybody = await Page(await in_thread(session_cookie)(people.viewer)).open()
    await everybody.say('{"type": "watch", "page": "home", "ids": ["home-counts"]}')
    await everybody.until(lambda: everybody.of("home-counts"))
    assert everybody.of("home-counts")[-1] != page.of("home-counts")[-1], "counts are of what each may see"
    await page.leave()
    await everybody.leave()


async def test_news_of_one_user_leaves_streams_of_others_alone(anna: User, people: People, monkeypatch) -> None:
    looks: list[int] = []
    looked = LiveConsumer._closing_code

    def count(self: LiveConsumer) -> int:
        looks.append(self.scope["user"].pk)
        return looked(self)

    monkeypatch.setattr(LiveConsumer, "_closing_code", count)
    page = await Page(await in_thread(session_cookie)(anna)).open()
    other = await Page(await in_thread(session_cookie)(people.viewer)).open()
    await other.rest()
    looks.clear()

    await database_sync_to_async(lambda: Account.objects.create(user=anna))()
    await page.rest()

    assert looks and set(looks) == {anna.pk}
    await page.leave()
    await other.leave()
