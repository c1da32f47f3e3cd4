"""Which registry a host is, and what its account may consist of."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registries.errors import CredentialsInvalid
from registries.providers import (
    PROVIDERS,
    AwsCredentials,
    BasicCredentials,
    EntraCredentials,
    anonymous_access,
    base_url_of,
    check_values,
    credentials_from,
    decode_auth,
    provider_of,
    realm_hosts_of,
)
from tests.registries.servers.providers import GOOGLE_KEY

AUTH = base64.b64encode(b"ada:pass:word").decode()


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("docker.io", "hub"),
        ("index.docker.io", "hub"),
        ("DOCKER.io", "hub"),
        ("mydocker.io", "custom"),
        ("docker.io.evil.test", "custom"),
        ("docker.io:5000", "custom"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "ecr"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "ecr"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "ecr"),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", "ecr"),
        ("12345.dkr.ecr.eu-west-1.amazonaws.com", "custom"),
        ("x123456789012.dkr.ecr.eu-west-1.amazonaws.com", "custom"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.test", "custom"),
        ("123456789012.dkr.ecr.evil.test#.amazonaws.com", "custom"),
        ("public.ecr.aws", "ecr-public"),
        ("gcr.io", "gcr"),
        ("eu.gcr.io", "gcr"),
        ("evilgcr.io", "custom"),
        ("xgcrXio", "custom"),
        ("europe-west1-docker.pkg.dev", "gcr"),
        ("docker.pkg.dev.evil.test", "custom"),
        ("registry.k8s.io", "gcr"),
        ("team.azurecr.io", "acr"),
        ("team.azurecr.cn", "acr"),
        ("azurecr.io", "custom"),
        ("mcr.microsoft.com", "custom"),
        ("ghcr.io", "ghcr"),
        ("lscr.io", "lscr"),
        ("registry.gitlab.com", "gitlab"),
        ("gitlab.com", "custom"),
        ("quay.io", "quay"),
        ("code.forgejo.org", "forgejo"),
        ("codeberg.org", "codeberg"),
        ("oci.trueforge.org", "trueforge"),
        ("registry.example:5050", "custom"),
        ("localhost:5000", "custom"),
    ],
)
def test_provider_of_a_host_is_found_by_the_whole_host(host: str, provider: str) -> None:
    assert provider_of(host).id == provider


@given(st.text(min_size=1, max_size=30))
def test_host_with_something_before_or_behind_is_another_host(text: str) -> None:
    known = ("docker.io", "ghcr.io", "quay.io", "public.ecr.aws", "lscr.io")
    for host in known:
        for other in (text + host, host + text):
            assert provider_of(other).id in ("custom", "gcr", "acr") or other.casefold() in known


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("docker.io", "https://registry-1.docker.io"),
        ("lscr.io", "https://ghcr.io"),
        ("ghcr.io", "https://ghcr.io"),
        ("registry.example:5050", "https://registry.example:5050"),
    ],
)
def test_api_of_a_host_is_where_it_is(host: str, url: str) -> None:
    assert base_url_of(host) == url
    assert anonymous_access(host).base_url == url


def test_pairs_of_registry_and_token_server_are_bound_to_the_registry() -> None:
    assert realm_hosts_of(anonymous_access("docker.io")) == {"auth.docker.io"}
    assert realm_hosts_of(anonymous_access("registry.gitlab.com")) == {"gitlab.com"}
    assert realm_hosts_of(anonymous_access("lscr.io")) == {"ghcr.io"}
    assert realm_hosts_of(anonymous_access("ghcr.io")) == frozenset()
    assert realm_hosts_of(anonymous_access("registry.example")) == frozenset()


@pytest.mark.parametrize(
    ("provider", "values", "expected"),
    [
        ("hub", {}, None),
        ("hub", {"login": "  "}, None),
        ("hub", {"login": "ada", "password": "p"}, BasicCredentials("ada", "p")),
        ("hub", {"login": "ada", "token": " t "}, BasicCredentials("ada", "t")),
        ("hub", {"auth": AUTH}, BasicCredentials("ada", "pass:word")),
        ("hub", {"auth": AUTH.rstrip("=")}, BasicCredentials("ada", "pass:word")),
        ("ecr", {"accesskeyid": "A", "secretaccesskey": "S", "region": "r"}, AwsCredentials("A", "S", region="r")),
        ("ecr-public", {"accesskeyid": "A", "secretaccesskey": "S"}, AwsCredentials("A", "S")),
        ("gcr", {"jsonkey": GOOGLE_KEY}, BasicCredentials("_json_key", GOOGLE_KEY)),
        ("gcr", {"accesstoken": "ya29"}, BasicCredentials("oauth2accesstoken", "ya29")),
        ("acr", {"clientid": "c", "clientsecret": "s"}, BasicCredentials("c", "s")),
        ("acr", {"clientid": "c", "clientsecret": "s", "tenant": "t"}, EntraCredentials("t", "c", "s")),
        ("ghcr", {"username": "u", "token": "t"}, BasicCredentials("u", "t")),
        ("lscr", {"username": "u", "token": "t"}, BasicCredentials("u", "t")),
        ("gitlab", {"token": "t"}, BasicCredentials("oauth2", "t")),
        ("gitlab", {"token": "t", "username": "bot"}, BasicCredentials("bot", "t")),
        ("quay", {"namespace": "n", "account": "a", "token": "t"}, BasicCredentials("n+a", "t")),
        ("forgejo", {"login": "u", "password": "p"}, BasicCredentials("u", "p")),
        ("custom", {"auth": AUTH}, BasicCredentials("ada", "pass:word")),
    ],
)
def test_fields_that_belong_together_become_credentials(
    provider: str, values: dict[str, str], expected: object
) -> None:
    assert check_values(PROVIDERS[provider], values) == []
    assert credentials_from(PROVIDERS[provider], values) == expected


@pytest.mark.parametrize(
    ("provider", "values", "fields"),
    [
        ("hub", {"login": "ada"}, {"token"}),
        ("hub", {"password": "p"}, {"login"}),
        ("hub", {"login": "ada", "auth": AUTH}, {"login", "auth"}),
        ("hub", {"auth": "no base64!"}, {"auth"}),
        ("hub", {"auth": base64.b64encode(b"nocolon").decode()}, {"auth"}),
        ("hub", {"auth": "ada:$2y$05$abcdefghijklmnopqrstuv"}, {"auth"}),
        ("hub", {"login": "a:b", "password": "p"}, {"login"}),
        ("hub", {"login": "a\nb", "password": "p"}, {"login"}),
        ("hub", {"unknown": "x"}, {"unknown"}),
        ("ecr", {}, {""}),
        ("ecr", {"accesskeyid": "A", "secretaccesskey": "S"}, {"region"}),
        ("ecr", {"accesskeyid": "A", "secretaccesskey": "S", "region": "r", "accountid": "12"}, {"accountid"}),
        ("gcr", {"jsonkey": "no key"}, {"jsonkey"}),
        ("gcr", {"jsonkey": "{}"}, {"jsonkey"}),
        ("gcr", {"clientemail": "x"}, {"privatekey"}),
        ("acr", {"tenant": "t"}, {"clientid", "clientsecret"}),
        ("ghcr", {"token": "t"}, {"username"}),
        ("quay", {"namespace": "n", "token": "t"}, {"account"}),
        ("custom", {"login": "a", "password": "x" * 70_000}, {"password"}),
    ],
)
def test_fields_that_do_not_belong_together_are_named(provider: str, values: dict[str, str], fields: set[str]) -> None:
    problems = check_values(PROVIDERS[provider], values)

    assert {problem.field for problem in problems} & fields
    assert all(problem.message for problem in problems)
    with pytest.raises(CredentialsInvalid) as caught:
        credentials_from(PROVIDERS[provider], values)
    for value in values.values():
        assert len(value) < 5 or value not in str(caught.value)


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.id)
def test_every_combination_of_every_provider_is_accepted_and_hidden(provider: object) -> None:
    samples = {"auth": AUTH, "jsonkey": GOOGLE_KEY, "accountid": "123456789012"}
    for combination in provider.combinations:
        values = {name: samples.get(name, f"secret-{name}") for name in combination}
        assert check_values(provider, values) == []
        credentials = credentials_from(provider, values)
        secrets = [field.name for field in provider.fields if field.is_secret]
        for name in secrets:
            assert values.get(name, "-none-") not in repr(credentials)


@given(st.text(max_size=30), st.text(min_size=1, max_size=30))
def test_auth_of_any_pair_is_read_back_at_the_first_colon(username: str, secret: str) -> None:
    username = username.replace(":", "") or "u"
    try:
        encoded = base64.b64encode(f"{username}:{secret}".encode()).decode()
    except UnicodeEncodeError:
        return

    assert decode_auth(encoded) == BasicCredentials(username, secret)


@given(st.text(max_size=60))
def test_auth_of_any_text_is_read_or_refused_without_repeating_it(text: str) -> None:
    try:
        decode_auth(text)
    except CredentialsInvalid as exc:
        assert len(text) < 8 or text not in str(exc)
