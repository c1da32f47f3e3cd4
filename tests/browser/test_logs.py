"""The log page in a real Chromium: follows, stays small, survives floods, hostile lines and a restarted server."""

import re
import time

import pytest
from playwright.sync_api import expect

from tests.browser.logpages import COUNTER, GATED, NUMBERS, SCROLLER, held, is_at_end, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.fleet, pytest.mark.django_db(transaction=True)]


def test_log_page_follows_marks_stderr_and_keeps_few_rows(stage):
    container = stage.container("counter", "sh", "-c", COUNTER, env={"PAUSE": "500"})

    page = stage.show(container)
    wait_for(page, held(3000), 60)

    # The Engine itself may write lines of the two streams in another order than they were printed.
    numbers = sorted(page.evaluate(NUMBERS))
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert is_at_end(page)
    assert page.locator(".log-row").count() < 150
    expect(page.locator(".log-line--warn").last.locator(".log-line__stream")).to_have_text("err")
    expect(page.locator("[data-log-state]")).to_have_text("live")
    assert re.fullmatch(r"[\d,]+ lines/s", page.locator("[data-log-rate]").inner_text())


def test_log_page_pauses_on_scrolling_up_and_counts_new_lines(stage):
    container = stage.container("counter", "sh", "-c", COUNTER)
    page = stage.show(container)
    wait_for(page, held(100))
    first = page.locator(SCROLLER)
    first.hover()

    page.mouse.wheel(0, -400)
    expect(page.locator("[data-log-state]")).to_have_text("paused")
    read = page.locator(".log-line__text").nth(10).inner_text()
    top = page.locator(".log-line__text", has_text=re.compile(f"^{read}$")).bounding_box()
    expect(page.locator("[data-log-unseen]")).to_have_text(re.compile(r"^\d\d+ new lines$"))

    assert page.locator(".log-line__text", has_text=re.compile(f"^{read}$")).bounding_box() == top
    page.keyboard.press("End")
    expect(page.locator("[data-log-jump]")).to_be_hidden()
    expect(page.locator("[data-log-state]")).to_have_text("live")
    page.keyboard.press("Space")
    expect(page.locator("[data-log-state]")).to_have_text("paused")


def test_log_page_filters_by_text_pattern_stream_and_level(stage):
    container = stage.container("lines", image="test/lines", env={"COUNT": "900", "STREAM": "both"})
    page = stage.show(container)
    wait_for(page, held(900))
    shown = page.locator("[data-log-shown]")

    page.keyboard.press("/")
    page.keyboard.type("LINE 77")
    expect(shown).to_have_text("11 shown")
    expect(page.locator("mark").first).to_have_text("line 77")

    page.locator("[data-log-search]").fill(r"line (\d)\d0$")
    page.locator("[data-log-pattern=include]").click()
    expect(shown).to_have_text("81 shown")
    page.locator("[data-log-search]").fill("(")
    expect(page.locator("[data-log-problem]")).to_be_visible()
    page.locator("[data-log-search]").fill("(a+)+b")
    expect(page.locator("[data-log-problem]")).to_contain_text("for ever")
    page.locator("[data-log-search]").press("Escape")
    page.get_by_role("button", name="stdout").click()
    expect(shown).to_have_text("450 shown")


def test_log_page_scrolls_back_through_history(stage):
    container = stage.container("history", image="test/lines", env={"COUNT": "6000", "HOLD": "1"})
    page = stage.show(container)
    wait_for(page, held(1000))

    while not page.locator("[data-log-start]").is_visible():
        before = len(page.evaluate(NUMBERS))
        page.keyboard.press("Home")
        wait_for(
            page,
            f"document.querySelector('[data-log]').logPage.store.lines > {before} || "
            "document.querySelector('[data-log]').logPage.store.isAtStart",
        )

    assert page.evaluate(NUMBERS) == list(range(1, 6001))
    page.keyboard.press("Home")
    expect(page.locator(".log-line__text").first).to_have_text("line 1")


def test_log_page_shows_hostile_lines_as_text(stage):
    container = stage.container("hostile", image="test/hostile", env={"HOLD": "1"})
    page = stage.show(container)
    wait_for(
        page, "[...document.querySelectorAll('.log-line__text')].some((each) => each.textContent === 'hostile done')"
    )
    title = page.title()

    text = page.locator("[data-log-window]").inner_text()

    assert '<script>document.title="pwned"</script>' in text
    assert page.locator("[data-log-window] :is(script, img, b, a)").count() == 0
    assert page.title() == title
    assert "\x1b" not in text
    assert "<U+202E>" in text
    assert page.locator(".ansi-fg-1").first.inner_text() == "red "
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_log_page_opens_json_below_its_line(stage):
    line = '{"level":"error","msg":"no space","disk":{"free":0,"names":["<b>","sda"]}}'
    container = stage.container("json", "sh", "-c", f"echo 'before'; echo '{line}'; echo after; sleep 600")
    page = stage.show(container)
    row = page.locator(".log-line", has_text="no space")

    row.locator(".log-line__text").click()

    expect(page.locator(".log-json")).to_contain_text('"free": 0')
    expect(page.locator(".log-detail")).to_contain_text("error")
    page.locator(".log-line.is-open .log-line__text").click()
    expect(page.locator(".log-detail")).to_have_count(0)


def test_log_page_below_a_flood_holds_a_bounded_number_of_lines(stage):
    count = 250_000
    container = stage.container("flood", "sh", "-c", GATED, str(count))
    page = stage.show(container)
    stage.host.exec(["docker", "exec", container.engine_id, "touch", "/go"])

    wait_for(page, f"document.querySelector('[data-log]').logPage.sources.at(0).next >= {count}", 90)

    numbers = page.evaluate(NUMBERS)
    skipped = page.evaluate("document.querySelector('[data-log]').logPage.store.skipped")
    assert numbers[-1] == count
    assert 99_000 <= len(numbers) <= 100_000
    assert len(set(numbers)) == len(numbers)
    assert skipped or numbers == list(range(count - len(numbers) + 1, count + 1))
    assert page.locator(".log-row").count() < 150
    began = time.monotonic()
    page.locator("[data-log-search]").fill("line 24999")
    expect(page.locator("[data-log-shown]")).to_have_text("10 shown")
    assert time.monotonic() - began < 5


def test_log_page_over_a_server_restart_loses_and_doubles_nothing(stage):
    container = stage.container("counter", "sh", "-c", COUNTER)
    page = stage.show(container)
    wait_for(page, held(200))

    stage.restart()
    before = len(page.evaluate(NUMBERS))
    wait_for(page, held(before + 200), 40)

    numbers = sorted(page.evaluate(NUMBERS))
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_log_page_on_a_phone_wraps_and_fits(stage):
    container = stage.container(
        "wide", "sh", "-c", "for i in 1 2 3; do head -c 900 /dev/zero | tr '\\0' x; echo; done; sleep 600"
    )
    page = stage.page
    page.set_viewport_size({"width": 390, "height": 844})

    stage.show(container)
    wait_for(page, held(3))

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(page.locator("[data-log-wrap]")).to_have_attribute("aria-checked", "true")
    box = page.locator(".log-line").first.bounding_box()
    assert box is not None
    assert box["height"] > 100
    assert box["width"] <= 390
    status = page.locator("[data-log-status]").bounding_box()
    assert status is not None
    assert abs(status["y"] + status["height"] - 844) < 2
