"""The live test of an account as browsers get it: one line a step, while it happens, and what exactly failed."""

import json

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import AsyncClient

from registries.models import Registry
from tests.people import People
from tests.registries.asking import account_of
from tests.registries.servers.distribution import PASSWORD, USERNAME, RunningRegistry
from tests.registries.servers.fixtures import PushImage

pytestmark = pytest.mark.django_db(transaction=True)
WRONG = "wrong-but-secret"


@pytest.fixture
def browsers(people: People) -> dict[str, AsyncClient]:
    """A browser for each person, logged in from here: an asynchronous log-in leaks its database connection."""
    made = {}
    for who in ("administrator", "operator", "viewer", "stranger"):
        made[who] = AsyncClient()
        made[who].cookies = people.client(who).cookies
    return made


@pytest.fixture
def account(people: People, htpasswd_registry: RunningRegistry) -> Registry:
    """A stored account of a registry that wants user name and password."""
    return account_of(htpasswd_registry)


async def steps(browser: AsyncClient, data: dict[str, str]) -> tuple[int, list[dict]]:
    try:
        answer = await browser.post("/registries/test/", data)
        if not answer.streaming:
            return answer.status_code, []
        text = b"".join([chunk async for chunk in answer.streaming_content])
    finally:
        # A connection belongs to its task: left open, it would keep the test database from being dropped.
        await sync_to_async(connections.close_all)()
    return answer.status_code, [json.loads(line) for line in text.splitlines()]


def ended(lines: list[dict]) -> dict[str, str]:
    return {line["key"]: line["state"] for line in lines if "key" in line}


def typed(running: RunningRegistry, password: str, **more: str) -> dict[str, str]:
    return {
        "provider": "custom",
        "kind": "login+password",
        "address": running.url,
        "allow_http": "on",
        "login_password-login": USERNAME,
        "login_password-password": password,
        **more,
    }


async def test_good_account_passes_every_step(
    browsers: dict[str, AsyncClient], htpasswd_registry: RunningRegistry, push_image: PushImage
) -> None:
    push_image(htpasswd_registry, "tested/app", ["1.0", "1.1"])

    status, lines = await steps(
        browsers["administrator"], typed(htpasswd_registry, PASSWORD, test_repository="tested/app")
    )

    assert status == 200
    assert ended(lines) == {"registry": "ok", "log_in": "ok", "tags": "ok", "quota": "ok"}
    assert [line["state"] for line in lines if line.get("key") == "log_in"] == ["running", "ok"]
    assert lines[-1]["ok"] is True
    assert any("2 tags" in line["html"] for line in lines)


async def test_wrong_password_fails_at_the_log_in_with_its_fix_and_is_never_shown(
    browsers: dict[str, AsyncClient], htpasswd_registry: RunningRegistry
) -> None:
    _status, lines = await steps(browsers["administrator"], typed(htpasswd_registry, WRONG))

    assert ended(lines) == {"registry": "ok", "log_in": "failed", "tags": "skipped", "quota": "skipped"} or ended(
        lines
    ) == {"registry": "ok", "log_in": "failed", "tags": "skipped"}
    assert "Fix:" in next(line["html"] for line in lines if line.get("state") == "failed")
    assert lines[-1]["ok"] is False
    assert WRONG not in json.dumps(lines)


async def test_address_without_a_registry_fails_at_the_first_step(browsers: dict[str, AsyncClient]) -> None:
    data = {"provider": "custom", "kind": "", "address": "http://127.0.0.1:9", "allow_http": "on"}

    _status, lines = await steps(browsers["administrator"], data)

    assert ended(lines)["registry"] == "failed"
    assert lines[-1]["ok"] is False


async def test_stored_account_is_tested_by_its_id_and_remembers_the_outcome(
    browsers: dict[str, AsyncClient], account: Registry
) -> None:
    _status, lines = await steps(browsers["administrator"], {"registry": str(account.pk)})

    await sync_to_async(account.refresh_from_db)()
    assert lines[-1]["ok"] is True
    assert account.test_passed is True
    assert account.tested_at is not None


async def test_form_of_a_stored_account_is_tested_with_the_stored_secret(
    browsers: dict[str, AsyncClient], account: Registry, htpasswd_registry: RunningRegistry
) -> None:
    data = typed(htpasswd_registry, "", registry=str(account.pk))

    _status, lines = await steps(browsers["administrator"], data)

    assert ended(lines)["log_in"] == "ok"


async def test_form_of_a_stored_account_sends_its_secret_to_no_other_place(
    browsers: dict[str, AsyncClient], account: Registry, plain_registry: RunningRegistry
) -> None:
    data = typed(plain_registry, "", registry=str(account.pk))

    status, _lines = await steps(browsers["administrator"], data)

    assert status == 422


@pytest.mark.parametrize("who", ["operator", "viewer", "stranger"])
async def test_test_by_somebody_who_may_not_is_forbidden(
    browsers: dict[str, AsyncClient], account: Registry, who: str
) -> None:
    status, _lines = await steps(browsers[who], {"registry": str(account.pk)})

    assert status == 403
