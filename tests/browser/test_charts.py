"""Charts in a real Chromium: drawn, live, zoomed, in both themes, by keyboard, and cheap for the host."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from containers.models import Container
from containers.push import publish
from containers.rules.statistics import Usage
from containers.statistics.storing import HostFigures, Sample, store
from devices.models import Device, now
from tests.containers.logstage import add_container, add_device, add_user, database_url, session_cookie, web_process
from tests.containers.statistics.livestage import BUSY
from tests.factories import EventFactory
from tests.fleet import Host

pytestmark = [pytest.mark.browser, pytest.mark.fleet, pytest.mark.django_db(transaction=True)]

MIB = 1024**2
GIB = 1024**3
# How many pixels of a chart's canvas are not empty, and the sum of their colours.
PIXELS = """(key) => {
  const canvas = document.querySelector(`[data-chart="${key}"] canvas`);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let [count, sum] = [0, 0];
  for (let place = 0; place < data.length; place += 4) {
    if (data[place + 3]) [count, sum] = [count + 1, sum + data[place] + data[place + 1] + data[place + 2]];
  }
  return { count, sum };
}"""
CONTAINER_CHARTS = ("cpu", "memory", "network", "block", "pids")


@dataclass(frozen=True, slots=True)
class Stage:
    """A host with its row and a busy container, a web process, and a logged-in browser."""

    host: Host
    device: Device
    container: Container
    context: BrowserContext
    page: Page
    base: str

    def show(self, query: str = "", page: Page | None = None) -> Page:
        """Open the container's charts and wait until they are drawn."""
        page = page or self.page
        page.goto(f"{self.base}/containers/{self.container.pk}/statistics/{query}")
        expect(page.locator("[data-charts]")).to_have_attribute("data-drawn", re.compile(r"\d+"))
        expect(page.locator("[data-charts][data-loading]")).to_have_count(0)
        return page

    def pixels(self, key: str) -> dict[str, int]:
        found: dict[str, int] = self.page.evaluate(PIXELS, key)
        return found


@pytest.fixture(autouse=True, scope="module")
def database_beside_playwright() -> Iterator[None]:
    """Playwright's event loop runs in this thread, and Django would refuse the database there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield


def fill(container: Container) -> None:
    """Six hours of samples, with a gap of half an hour."""
    moment = now()
    for minute in range(360, 0, -1):
        if 100 <= minute < 130:
            continue
        usage = Usage(20.0 + minute % 30, (40 + minute % 7) * MIB, 64 * MIB, 2e3 + minute, 1e3, 0.0, 5e5, 4)
        host = HostFigures(30.0, 2 * GIB, 8 * GIB, 0.5, 0.4, 0.3, 30 * GIB, 100 * GIB, "ssh", "")
        store(container.device, Sample(moment - timedelta(minutes=minute), host, {container.pk: usage}))


@pytest.fixture(scope="module")
def web(django_db_setup: None) -> Iterator[str]:
    """One web process for all of these tests; its address."""
    with web_process(database_url(), SSM_DEBUG="true") as (port, _pid):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def stage(transactional_db: Any, fleet: Any, docker_host: Host, browser: Browser, web: str) -> Iterator[Stage]:
    """A violation of the content policy, or an error in a script, fails the test."""
    device = add_device(fleet.entry(docker_host.number))
    Device.objects.filter(pk=device.pk).update(state="online", cpus=2, memory_bytes=8 * GIB)
    device.refresh_from_db()
    container = add_container(device, docker_host.run("busy", "demo/spam:1.0.0", command=BUSY), "busy")
    fill(container)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(15_000)
    faults: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if "Content Security" in line.text else None)
    name, _, value = session_cookie(add_user("reader")).partition("=")
    context.add_cookies([{"name": name, "value": value, "url": web}])
    yield Stage(docker_host, device, container, context, page, web)
    context.close()
    assert faults == []


def test_charts_are_drawn_with_their_values_and_what_happened(stage: Stage) -> None:
    EventFactory(
        container=stage.container, device=stage.device, action="oom", time=now(), time_ns=int(now().timestamp() * 1e9)
    )

    page = stage.show("?span=6h")

    for key in CONTAINER_CHARTS:
        assert stage.pixels(key)["count"] > 1000
    expect(page.locator('[data-chart="memory"] [data-chart-values]')).to_contain_text("MiB")
    expect(page.locator('[data-chart-row="cpu_percent"] [data-figure="high"]')).to_have_text("49.0%")
    expect(page.locator("[data-chart-marks]")).to_contain_text("Out of memory")
    expect(page.locator("[data-chart-state]")).to_have_text("a point every minute")


def test_live_figures_arrive_and_the_socket_ends_with_another_span(stage: Stage) -> None:
    page = stage.show()

    expect(page.locator("[data-chart-state]")).to_have_text("live")
    expect(page.locator("[data-charts]")).to_have_attribute("data-live-samples", re.compile(r"^([4-9]|\d\d+)$"))
    before = page.locator("[data-charts]").get_attribute("data-drawn")
    expect(page.locator("[data-charts]")).not_to_have_attribute("data-drawn", before or "")

    page.get_by_role("link", name="24 h").click()

    expect(page.locator("[data-chart-state]")).to_have_text("a point every minute")
    expect(page).to_have_url(re.compile(r"\?span=24h$"))
    page.go_back()
    expect(page.locator("[data-chart-state]")).to_have_text("live")


def test_dragging_zooms_all_charts_and_reset_goes_back(stage: Stage) -> None:
    page = stage.show("?span=6h")
    whole = stage.pixels("memory")
    box = page.locator('[data-chart="cpu"] .u-over').bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2

    page.mouse.move(box["x"] + box["width"] * 0.3, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, middle, steps=6)
    page.mouse.up()

    expect(page).to_have_url(re.compile(r"span=6h&from=\d+&to=\d+"))
    start, end = map(int, re.findall(r"=(\d{10})", page.url))
    assert end - start == pytest.approx(0.2 * 6 * 3600, rel=0.05)
    expect(page.locator("[data-chart-reset]")).to_be_visible()
    expect(page.locator("[data-charts][data-loading]")).to_have_count(0)
    assert stage.pixels("memory") != whole

    page.reload()
    expect(page.locator("[data-chart-reset]")).to_be_visible()
    page.locator("[data-chart-reset]").click()

    expect(page).to_have_url(re.compile(r"\?span=6h$"))
    expect(page.locator("[data-chart-reset]")).to_be_hidden()


def test_cursor_and_zoom_work_by_keyboard(stage: Stage) -> None:
    page = stage.show("?span=6h")
    plot = page.locator('[data-chart="cpu"] [data-chart-plot]')
    plot.focus()

    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")

    expect(page.locator("#announcements")).to_contain_text(re.compile(r"CPU \d+\.\d%"))
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile(r"from=\d+"))
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile(r"\?span=6h$"))


def test_charts_take_the_colours_of_another_theme_at_once(stage: Stage) -> None:
    page = stage.show("?span=6h")
    light = stage.pixels("cpu")

    page.evaluate(
        "document.documentElement.dataset.bsTheme = 'dark'; document.dispatchEvent(new CustomEvent('ssm:theme'))"
    )

    dark = stage.pixels("cpu")
    assert dark["count"] == pytest.approx(light["count"], rel=0.2)
    assert abs(dark["sum"] - light["sum"]) > 0.05 * light["sum"]


def test_label_of_a_mark_appears_under_the_cursor(stage: Stage) -> None:
    moment = now() - timedelta(hours=3)
    EventFactory(
        container=stage.container, device=stage.device, action="die", attributes={"exitCode": "3"}, time=moment,
        time_ns=int(moment.timestamp() * 1e9),
    )  # fmt: skip
    page = stage.show("?span=6h")
    box = page.locator('[data-chart="cpu"] .u-over').bounding_box()
    assert box is not None

    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)

    expect(page.locator('[data-chart="cpu"] .chart__tip')).to_contain_text("Failed (exit code 3)")
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 40)
    expect(page.locator('[data-chart="cpu"] .chart__tip')).to_be_hidden()


def test_charts_fit_a_phone(stage: Stage) -> None:
    stage.page.set_viewport_size({"width": 390, "height": 844})

    page = stage.show("?span=6h")

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for key in CONTAINER_CHARTS:
        assert stage.pixels(key)["count"] > 500


def test_page_without_scripts_has_the_figures_in_a_table(stage: Stage, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False, base_url=stage.base)
    context.add_cookies(stage.context.cookies())
    page = context.new_page()

    page.goto(f"/containers/{stage.container.pk}/statistics/?span=6h")

    expect(page.locator('[data-chart-row="memory_bytes"]')).to_contain_text("MiB")
    expect(page.locator("[data-chart-state]")).to_be_hidden()
    page.get_by_role("link", name="24 h").click()
    expect(page).to_have_url(re.compile(r"\?span=24h$"))
    context.close()


def test_device_page_draws_its_host(stage: Stage) -> None:
    page = stage.page

    page.goto(f"{stage.base}/devices/{stage.device.pk}/statistics/?span=6h")

    expect(page.locator("[data-charts]")).to_have_attribute("data-drawn", re.compile(r"\d\d+"))
    for key in ("host-cpu", "host-memory", "containers-network", "containers-block", "load", "disk"):
        assert stage.pixels(key)["count"] > 500
    expect(page.locator('[data-chart="disk"] [data-chart-values]')).to_contain_text("of 100 GiB")


def test_tables_take_a_reading_without_reload(stage: Stage) -> None:
    page = stage.page
    for address, text in (("containers/", "77.7%"), ("containers/top/", "88.8%")):
        page.goto(f"{stage.base}/{address}")
        expect(page.locator("[data-live-indicator]")).to_have_attribute("data-state", "live")
        page.evaluate("window.sameDocument = true")
        cell = page.locator(f"#container-{stage.container.pk}-cpu")
        expect(cell).to_contain_text("%")

        usage = Usage(float(text[:-1]), 9 * MIB, 64 * MIB, 1.0, 1.0, 1.0, 1.0, 4)
        store(stage.device, Sample(now(), HostFigures(), {stage.container.pk: usage}))
        publish("usage", stage.device.pk, [stage.device.pk])

        expect(cell).to_contain_text(text, timeout=20_000)
        expect(page.locator(f"#container-{stage.container.pk}-memory")).to_contain_text("9.0 MiB", timeout=20_000)
        assert page.evaluate("window.sameDocument") is True


def test_fifty_viewers_cost_the_host_one_stream(stage: Stage) -> None:
    """Fifty sockets of one browser: the Engine has not one connection more than with a single viewer."""
    page = stage.show()
    expect(page.locator("[data-chart-state]")).to_have_text("live")
    alone = connections(stage)
    count = """async (count) => {
      const url = location.href.replace(/^http/, "ws").replace(/containers/, "ws/containers").split("?")[0];
      window.counts = Array(count).fill(0);
      window.sockets = window.counts.map((_, place) => {
        const socket = new WebSocket(url);
        socket.onmessage = (event) => {
          socket.send('{"type":"ack"}');
          if (JSON.parse(event.data).type === "samples") window.counts[place] += 1;
        };
        return socket;
      });
    }"""
    page.evaluate(count, 50)

    for _ in range(300):
        if page.evaluate("window.counts.every((each) => each >= 3)"):
            break
        page.wait_for_timeout(100)
    else:
        pytest.fail(f"not all got figures: {page.evaluate('window.counts')}")

    assert connections(stage) <= alone


def connections(stage: Stage) -> int:
    """Connections to the Engine's socket on the host."""
    return int(stage.host.exec("grep -c docker.sock /proc/net/unix"))
