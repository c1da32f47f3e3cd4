"""Lists of thousands of volumes, networks and projects in a real Chromium: searched, sorted, selected, paged."""

import re

import pytest
from playwright.sync_api import Browser, expect

from containers.models import Container, Network, Operation, Volume
from devices.models import Device
from tests.browser.logpages import LogServer
from tests.browser.test_creating import opened
from tests.factories import DeviceFactory

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240, func_only=True), pytest.mark.django_db(transaction=True)]
COUNT = 5000
# For a busy machine.
PATIENCE_MS = 30_000


@pytest.fixture
def hosts(database_beside_playwright: None, transactional_db: None) -> list[Device]:
    """Two hosts."""
    return [DeviceFactory(name=name, online=True) for name in ("quay", "harbour")]


def test_5000_volumes_are_searched_sorted_and_selected(
    hosts: list[Device], log_server: LogServer, browser: Browser
) -> None:
    Volume.objects.bulk_create(
        Volume(device=hosts[number % 2], name=f"data-{number:04}", driver="local", size_bytes=number)
        for number in range(COUNT)
    )
    with opened(browser, log_server) as page:
        rows = page.locator("#volume-results tbody tr")
        page.goto("/volumes/")
        expect(page.get_by_text("1–50 of 5000")).to_be_visible(timeout=PATIENCE_MS)
        page.get_by_role("link", name="Size").click()
        expect(rows.first).to_contain_text("data-4999", timeout=PATIENCE_MS)
        page.get_by_role("searchbox").first.fill("data-43")
        expect(page.get_by_text("1–50 of 100", exact=True)).to_be_visible(timeout=PATIENCE_MS)
        expect(page).to_have_url(re.compile(r"q=data-43.*sort=-?size"), timeout=PATIENCE_MS)
        page.get_by_label("Select all on this page").check()
        page.get_by_role("button", name="Select all 100 that match").click()
        expect(page.locator("[data-bulk-count]")).to_have_text("All 100 volumes", timeout=PATIENCE_MS)
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not Operation.objects.exists()


def test_5000_networks_are_searched_and_paged(hosts: list[Device], log_server: LogServer, browser: Browser) -> None:
    Network.objects.bulk_create(
        Network(
            device=hosts[number % 2],
            name=f"net-{number:04}",
            engine_id=f"{number:064x}",
            driver="bridge",
            pools=[
                {"subnet": f"10.{number // 250}.{number % 250}.0/24", "gateway": "", "ip_range": "", "auxiliary": {}}
            ],
        )
        for number in range(COUNT)
    )
    with opened(browser, log_server) as page:
        rows = page.locator("#network-results tbody tr")
        page.goto("/networks/")
        expect(page.get_by_text("1–50 of 5000")).to_be_visible(timeout=PATIENCE_MS)
        page.goto("/networks/?page=100")
        expect(rows.last).to_contain_text("net-4999", timeout=PATIENCE_MS)
        page.get_by_role("searchbox").first.fill("10.7.9.")
        expect(rows).to_have_count(1, timeout=PATIENCE_MS)
        expect(rows.first).to_contain_text("net-1759", timeout=PATIENCE_MS)
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_2000_projects_are_searched(hosts: list[Device], log_server: LogServer, browser: Browser) -> None:
    Container.objects.bulk_create(
        Container(
            device=hosts[number % 2],
            name=f"shop-{number:04}-web-1",
            engine_id=f"{number:064x}",
            state="running",
            compose_project=f"shop-{number:04}",
            compose_service="web",
        )
        for number in range(2000)
    )
    with opened(browser, log_server) as page:
        page.goto("/projects/")
        expect(page.get_by_text("1–50 of 2000")).to_be_visible(timeout=PATIENCE_MS)
        page.get_by_role("searchbox").first.fill("shop-1999")
        expect(page.locator("#project-results tbody tr")).to_have_count(1, timeout=PATIENCE_MS)
        page.get_by_role("link", name="shop-1999", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("shop-1999", timeout=PATIENCE_MS)
