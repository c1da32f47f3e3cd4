"""What may be said beside the kind of an act."""

from typing import Any

import pytest

from containers.rules.parameters import ParameterError, read_parameters


@pytest.mark.parametrize(
    ("kind", "form", "expected"),
    [
        ("start", {"signal": "SIGHUP"}, {}),
        ("kill", {}, {}),
        ("kill", {"signal": "SIGKILL"}, {}),
        ("kill", {"signal": " hup "}, {"signal": "SIGHUP"}),
        ("kill", {"signal": "SIGRTMIN+3"}, {"signal": "SIGRTMIN+3"}),
        ("stop", {"timeout_s": ""}, {}),
        ("stop", {"timeout_s": "0"}, {"timeout_s": 0}),
        ("restart", {"timeout_s": "3600"}, {"timeout_s": 3600}),
        ("remove", {"force": "on"}, {"force": True}),
        ("remove", {"force": "off", "volumes": "on"}, {"volumes": True}),
        ("rename", {"name": " web-2 "}, {"name": "web-2"}),
    ],
)
def test_read_parameters_takes_what_the_kind_knows(kind: str, form: dict[str, str], expected: dict[str, Any]) -> None:
    assert read_parameters(kind, form) == expected


@pytest.mark.parametrize(
    ("kind", "field", "text"),
    [
        ("kill", "signal", "9; reboot"),
        ("kill", "signal", "SIGX" * 20),
        ("stop", "timeout_s", "-1"),
        ("stop", "timeout_s", "3601"),
        ("stop", "timeout_s", "٣"),
        ("stop", "timeout_s", "9" * 5000),
        ("rename", "name", ""),
        ("rename", "name", "a"),
        ("rename", "name", "../etc"),
        ("rename", "name", "x" * 129),
    ],
)
def test_read_parameters_refuses_the_rest_and_names_the_field(kind: str, field: str, text: str) -> None:
    with pytest.raises(ParameterError) as caught:
        read_parameters(kind, {field: text})

    assert caught.value.field == field
