"""What log pages make of lines in a real Chromium: several logs as one, columns, groups, the past, links, search."""

import re
import time

import pytest
from playwright.sync_api import Page, expect

from containers.models import Event
from devices.models import now
from tests.browser.logpages import COUNTER, GATED, NUMBERS, Stage, held, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.fleet, pytest.mark.django_db(transaction=True)]

ORDERS = (
    "i=0; while [ $i -lt 40 ]; do i=$((i+1)); "
    r"""printf '{"level":"info","msg":"order %d","path":"/orders/%d","user":{"id":%d}}\n' $i $i $i; done; """
    "echo 'level=warn msg=\"queue is long\" depth=90 path=/queue'; sleep 600"
)
TRACE = (
    "echo 'started'; printf 'ERROR task failed\\nTraceback (most recent call last):\\n"
    '  File "/app/worker.py", line 41, in run\\n    deliver(message)\\nConnectionError: refused\\n\'; '
    "echo 'noise one'; echo 'noise two'; sleep 600"
)
# Lines that are followed by an earlier one of the other container; within one the Engine mixes its two streams.
MISPLACED = """() => {
  const lines = [...document.querySelector("[data-log]").logPage.store.all].filter((line) => line.isLine);
  return lines.filter((line, at) => at && line.source !== lines[at - 1].source && line.time < lines[at - 1].time - 2)
    .length;
}"""


def pages_of(stage: Stage, query: str, path: str = "/logs/") -> Page:
    """Open a page over several logs."""
    stage.page.goto(f"{stage.base}{path}?{query}")
    return stage.page


def test_merged_page_shows_two_logs_by_time_with_names_and_hides_one(stage: Stage) -> None:
    first = stage.container("alpha", "sh", "-c", COUNTER, env={"PAUSE": "30000"})
    second = stage.container("beta", "sh", "-c", COUNTER, env={"PAUSE": "40000"})

    page = pages_of(stage, f"container={first.pk}&container={second.pk}")
    wait_for(page, held(60))

    assert page.evaluate(MISPLACED) == 0
    badges = set(page.locator(".log-line .log-badge").all_inner_texts())
    assert badges == {"alpha", "beta"}
    expect(page.locator(".log-source__state")).to_have_text(["following", "following"])
    page.get_by_role("button", name="alpha", exact=False).first.click()
    expect(page.locator(".log-line .log-badge", has_text="alpha")).to_have_count(0)
    expect(page.locator(".log-line .log-badge", has_text="beta").first).to_be_visible()


def test_merged_page_scrolls_back_to_the_beginning(stage: Stage) -> None:
    first = stage.container("alpha", image="test/lines", env={"COUNT": "900", "HOLD": "1"})
    second = stage.container("beta", image="test/lines", env={"COUNT": "700", "HOLD": "1"})
    page = pages_of(stage, f"container={first.pk}&container={second.pk}")
    wait_for(page, held(600))

    for _ in range(6):
        page.keyboard.press("Home")
        wait_for(page, "!document.querySelector('[data-log]').logPage.isLoading")
        if page.locator("[data-log-start]").is_visible():
            break

    expect(page.locator("[data-log-start]")).to_be_visible()
    assert sorted(page.evaluate(NUMBERS)) == sorted([*range(1, 901), *range(1, 701)])


def test_density_and_links_lead_to_lines_of_the_past(stage: Stage) -> None:
    container = stage.container("history", image="test/lines", env={"COUNT": "6000", "HOLD": "1"})
    page = stage.show(container)
    wait_for(page, held(1000))
    bars = page.locator(".log-density__bars")
    # First it looks how far back the lines reach, then it fits its span to them.
    expect(page.locator(".log-density__span")).to_have_value("15m", timeout=20_000)
    expect(page.locator("[data-log-density][data-state]")).to_have_count(0)
    where = page.evaluate(
        """() => { const { rows } = document.querySelector("[data-log]").logPage.density.data;
        return (rows.findIndex((row) => row.some(Boolean)) + 0.5) / rows.length; }"""
    )
    box = bars.bounding_box()
    assert box is not None

    page.mouse.click(box["x"] + box["width"] * where, box["y"] + 10)

    expect(page.locator("[data-log-state]")).to_have_text("looking back")
    wait_for(page, f"{NUMBERS.replace('() => ', '(')}).includes(1)")
    row = page.locator(".log-line", has_text=re.compile("line 7$"))
    row.hover()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    row.get_by_role("button", name="Copy a link to this line").click()
    link = page.evaluate("navigator.clipboard.readText()")
    page.goto(link)
    expect(page.locator(".log-line.is-marked .log-line__text")).to_have_text("line 7")
    page.keyboard.press("End")
    expect(page.locator("[data-log-state]")).to_have_text("live")
    assert "at=" not in page.url


def test_fields_become_columns_and_stay_so(stage: Stage) -> None:
    page = stage.show(stage.container("orders", "sh", "-c", ORDERS))
    wait_for(page, held(41))
    expect(page.locator(".log-pair__message").last).to_have_text("queue is long")

    page.locator("#log-fields-menu summary").click()
    for name in ("user.id", "path"):
        page.get_by_role("checkbox", name=re.compile(f"^{re.escape(name)}")).check()
    page.keyboard.press("Escape")

    expect(page.locator(".log-columns__head")).to_have_text(["user.id", "path"])
    row = page.locator(".log-line", has_text="/orders/40")
    expect(row.locator(".log-cell")).to_have_text(["40", "/orders/40"])
    assert "columns=user.id%2Cpath" in page.url
    page.goto(page.url.split("?")[0])
    expect(page.locator(".log-columns__head")).to_have_text(["user.id", "path"])


def test_stack_traces_fold_and_lines_are_left_out(stage: Stage) -> None:
    page = stage.show(stage.container("worker", "sh", "-c", TRACE))
    wait_for(page, held(8))

    button = page.locator(".log-group")
    expect(button).to_contain_text("4 more lines")
    expect(button).to_contain_text("ConnectionError: refused")
    button.click()
    expect(page.locator(".log-group__line")).to_have_count(4)
    expect(page.locator("[data-log-count=error]")).not_to_be_empty()
    page.locator("[data-log-exclude]").fill("noise")
    expect(page.locator("[data-log-shown]")).to_have_text("6 shown")
    page.locator("[data-log-search]").fill("refused")
    expect(page.locator("[data-log-shown]")).to_have_text("5 shown")
    expect(page.locator(".log-line__text")).to_have_text("ERROR task failed")
    page.locator("[data-log-pattern=include]").click()
    page.locator("[data-log-search]").fill("(?=x)")
    expect(page.locator("[data-log-problem]")).to_contain_text("not possible here")


def test_events_are_drawn_between_the_lines(stage: Stage) -> None:
    container = stage.container("counter", "sh", "-c", COUNTER, env={"PAUSE": "50000"})
    page = stage.show(container)
    wait_for(page, held(20))
    Event.objects.create(
        device=stage.device,
        container=container,
        kind="container",
        action="health_status: unhealthy",
        time=now(),
        time_ns=time.time_ns(),
    )
    page.reload()
    expect(page.locator(".log-marker--unhealthy")).to_contain_text("unhealthy")

    stage.host.exec(["docker", "restart", "-t", "0", container.engine_id])

    expect(page.locator(".log-marker--started")).to_be_visible()


def test_search_counts_hits_per_container_and_opens_the_log_around_one(stage: Stage) -> None:
    first = stage.container("alpha", image="test/lines", env={"COUNT": "900", "HOLD": "1"})
    second = stage.container("beta", image="test/lines", env={"COUNT": "50", "HOLD": "1"})

    page = pages_of(stage, f"container={first.pk}&container={second.pk}&q=line%2077", "/logs/find/")

    expect(page.locator("[data-find-text]")).to_have_text("11 hits in 1 container.", timeout=20_000)
    expect(page.locator(".log-source__count")).to_have_text(["11", "0"])
    page.locator(".log-hit", has_text=re.compile("line 777$")).click()
    expect(page.locator("[data-log-state]")).to_have_text("looking back")
    expect(page.locator(".log-line.is-marked .log-line__text")).to_have_text("line 777")
    pages_of(stage, f"container={first.pk}&q=%28&pattern=1", "/logs/find/")
    expect(page.locator("[data-find-problem]")).to_contain_text("not a regular expression")


def test_slow_viewer_leaves_a_fast_one_alone(stage: Stage) -> None:
    count = 60_000
    container = stage.container("flood", "sh", "-c", GATED, str(count))
    page = stage.show(container)
    slow = page.context.new_page()
    session = page.context.new_cdp_session(slow)
    slow.goto(page.url)
    expect(slow.locator("[data-log-state]")).not_to_have_text("connecting")
    session.send("Emulation.setCPUThrottlingRate", {"rate": 20})
    session.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 300, "downloadThroughput": 20_000, "uploadThroughput": 20_000},
    )

    stage.host.exec(["docker", "exec", container.engine_id, "touch", "/go"])

    wait_for(page, f"document.querySelector('[data-log]').logPage.sources.at(0).next >= {count}", 60)
    numbers = page.evaluate(NUMBERS)
    skipped = page.evaluate("document.querySelector('[data-log]').logPage.store.skipped")
    assert numbers[-1] == count
    assert len(numbers) + skipped == count
    session.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    slow.close()
