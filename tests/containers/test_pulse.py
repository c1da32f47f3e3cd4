"""Pages are sent away, to come back and read anew, when changes may have passed them by."""

from collections.abc import Iterator

import pytest
from channels.layers import channel_layers, get_channel_layer
from pytest_django import Settings
from redis.exceptions import RedisError

from containers.consumers.pulse import Pulse, pulse
from tests.containers.listening import OwnRedis
from tests.containers.livepage import Page, change, row_name, settled
from tests.containers.logstage import session_cookie
from tests.people import People

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def own_redis(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnRedis]:
    """A Redis of this test's own, for messages between processes; the watch beats quickly."""
    redis = OwnRedis()
    settings.REDIS_URL = redis.url
    layer = settings.CHANNEL_LAYERS["default"]
    settings.CHANNEL_LAYERS = {"default": layer | {"CONFIG": {"hosts": [redis.url], "prefix": "ssm"}}}
    channel_layers.backends.clear()
    monkeypatch.setattr(Pulse, "beat_s", 0.2)
    yield redis
    channel_layers.backends.clear()
    redis.kill()


@pytest.fixture
def cookie(people: People) -> str:
    """The cookie of a viewer."""
    return session_cookie(people.viewer)


async def opened_again(cookie: str) -> Page:
    """A page as a browser opens it after a loss: one that meets a dead connection to Redis fails, the next is well."""
    for _attempt in range(3):
        try:
            return await Page(cookie).open()
        except (RedisError, TimeoutError):
            continue
    return await Page(cookie).open()


async def test_pulse_redis_is_well_pages_stay(own_redis: OwnRedis, cookie: str) -> None:
    page = await Page(cookie).open()

    assert await page.socket.receive_nothing(1.5)

    await page.leave()


async def test_pulse_redis_goes_away_pages_are_asked_to_come_back(own_redis: OwnRedis, cookie: str) -> None:
    pages = [await Page(cookie).open() for _ in range(3)]

    own_redis.kill()

    assert [await page.closing_code() for page in pages] == [1012] * 3


async def test_pulse_redis_came_back_empty_between_two_beats_pages_are_asked_to_come_back(
    own_redis: OwnRedis, cookie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pulse, "beat_s", 1.0)
    page = await Page(cookie).open()
    assert await page.socket.receive_nothing(0.3)

    own_redis.kill()
    own_redis.start()

    assert await page.closing_code() == 1012


async def test_pulse_after_redis_is_back_pages_hear_of_changes_again(own_redis: OwnRedis, cookie: str) -> None:
    container = await settled()
    lost = await Page(cookie).open()
    own_redis.kill()
    await lost.closing_code()
    await lost.leave()
    own_redis.start()

    page = await opened_again(cookie)
    await page.watch(row_name(container))
    await change(container, state="exited")
    await page.until(lambda: page.of(row_name(container)))
    await page.leave()


async def test_pulse_nobody_left_leaves_no_task_and_no_channel(own_redis: OwnRedis, cookie: str) -> None:
    page = await Page(cookie).open()
    assert await page.socket.receive_nothing(0.7)
    layer = get_channel_layer()
    while_open = [name for name in layer.channels if "pulse" in name]

    await page.leave()

    assert len(while_open) <= 1
    assert pulse()._task is None
