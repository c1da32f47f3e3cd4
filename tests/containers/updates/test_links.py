"""Links from templates and OCI labels: http and https alone, everything percent-encoded."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.rules.links import MAX_LINK, LinkFacts, link_from_template, safe_url, source_link

FACTS = LinkFacts(tag="v1.2.3-rc.1", transformed="1.2.3-rc.1", container="web one", repository="team/app")


@pytest.mark.parametrize(
    ("template", "url"),
    [
        ("https://x.example/${tag}", "https://x.example/v1.2.3-rc.1"),
        ("https://x.example/${ original }/${raw}", "https://x.example/v1.2.3-rc.1/v1.2.3-rc.1"),
        ("https://x.example/${transformed}", "https://x.example/1.2.3-rc.1"),
        ("https://x.example/${major}_${minor}_${patch}_${prerelease}", "https://x.example/1_2_3_rc.1"),
        ("https://x.example/?c=${container}&r=${repo}", "https://x.example/?c=web%20one&r=team%2Fapp"),
        ('HTTP://x.example/a b"<', "HTTP://x.example/a%20b%22%3C"),
        ("https://x.example:8443/${tag}#top", "https://x.example:8443/v1.2.3-rc.1#top"),
        ("", ""),
    ],
)
def test_link_table(template: str, url: str) -> None:
    link = link_from_template(template, FACTS)

    assert (link.url, link.warning) == (url, "")


@pytest.mark.parametrize(
    "template",
    [
        "https://x.example/${process.exit(1)}",
        "https://x.example/${}",
        "javascript:alert(${major})",
        "data:text/html,x",
        "//x.example/",
        "/x",
        "https:///x",
        "https://user:secret@x.example/",
        "https://${tag}@x.example/",
        "https://x.example:port/",
        "https://[x/",
        "https://x.example/" + "a" * 3000,
        "x",
    ],
)
def test_link_that_is_wrong_gives_none_and_a_warning(template: str) -> None:
    link = link_from_template(template, FACTS)

    assert link.url == ""
    assert link.warning


ANY = st.text(max_size=80)
TEMPLATES = st.lists(
    st.one_of(ANY, st.sampled_from(["https://", "http://x.example/", "${tag}", "${repo}", "${", "}", "@", "\n", "\\"])),
    max_size=8,
).map("".join)


@given(TEMPLATES, ANY, ANY)
def test_link_anything_is_safe(template: str, tag: str, container: str) -> None:
    url = link_from_template(template, LinkFacts(tag, tag, container, "a/b")).url

    if url:
        split = urlsplit(url)
        assert split.scheme in ("http", "https") and split.hostname and "@" not in split.netloc
        assert url.isascii() and len(url) <= MAX_LINK
        assert not set(url) & set(' \n\t"<>\\^`{|}')


@pytest.mark.parametrize(
    ("labels", "url"),
    [
        ({"org.opencontainers.image.source": "https://github.com/team/app"}, "https://github.com/team/app/releases"),
        (
            {"org.opencontainers.image.source": "https://github.com/team/app.git"},
            "https://github.com/team/app/releases",
        ),
        ({"org.opencontainers.image.source": "https://gitlab.com/a/b"}, "https://gitlab.com/a/b/-/releases"),
        ({"org.opencontainers.image.source": "https://github.com/a/b/tree/x"}, "https://github.com/a/b/tree/x"),
        ({"org.opencontainers.image.url": "https://app.example/"}, "https://app.example/"),
        (
            {
                "org.opencontainers.image.source": "git@github.com:a/b",
                "org.opencontainers.image.url": "http://b.example",
            },
            "http://b.example",
        ),
        ({"org.opencontainers.image.source": "javascript:alert(1)"}, ""),
        ({"org.opencontainers.image.source": 5}, ""),
        ({}, ""),
    ],
)
def test_source_link_table(labels: dict[str, object], url: str) -> None:
    assert source_link(labels) == url


@pytest.mark.parametrize("text", ["https://a.example/ b", "ftp://a.example", "https://a.example\n", ""])
def test_safe_url_of_other_text(text: str) -> None:
    assert safe_url(text) in ("", "https://a.example")
