"""What an engine gets to pull with."""

import base64
import json
from typing import Any

import pytest
from docker.auth import encode_header
from hypothesis import given
from hypothesis import strategies as st

from registries.errors import CredentialsInvalid
from registries.providers import (
    PROVIDERS,
    Access,
    anonymous_access,
    base_url_of,
    credentials_from,
    provider_of,
    pull_credentials,
    pull_needs_token,
    registry_auth_header,
)
from tests.registries.servers.providers import GOOGLE_KEY

# Holds ?, > and ~, which plain base64 writes with + and /.
SECRET = "a?b>c~d?>~?>~"


def access_to(host: str, **values: str) -> Access:
    """Access with these fields."""
    provider = provider_of(host)
    return Access(host, provider.id, base_url_of(host), credentials_from(PROVIDERS[provider.id], values))


@pytest.mark.parametrize(
    ("host", "values", "expected"),
    [
        ("docker.io", {"login": "u", "token": SECRET}, ("u", SECRET, "https://index.docker.io/v1/")),
        ("ghcr.io", {"username": "u", "token": SECRET}, ("u", SECRET, "ghcr.io")),
        ("lscr.io", {"username": "u", "token": SECRET}, ("u", SECRET, "lscr.io")),
        ("gcr.io", {"jsonkey": GOOGLE_KEY}, ("_json_key", GOOGLE_KEY, "gcr.io")),
        ("gcr.io", {"accesstoken": SECRET}, ("oauth2accesstoken", SECRET, "gcr.io")),
        ("team.azurecr.io", {"clientid": "c", "clientsecret": SECRET}, ("c", SECRET, "team.azurecr.io")),
        ("registry.gitlab.com", {"token": SECRET}, ("oauth2", SECRET, "registry.gitlab.com")),
        ("quay.io", {"namespace": "n", "account": "a", "token": SECRET}, ("n+a", SECRET, "quay.io")),
        ("codeberg.org", {"login": "u", "password": SECRET}, ("u", SECRET, "codeberg.org")),
        (
            "registry.example:5050",
            {"auth": base64.b64encode(f"u:{SECRET}:x".encode()).decode()},
            ("u", f"{SECRET}:x", "registry.example:5050"),
        ),
    ],
)
def test_pull_gets_the_form_that_its_registry_takes(
    host: str, values: dict[str, str], expected: tuple[str, str, str]
) -> None:
    content = pull_credentials(access_to(host, **values), host)

    assert content is not None
    assert (content["username"], content["password"], content["serveraddress"]) == expected
    assert set(content) == {"username", "password", "serveraddress"}


def test_pull_without_an_account_gets_nothing() -> None:
    assert pull_credentials(anonymous_access("docker.io"), "docker.io") is None


@pytest.mark.parametrize("name", ["index.docker.io", "registry-1.docker.io", "Docker.io"])
def test_pull_by_another_name_of_the_hub_is_the_same_registry(name: str) -> None:
    assert pull_credentials(access_to("docker.io", login="u", token="t"), name) is not None


@pytest.mark.parametrize(
    "host", ["evil.test", "docker.io.evil.test", "ghcr.io", "docker.io:443", "docker.io@evil.test", ""]
)
def test_pull_from_another_host_never_gets_the_account(host: str) -> None:
    with pytest.raises(CredentialsInvalid) as caught:
        pull_credentials(access_to("docker.io", login="u", token=SECRET), host)

    assert SECRET not in str(caught.value)


def test_pull_from_amazon_needs_a_token_and_never_gets_the_keys() -> None:
    host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    access = access_to(host, accesskeyid="AKID", secretaccesskey="key", region="eu-west-1")

    assert pull_needs_token(access)
    with pytest.raises(CredentialsInvalid):
        pull_credentials(access, host)
    assert pull_credentials(access, host, token="fresh") == {
        "username": "AWS",
        "password": "fresh",
        "serveraddress": host,
    }


def test_header_is_base64url_with_padding() -> None:
    content = {"username": "u", "password": SECRET, "serveraddress": "registry.example"}

    header = registry_auth_header(content)

    assert "-" in header or "_" in header
    assert not set(header) & set("+/\n")
    assert len(header) % 4 == 0
    assert json.loads(base64.urlsafe_b64decode(header)) == content
    assert header.encode() == encode_header(content)


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=30), max_size=4))
def test_header_of_any_content_is_ascii_and_read_back(content: dict[str, Any]) -> None:
    header = registry_auth_header(content)

    assert header.isascii()
    assert json.loads(base64.urlsafe_b64decode(header)) == content
