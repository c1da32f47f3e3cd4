"""What an open page's socket lets in, sends, merges and leaves out."""

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session

from containers import fragments
from containers.consumers.live import MAX_MESSAGE, LiveConsumer, messages_of
from containers.fragments import render_element
from containers.models import Container, Operation
from containers.push import MANY
from devices.models import Device, now
from tests.containers.livepage import Page, announce, change, in_thread, rendered, row_name, settled
from tests.containers.logstage import session_cookie
from tests.factories import ContainerFactory, OperationFactory
from tests.people import People

pytestmark = pytest.mark.django_db(transaction=True)


def ages_left_out(html: str) -> str:
    """The same without what each second changes."""
    return re.sub(r"<time.*?</time>", "<time></time>", html, flags=re.DOTALL)


@pytest.fixture
def cookie(people: People) -> str:
    """The cookie of a viewer."""
    return session_cookie(people.viewer)


@pytest.fixture
async def page(cookie: str):
    page = await Page(cookie).open()
    yield page
    await page.leave()


# ---- who gets in


@pytest.mark.parametrize("role", ["administrator", "operator", "viewer"])
async def test_socket_of_each_role_shows_changes(people: People, role: str) -> None:
    container = await settled()
    page = await Page(await in_thread(session_cookie)(getattr(people, role))).open()
    await page.watch(row_name(container))

    await change(container, state="exited")

    await page.until(lambda: page.of(row_name(container)))
    await page.leave()


async def test_socket_of_a_stranger_closes_with_4403_and_tells_nothing(people: People) -> None:
    container = await settled()
    page = await Page(await in_thread(session_cookie)(people.stranger)).open()

    assert await page.closing_code() == 4403
    await change(container, state="exited")
    await page.rest()
    assert page.messages == []


@pytest.mark.parametrize("cookie_header", ["", "sessionid=unknown", "sessionid=\x7f; x"])
async def test_socket_of_nobody_closes_with_4401(cookie_header: str) -> None:
    page = await Page(cookie_header).open()

    assert await page.closing_code() == 4401


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost.evil.example", "null", None])
async def test_socket_of_a_foreign_page_is_refused(cookie: str, origin: str | None) -> None:
    connected, _code = await Page(cookie, origin).socket.connect(timeout=10)

    assert not connected


def _lose_role(user: User) -> None:
    user.groups.clear()


def _deactivate(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def _log_out(_user: User) -> None:
    Session.objects.all().delete()


def _change_password(user: User) -> None:
    user.set_unusable_password()  # another random one, as every new password is to a session
    user.save()


@pytest.mark.parametrize("lose", [_lose_role, _deactivate, _log_out, _change_password])
async def test_socket_of_somebody_who_lost_the_right_is_closed(
    people: People, monkeypatch: pytest.MonkeyPatch, lose: Callable[[User], None]
) -> None:
    monkeypatch.setattr(LiveConsumer, "recheck_s", 0.1)
    container = await settled()
    page = await Page(await in_thread(session_cookie)(people.viewer)).open()
    await page.watch(row_name(container))

    await in_thread(lose)(people.viewer)

    assert await page.closing_code() == 4403
    await page.socket.wait()


# ---- what is sent


async def test_change_of_a_watched_row_sends_that_row_alone(page: Page) -> None:
    watched, other = await settled(), await settled()
    await page.watch(row_name(watched))

    await change(other, state="paused")
    await change(watched, state="exited", exit_code=3)
    await page.until(lambda: page.of(row_name(watched)))
    await page.rest()

    assert [ages_left_out(message) for message in page.messages] == [ages_left_out(await rendered(row_name(watched)))]


async def test_watch_of_another_page_forgets_the_first(page: Page) -> None:
    first, second = await settled(), await settled()
    await page.watch(row_name(first))
    await page.watch(row_name(second))

    await change(first, state="exited")
    await change(second, state="exited")
    await page.until(lambda: page.of(row_name(second)))
    await page.rest()

    assert page.of(row_name(first)) == []


async def test_change_of_a_device_sends_its_row_and_those_of_its_containers(page: Page) -> None:
    container, elsewhere = await settled(), await settled()
    device_row = f"device-{container.device_id}-row"
    await page.watch(row_name(container), row_name(elsewhere), device_row)

    await in_thread(Device.objects.filter(pk=container.device_id).update)(state="unreachable")
    await announce("device", container.device_id, [container.device_id])
    await page.until(lambda: page.of(row_name(container)) and page.of(device_row))
    await page.rest()

    assert not page.of(row_name(elsewhere))


async def test_change_of_an_operation_sends_its_row_and_the_counts(page: Page) -> None:
    container = await settled()
    operation = await in_thread(OperationFactory)(container=container)
    name = f"operation-{operation.pk}-row"
    await page.watch(name, "navigation-counts", "home-counts")
    await page.rest()
    page.messages.clear()

    # Counts are sent when they are others than before.
    await in_thread(Container.objects.filter(pk=container.pk).update)(state="exited", exit_code=1)
    await in_thread(Operation.objects.filter(pk=operation.pk).update)(state="succeeded", finished_at=now())
    await announce("operation", container.device_id, [operation.pk])

    await page.until(lambda: page.of(name) and page.of("navigation-counts") and page.of("home-counts"))


async def test_counts_that_are_the_same_are_not_sent_again(page: Page) -> None:
    container = await settled()
    await page.watch(row_name(container), "navigation-counts", "home-counts")
    await page.until(lambda: page.of("navigation-counts") and page.of("home-counts"))
    await page.rest()
    page.messages.clear()

    await change(container, name="renamed")
    await page.until(lambda: page.of(row_name(container)))
    await page.rest(1.2)

    assert not page.of("navigation-counts") + page.of("home-counts")


async def test_row_that_changed_while_the_page_was_on_its_way_is_sent_at_once(page: Page) -> None:
    fresh, old = await in_thread(ContainerFactory)(), await settled()

    await page.watch(row_name(fresh), row_name(old))
    await page.until(lambda: page.of(row_name(fresh)))
    await page.rest()

    assert page.of(row_name(old)) == []


async def test_fifty_changes_are_merged_and_the_last_one_arrives(page: Page) -> None:
    container = await settled()
    name = row_name(container)
    await page.watch(name)

    began = time.monotonic()
    for number in range(50):
        await change(container, name=f"burst-{number:02}")
    took_s = time.monotonic() - began
    await page.until(lambda: page.of(name) and "burst-49" in page.of(name)[-1])
    await page.rest()

    assert page.messages == page.of(name)
    assert len(page.messages) <= 2 + took_s / 0.2


async def test_slow_rendering_is_followed_by_the_newer_one(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    container, other = await settled(), await settled()
    name = row_name(container)
    await page.watch(name, row_name(other))
    has_begun, may_go_on = threading.Event(), threading.Event()

    def render_slowly(*arguments: Any) -> str:
        html = render_element(*arguments)
        if not has_begun.is_set():
            has_begun.set()
            may_go_on.wait(10)
        return html

    monkeypatch.setattr(fragments, "render_element", render_slowly)
    await change(container, name="older")
    await asyncio.to_thread(has_begun.wait, 10)
    await change(container, name="newer")
    await change(other, name="later")
    await page.until(lambda: page.of(row_name(other)))  # so the page has heard of the newer one too
    may_go_on.set()
    await page.until(lambda: any("newer" in message for message in page.of(name)))
    await page.rest()

    assert ["newer" in message for message in page.of(name)] == [False, True]


async def test_rendering_that_fails_is_tried_again(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    container = await settled()
    await page.watch(row_name(container))
    failures = [RuntimeError("the database is away")]

    def fail_once(*arguments: Any) -> str:
        if failures:
            raise failures.pop()
        return render_element(*arguments)

    monkeypatch.setattr(fragments, "render_element", fail_once)
    await change(container, name="in-the-end")

    await page.until(lambda: page.of(row_name(container)))
    assert "in-the-end" in page.messages[-1]


async def test_fifty_pages_share_one_rendering_of_each_change(cookie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    container = await settled()
    name = row_name(container)
    pages = [await Page(cookie).open() for _ in range(50)]
    await asyncio.gather(*(page.watch(name) for page in pages))
    renderings: list[str] = []

    def count(element: Any, user: Any, *read: Any) -> str:
        renderings.append(element.name)
        return render_element(element, user, *read)

    monkeypatch.setattr(fragments, "render_element", count)
    for given in ("first-name", "second-name"):
        await change(container, name=given)
        await asyncio.gather(*(page.until_it_has(given) for page in pages))

    assert renderings == [name, name]
    assert all(page.messages == pages[0].messages for page in pages)
    await asyncio.gather(*(page.leave() for page in pages))


# ---- rows that come and go


@pytest.mark.parametrize("what", ["appeared", "vanished"])
async def test_rows_that_come_or_go_give_one_signal(page: Page, what: str) -> None:
    container = await settled()
    await page.watch(row_name(container))

    for _ in range(20):
        await announce("container", container.device_id, [await in_thread(ContainerFactory)()], what=what)
    await page.until(lambda: page.signals)
    await page.rest(1.5)
    numbers = list(page.signals)
    await announce("container", container.device_id, [container.pk], what=what)
    await page.until(lambda: len(page.signals) > len(numbers))

    assert 1 <= len(numbers) <= 3
    assert len(set(page.signals)) == len(page.signals)


async def test_more_rows_than_can_be_told_one_by_one_give_a_signal(page: Page) -> None:
    container = await settled()
    await page.watch(row_name(container))

    await announce("container", container.device_id, [container.pk] * (MANY + 1))

    await page.until(lambda: page.signals)


async def test_change_on_the_home_page_gives_a_signal_and_on_a_list_none(cookie: str) -> None:
    container = await settled()
    home, listing = await Page(cookie).open(), await Page(cookie).open()
    await home.watch(page="home")
    await listing.watch(row_name(container), page="containers")

    await change(container, state="exited")
    await home.until(lambda: home.signals)
    await listing.until(lambda: listing.of(row_name(container)))
    await listing.rest()

    assert listing.signals == []
    await home.leave()
    await listing.leave()


def _appear(container: Container) -> None:
    Container.objects.filter(pk=container.pk).update(changed_at=now(), appeared_at=now())


def _vanish(container: Container) -> None:
    Container.objects.filter(pk=container.pk).update(changed_at=now(), removed_at=now())


def _operate(container: Container) -> None:
    OperationFactory(container=container)


@pytest.mark.parametrize("happen", [_appear, _vanish, _operate])
async def test_row_that_came_or_went_after_the_page_was_made_gives_a_signal(
    page: Page, happen: Callable[[Container], None]
) -> None:
    container = await settled()
    made_at = time.time()
    await in_thread(happen)(container)

    await page.say(json.dumps({"type": "watch", "page": "containers", "made_at": made_at, "ids": []}))

    await page.until(lambda: page.signals)


@pytest.mark.parametrize("after_s", [10.0, -60.0])
async def test_row_that_only_changed_or_came_before_the_page_was_made_gives_no_signal(
    page: Page, after_s: float
) -> None:
    container = await settled()
    if after_s > 0:  # it came, and the page was made some seconds later
        await in_thread(_appear)(container)
    else:  # the page is a minute old, and since then a known row changed
        await in_thread(Container.objects.filter(pk=container.pk).update)(changed_at=now())
    name = row_name(container)

    message = {"type": "watch", "page": "containers", "made_at": time.time() + after_s, "ids": [name]}
    await page.say(json.dumps(message))
    await page.until(lambda: page.of(name))
    await page.rest()

    assert page.signals == []


# ---- what a browser may say

GARBAGE = {
    "no json": "watch",
    "empty": " ",
    "deep": "[" * 50_000,
    "number": "1" * 6000,
    "list": "[]",
    "null": "null",
    "other type": '{"type": "live.change", "ids": []}',
    "type of wrong type": '{"type": {}, "ids": []}',
    "ids missing": '{"type": "watch"}',
    "ids of wrong type": '{"type": "watch", "ids": {"a": 1}}',
    "odd ids": json.dumps({"type": "watch", "ids": [None, 1, [], {}, "", "\0", "\ud800", "x" * 9000, "<script>"]}),
    "unknown ids": json.dumps(
        {"type": "watch", "ids": ["container-00000000-0000-0000-0000-000000000000-row", "live-signal", "device-x-row"]}
    ),
    "other part": json.dumps({"type": "watch", "ids": ["container-00000000-0000-0000-0000-000000000000-secrets"]}),
    "odd page": json.dumps({"type": "watch", "page": {"a": ["\0"]}, "ids": []}),
    "too many ids": json.dumps({"type": "watch", "ids": [f"x{number}" for number in range(20_000)]})[: MAX_MESSAGE - 2]
    + '"]}',
    "too long": json.dumps({"type": "watch", "ids": ["navigation-counts"], "x": "y" * MAX_MESSAGE}),
    **{
        f"made_at {value}": f'{{"type": "watch", "made_at": {value}, "ids": []}}'
        for value in ("NaN", "Infinity", "-1e300", "1" + "0" * 400, "-62135596800", "253402300799", '"now"', "null")
    },
}


async def test_socket_survives_garbage(page: Page) -> None:
    container = await settled()

    for what, text in GARBAGE.items():
        await page.say(text)
        await page.socket.send_to(bytes_data=b"\xff\0" * 10)
        page.messages.clear()
        await page.watch(row_name(container))
        assert page.of("navigation-counts") == [], what

    await change(container, state="exited")
    await page.until(lambda: page.of(row_name(container)))


async def test_row_whose_object_is_gone_is_not_sent(page: Page) -> None:
    gone, kept = await settled(), await settled()
    await page.watch(row_name(gone), row_name(kept))

    await in_thread(Container.objects.filter(pk=gone.pk).delete)()
    await announce("container", gone.device_id, [gone.pk])
    await change(kept, state="exited")
    await page.until(lambda: page.of(row_name(kept)))
    await page.rest()

    assert page.messages == page.of(row_name(kept))


def test_rows_of_tables_travel_among_their_like() -> None:
    pieces = ['<div id="a"></div>', '\n<tr id="b"></tr>', '<tr id="c"></tr>', '<td id="d"></td>', "<span></span>"]

    assert messages_of(pieces) == [
        '<div id="a"></div><span></span>',
        '\n<tr id="b"></tr><tr id="c"></tr>',
        '<td id="d"></td>',
    ]
