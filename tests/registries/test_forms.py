"""The form of an account, on the pages and in the admin: fields of each provider, write-only secrets, faults."""

import json

import pytest
from django.test import Client

from registries.models import Registry
from tests.factories import RegistryFactory
from tests.people import People
from tests.registries.servers.authority import Authority

pytestmark = pytest.mark.django_db
HTMX = {"HTTP_HX_REQUEST": "true"}
SECRET = "dckr-secret-typed-by-hand"
GOOGLE_KEY = json.dumps({"type": "service_account", "client_email": "a@b.example", "private_key": "-----BEGIN"})


def typed(provider: str, kind: str = "", place: dict[str, str] | None = None, **values: str) -> dict[str, str]:
    """What a browser sends: fields of the chosen way to log in carry its name."""
    fields = {f"{kind.replace('+', '_')}-{name}": value for name, value in values.items()}
    return {"provider": provider, "name": "typed", "is_enabled": "on", "kind": kind, **fields, **(place or {})}


@pytest.fixture
def administrator(people: People) -> Client:
    return people.client("administrator")


@pytest.mark.parametrize(
    ("provider", "kind", "place", "values", "host"),
    [
        ("hub", "login+token", {}, {"login": "ada", "token": SECRET}, "docker.io"),
        ("hub", "login+password", {}, {"login": "ada", "password": SECRET}, "docker.io"),
        ("hub", "auth", {}, {"auth": "YWRhOmRja3Itc2VjcmV0"}, "docker.io"),
        ("hub", "", {"path_prefix": "/acme/"}, {}, "docker.io"),
        (
            "ecr",
            "accesskeyid+secretaccesskey+region",
            {"address": "123456789012.dkr.ecr.eu-west-1.amazonaws.com"},
            {"accesskeyid": "AKIA", "secretaccesskey": SECRET, "region": "eu-west-1", "accountid": "123456789012"},
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
        ),
        (
            "ecr-public",
            "accesskeyid+secretaccesskey",
            {},
            {"accesskeyid": "A", "secretaccesskey": SECRET},
            "public.ecr.aws",
        ),
        ("gcr", "jsonkey", {"address": "europe-docker.pkg.dev"}, {"jsonkey": GOOGLE_KEY}, "europe-docker.pkg.dev"),
        ("gcr", "clientemail+privatekey", {}, {"clientemail": "a@b.example", "privatekey": SECRET}, "gcr.io"),
        (
            "acr",
            "clientid+clientsecret",
            {"address": "https://team.azurecr.io"},
            {"clientid": "id", "clientsecret": SECRET, "tenant": "t"},
            "team.azurecr.io",
        ),
        ("ghcr", "username+token", {}, {"username": "octo", "token": SECRET}, "ghcr.io"),
        ("lscr", "username+token", {}, {"username": "octo", "token": SECRET}, "lscr.io"),
        ("gitlab", "token", {}, {"token": SECRET}, "registry.gitlab.com"),
        (
            "gitlab",
            "token",
            {"address": "registry.git.example.com:5050"},
            {"token": SECRET, "username": "deploy", "authurl": "https://git.example.com"},
            "registry.git.example.com:5050",
        ),
        ("quay", "namespace+account+token", {}, {"namespace": "n", "account": "bot", "token": SECRET}, "quay.io"),
        (
            "gitea",
            "login+password",
            {"address": "git.example.com"},
            {"login": "a", "password": SECRET},
            "git.example.com",
        ),
        ("forgejo", "", {}, {}, "code.forgejo.org"),
        ("codeberg", "login+password", {}, {"login": "a", "password": SECRET}, "codeberg.org"),
        ("custom", "", {"address": "https://Registry.Example.com:443/v2/"}, {}, "registry.example.com"),
        (
            "custom",
            "login+password",
            {"address": "http://registry:5000", "allow_http": "on"},
            {"login": "a", "password": SECRET},
            "registry:5000",
        ),
    ],
)
def test_add_with_the_fields_of_a_provider_stores_the_account(
    administrator: Client, provider: str, kind: str, place: dict[str, str], values: dict[str, str], host: str
) -> None:
    answer = administrator.post(f"/registries/add/?provider={provider}", typed(provider, kind, place, **values))

    assert answer.status_code == 302, answer.context["form"].errors
    registry = Registry.objects.get()
    stored = {**registry.public_values, **registry.secret_values()}
    assert (registry.provider, registry.host, registry.kind, stored) == (provider, host, kind, values)
    assert SECRET not in json.dumps(registry.public_values)


CUSTOM = {"address": "registry.example.com"}


@pytest.mark.parametrize(
    ("provider", "kind", "place", "values", "field"),
    [
        ("hub", "login+token", {}, {}, "login_token-token"),
        ("hub", "login+token", {}, {"login": "ada"}, "login_token-token"),
        ("hub", "login+token", {}, {"token": SECRET}, "login_token-login"),
        ("hub", "login+token", {}, {"login": "a:b", "token": SECRET}, "login_token-login"),
        ("hub", "auth", {}, {"auth": "$2y$05$abcdefgh"}, "auth-auth"),
        ("hub", "made+up", {}, {}, "kind"),
        ("hub", "", {"path_prefix": "Team Space"}, {}, "path_prefix"),
        ("hub", "", {"poll_schedule": "every hour"}, {}, "poll_schedule"),
        ("ecr", "", {"address": "123456789012.dkr.ecr.eu-west-1.amazonaws.com"}, {}, "kind"),
        (
            "ecr",
            "accesskeyid+secretaccesskey+region",
            {"address": "123456789012.dkr.ecr.eu-west-1.amazonaws.com"},
            {"accesskeyid": "A", "secretaccesskey": SECRET, "region": "us-east-1"},
            "accesskeyid_secretaccesskey_region-region",
        ),
        ("ecr", "", {"address": "registry.example.com"}, {}, "address"),
        ("gcr", "jsonkey", {}, {"jsonkey": "{}"}, "jsonkey-jsonkey"),
        ("quay", "namespace+account+token", {}, {"namespace": "n", "token": SECRET}, "namespace_account_token-account"),
        ("custom", "", {}, {}, "address"),
        ("custom", "", {"address": "registry"}, {}, "address"),
        ("custom", "", {"address": "ftp://registry.example.com"}, {}, "address"),
        ("custom", "", {"address": "https://user:pass@registry.example.com"}, {}, "address"),
        ("custom", "", {"address": "https://registry.example.com:70000"}, {}, "address"),
        ("custom", "", {"address": "https://ghcr.io"}, {}, "address"),
        ("custom", "", {"address": "http://registry.example.com"}, {}, "allow_http"),
        ("custom", "", {**CUSTOM, "ca_pem": "no certificate"}, {}, "ca_pem"),
        ("custom", "", {**CUSTOM, "client_key": SECRET}, {}, "client_certificate"),
        ("custom", "", {**CUSTOM, "auth_host": "not a host!"}, {}, "auth_host"),
    ],
)
def test_add_with_a_fault_answers_422_at_the_field_and_stores_nothing(
    administrator: Client, provider: str, kind: str, place: dict[str, str], values: dict[str, str], field: str
) -> None:
    answer = administrator.post(f"/registries/add/?provider={provider}", typed(provider, kind, place, **values), **HTMX)

    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    assert not Registry.objects.exists()
    assert SECRET not in answer.content.decode()


def test_add_with_certificates_stores_them_and_refuses_a_key_of_another(administrator: Client) -> None:
    authority = Authority()
    mine, other = authority.issue("me", is_client=True), authority.issue("other", is_client=True)
    place = {**CUSTOM, "ca_pem": authority.pem, "client_certificate": mine.certificate}

    refused = administrator.post(
        "/registries/add/?provider=custom", typed("custom", "", {**place, "client_key": other.key})
    )
    administrator.post("/registries/add/?provider=custom", typed("custom", "", {**place, "client_key": mine.key}))

    assert "client_key" in refused.context["form"].errors
    registry = Registry.objects.get()
    assert (registry.ca_pem, registry.client_key.strip()) == (authority.pem, mine.key.strip())


def test_add_with_a_path_in_the_address_counts_for_what_is_below(administrator: Client) -> None:
    administrator.post(
        "/registries/add/?provider=custom", typed("custom", "", {"address": "https://r.example.com/team"})
    )

    registry = Registry.objects.get()
    assert (registry.host, registry.path_prefix, registry.base_url) == (
        "r.example.com",
        "team",
        "https://r.example.com",
    )


def test_add_of_a_second_account_for_the_same_images_is_refused_unless_one_is_off(administrator: Client) -> None:
    RegistryFactory(provider="hub", host="docker.io", base_url="")

    refused = administrator.post("/registries/add/?provider=hub", typed("hub"))
    taken = administrator.post("/registries/add/?provider=hub", {**typed("hub"), "is_enabled": ""})

    assert refused.status_code == 422
    assert "path_prefix" in refused.context["form"].errors
    assert taken.status_code == 302


# ---- secrets stay -------------------------------------------------------------------------------------------


@pytest.fixture
def stored(db: None) -> Registry:
    """An account with a log-in and an own client certificate."""
    return RegistryFactory(
        name="stored",
        host="registry.example.com",
        kind="login+password",
        public_values={"login": "reader"},
        secrets=json.dumps({"password": SECRET}),
    )


def edit(client: Client, registry: Registry, **changes: str):
    data = typed("custom", "login+password", {"address": "registry.example.com"}, login="reader", password="")
    return client.post(f"/registries/{registry.pk}/edit/", {**data, **changes})


def test_edit_with_blank_secret_keeps_it(administrator: Client, stored: Registry) -> None:
    assert edit(administrator, stored, name="renamed").status_code == 302

    stored.refresh_from_db()
    assert (stored.name, stored.secret_values()) == ("renamed", {"password": SECRET})


def test_edit_with_another_secret_replaces_it(administrator: Client, stored: Registry) -> None:
    edit(administrator, stored, **{"login_password-password": "new"})

    stored.refresh_from_db()
    assert stored.secret_values() == {"password": "new"}


def test_edit_to_anonymous_removes_what_was_stored(administrator: Client, stored: Registry) -> None:
    edit(administrator, stored, kind="")

    stored.refresh_from_db()
    assert (stored.kind, stored.public_values, stored.secret_values()) == ("", {}, {})


@pytest.mark.parametrize(
    "changes",
    [
        {"address": "evil.example.com"},
        {"address": "http://registry.example.com", "allow_http": "on"},
        {"auth_host": "evil.example.com"},
        {"insecure_tls": "on"},
    ],
    ids=lambda changes: "+".join(changes),
)
def test_edit_of_the_place_never_sends_a_stored_secret_there(
    administrator: Client, stored: Registry, changes: dict[str, str]
) -> None:
    answer = edit(administrator, stored, **changes)

    assert answer.status_code == 422
    assert "login_password-password" in answer.context["form"].errors
    assert edit(administrator, stored, **changes, **{"login_password-password": "typed again"}).status_code == 302


def test_edit_with_the_tick_removes_an_optional_secret_alone(administrator: Client) -> None:
    secrets = {"accesskeyid": "AKIA", "secretaccesskey": SECRET, "sessiontoken": "session-secret"}
    registry = RegistryFactory(
        provider="ecr-public",
        host="public.ecr.aws",
        base_url="",
        kind="accesskeyid+secretaccesskey",
        secrets=json.dumps(secrets),
    )

    data = typed("ecr-public", "accesskeyid+secretaccesskey", {"forget_sessiontoken": "on"})
    administrator.post(f"/registries/{registry.pk}/edit/", data)

    registry.refresh_from_db()
    assert registry.secret_values() == {"accesskeyid": "AKIA", "secretaccesskey": SECRET}


def test_no_page_shows_a_stored_secret(administrator: Client, stored: Registry) -> None:
    Registry.objects.filter(pk=stored.pk).update(client_key="key-secret", client_certificate="a certificate")

    for url in (
        "/registries/",
        f"/registries/{stored.pk}/",
        f"/registries/{stored.pk}/edit/",
        f"/registries/{stored.pk}/delete/",
        "/admin/registries/registry/",
        f"/admin/registries/registry/{stored.pk}/change/",
        f"/admin/registries/registry/{stored.pk}/delete/",
    ):
        page = administrator.get(url)
        assert page.status_code == 200, url
        assert SECRET not in page.content.decode(), url
        assert "key-secret" not in page.content.decode(), url


# ---- the admin ----------------------------------------------------------------------------------------------


def test_admin_add_begins_with_the_provider_and_checks_as_the_page_does(administrator: Client) -> None:
    url = "/admin/registries/registry/add/"
    values = typed("hub", "login+token", {}, login="ada", token=SECRET)

    assert administrator.get(url).headers["Location"] == "/registries/add/"
    assert administrator.get(f"{url}?provider=hub").status_code == 200
    faulty = administrator.post(f"{url}?provider=hub", typed("hub", "login+token", {}, login="ada"))
    assert faulty.status_code == 200
    assert not Registry.objects.exists()
    administrator.post(f"{url}?provider=hub", values)

    registry = Registry.objects.get()
    assert (registry.host, registry.secret_values()) == ("docker.io", {"token": SECRET})


def test_admin_change_with_blank_secret_keeps_it(administrator: Client, stored: Registry) -> None:
    data = typed("custom", "login+password", {"address": "registry.example.com", "name": "by admin"}, login="reader")

    answer = administrator.post(f"/admin/registries/registry/{stored.pk}/change/", data)

    assert answer.status_code == 302, answer.context["adminform"].form.errors
    stored.refresh_from_db()
    assert (stored.name, stored.secret_values()) == ("by admin", {"password": SECRET})
