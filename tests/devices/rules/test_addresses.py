"""Addresses as people type them."""

import pytest

from devices.rules.addresses import AddressError, HostAddress, parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web-1", HostAddress("web-1")),
        ("  Web-1.Example.COM. ", HostAddress("web-1.example.com")),
        ("op@web-1:2222", HostAddress("web-1", 2222, "op")),
        ("ssh://op@10.0.0.7:22/", HostAddress("10.0.0.7", 22, "op")),
        ("domain\\anna@web", HostAddress("web", 22, "domain\\anna")),
        ("anna@corp.example@web", HostAddress("web", 22, "anna@corp.example")),
        ("::1", HostAddress("::1")),
        ("2001:DB8::0:1", HostAddress("2001:db8::1")),
        ("[2001:db8::1]:2222", HostAddress("2001:db8::1", 2222)),
        ("op@[fe80::1%eth0]", HostAddress("fe80::1%eth0", 22, "op")),
        ("my_host", HostAddress("my_host")),
        ("bücher.example", HostAddress("xn--bcher-kva.example")),
    ],
)
def test_address_in_any_usual_form_is_read(text: str, expected: HostAddress) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize("text", ["op@web-1:2222", "[2001:db8::1]:2222", "web", "op@10.0.0.7"])
def test_address_printed_is_the_one_that_was_read(text: str) -> None:
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "op@",
        "-oProxyCommand=x",
        "web:0",
        "web:65536",
        "web:ssh",
        "[::1",
        "[::1]x",
        "[web]:22",
        "1.2.3",
        "300.1.1.1",
        "::g",
        "a b",
        "web/../x",
        "a..b",
        "x" * 64,
        "web;rm",
        "o p@web",
        "fe80::1%et h",
    ],
)
def test_address_that_can_not_be_is_refused(text: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert str(caught.value).endswith(".")
