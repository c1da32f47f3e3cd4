"""The labels that SSM and compose read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.rules.labels import DEFAULT_ICON, Compose, compose, display


@pytest.mark.parametrize(
    ("icon", "expected"),
    [
        ("si:nginx", "si:nginx"),
        ("si-nginx", "si:nginx"),
        ("MDI:Docker", "mdi:docker"),
        ("  fab-github  ", "fab:github"),
        ("simple-icons:redis", "simple-icons:redis"),
        ("hl:home-assistant", "hl:home-assistant"),
        ("xx:thing", DEFAULT_ICON),
        ("si:", DEFAULT_ICON),
        ("si:../../x", DEFAULT_ICON),
        ("si:<script>", DEFAULT_ICON),
        ("si:" + "a" * 200, DEFAULT_ICON),
        ("", DEFAULT_ICON),
        ("nginx", DEFAULT_ICON),
        ("si:nginx\n", "si:nginx"),
    ],
)
def test_display_icon_table(icon: str, expected: str) -> None:
    assert display({"wud.display.icon": icon}).icon == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Shop", "Shop"), ("  Shop ", "Shop"), ("", ""), ("   ", ""), ("<b>", "<b>"), ("x" * 300, "x" * 255)],
)
def test_display_name_table(name: str, expected: str) -> None:
    assert display({"wud.display.name": name}).name == expected


def test_display_without_labels_is_the_default() -> None:
    assert (display({}).name, display({}).icon) == ("", DEFAULT_ICON)


def test_display_names_are_case_sensitive() -> None:
    assert display({"WUD.display.name": "x"}).name == ""


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, Compose("", "")),
        ({"com.docker.compose.project": " shop "}, Compose("shop", "")),
        (
            {"com.docker.compose.project": "p" * 300, "com.docker.compose.service": "s" * 300},
            Compose("p" * 255, "s" * 255),
        ),
    ],
)
def test_compose_table(labels: dict[str, str], expected: Compose) -> None:
    assert compose(labels) == expected


@given(
    st.dictionaries(
        st.sampled_from(["wud.display.name", "wud.display.icon", "com.docker.compose.project"]),
        st.text(max_size=400),
    )
)
def test_labels_anything_gives_bounded_values(labels: dict[str, str]) -> None:
    shown, project = display(labels), compose(labels)

    assert len(shown.name) <= 255
    assert shown.icon.isascii()
    assert len(project.project) <= 255
