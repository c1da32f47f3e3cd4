"""Readings on the page's socket: what of them a page shows comes in one message, and nothing else."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from containers import fragments
from containers.fragments import parse_element, render_usage
from containers.models import ContainerUsage, HostUsage
from devices.models import now
from tests.containers.livepage import Page, announce, in_thread, row_name, settled
from tests.containers.logstage import session_cookie
from tests.factories import ContainerFactory
from tests.people import People

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def cookie(people: People) -> str:
    return session_cookie(people.viewer)


@pytest.fixture
async def page(cookie: str):
    page = await Page(cookie).open()
    yield page
    await page.leave()


@in_thread
def use(container, percent):
    """A new reading of the container's device."""
    ContainerUsage.objects.update_or_create(
        container=container, defaults={"cpu_percent": percent, "memory_bytes": 1024, "sampled_at": now()}
    )
    HostUsage.objects.update_or_create(device=container.device, defaults={"cpu_percent": percent, "sampled_at": now()})


@in_thread
def another(container):
    return ContainerFactory(device=container.device)


def cell(container, part="cpu"):
    return f"container-{container.pk}-{part}"


async def test_reading_brings_the_cells_that_are_shown_in_one_message(page):
    first = await settled()
    second = await another(first)
    other = await settled()
    await page.watch(row_name(first), cell(first), cell(first, "memory"), cell(second), cell(other))
    await page.rest()
    page.messages.clear()
    await use(first, 12.5)

    await announce("usage", first.device_id, [first.device_id])
    await page.until(lambda: page.of(cell(first)))
    await page.rest()

    (message,) = page.messages
    assert "12.5%" in message
    assert cell(first, "memory") in message
    assert cell(second) in message
    assert str(other.pk) not in message
    assert row_name(first) not in message


async def test_reading_of_a_device_that_is_not_shown_sends_nothing(page):
    shown, other = await settled(), await settled()
    await page.watch(cell(shown), f"device-{shown.device_id}-row")
    await page.rest()
    page.messages.clear()

    await announce("usage", other.device_id, [other.device_id])
    await page.rest()

    assert page.messages == []


async def test_readings_of_hosts_come_as_cells_and_never_as_rows(page):
    container = await settled()
    names = [f"device-{container.device_id}-{part}" for part in ("row", "usecpu", "usage", "sampled")]
    await page.watch(*names, page="device")
    await page.rest()
    page.messages.clear()
    await use(container, 37.0)

    await announce("usage", container.device_id, [container.device_id])
    await page.until(lambda: page.of(names[1]))
    await page.rest()

    (message,) = page.messages
    assert "37%" in message
    assert names[2] in message
    assert names[3] in message
    assert not page.of(names[0])
    assert not page.signals


async def test_readings_that_come_fast_are_sent_once_a_second_and_the_last_is_never_left_out(page):
    container = await settled()
    await page.watch(cell(container))
    await page.rest()
    page.messages.clear()

    for percent in (1, 2, 3, 4):
        await use(container, percent)
        await announce("usage", container.device_id, [container.device_id])
    await page.until(lambda: any("4.0%" in message for message in page.messages))

    assert len(page.messages) <= 3


async def test_pages_that_show_the_same_render_it_once(cookie, monkeypatch):
    rendered = []
    render = fragments.render_usage

    def counted(elements, **more):
        rendered.append([element.name for element in elements])
        return render(elements, **more)

    monkeypatch.setattr(fragments, "render_usage", counted)
    container = await settled()
    pages = [await Page(cookie).open() for _ in range(5)]
    for page in pages:
        await page.watch(cell(container))

    await announce("usage", container.device_id, [container.device_id])
    for page in pages:
        await page.until(lambda page=page: page.of(cell(container)))
        await page.leave()

    assert rendered == [[cell(container)]]


@pytest.mark.parametrize(("name", "signals"), [("top", 1), ("home", 1), ("containers", 0)])
async def test_readings_make_ranked_pages_look_again_now_and_then(page, name, signals):
    container = await settled()
    await page.watch(page=name)
    await page.rest()
    before = len(page.signals)

    for _ in range(3):
        await announce("usage", container.device_id, [container.device_id])
    await page.rest(1.5)

    assert len(page.signals) - before == signals


async def test_top_page_gets_its_cells_with_bars(page):
    container = await settled(device__cpus=4)
    await page.watch(cell(container), page="top")
    await use(container, 200)

    await announce("usage", container.device_id, [container.device_id])
    await page.until(lambda: page.of(cell(container)))

    assert 'class="bar' in page.of(cell(container))[-1]


async def test_stranger_cannot_ask_for_cells(people):
    container = await settled()
    page = await Page(await in_thread(session_cookie)(people.stranger)).open()

    await page.say(f'{{"type": "watch", "ids": ["{cell(container)}"]}}')

    assert await page.closing_code() == 4403
    await page.leave()


def test_cells_of_many_are_rendered_by_two_queries(db):
    containers = [ContainerFactory() for _ in range(30)]
    elements = [parse_element(cell(container, part)) for container in containers for part in ("cpu", "memory")]
    elements += [parse_element(f"device-{container.device_id}-usedisk") for container in containers]

    with CaptureQueriesContext(connection) as captured:
        rendered = render_usage(elements, with_bars=False)

    assert len(captured) == 2
    assert len(rendered) == 90


@pytest.mark.parametrize(
    ("kind", "part", "expected"),
    [
        ("container", "cpu", True),
        ("device", "sampled", True),
        ("container", "row", False),
        ("container", "usecpu", None),
        ("device", "cpu", None),
    ],
)
def test_elements_of_use_are_told_from_others_and_from_none(kind, part, expected):
    element = parse_element(f"{kind}-00000000-0000-4000-8000-000000000000-{part}")

    assert (element and element.is_usage) is expected
