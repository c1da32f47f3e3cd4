"""Which addresses may be connected to."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registries.rules.network_addresses import address_problem

NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "100.100.100.200",
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "::7f00:1",
    "host.example",
    "",
    "10.0.0.1:80",
]
PRIVATE = [
    "10.1.2.3",
    "172.16.0.1",
    "192.168.0.1",
    "127.0.0.1",
    "127.8.8.8",
    "::1",
    "fd12::1",
    "100.64.0.1",
    "198.18.0.1",
]
PUBLIC = ["8.8.8.8", "93.184.215.14", "2606:2800:21f:cb07::1"]


@pytest.mark.parametrize("address", NEVER)
def test_address_of_metadata_and_the_like_is_never_asked(address: str) -> None:
    assert address_problem(address, allow_private=True)
    assert address_problem(address, allow_private=False)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_address_is_for_configured_hosts(address: str) -> None:
    assert address_problem(address, allow_private=True) is None
    assert address_problem(address, allow_private=False)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_is_for_everyone(address: str) -> None:
    assert address_problem(address, allow_private=False) is None


@given(st.ip_addresses())
def test_address_of_any_kind_is_public_to_us_only_if_it_is_global(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if address_problem(str(address), allow_private=False) is None:
        assert address.is_global
        assert not address.is_multicast
    if address_problem(str(address), allow_private=True):
        assert address_problem(str(address), allow_private=False)


@given(st.ip_addresses(v=4))
def test_ipv4_in_ipv6_form_is_never_asked(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    forms = (f"::ffff:{address}", str(ipaddress.IPv6Address((0x64FF9B << 96) | number)))

    assert all(address_problem(form, allow_private=True) for form in forms)
