"""Which token servers are asked, which are trusted, and for what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registries.rules.origins import InvalidUrlError, authority_matches, origin_of
from registries.rules.realms import UnsafeRealmError, judge_realm, pull_scope

REGISTRY = origin_of("https://registry.example:5000")


@pytest.mark.parametrize(
    ("url", "trusted", "expected"),
    [
        ("https://registry.example:5000/token", (), True),
        ("https://registry.example:5001/token", (), True),
        ("https://registry.example/token", (), True),
        ("https://REGISTRY.example./token", (), True),
        ("https://auth.example/token", ("auth.example",), True),
        ("https://auth.example:8443/token", ("auth.example",), False),
        ("https://auth.example:8443/token", ("auth.example:8443",), True),
        ("https://auth.example/token", (), False),
        ("https://registry.example.evil.test/token", (), False),
        ("https://evil-registry.example/token", (), False),
        ("https://example/token", (), False),
    ],
)
def test_realm_is_trusted_with_credentials_by_its_whole_host(
    url: str, trusted: tuple[str, ...], expected: bool
) -> None:
    assert judge_realm(url, REGISTRY, trusted).is_trusted is expected


@pytest.mark.parametrize(
    "url",
    [
        "http://registry.example:5000/token",
        "https://user@registry.example/",
        "https://registry.example/#x",
        "ftp://registry.example/",
        "registry.example",
        "",
        "https://registry.example\\@evil.test/",
        "https://registry.example /",
        "https://registry.example:0/",
    ],
)
def test_realm_that_is_no_safe_url_is_refused(url: str) -> None:
    with pytest.raises(UnsafeRealmError):
        judge_realm(url, REGISTRY, ("registry.example",))


def test_plain_http_realm_is_for_plain_http_registries() -> None:
    plain = origin_of("http://registry.example:5000")

    assert judge_realm("http://registry.example:5001/token", plain, ()).is_trusted


@given(st.text(max_size=60))
def test_realm_of_any_text_is_judged_or_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"https://registry.example:5000{text}"):
        try:
            realm = judge_realm(url, REGISTRY, ())
        except UnsafeRealmError:
            continue
        assert realm.is_trusted == (realm.origin.host == REGISTRY.host)


@pytest.mark.parametrize(
    ("challenged", "expected"),
    [
        ("repository:a/b:pull", "repository:a/b:pull"),
        ("repository:a/b:metadata_read", "repository:a/b:metadata_read"),
        ("repository:a/b:pull,metadata_read", "repository:a/b:pull,metadata_read"),
        ("repository:a/b:pull,push", "repository:a/b:pull"),
        ("repository:a/b:*", "repository:a/b:pull"),
        ("repository:other:pull", "repository:a/b:pull"),
        ("registry:catalog:*", "repository:a/b:pull"),
        ("repository:a/b:pull repository:c/d:pull", "repository:a/b:pull"),
        ("*", "repository:a/b:pull"),
        ("aws", "repository:a/b:pull"),
        ("", "repository:a/b:pull"),
    ],
)
def test_scope_is_never_wider_than_reading_this_repository(challenged: str, expected: str) -> None:
    assert pull_scope("a/b", challenged) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://Host.Example", "https://host.example"),
        ("https://host.example:443/x", "https://host.example"),
        ("http://host.example:80/", "http://host.example"),
        ("http://host.example:443/", "http://host.example:443"),
        ("https://[2001:DB8::1]:5000/", "https://[2001:db8::1]:5000"),
    ],
)
def test_origin_has_one_form(url: str, expected: str) -> None:
    assert str(origin_of(url)) == expected


@pytest.mark.parametrize("text", ["a b", "a/b", "user@host", "", "host:x", "host:0"])
def test_text_that_is_no_authority_matches_nothing(text: str) -> None:
    try:
        origin = origin_of(f"https://{text.partition('/')[0] or 'x'}")
    except InvalidUrlError:
        origin = REGISTRY
    assert not authority_matches(origin, text) or text == "a/b"
