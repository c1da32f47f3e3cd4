"""Pages of images in a real Chromium, with 5,000 images on two hosts."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from containers.models import Image, Operation
from containers.push import publish
from devices.models import Device
from ssm.lib.roles import OPERATOR
from tests.browser.logpages import LogServer
from tests.containers.logstage import add_user, session_cookie
from tests.factories import ContainerFactory, DeviceFactory

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180, func_only=True), pytest.mark.django_db(transaction=True)]
COUNT = 5000


@pytest.fixture
def images() -> list[Image]:
    """Those of two hosts; the first one is used by a container."""
    hosts: list[Device] = [DeviceFactory(name=name, online=True, groups=["lab"]) for name in ("quay", "harbour")]
    rows = [
        Image(
            device=hosts[number % 2],
            engine_id=f"sha256:{number:064x}",
            name=f"team{number % 10}/app{number:04}:1",
            repo_tags=[f"team{number % 10}/app{number:04}:1"],
            size_bytes=number * 1_000_000,
        )
        for number in range(COUNT)
    ]
    made = Image.objects.bulk_create(rows)
    ContainerFactory(device=hosts[0], image_id=rows[0].engine_id)
    return made


@pytest.fixture
def page(
    database_beside_playwright: None, transactional_db: None, log_server: LogServer, browser: Browser
) -> Iterator[Page]:
    """A page of an operator; a violation of the content policy, or an error in a script, fails the test."""
    name, _, value = session_cookie(add_user("hand", OPERATOR)).partition("=")
    context = browser.new_context(viewport={"width": 1280, "height": 800}, base_url=log_server.base)
    context.set_default_timeout(20_000)
    context.add_cookies([{"name": name, "value": value, "url": log_server.base}])
    faults: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if "Content Security" in line.text else None)
    yield page
    context.close()
    assert faults == []


def rows(page: Page):
    return page.locator("#image-results tbody tr")


def test_list_of_5000_images_is_searched_sorted_selected_and_acted_on(page: Page, images: list[Image]) -> None:
    page.goto("/images/")
    expect(page.get_by_text("1–50 of 5000")).to_be_visible()
    assert rows(page).count() == 50

    page.get_by_role("link", name="Size").click()
    expect(rows(page).first).to_contain_text("app4999", timeout=20_000)
    page.get_by_label("Name, id, digest, device").fill("team3/")
    expect(page.get_by_text("1–50 of 500", exact=True)).to_be_visible(timeout=20_000)
    expect(page).to_have_url(re.compile(r"q=team3%2F.*sort=size"))

    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Select all 500 that match").click()
    expect(page.locator("[data-bulk-count]")).to_have_text("All 500 images")
    page.locator("#bulk-form").get_by_role("button", name="Remove").click()
    dialog = page.locator("#remote-dialog")
    expect(dialog.get_by_role("heading")).to_have_text("Remove 500 images?", timeout=20_000)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert not Operation.objects.exists()

    page.locator("[data-bulk-clear]").click()
    rows(page).nth(0).locator("[data-select]").check()
    rows(page).nth(1).locator("[data-select]").check()
    page.locator("#bulk-form").get_by_role("button", name="Pull again").click()
    expect(page.locator("#bulk-result")).to_contain_text("Pull 2 images", timeout=20_000)
    assert Operation.objects.filter(kind="image_pull").count() == 2


def test_row_of_an_image_changes_without_a_reload(page: Page, images: list[Image]) -> None:
    first = images[0]
    page.goto("/images/?q=app0000")
    expect(rows(page).first).to_contain_text("1 container")
    expect(page.locator("[data-live-text]")).to_have_text("live", timeout=20_000)
    page.evaluate("window.sameDocument = true")

    Image.objects.filter(pk=first.pk).update(name="renamed/app:2", repo_tags=["renamed/app:2"])
    publish("image", first.device_id, [first.pk])

    expect(rows(page).first).to_contain_text("renamed/app:2", timeout=20_000)
    assert page.evaluate("window.sameDocument") is True


def test_images_on_a_phone_are_cards_and_their_forms_fit(page: Page, images: list[Image]) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/images/", images[0].get_absolute_url(), "/images/pull/", "/images/prune/?scope=unused"):
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0, path
    page.goto("/images/pull/")
    page.get_by_role("button", name="lab").click()
    assert page.locator("input[name=device]:checked").count() == 2
