"""Events by the API: followed as they come."""

import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User

from containers.api import activity
from tests.api.caller import MakeCaller
from tests.factories import ContainerFactory, EventFactory
from tests.people import People


@pytest.mark.django_db(transaction=True)
def test_events_are_told_as_they_come(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "_EVENTS_EVERY_S", 0.02)
    container = ContainerFactory(name="web")
    EventFactory(container=container, action="start")
    user = User.objects.get(username="viewer")
    wanted: Any = activity.EventQuery.model_validate({"kind": "container"})

    async def follow() -> list[dict[str, Any]]:
        stream = activity._events(user, activity._event_filter(wanted))
        assert await anext(stream) == b"\n"
        await sync_to_async(EventFactory)(container=container, kind="image", action="pull")
        await sync_to_async(EventFactory)(container=container, action="die")
        found = [json.loads(line) for line in (await anext(stream)).splitlines()]
        await stream.aclose()
        return found

    assert [(event["action"], event["name"]) for event in async_to_sync(follow)()] == [("die", "web")]


@pytest.mark.django_db
def test_more_streams_than_the_process_sends_are_refused(caller: MakeCaller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "MOST_FOLLOWERS", 0)

    answer = caller("viewer").get("/events/follow")

    assert (answer.status, answer.body["code"]) == (429, "too_many_streams")
