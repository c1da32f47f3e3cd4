"""wud.tag.transform in both syntaxes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.rules.transforms import MAX_RESULT, Transform


@pytest.mark.parametrize(
    ("transform", "tag", "result"),
    [
        ("s/^v//", "v1.2", "1.2"),
        ("s/a|b/x/g", "abc", "xxc"),
        ("s/a|b/x/", "abc", "xbc"),
        ("s/a/b/|s/b/c/", "a", "c"),
        ("s/a/b/ | s/b/c/", "a", "c"),
        (r"s/\//-/", "a/b", "a-b"),
        (r"s/(\d)\.(\d)/\2.$1/g", "1.2-3.4", "2.1-4.3"),
        ("s/V//i", "v1", "1"),
        ("s/x*/-/g", "abc", "-a-b-c-"),
        ("(a)|(b) => [$2]", "a", "[]"),
        ("(a) => $10", "a", "a0"),
        ("(a) => $5", "a", "$5"),
        ("a=>b", "xax", "b"),
        ("^(v)(.*)$ => $2", "v1", "1"),
        (" ", "a", "a"),
    ],
)
def test_transform_table(transform: str, tag: str, result: str) -> None:
    done = Transform(transform).apply(tag)

    assert (done.result, done.warning) == (result, "")


@pytest.mark.parametrize(
    "transform",
    [
        "s#a#b#",
        "s/a/b",
        "s/a/b/x",
        "s/a/b/|",
        "s/a/b/ junk",
        "s/([/b/",
        "a => b => c",
        "no arrow",
        "a => ",
        "s/.*//",
        "x" * 1025,
        "s/./aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/g|s/./aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/g",
        "|".join(["s/a/a/"] * 60),
    ],
)
def test_transform_that_is_wrong_leaves_the_tag_and_warns(transform: str) -> None:
    done = Transform(transform).apply("banana-banana-banana")

    assert done.result == "banana-banana-banana"
    assert done.warning


PIECES = st.sampled_from(["s/", "/", "|", "=>", "$1", "\\1", "(", ")", "a", ".*", "[", "\\", " ", "g", "i", "$", "é"])
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=20).map("".join))


@given(TEXTS, st.text(max_size=130))
def test_transform_anything_never_raises_and_is_bounded(transform: str, tag: str) -> None:
    done = Transform(transform).apply(tag)

    assert done.result == tag or 0 < len(done.result) <= MAX_RESULT
