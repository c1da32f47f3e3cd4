"""The form that creates containers in a real Chromium, with and without scripts; projects that change as one looks."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from containers.models import Container, Operation
from containers.push import publish
from devices.models import Device
from ssm.lib.roles import OPERATOR
from tests.browser.logpages import LogServer
from tests.containers.logstage import add_user, session_cookie
from tests.factories import ContainerFactory, DeviceFactory, ImageFactory, NetworkFactory

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(180, func_only=True),
]


@contextmanager
def opened(browser: Browser, server: LogServer, *, scripts: bool = True, width: int = 1280) -> Iterator[Page]:
    """A page of an operator; a violation of the content policy, or an error in a script, fails the test."""
    name, _, value = session_cookie(add_user("hand", OPERATOR)).partition("=")
    context = browser.new_context(
        viewport={"width": width, "height": 844}, base_url=server.base, java_script_enabled=scripts
    )
    context.set_default_timeout(20_000)
    context.add_cookies([{"name": name, "value": value, "url": server.base}])
    faults: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if "Content Security" in line.text else None)
    yield page
    context.close()
    assert faults == []


@pytest.fixture
def devices(database_beside_playwright: None, transactional_db: None) -> list[Device]:
    """Two hosts; the second one has an image and a network."""
    made = [DeviceFactory(name=name, online=True) for name in ("harbour", "quay")]
    ImageFactory(device=made[1], name="demo/web:1.0.0", repo_tags=["demo/web:1.0.0"], config={"ports": ["80/tcp"]})
    NetworkFactory(device=made[1], name="front")
    return made


def test_form_adds_rows_completes_images_and_explains_mistakes(
    devices: list[Device], log_server: LogServer, browser: Browser
) -> None:
    with opened(browser, log_server) as page:
        page.goto("/containers/new/")
        page.get_by_label("Name", exact=True).first.fill("web")
        page.get_by_label("Device", exact=True).select_option(label="quay")
        expect(page.locator("#network-choices option[value=front]")).to_have_count(1)
        expect(page.locator("#new-name")).to_have_value("web")
        page.get_by_label("Image", exact=True).press_sequentially("demo/w")
        expect(page.locator("#image-choices option[value='demo/web:1.0.0']")).to_have_count(1)
        page.get_by_label("Image", exact=True).fill("demo/web:1.0.0")

        page.get_by_role("button", name="Add a variable").click()
        expect(page.locator("#env-1-name")).to_be_focused()
        page.locator("#env-0-name").fill("A")
        page.locator("#env-0-value").fill("first\nsecond")
        page.locator("#env-1-name").fill("B")
        page.get_by_role("group", name="Variable").nth(1).get_by_role("button", name="Remove this row").click()
        expect(page.locator("#rows-env .rows")).to_have_count(1)
        page.get_by_label("Memory", exact=True).fill("lots")
        page.get_by_role("button", name="Create", exact=True).click()

        expect(page.get_by_role("alert")).to_contain_text("is not a size")
        page.get_by_role("alert").get_by_role("link", name="Memory").click()
        expect(page.locator("#env-0-value")).to_have_value("first\nsecond")
        page.get_by_label("Memory", exact=True).fill("64m")
        page.get_by_role("button", name="Create", exact=True).click()
        page.wait_for_url("**/activity/**")

    operation = Operation.objects.get()
    assert (operation.kind, operation.device) == ("create", devices[1])
    changes = json.loads(operation.sealed)["changes"]
    assert changes["env"]["set"] == {"A": "first\nsecond"}
    assert changes["host"]["Memory"] == 64 << 20


def test_form_works_before_scripts_do(devices: list[Device], log_server: LogServer, browser: Browser) -> None:
    with opened(browser, log_server, scripts=False) as page:
        page.goto(f"/containers/new/?device={devices[1].pk}&image=demo/web:1.0.0")
        page.locator("#new-name").fill("web")
        page.get_by_role("button", name="Add a port").click()
        expect(page.locator("#rows-port .rows")).to_have_count(2)
        page.locator("#port-1-host").fill("8080")
        page.locator("#port-1-container").fill("80")
        page.locator("#rows-port").get_by_role("button", name="Remove this row").first.click()
        expect(page.locator("#port-0-host")).to_have_value("8080")
        page.locator("#new-name").press("Enter")
        page.wait_for_url("**/activity/**")

    changes = json.loads(Operation.objects.get().sealed)["changes"]
    assert changes["ports"] == [["", "8080", "80", "tcp"]]


def test_form_on_a_phone_does_not_scroll_sideways(
    devices: list[Device], log_server: LogServer, browser: Browser
) -> None:
    with opened(browser, log_server, width=390) as page:
        page.goto(f"/containers/new/?device={devices[1].pk}")

        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_project_tells_what_runs_while_one_looks(
    devices: list[Device], log_server: LogServer, browser: Browser
) -> None:
    rows = [
        ContainerFactory(device=devices[0], name=name, compose_project="shop", compose_service=name)
        for name in ("api", "web")
    ]
    with opened(browser, log_server) as page:
        page.goto("/projects/")
        page.get_by_role("link", name="shop").click()
        expect(page.locator(".page-head .state")).to_have_text("2/2 running")
        expect(page.locator("[data-live-indicator]")).to_have_attribute("data-state", "live")

        Container.objects.filter(pk=rows[0].pk).update(state="exited", exit_code=0)
        publish("container", devices[0].pk, [rows[0].pk])

        expect(page.locator(".page-head .state")).to_have_text("1/2 running")
        page.get_by_role("button", name="Stop").first.click()
        expect(page.locator("#remote-dialog").get_by_role("heading")).to_have_text("Stop 2 containers?")
        page.locator("#remote-dialog").get_by_role("button", name="Stop 2").click()
        expect(page.locator("#bulk-result")).to_contain_text("Stop the project shop")
