"""Accounts at registries and repositories by the API."""

from typing import Any

import pytest

from registries.models import Registry, RepositoryKnowledge
from ssm.accounts.models import AuditEntry
from tests.api.caller import Caller, MakeCaller
from tests.factories import RegistryFactory, RepositoryFactory, TagFactory

pytestmark = pytest.mark.django_db
SECRET = "t0p-s3cret-token"


@pytest.fixture
def admin(caller: MakeCaller) -> Caller:
    """A program of an administrator."""
    return caller("administrator")


def test_account_is_added_and_its_secrets_are_never_told(admin: Caller, caller: MakeCaller) -> None:
    body = {"provider": "ghcr", "name": "GitHub", "credentials": {"username": "bot", "token": SECRET}}

    answer = admin.post("/registries", body)

    assert answer.status == 201, answer.body
    row = Registry.objects.get()
    assert (row.secret_values(), row.public_values) == ({"token": SECRET}, {"username": "bot"})
    assert (answer.body["host"], answer.body["public_values"]) == ("ghcr.io", {"username": "bot"})
    told = str([answer.body, caller("viewer").get("/registries").body, list(AuditEntry.objects.values())])
    assert SECRET not in told


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"provider": "nobody"}, "provider"),
        ({"provider": "ghcr", "credentials": {"username": "bot"}}, "credentials"),
        ({"provider": "ghcr", "credentials": {"colour": "red"}}, "credentials.colour"),
        ({"provider": "custom", "address": "no host!"}, "address"),
        ({"provider": "custom", "address": "http://registry.example.com"}, "allow_http"),
        ({"provider": "ghcr", "poll_schedule": "often"}, "poll_schedule"),
        ({"provider": "ghcr", "insecure_tls": True}, "insecure_tls"),
    ],
)
def test_account_that_cannot_be_added_names_its_fields(body: dict[str, Any], field: str, admin: Caller) -> None:
    answer = admin.post("/registries", body)

    assert (answer.status, answer.body["code"]) == (422, "invalid")
    assert field in answer.body["fields"], answer.body
    assert not Registry.objects.exists()


def test_change_keeps_stored_secrets_unless_they_would_go_elsewhere(admin: Caller) -> None:
    row = RegistryFactory(with_login=True, host="registry.example.com", base_url="https://registry.example.com")
    path = f"/registries/{row.pk}"

    renamed = admin.patch(path, {"name": "Ours"})
    moved = admin.patch(path, {"address": "elsewhere.example.com"})
    again = admin.patch(
        path, {"address": "elsewhere.example.com", "credentials": {"login": "reader", "password": "new-1"}}
    )

    assert renamed.status == 200, renamed.body
    assert moved.status == 422
    assert again.status == 200, again.body
    row.refresh_from_db()
    assert (row.name, row.host, row.secret_values()) == ("Ours", "elsewhere.example.com", {"password": "new-1"})
    assert admin.patch(path, {"credentials": {}}).body["kind"] == ""
    assert admin.delete(path).status == 204


def test_test_of_an_account_tells_its_steps(admin: Caller) -> None:
    row = RegistryFactory(host="127.0.0.1:9", base_url="http://127.0.0.1:9", allow_http=True)

    lines = admin.lines(f"/registries/{row.pk}/test", {})

    assert lines[0]["step"] == "registry"
    assert (lines[-1]["done"], lines[-1]["ok"]) == (True, False)
    row.refresh_from_db()
    assert row.test_passed is False


def test_providers_are_described(caller: MakeCaller) -> None:
    found = {entry["id"]: entry for entry in caller("viewer").get("/registries/providers").body}

    assert found["ghcr"]["default_host"] == "ghcr.io"
    assert ["token", "username"] in found["ghcr"]["combinations"]


def test_repositories_and_their_tags_are_told(caller: MakeCaller) -> None:
    repository = RepositoryFactory(path="library/nginx", tags=["1.9", "1.10"], tag_count=2)
    TagFactory(repository=repository, tag="1.10")
    RepositoryFactory(path="library/redis", last_error_code="rate_limited")
    program = caller("viewer")

    failing = program.get("/repositories", {"state": "failing"}).body["items"]
    tags = program.get(f"/repositories/{repository.pk}/tags", {"sort": "name"}).body

    assert [item["path"] for item in failing] == ["library/redis"]
    assert [tag["tag"] for tag in tags] == ["1.9", "1.10"]


def test_repository_is_looked_up_now(caller: MakeCaller) -> None:
    repository = RepositoryFactory()

    assert caller("viewer").post(f"/repositories/{repository.pk}/check").status == 403
    assert caller("operator").post(f"/repositories/{repository.pk}/check").body["is_being_looked_up"] is True
    assert RepositoryKnowledge.objects.get().is_urgent


def test_accounts_are_for_those_who_manage_registries(caller: MakeCaller) -> None:
    row = RegistryFactory()

    assert caller("operator").post("/registries", {"provider": "ghcr"}).status == 403
    assert caller("operator").delete(f"/registries/{row.pk}").status == 403
    assert caller("operator").post(f"/registries/{row.pk}/poll").status == 202
