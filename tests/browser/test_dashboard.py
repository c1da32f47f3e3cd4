"""The main job in a real browser: add a server, see its containers, watch them change, act, tail a log."""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.conftest import Installation, log_in
from tests.fleet import Fleet, Host, HostEntry
from tests.fleet.fixtures import LeaseHost

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180, func_only=True)]


@pytest.fixture(scope="module")
def entry(fleet: Fleet) -> HostEntry:
    """How to log in to the host of these tests."""
    return fleet.entry("26")


@pytest.fixture
def host(lease_host: LeaseHost) -> Host:
    """That host, for acts behind SSM's back."""
    return lease_host("26")


def fill_device_form(page: Page, entry: HostEntry, name: str) -> None:
    """Everything the form needs, with a private key."""
    page.goto("/devices/add/")
    page.get_by_label("Name", exact=False).first.fill(name)
    page.locator("#id_address").fill(entry.address)
    if page.get_by_label("Enter a new one").count():
        page.get_by_label("Enter a new one").check()
    page.locator("#id_username").fill(entry.user)
    page.get_by_label(re.compile("^Private key")).first.fill(entry.private_key)


@pytest.fixture(scope="module")
def device(browser: Browser, installation: Installation, entry: HostEntry) -> Iterator[str]:
    """The host as a device of SSM, added through the form; gives its name."""
    context = browser.new_context(base_url=installation.url)
    page = context.new_page()
    log_in(page, installation.username, installation.password)
    fill_device_form(page, entry, "harbour")
    page.get_by_role("button", name="Test connection").click()
    page.get_by_role("button", name="Accept this fingerprint").click()
    expect(page.locator("[data-test-note]")).to_have_text("Tested: it works.", timeout=30_000)
    page.get_by_role("button", name="Save device").click()
    page.wait_for_url(re.compile("/devices/[0-9a-f-]{36}/"))
    expect(page.get_by_text("online").first).to_be_visible(timeout=30_000)
    yield "harbour"
    context.close()


def row(page: Page, name: str) -> Locator:
    """The row of a container in the fleet table."""
    return page.locator("tbody tr").filter(has=page.get_by_role("link", name=name, exact=True))


def test_device_form_tests_the_connection_step_by_step_and_asks_for_the_host_key(page: Page, entry: HostEntry) -> None:
    fill_device_form(page, entry, "quay")

    page.get_by_role("button", name="Test connection").click()

    expect(page.get_by_role("button", name="Accept this fingerprint")).to_be_visible()
    expect(page.locator("#step-tcp")).to_have_attribute("data-step", "ok")
    expect(page.locator("#step-authentication")).not_to_have_attribute("data-step", "ok")

    page.get_by_role("button", name="Accept this fingerprint").click()

    expect(page.locator("[data-test-note]")).to_have_text("Tested: it works.", timeout=30_000)
    for step in ("resolve", "tcp", "host_key", "authentication", "channel", "api"):
        expect(page.locator(f"#step-{step}")).to_have_attribute("data-step", "ok")
    assert page.get_by_label(re.compile("^Private key")).first.input_value() == entry.private_key


def test_device_form_with_a_wrong_user_says_what_to_do(page: Page, entry: HostEntry) -> None:
    fill_device_form(page, entry, "quay")
    page.locator("#id_username").fill("nobody-here")

    page.get_by_role("button", name="Test connection").click()
    page.get_by_role("button", name="Accept this fingerprint").click()

    failed = page.locator("#step-authentication")
    expect(failed).to_have_attribute("data-step", "failed", timeout=30_000)
    expect(failed).to_contain_text("Fix:")


def test_device_form_with_invalid_input_keeps_what_was_typed(page: Page, entry: HostEntry) -> None:
    fill_device_form(page, entry, "quay")
    page.locator("#id_port").fill("99999")

    page.get_by_role("button", name="Save device").click()

    expect(page.get_by_text("Not saved.")).to_be_visible()
    assert page.locator("#id_address").input_value() == entry.address
    assert page.get_by_label(re.compile("^Private key")).first.input_value() == entry.private_key


def test_fleet_page_shows_a_container_that_stops_on_its_host_without_reload(
    page: Page, device: str, host: Host
) -> None:
    engine_id = host.run("bell", "demo/clock:1.0.0")
    page.goto("/containers/?q=bell")
    expect(row(page, "bell")).to_contain_text("running", timeout=30_000)
    page.evaluate("window.sameDocument = true")

    host.api("POST", f"/containers/{engine_id}/stop?t=0")

    expect(row(page, "bell")).to_contain_text("exited")
    assert page.evaluate("window.sameDocument") is True


def test_fleet_page_shows_a_container_that_appears_and_one_that_vanishes(page: Page, device: str, host: Host) -> None:
    page.goto("/containers/?q=newcomer")
    expect(row(page, "newcomer")).to_have_count(0)
    page.evaluate("window.sameDocument = true")

    engine_id = host.run("newcomer", "demo/clock:1.0.0")
    expect(row(page, "newcomer")).to_contain_text("running", timeout=20_000)

    host.api("DELETE", f"/containers/{engine_id}?force=1")
    expect(row(page, "newcomer")).to_have_count(0, timeout=20_000)
    assert page.evaluate("window.sameDocument") is True


def test_act_from_the_page_is_done_on_the_host_and_kept_in_activity(page: Page, device: str, host: Host) -> None:
    engine_id = host.run("lamp", "demo/clock:1.0.0")
    page.goto("/containers/?q=lamp")
    page.get_by_role("link", name="lamp", exact=True).click(timeout=20_000)

    started = host.api("GET", f"/containers/{engine_id}/json")["State"]["StartedAt"]
    # Before scripts run the button asks back on a page of its own.
    page.wait_for_load_state("load")
    page.locator(".page-head__actions").get_by_role("button", name="Restart").click()
    page.get_by_role("dialog").get_by_role("button", name="Restart").click()

    deadline = time.monotonic() + 30
    while host.api("GET", f"/containers/{engine_id}/json")["State"]["StartedAt"] == started:
        assert time.monotonic() < deadline, "the container was not restarted"
        page.wait_for_timeout(200)
    page.goto("/activity/")
    expect(page.locator("tbody tr").first).to_contain_text("lamp")
    expect(page.locator("tbody tr").first).to_contain_text("done", timeout=20_000)


def test_container_page_tails_the_log(page: Page, device: str, host: Host) -> None:
    host.run("talker", "demo/clock:1.0.0")
    page.goto("/containers/?q=talker")
    page.get_by_role("link", name="talker", exact=True).click(timeout=20_000)
    page.get_by_role("navigation", name="talker").get_by_role("link", name="Logs").click()

    log = page.get_by_role("log")
    expect(log).to_contain_text(re.compile(r"tick 1(?!\d)"), timeout=20_000)
    expect(log).to_contain_text(re.compile(r"tick 4(?!\d)"), timeout=20_000)


def test_pages_of_a_fleet_work_before_scripts_do(browser: Browser, installation: Installation, device: str) -> None:
    context = browser.new_context(base_url=installation.url, java_script_enabled=False)
    page = context.new_page()
    log_in(page, installation.username, installation.password)

    for path in ("/", "/devices/", "/containers/", "/activity/", "/devices/add/"):
        answer = page.goto(path)
        assert answer is not None and answer.status == 200
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
    context.close()


@pytest.mark.parametrize("path", ["/", "/devices/", "/containers/", "/activity/", "/devices/add/"])
def test_page_on_a_phone_does_not_scroll_sideways(context: BrowserContext, page: Page, device: str, path: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})

    page.goto(path)

    assert page.evaluate("document.documentElement.scrollWidth") <= 390
