"""Every page with an attack in every text, in a real Chromium: nothing is run, loaded or turned around, nothing breaks.

The browser tells what the content policy stopped to `/csp-report`, whose log stays empty: texts are escaped, so that
the policy has nothing to stop.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from django.urls import reverse
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Response, expect

from containers.models import Container
from containers.push import publish
from devices.models import now
from tests.browser.hostile_rows import MARK, hostile, plant
from tests.containers.logstage import database_url, session_cookie, web_process
from tests.ssm.test_routes import ROUTES

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(900, func_only=True),
]

WIDE: Final = {"width": 1280, "height": 800}
PHONE: Final = {"width": 390, "height": 844}
# Answers that are no pages; tests of their own hold their headers.
NO_PAGES: Final = frozenset(
    {
        # The API's own description: it shows nothing of hosts.
        "api-docs",
        "audit-export",
        "backups:download",
        "containers:choices",
        "containers:log_download",
        "containers:statistics_data",
        "device-statistics-data",
        "devices:export",
        "events-export",
        "healthz",
        "images:suggestions",
        "login",
        "login-code",
        "logs:around",
        "logs:clocks",
        "logs:download",
        "logs:events",
        "logs:histogram",
        "logs:search",
        "metrics",
        "metrics-containers",
        "readyz",
        "registries:export",
        "search",
    }
)
# Markup where there should be words, and addresses that run scripts.
FOUND = f"""() => {{
  const found = [...document.querySelectorAll("[{MARK}], base, meta[http-equiv], iframe, object, embed")];
  for (const element of document.querySelectorAll("*"))
    for (const {{ name, value }} of element.attributes)
      if (name.startsWith("on") || (/^(href|src|action|formaction|xlink:href|hx-|data-href)/.test(name)
          && /^\\s*(javascript|data|vbscript):/i.test(value))) found.push(element);
  return found.map((element) => element.outerHTML.slice(0, 200));
}}"""
# What is wider than the window without a box of its own that scrolls.
OVERFLOW = """() => {
  const root = document.documentElement;
  if (root.scrollWidth <= root.clientWidth) return [];
  const wide = [...document.querySelectorAll("body *")].filter((element) => {
    if (element.getBoundingClientRect().right <= root.clientWidth + 1) return false;
    for (let box = element; box !== document.body; box = box.parentElement)
      if (getComputedStyle(box).overflowX !== "visible") return false;
    return true;
  });
  return [`${root.scrollWidth} > ${root.clientWidth}`,
    ...wide.slice(-4).map((element) => `${element.tagName}.${element.className}`)];
}"""


@dataclass(slots=True)
class Reader:
    """A browser's page and what went wrong in it."""

    page: Page
    base: str
    log: Path
    faults: list[str] = field(default_factory=list)
    ids: dict[str, Any] = field(default_factory=dict)

    def watch(self) -> None:
        """Note dialogs, errors of scripts, and what would be loaded from elsewhere."""
        page = self.page
        page.on("dialog", lambda dialog: self._dialog(dialog))
        page.on("pageerror", lambda error: self.faults.append(f"{page.url}: {error}"))
        page.on("console", lambda message: self._said(message))
        page.on("request", lambda asked: self._asked(asked.url))

    def _dialog(self, dialog: Dialog) -> None:
        self.faults.append(f"{self.page.url}: dialog {dialog.message}")
        dialog.dismiss()

    def _asked(self, url: str) -> None:
        if not url.startswith((self.base, self.base.replace("http", "ws"), "data:", "blob:")):
            self.faults.append(f"{self.page.url}: asks {url}")

    def _said(self, message: ConsoleMessage) -> None:
        # A page that a host's refusal answers has the status of it, which Chromium notes.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(f"{self.page.url}: {message.text}")

    def visit(self, path: str) -> None:
        """Open a page and look for what an attack would leave."""
        answer = self.page.goto(self.base + path)
        assert isinstance(answer, Response)
        if answer.status >= 500 and answer.status not in (502, 503):
            self.faults.append(f"{path}: {answer.status}")
        self.look(path)

    def look(self, where: str) -> None:
        """Look at what is open now."""
        self.faults += [f"{where}: {found}" for found in self.page.evaluate(FOUND)]
        for size in (PHONE, WIDE):
            self.page.set_viewport_size(size)
            if wide := self.page.evaluate(OVERFLOW):
                self.faults.append(f"{where} at {size['width']}: {wide}")

    def reports(self) -> list[str]:
        """What the sink logged."""
        return [line for line in self.log.read_text().splitlines() if "content policy violated" in line]


@pytest.fixture(scope="module")
def server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A web process whose log is kept."""
    log = tmp_path_factory.mktemp("hostile") / "web.log"
    with web_process(database_url(), log=log, SSM_DEBUG="true") as (port, _pid):
        yield f"http://127.0.0.1:{port}", log


@contextmanager
def reading(browser: Browser, server: tuple[str, Path], cookie: str) -> Iterator[Reader]:
    """A logged-in browser."""
    base, log = server
    context = browser.new_context(viewport=WIDE)
    context.set_default_timeout(60_000)
    name, _, value = cookie.partition("=")
    context.add_cookies([{"name": name, "value": value, "url": base}])
    reader = Reader(context.new_page(), base, log)
    reader.watch()
    yield reader
    context.close()


def _addresses(ids: dict[str, Any]) -> Iterator[str]:
    """Each page of the table of routes, with what makes it show most."""
    container = Container.objects.get(pk=ids["container"])
    chosen = {"container": ids["container"], "device": ids["device"]}
    further = {
        "projects:detail": urlencode({"name": container.compose_project}),
        "updates:apply": urlencode(chosen),
        "logs:merged": urlencode(chosen),
        "logs:find": urlencode(chosen | {"q": hostile(90)}),
        "containers:new": urlencode(chosen | {"image": hostile(90)}),
        "registries:add": "provider=custom",
    }
    for route in ROUTES:
        if route.method == "GET" and route.name not in NO_PAGES:
            url = reverse(route.name, args=[ids[name] for name in route.takes.split()])
            yield f"{url}?{further[route.name]}" if route.name in further else url
    for name, queries in GROUPED.items():
        for query in queries:
            yield f"{reverse(name)}?{query}"
    # What people type, shown again: a search without a match, a filter, a page that is not there.
    for name in ("containers:list", "images:list", "volumes:list", "networks:list", "events", "activity", "audit"):
        yield f"{reverse(name)}?{urlencode({'q': hostile(90), 'device': uuid.uuid4(), 'label': hostile(60)})}"


GROUPED: Final = {
    "containers:list": ("group=device", "group=project", "group=image"),
    "images:list": ("group=device", "group=repository"),
    "activity": ("device=x",),
}


# Forms that show again what was typed, with what is wrong with it.
FORMS: Final = (
    "account:tokens",
    "backups:upload",
    "containers:new",
    "devices:add",
    "devices:host-key-rule-add",
    "devices:host-keys-import",
    "devices:import",
    "devices:login-add",
    "devices:tls-add",
    "devices:transfer",
    "images:pull",
    "networks:create",
    "registries:add",
    "registries:transfer",
    "roles:add",
    "users:add",
    "volumes:new",
)
FILL = """(texts) => {
  const forms = [...document.querySelectorAll("main form[method=post]")];
  const form = forms.reduce((one, other) => (other.elements.length > one.elements.length ? other : one));
  form.noValidate = true;
  let turn = 0;
  for (const field of form.querySelectorAll("input, textarea"))
    if (!["hidden", "checkbox", "radio", "file", "submit", "button"].includes(field.type) && !field.readOnly)
      field.value = texts[turn++ % texts.length];
  form.submit();
}"""


@pytest.fixture
def reader(
    database_beside_playwright: None, transactional_db: None, server: tuple[str, Path], browser: Browser
) -> Iterator[Reader]:
    """Who may see everything there is, all of it hostile; nothing may have gone wrong at the end."""
    ids, user = plant()
    with reading(browser, server, session_cookie(user)) as reader:
        reader.ids = ids
        yield reader
    assert reader.faults == []
    assert reader.reports() == []


def test_no_page_runs_loads_or_is_torn_by_what_strangers_wrote(reader: Reader) -> None:
    for path in _addresses(reader.ids):
        reader.visit(path)


def test_what_is_typed_pushed_and_searched_for_stays_text(reader: Reader) -> None:
    page = reader.page
    for name in FORMS:
        page.goto(f"{reader.base}{reverse(name)}?provider=custom")
        with page.expect_navigation():
            page.evaluate(FILL, [hostile(200) for _ in range(12)])
        reader.look(f"{name}, sent")

    page.goto(f"{reader.base}/containers/")
    expect(page.locator("[data-live-indicator]")).to_have_attribute("data-state", "live")
    container = Container.objects.get(pk=reader.ids["container"])
    Container.objects.filter(pk=container.pk).update(display_name=f"pushed {hostile(200)}", changed_at=now())
    publish("container", container.device_id, [container.pk])
    expect(page.locator(f"#container-{container.pk}-row")).to_contain_text("pushed")
    reader.look("a pushed row")

    page.keyboard.press("Control+k")
    page.locator("[data-palette] input").press_sequentially("push")
    expect(page.locator("#palette-list")).to_contain_text("pushed")
    reader.look("the palette")


def test_sink_hears_of_what_the_policy_stops(reader: Reader) -> None:
    reader.page.goto(f"{reader.base}/account/")
    with reader.page.expect_request("**/csp-report"):
        reader.page.evaluate(
            """() => {
              const script = document.createElement("script");
              script.textContent = "window.ran = 1";
              document.body.append(script);
            }"""
        )

    assert reader.page.evaluate("window.ran") is None
    assert "script-src" in eventually_said(reader)
    reader.faults.clear()
    reader.log.write_bytes(b"")


def eventually_said(reader: Reader) -> str:
    """The sink's first line, which comes after the browser was answered."""
    end = time.monotonic() + 20
    while not reader.reports():
        assert time.monotonic() < end, reader.log.read_text()[-2000:]
        reader.page.wait_for_timeout(50)
    return reader.reports()[0]
