"""Which account counts for which image, what goes with requests and pulls, and what a changed account sets off."""

import io
import json

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import IntegrityError, connection

from registries.errors import CredentialsInvalid
from registries.models import Origin, Registry, RepositoryKnowledge, now
from registries.providers import BasicCredentials
from registries.services import Accounts, access_for, account_changed, entries, pull_credentials_for
from tests.factories import RegistryFactory, RepositoryFactory
from tests.registries.asking import want_now, wanted

pytestmark = pytest.mark.django_db
SECRET = "never/shown?~>"


def account(host: str, prefix: str = "", **columns: object) -> Registry:
    return RegistryFactory(host=host, path_prefix=prefix, with_login=True, **columns)


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("docker.io", "library/nginx", "hub"),
        ("docker.io", "acme/web", "acme"),
        ("docker.io", "acme", "acme"),
        ("docker.io", "acme-labs/web", "hub"),
        ("docker.io", "acme/secret/tool", "secret"),
        ("DOCKER.io", "acme/web", "acme"),
        ("ghcr.io", "acme/web", None),
        ("evil-docker.io", "acme/web", None),
        ("docker.io:443", "acme/web", None),
        ("quay.io", "team/app", None),
    ],
)
def test_account_for_an_image_is_that_of_the_host_with_the_longest_prefix(
    host: str, path: str, expected: str | None
) -> None:
    account("docker.io", name="hub")
    account("docker.io", "acme", name="acme")
    account("docker.io", "acme/secret", name="secret")
    account("quay.io", name="quay", is_enabled=False)

    found = Accounts().of(host, path)

    assert (found.name if found else None) == expected


def test_anonymous_access_needs_no_set_up() -> None:
    access = access_for("docker.io", "library/nginx")

    assert (access.credentials, access.base_url, access.is_configured) == (None, "https://registry-1.docker.io", False)


def test_access_of_an_account_carries_its_place_and_its_credentials_but_shows_none() -> None:
    made = account("registry.example.com:5050", base_url="http://registry.example.com:5050", allow_http=True)
    made.set_secrets({"password": SECRET})
    made.save()

    access = access_for("registry.example.com:5050", "team/app")

    assert access.credentials == BasicCredentials("reader", SECRET)
    assert (access.base_url, access.allow_http, access.is_configured) == (
        "http://registry.example.com:5050",
        True,
        True,
    )
    assert SECRET not in repr(access)


@pytest.mark.parametrize(
    ("provider", "host", "public", "secret", "reference", "expected"),
    [
        ("hub", "docker.io", {"login": "ada"}, {"token": SECRET}, "nginx:1.27", ("ada", "https://index.docker.io/v1/")),
        ("ghcr", "ghcr.io", {"username": "octo"}, {"token": SECRET}, "ghcr.io/o/i", ("octo", "ghcr.io")),
        ("gitlab", "registry.gitlab.com", {}, {"token": SECRET}, "registry.gitlab.com/g/p", ("oauth2", None)),
        (
            "quay",
            "quay.io",
            {"namespace": "acme", "account": "bot"},
            {"token": SECRET},
            "quay.io/acme/app",
            ("acme+bot", None),
        ),
        ("gcr", "eu.gcr.io", {}, {"accesstoken": SECRET}, "eu.gcr.io/p/app", ("oauth2accesstoken", None)),
        ("acr", "team.azurecr.io", {"clientid": "id"}, {"clientsecret": SECRET}, "team.azurecr.io/app", ("id", None)),
    ],
)
def test_pull_credentials_have_the_form_of_the_provider(
    provider: str,
    host: str,
    public: dict[str, str],
    secret: dict[str, str],
    reference: str,
    expected: tuple[str, str | None],
) -> None:
    made = RegistryFactory(
        provider=provider,
        host=host,
        base_url="",
        kind="+".join([*public, *secret]),
        public_values=public,
        secrets=json.dumps(secret),
    )

    found = pull_credentials_for(reference)

    username, server = expected
    assert found == {"username": username, "password": SECRET, "serveraddress": server or made.host}


@pytest.mark.parametrize("reference", ["ghcr.io/acme/web", "docker.io.evil.com/acme/web", "sha256:" + "0" * 64])
def test_pull_credentials_go_to_no_other_registry(reference: str) -> None:
    account("docker.io", provider="hub", kind="login+password")

    assert pull_credentials_for(reference) is None


def test_account_with_fields_that_do_not_fit_is_told_and_never_used_in_part() -> None:
    account("docker.io", provider="hub", public_values={})

    with pytest.raises(CredentialsInvalid):
        access_for("docker.io", "library/nginx")


def test_two_accounts_in_use_for_the_same_images_are_refused_by_the_database() -> None:
    account("docker.io")

    with pytest.raises(IntegrityError):
        account("docker.io")


def test_changed_account_has_failed_repositories_looked_up_again() -> None:
    made = account("registry.example.com")
    failing = RepositoryFactory(host=made.host, path="team/app", last_error_code="unauthorized")
    good = RepositoryFactory(host=made.host, path="team/other")
    Origin.objects.create(host="old.example.com", account=made)

    account_changed(made)

    failing.refresh_from_db()
    good.refresh_from_db()
    assert failing.due_at is not None
    assert failing.due_at <= now()
    assert good.due_at is None
    assert not Origin.objects.exists()


def test_entries_tell_accounts_anonymous_hosts_in_use_and_the_built_in_ones() -> None:
    hub = account("docker.io", "acme", name="Acme")
    want_now(wanted("docker.io", "acme/web"), wanted("docker.io", "library/nginx"), wanted("r.example.com", "app"))

    found = entries(list(Registry.objects.all()))

    counts = {(entry.host, entry.account): entry.repositories for entry in found}
    assert counts[("docker.io", hub)] == counts[("docker.io", None)] == counts[("r.example.com", None)] == 1
    assert counts[("ghcr.io", None)] == 0
    assert ("registry.example.com", None) not in counts


def test_secrets_are_ciphertext_in_the_database_and_rotate_with_the_keys(settings) -> None:
    made = account("docker.io", client_key=SECRET)
    made.set_secrets({"password": SECRET})
    made.save()
    settings.FIELD_ENCRYPTION_KEY = [Fernet.generate_key().decode(), *settings.FIELD_ENCRYPTION_KEY]
    output = io.StringIO()

    call_command("rotate_field_keys", stdout=output)

    assert "registries.Registry.secrets: 1 encrypted anew" in output.getvalue()
    assert "registries.Registry.client_key: 1 encrypted anew" in output.getvalue()
    settings.FIELD_ENCRYPTION_KEY = settings.FIELD_ENCRYPTION_KEY[:1]
    fresh = Registry.objects.get()
    assert (fresh.secret_values(), fresh.client_key) == ({"password": SECRET}, SECRET)
    with connection.cursor() as cursor:
        cursor.execute("SELECT secrets, client_key, public_values::text FROM registries_registry")
        assert SECRET not in str(cursor.fetchall())


def test_undecryptable_secret_fails_its_own_repositories_alone(settings) -> None:
    from registries.polling import poll_due

    account("registry.example.com")
    settings.FIELD_ENCRYPTION_KEY = [Fernet.generate_key().decode()]
    want_now(wanted("registry.example.com", "team/app", ["1.0"]))

    poll_due()

    row = RepositoryKnowledge.objects.get()
    assert (row.last_error_code, row.due_at) == ("secret_undecryptable", None)
    assert "SSM_FIELD_KEYS" in row.last_error_fix
