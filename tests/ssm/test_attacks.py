"""What strangers and other sites may try by HTTP: every route is in the table of `test_routes`, and is tried here.

What is tried on the wire itself (sizes, speed, WebSockets' origins) is in tests/serve.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.http.response import HttpResponseBase
from django.test import Client
from django.urls import reverse

from tests.accounts.people import make_user
from tests.ssm.test_routes import ROUTES, Route, _nested, make_objects

pytestmark = pytest.mark.django_db
PROJECT = Path(__file__).resolve().parents[2]
EVIL = "evil.example"
# They take no part in sessions: the browser's own reports.
WITHOUT_TOKEN = {"csp-report"}
HOSTILE_TARGETS = (
    f"https://{EVIL}/",
    f"//{EVIL}/",
    f"///{EVIL}/",
    f"/\\{EVIL}/",
    f"\\\\{EVIL}",
    f"http:{EVIL}",
    f"https:///{EVIL}",
    f"http://testserver@{EVIL}/",
    f"http://testserver.{EVIL}/",
    f"//{EVIL}\\@testserver/",
    f"\t//{EVIL}/",
    f"/%09/{EVIL}\r\nX-Injected: 1",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "\x00//evil.example",
)
# What each parameter that any page reads is given: lines of headers, NUL, which PostgreSQL has none of, odd numbers.
HOSTILE_VALUES = ("\x00\r\nX-Injected: 1", "9" * 400, "-1\u202e\ud7ff<script>[../../etc/passwd%")
PARAMETERS = tuple(
    """
    q page sort order device group label state use kind project container image name network volume registry repository
    next back since until at before after span step buckets pattern exclude stream limit source series made_at user
    action by tag status format act old new from to
    """.split()  # noqa: SIM905 - a list of one name a line would be fifty lines
)


@pytest.fixture
def administrator() -> User:
    """Somebody who may everything, by rights alone."""
    return User.objects.create_superuser("root-of-attacks")


def browser(user: User | None, **settings: bool) -> Client:
    """A browser in which that person is logged in; what the view raises is its answer."""
    client = Client(raise_request_exception=False, **settings)
    if user is not None:
        client.force_login(user)
    return client


@pytest.fixture
def tried(administrator: User) -> Iterator["Tried"]:
    """All routes with objects that they are about."""
    yield Tried(administrator)


class Tried:
    """Asks every route of a kind; what an answer changed is taken back."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.ids = make_objects()

    def url(self, route: Route) -> str:
        """The address of its object."""
        return reverse(route.name, args=[self.ids[name] for name in route.takes.split()])

    def answers(
        self, method: str, client: Client, query: str = "", data: dict[str, str] | None = None, **headers: str
    ) -> Iterator[tuple[Route, HttpResponseBase]]:
        """Each route of the method with its answer. The one that ends the session is left out."""
        for route in ROUTES:
            if route.method == method and route.name not in ("logout", "account:end-other-sessions"):
                with _nested():
                    url = self.url(route) + query
                    response = (
                        client.get(url, headers=headers)
                        if method == "GET"
                        else client.post(url, {**route.data, **(data or {})}, headers=headers)
                    )
                    transaction.set_rollback(True)
                yield route, response


def is_elsewhere(location: str) -> bool:
    """Whether a browser at this site would leave it for that address."""
    cleaned = re.sub(r"[\t\r\n]", "", location).strip().replace("\\", "/")
    if cleaned.startswith("//"):
        return not cleaned.startswith("//testserver/")
    parts = urlsplit(cleaned)
    return bool(parts.scheme or parts.netloc) and (parts.scheme, parts.netloc) != ("http", "testserver")


@pytest.mark.parametrize("target", HOSTILE_TARGETS)
def test_hostile_target_is_told_apart(target: str) -> None:
    assert is_elsewhere(target) or target.startswith(("/%09", "\x00")), "else the test itself would see nothing"


# Forms of other sites


def test_every_change_without_the_forms_token_is_refused(tried: Tried) -> None:
    client = browser(tried.user, enforce_csrf_checks=True)
    taken = [
        f"{route} {response.status_code}"
        for route, response in tried.answers("POST", client)
        if (response.status_code != 403) != (route.name in WITHOUT_TOKEN)
    ]
    assert taken == []
    assert client.post(reverse("logout")).status_code == 403


def test_change_with_the_token_of_another_browser_is_refused(administrator: User) -> None:
    client = browser(administrator, enforce_csrf_checks=True)
    client.cookies["csrftoken"] = "a" * 32
    data = {"name": "berlin", "csrfmiddlewaretoken": "b" * 32}

    assert client.post(reverse("devices:groups"), data).status_code == 403
    assert client.post(reverse("devices:groups"), {**data, "csrfmiddlewaretoken": "a" * 32}).status_code == 302


@pytest.mark.parametrize("origin", [f"https://{EVIL}", "null", f"http://testserver.{EVIL}"])
def test_form_of_another_origin_is_refused_even_with_the_token(administrator: User, origin: str) -> None:
    client = browser(administrator, enforce_csrf_checks=True)
    client.get(reverse("account:password"))
    token = client.cookies["csrftoken"].value
    url, data = reverse("devices:groups"), {"name": "berlin", "csrfmiddlewaretoken": token}

    assert client.post(url, data, headers={"Origin": origin}).status_code == 403
    assert client.post(url, data, headers={"Origin": "http://testserver"}).status_code == 302


@pytest.mark.parametrize("path", ["devices", "credentials", "users"])
def test_api_takes_no_change_by_a_sessions_cookie_alone(administrator: User, path: str) -> None:
    client = browser(administrator, enforce_csrf_checks=True)
    response = client.post(f"/api/v1/{path}", {}, content_type="application/json")

    assert response.status_code in (401, 403)


def test_reading_changes_nothing_that_a_link_could_cause(tried: Tried) -> None:
    """What changes something is no GET: links and images of other sites carry the session's cookie (SameSite=Lax)."""
    only_post = {route.name for route in ROUTES if route.method == "POST"} - {
        route.name for route in ROUTES if route.method == "GET"
    }
    client = browser(tried.user)
    answered = [
        f"{route} {status}"
        for route in ROUTES
        if route.name in only_post and (status := client.get(tried.url(route)).status_code) != 405
    ]
    assert answered == []


# Redirects


@pytest.mark.parametrize("target", HOSTILE_TARGETS)
def test_log_in_leads_nowhere_else(target: str, settings: Any) -> None:
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.MD5PasswordHasher"
    ]  # a slow one would be most of the time
    user = make_user("walker")
    user.set_password("a-long-password-9")
    user.save()
    for field in ("GET", "POST"):
        client = browser(None)
        query, data = ({"next": target}, {}) if field == "GET" else ({}, {"next": target})
        response = client.post(
            "/login/", {"username": "walker", "password": "a-long-password-9", **data}, query_params=query
        )
        assert response.status_code == 302
        assert not is_elsewhere(response["Location"])
        assert "X-Injected" not in response.headers


@pytest.mark.parametrize("target", [HOSTILE_TARGETS[1]])
def test_no_answer_to_a_form_leads_elsewhere(tried: Tried, target: str) -> None:
    client = browser(tried.user)
    data = dict.fromkeys(("next", "back", "return", "url", "redirect"), target)
    gone = [
        f"{route}: {response.headers.get('Location')} {response.headers.get('HX-Redirect')}"
        for route, response in tried.answers("POST", client, data=data, Referer=target, **{"HX-Current-URL": target})
        for name in ("Location", "HX-Redirect", "HX-Location")
        if is_elsewhere(response.headers.get(name, ""))
    ]
    assert gone == []


@pytest.mark.parametrize(
    "path", ["//evil.example/", "//evil.example/login", "/%5cevil.example/", "/admin//evil.example"]
)
def test_missing_slash_is_added_on_this_site_only(administrator: User, path: str) -> None:
    response = browser(administrator).get(path)

    assert not is_elsewhere(response.headers.get("Location", ""))


# Host and other headers


@pytest.mark.parametrize(
    "host",
    [
        EVIL,
        f"testserver.{EVIL}",
        f"testserver:80@{EVIL}",
        "",
        "testserver/x",
        "[::1",
        f"{EVIL}#testserver",
        "a b",
        "x" * 5000,
    ],
)
@pytest.mark.parametrize("path", ["/login/", "/devices/", "/api/v1/devices", "/admin/", "/nowhere"])
def test_other_hosts_are_refused_by_every_kind_of_page(administrator: User, host: str, path: str) -> None:
    response = browser(administrator).get(path, headers={"Host": host})

    assert response.status_code == 400
    assert EVIL not in response.content.decode()


def test_no_link_or_redirect_is_made_of_forwarded_headers(tried: Tried) -> None:
    headers = {
        "X-Forwarded-Host": EVIL,
        "X-Forwarded-Server": EVIL,
        "X-Original-URL": f"//{EVIL}/",
        "X-Rewrite-URL": f"//{EVIL}/",
        "X-Forwarded-Prefix": f"//{EVIL}",
        "Forwarded": f"host={EVIL}",
        "X-Script-Name": f"//{EVIL}",
    }
    believed = [
        str(route)
        for route, response in tried.answers("GET", browser(tried.user), **headers)
        if EVIL in str(response.headers)
        or (not getattr(response, "streaming", False) and EVIL in response.content.decode(errors="replace"))
    ]
    assert believed == []


@pytest.mark.parametrize("value", HOSTILE_VALUES, ids=["lines", "digits", "odd"])
def test_hostile_parameters_make_no_header_and_no_page_fail(tried: Tried, value: str) -> None:
    query = "?" + urlencode(dict.fromkeys(PARAMETERS, value))
    failed = [
        f"{route} {response.status_code}"
        for route, response in tried.answers("GET", browser(tried.user), query)
        if response.status_code == 500 or "X-Injected" in str(response.headers)
    ]
    assert failed == []


@pytest.mark.parametrize("value", HOSTILE_VALUES[:2], ids=["lines", "digits"])
def test_hostile_fields_make_no_form_fail(tried: Tried, value: str) -> None:
    class Hostile(dict[str, str]):
        pass

    client = browser(tried.user)
    failed = []
    for route in ROUTES:
        if route.method != "POST" or route.name == "logout":
            continue
        data = Hostile(dict.fromkeys((*PARAMETERS, *route.data, "username", "password", "text", "note"), value))
        with _nested():
            response = client.post(tried.url(route), data)
            transaction.set_rollback(True)
        if response.status_code == 500 or "X-Injected" in str(response.headers):
            failed.append(f"{route} {response.status_code}")
    assert failed == []


# Headers of every kind of answer

HEADERS = {
    "Content-Security-Policy": r"default-src 'none'.*frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": r"camera=\(\)",
}


def lacking(response: HttpResponseBase) -> list[str]:
    """The headers that it should carry and does not, or not as they should be."""
    return [name for name, pattern in HEADERS.items() if not re.search(pattern, response.headers.get(name, ""))]


@pytest.mark.parametrize("who", ["administrator", "anonymous"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_route_answers_with_the_headers(tried: Tried, method: str, who: str) -> None:
    client = browser(tried.user if who == "administrator" else None)
    assert [
        f"{route} {response.status_code} {lacking(response)}"
        for route, response in tried.answers(method, client)
        if lacking(response)
    ] == []


def test_policy_allows_no_inline_script_or_style_and_nothing_from_elsewhere(administrator: User) -> None:
    policy = browser(administrator).get("/")["Content-Security-Policy"]

    assert not re.search(r"unsafe|\*|https?:|script-src [^;]*data:", policy)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/nowhere", {}, 404),
        ("GET", "/api/v1/nowhere", {}, 404),
        ("GET", "/api/v1/devices", {}, 200),
        ("GET", "/api/v1/openapi.json", {}, 200),
        ("GET", "/admin/", {}, 200),
        ("GET", "/admin/nowhere", {}, 404),
        ("GET", "/static/css/tokens.css", {}, 200),
        ("GET", "/static/nowhere.css", {}, 404),
        ("GET", "/devices", {}, 301),
        ("GET", "/", {"Host": EVIL}, 400),
        ("DELETE", "/devices/", {}, 403),
        ("PUT", "/login/", {}, 403),
        ("GET", "/metrics", {}, None),
        ("TRACE", "/devices/", {}, None),
        ("OPTIONS", "/login/", {}, None),
    ],
)
def test_answers_that_are_no_page_carry_the_headers_too(
    administrator: User, method: str, path: str, headers: dict[str, str], status: int | None
) -> None:
    response = browser(administrator, enforce_csrf_checks=True).generic(method, path, headers=headers)

    assert response.status_code == (status or response.status_code)
    assert lacking(response) == []


def test_cookies_are_not_for_scripts_nor_for_other_sites() -> None:
    make_user("cookie-eater").set_password("x")
    user = User.objects.create_user("eater", password="a-long-password-9")
    client = browser(None)
    client.get("/login/")
    client.post("/login/", {"username": user.username, "password": "a-long-password-9"})

    assert client.cookies["sessionid"]["httponly"] and client.cookies["sessionid"]["samesite"] == "Lax"
    assert client.cookies["csrftoken"]["samesite"] == "Lax"


def test_session_of_before_the_log_in_is_worth_nothing_after_it() -> None:
    user = User.objects.create_user("fixed", password="a-long-password-9")
    client = browser(None)
    client.cookies["sessionid"] = "a" * 32
    client.post("/login/", {"username": user.username, "password": "a-long-password-9"})

    assert client.cookies["sessionid"].value != "a" * 32


# Lines of the log

FORGED = "a name\nERROR root: forged\r\nCRITICAL root: forged\x1b[2K\x85WARNING root: forged\u2028x"
PROGRAM = f"""
import logging, sys
import django
django.setup()
from celery.utils.log import get_task_logger
from ssm.celery import app
app.log.setup(loglevel=logging.INFO)
text = {FORGED!r}
get_task_logger("containers.tasks").warning("removed %s", text)
logging.getLogger("ssm").error(text)
logging.getLogger("ssm\\nERROR x").error("named")
try:
    raise ValueError(text)
except ValueError:
    get_task_logger("containers.tasks").exception("failed for %s", text)
    logging.getLogger("celery.worker").critical("it is %r", text, exc_info=True, stack_info=True)
"""


def test_names_cannot_forge_lines_of_a_workers_log() -> None:
    environment = os.environ | {"SSM_LOG_FORMAT": "line", "DJANGO_SETTINGS_MODULE": "ssm.settings"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    lines = (done.stdout + done.stderr).split("\n")

    assert "removed a name\\nERROR root: forged\\r\\nCRITICAL" in done.stderr
    assert not [line for line in lines if line.startswith(("ERROR root", "CRITICAL root", "WARNING root", "x"))]
    assert not re.search("[\x00-\x09\x0b-\x1f\x85\u2028]", done.stdout + done.stderr)


def test_path_cannot_forge_lines_of_the_log(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    from ssm.lib.log_lines import LineFormatter

    browser(None, enforce_csrf_checks=True).post("/login/%0aERROR root: forged%1b[31m/")
    browser(None).get("/x%0d%0aERROR root: forged", headers={"Host": "a\nERROR root: forged"})

    formatter = LineFormatter("%(levelname)s %(name)s: %(message)s")
    for record in caplog.records:
        for line in formatter.format(record).split("\n")[1:]:
            assert line.startswith("    ")
