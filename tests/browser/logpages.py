"""What tests of log pages share: a host with its row, a web process, and a logged-in browser."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from containers.models import Container
from devices.models import Device
from tests.containers.logstage import (
    add_container,
    add_device,
    add_user,
    database_url,
    free_port,
    session_cookie,
    web_process,
)
from tests.fleet import Fleet, Host

COUNTER = (
    'i=0; while :; do i=$((i+1)); if [ $((i%10)) = 0 ]; then echo "WARN line $i" >&2; else echo "line $i"; fi; '
    "usleep ${PAUSE:-10000}; done"
)
GATED = (
    'until [ -e /go ]; do usleep 20000; done; exec awk -v n=$0 "BEGIN { for (i = 1; i <= n; i++) print \\"line \\" i }"'
)
NUMBERS = """() => [...document.querySelector("[data-log]").logPage.store.all]
  .filter((line) => !line.kind).map((line) => Number(/line (\\d+)/.exec(line.text)?.[1] ?? 0))"""
SCROLLER = "[data-log-view]"


@dataclass(frozen=True, slots=True)
class Stage:
    """A host with its row, a web process, and a logged-in browser."""

    host: Host
    device: Device
    page: Page
    base: str
    restart: Callable[[], None]

    def container(self, name: str, *command: str, image: str = "demo/spam:1.0.0", **settings) -> Container:
        """Start a container and add its row."""
        engine_id = self.host.run(name, image, command=list(command) or None, **settings)
        return add_container(self.device, engine_id, name)

    def show(self, container: Container) -> Page:
        """Open its log page and wait until it is live."""
        self.page.goto(f"{self.base}/containers/{container.pk}/logs/")
        expect(self.page.locator("[data-log-state]")).not_to_have_text("connecting", timeout=20_000)
        return self.page


@pytest.fixture(scope="module")
def database_beside_playwright() -> Iterator[None]:
    """Playwright's event loop runs in this thread, and Django would refuse the database there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield


class LogServer:
    """The web process of a module's tests; it is started anew when it is told to, on the same port."""

    def __init__(self) -> None:
        self._port = free_port()
        self.base = f"http://127.0.0.1:{self._port}"
        self._running = contextlib.ExitStack()

    def start(self) -> None:
        """End the process if there is one, and start it."""
        self.stop()
        self._running.enter_context(web_process(database_url(), self._port, SSM_DEBUG="true"))

    def stop(self) -> None:
        """End the process."""
        self._running.close()


@pytest.fixture(scope="module")
def log_server(django_db_setup: None) -> Iterator[LogServer]:
    """A real web process with the tests' database."""
    server = LogServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def stage(
    database_beside_playwright: None,
    transactional_db: None,
    log_server: LogServer,
    fleet: Fleet,
    docker_host: Host,
    browser: Browser,
) -> Iterator[Stage]:
    """Everything that a log page needs. A violation of the content policy, or an error in a script, fails the test."""
    name, _, value = session_cookie(add_user("reader")).partition("=")
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(15_000)
    context.add_cookies([{"name": name, "value": value, "url": log_server.base}])
    faults: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if "Content Security" in line.text else None)
    page.on("requestfailed", lambda asked: faults.append(asked.url) if asked.resource_type == "script" else None)
    device = add_device(fleet.entry(docker_host.number))
    yield Stage(docker_host, device, page, log_server.base, log_server.start)
    context.close()
    assert faults == []


def wait_for(page: Page, expression: str, timeout_s: float = 20) -> None:
    # Not by Playwright's own waiting, which evaluates a string in the page: the policy forbids that.
    end = time.monotonic() + timeout_s
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"{expression}: {page.locator('[data-log-status]').inner_text()}"
        page.wait_for_timeout(50)


def held(count: int) -> str:
    return f"document.querySelector('[data-log]').logPage.store.lines >= {count}"


def is_at_end(page: Page) -> bool:
    gap: float = page.eval_on_selector(SCROLLER, "(view) => view.scrollHeight - view.clientHeight - view.scrollTop")
    return gap < 6
