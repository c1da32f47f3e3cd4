"""The broker's transport when its Redis is gone."""

from collections.abc import Iterator
from typing import Any

import kombu
import pytest

from ssm.lib import broker
from tests.containers.listening import OwnRedis


@pytest.fixture
def held() -> Iterator[tuple[OwnRedis, Any]]:
    """A Redis, and a connection to it with a message that is not acknowledged."""
    broker.install()
    redis = OwnRedis()
    connection = kombu.Connection(redis.url)
    queue = connection.SimpleQueue("held")
    queue.put({"number": 1})
    assert queue.get(timeout=10).payload == {"number": 1}
    yield redis, connection
    redis.kill()


@pytest.mark.parametrize("is_forgotten", [False, True], ids=["known", "forgotten"])
def test_broker_gone_with_a_message_held_closes_without_an_error(
    held: tuple[OwnRedis, Any], is_forgotten: bool
) -> None:
    redis, connection = held
    channel = connection.default_channel
    assert isinstance(channel, broker.Channel)
    redis.kill()
    if is_forgotten:
        # As a worker finds it that gives up a connection for the second time.
        connection.transport.client = None
    channel.close()
    assert channel.closed
    channel.close()


def test_broker_there_puts_a_message_back_that_was_held(held: tuple[OwnRedis, Any]) -> None:
    redis, connection = held
    connection.close()
    with kombu.Connection(redis.url) as other:
        assert other.SimpleQueue("held").get(timeout=10).payload == {"number": 1}
