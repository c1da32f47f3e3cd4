"""The next page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registries.rules.links import UnsafeLinkError, next_page
from registries.rules.origins import origin_of

URL = "https://registry.example:5000/v2/a/b/tags/list?n=1000"
BASE = "https://registry.example:5000/v2/a/b/tags/list"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        ([""], None),
        (['</v2/a/b/tags/list?last=x&n=2>; rel="next"'], f"{BASE}?last=x&n=2"),
        (['</v2/a/b/tags/list?next_page=gAA%3D%2F&n=50>; rel="next"'], f"{BASE}?next_page=gAA%3D%2F&n=50"),
        (['<?last=x>; rel="next"'], f"{BASE}?last=x"),
        ([f"<{BASE}?last=x>; REL=Next"], f"{BASE}?last=x"),
        (["<http://registry.example/v2/a/b/tags/list?last=x>; rel=next"], f"{BASE}?last=x"),
        (['</first>; rel="first", </v2/a/b/tags/list?last=x>; rel="last next"'], f"{BASE}?last=x"),
        (['</v2/a/b/tags/list?last=x,y>; title="a, b>"; rel="next"'], f"{BASE}?last=x,y"),
        (['</first>; rel="prev"', '<?last=x>; rel="next"'], f"{BASE}?last=x"),
        (['</v2/a/b/tags/list?last=x>; rel="nextish"'], None),
        (["</v2/a/b/tags/list>"], None),
        (['<?last=x#fragment>; rel="next"'], f"{BASE}?last=x"),
    ],
)
def test_next_page_is_taken_as_it_is(headers: list[str], expected: str | None) -> None:
    assert next_page(URL, headers) == expected


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.test/v2/a/b/tags/list?last=x",
        "//evil.test/v2/a/b/tags/list",
        "/v2/a/c/tags/list",
        "/v2/a/b/tags/list/",
        "../../../x",
        "https://user@registry.example/v2/a/b/tags/list",
        "file:///v2/a/b/tags/list",
        "https://[",
    ],
)
def test_next_page_elsewhere_is_refused(target: str) -> None:
    with pytest.raises(UnsafeLinkError):
        next_page(URL, [f'<{target}>; rel="next"'])


@given(st.text(max_size=80))
def test_next_page_of_any_text_stays_on_the_path_of_the_list(text: str) -> None:
    for header in (text, f'<{text}>; rel="next"'):
        try:
            found = next_page(URL, [header])
        except UnsafeLinkError:
            continue
        if found is not None:
            assert origin_of(found) == origin_of(URL)
            assert found.partition("?")[0] == BASE


def test_link_longer_than_any_real_one_is_not_read() -> None:
    assert next_page(URL, [f'<?last={"x" * 9000}>; rel="next"']) is None
