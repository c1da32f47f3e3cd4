"""A whole SSM, started as its users start it, real Docker hosts, and a real Chromium."""

import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from ssm.services.layout import temporary_layout
from ssm.services.ports import free_port
from tests.browser.logpages import database_beside_playwright, log_server, stage  # noqa: F401 -- fixtures of the tests of logs

PROJECT = Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
# As root Chromium needs no-sandbox; with the rest it calls nobody.
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
]
READY = "SSM is ready: "


@dataclass(frozen=True, slots=True)
class Installation:
    """A running SSM and its first administrator."""

    url: str
    username: str
    password: str


@pytest.fixture(scope="session")
def installation() -> Iterator[Installation]:
    """SSM by its own `up` command, with a database and a Redis of its own, empty."""
    (PROJECT / "test-results").mkdir(exist_ok=True)
    with temporary_layout() as layout:
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment |= {"SSM_DATA_DIR": str(layout.data), "SSM_HTTP_PORT": str(free_port())}
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up"],
            cwd=PROJECT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        # Read to the end: a pipe that nobody empties would stop the supervisor once it is full.
        reader = threading.Thread(target=_read, args=(process, said), daemon=True)
        reader.start()
        try:
            yield _wait_for_login(said)
        finally:
            process.terminate()
            process.wait(timeout=30)
            reader.join()


def _read(process: "subprocess.Popen[str]", said: "queue.SimpleQueue[str | None]") -> None:
    with (PROJECT / "test-results" / "up.log").open("w") as log:
        for line in process.stdout or ():
            log.write(line)
            log.flush()
            said.put(line)
    said.put(None)


def _wait_for_login(said: "queue.SimpleQueue[str | None]") -> Installation:
    url, lines = "", []
    while (line := said.get(timeout=120)) is not None:
        lines.append(line)
        if READY in line:
            url = line.partition(READY)[2].strip().rstrip("/")
        if url and (match := re.search(r"password\s+(\S+)", line)):
            return Installation(url, "admin", match[1])
    pytest.fail("SSM did not start:\n" + "".join(lines[-30:]), pytrace=False)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def context(browser: Browser, installation: Installation) -> Iterator[BrowserContext]:
    """A fresh browser profile at desktop size; a violation of the content policy fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=installation.url)
    context.set_default_timeout(15_000)
    violations: list[str] = []
    context.on(
        "console", lambda message: violations.append(message.text) if "Content Security" in message.text else None
    )
    yield context
    context.close()
    assert violations == []


@pytest.fixture
def page(context: BrowserContext, installation: Installation) -> Page:
    """A page on which the administrator is logged in."""
    page = context.new_page()
    log_in(page, installation.username, installation.password)
    return page


def log_in(page: Page, username: str, password: str) -> None:
    """Through the form, as a person does."""
    page.goto("/login/")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/")
