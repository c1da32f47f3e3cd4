"""Pictures of every page for docs/screenshots, of a running SSM: desktop, dark and light, and phone.

    SSM_PASSWORD=… .venv/bin/python scripts/screenshots.py http://127.0.0.1:8000 admin

Meant for `make demo`: it looks for the demo's containers. Stops with an error when a page breaks the content policy.
"""

import os
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

TARGET = Path(__file__).resolve().parents[1] / "docs" / "screenshots"
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
SIZES = {"desktop": (1440, 900), "phone": (390, 844)}
THEMES = ("dark", "light")
PAGES = {
    "home": "/",
    "devices": "/devices/",
    "device-add": "/devices/add/",
    "device-import": "/devices/import/",
    "logins": "/devices/logins/",
    "host-keys": "/devices/host-keys/",
    "containers": "/containers/",
    "container-new": "/containers/new/",
    "top": "/containers/top/",
    "projects": "/projects/",
    "images": "/images/",
    "image-prune": "/images/prune/",
    "volumes": "/volumes/",
    "backups": "/backups/",
    "networks": "/networks/",
    "network-map": "/networks/map/",
    "network-ports": "/networks/ports/",
    "network-new": "/networks/new/",
    "logs": "/logs/?project=shop",
    "log-search": "/logs/find/?project=shop&q=error&since=1h",
    "updates": "/updates/?state=all",
    "registries": "/registries/",
    "events": "/events/",
    "activity": "/activity/",
    "audit": "/activity/audit/",
    "users": "/users/",
    "roles": "/roles/",
    "account": "/account/",
    "status": "/status/",
    "admin": "/admin/",
}
# The first row's page of a list.
FIRST = {
    "device": ("/devices/", ""),
    "device-access": ("/devices/", "access/"),
    "project": ("/projects/", ""),
    "image": ("/images/?q=nginx", ""),
    "volume": ("/volumes/", ""),
    "network": ("/networks/?q=shop", ""),
}
CONTAINER_TABS = {
    "container": "",
    "container-logs": "logs/",
    "container-statistics": "statistics/",
    "container-processes": "processes/",
    "container-inspect": "inspect/",
    "container-updates": "updates/",
    "container-events": "events/",
    "container-operations": "operations/",
    "container-settings": "settings/",
}
SETTLE_MS = 1500


def main() -> None:
    """Take all pictures."""
    if len(sys.argv) != 3 or "SSM_PASSWORD" not in os.environ:
        sys.exit(__doc__)
    url, user = sys.argv[1].rstrip("/"), sys.argv[2]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for theme in THEMES:
            _take(browser, url, user, theme, "desktop")
        _take(browser, url, user, "dark", "phone")
        browser.close()


def _take(browser: Browser, url: str, user: str, theme: str, size: str) -> None:
    width, height = SIZES[size]
    context = browser.new_context(
        base_url=url,
        color_scheme="dark" if theme == "dark" else "light",
        viewport={"width": width, "height": height},
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto("/login/")
    _shoot(page, "login", size, theme)
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(os.environ["SSM_PASSWORD"])
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/")
    for name, path in PAGES.items():
        page.goto(path)
        _shoot(page, name, size, theme)
    for name, (path, below) in FIRST.items():
        page.goto(path)
        page.goto(_first_link(page) + below)
        _shoot(page, name, size, theme)
    page.goto(f"/containers/?q={os.environ.get('SSM_SHOWN_CONTAINER', 'web')}")
    container = _first_link(page)
    for name, tab in CONTAINER_TABS.items():
        page.goto(container + tab)
        _shoot(page, name, size, theme)
    context.close()
    if complaints:
        sys.exit(f"{theme}, {size}: {complaints}")


def _first_link(page: Page) -> str:
    return page.locator("tbody tr[data-href]").first.get_attribute("data-href") or ""


def _shoot(page: Page, name: str, size: str, theme: str) -> None:
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=TARGET / f"{name}-{size}-{theme}.png")


if __name__ == "__main__":
    main()
