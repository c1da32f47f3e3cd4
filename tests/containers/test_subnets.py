"""What is wrong with a subnet, in words, before an engine is asked."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.rules.subnets import (
    CheckedPool,
    Subnet,
    SubnetError,
    Taken,
    capacity,
    check_pool,
    first_free_address,
    is_within,
    overlap_text,
    overlaps,
    parse_address,
    parse_subnet,
    suggest_subnet,
)

subnets_v4 = st.builds(
    lambda number, prefix: ip_network((number, prefix), strict=False),
    st.integers(0, 2**32 - 1),
    st.integers(8, 30),
)
subnets_v6 = st.builds(
    lambda number, prefix: ip_network((number, prefix), strict=False),
    st.integers(2**32, 2**128 - 1),
    st.integers(16, 126),
)
subnets = st.one_of(subnets_v4, subnets_v6)


@given(subnets)
def test_parse_subnet_of_its_own_text_is_itself(subnet: Subnet) -> None:
    assert parse_subnet(f"  {subnet} ") == subnet


@given(st.text(max_size=80))
def test_parse_subnet_of_any_text_gives_a_subnet_or_a_sentence(text: str) -> None:
    try:
        parse_subnet(text)
    except SubnetError as exc:
        assert exc.field == "subnet" and str(exc).endswith(".")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("10.1.2.3/24", "10.1.2.3 lies inside the subnet, which begins at 10.1.2.0: write 10.1.2.0/24."),
        ("10.1.2.0", "10.1.2.0 is one address: add how many bits are fixed, such as 10.1.2.0/24."),
        ("fd00:1::", "fd00:1:: is one address: add how many bits are fixed, such as fd00:1::/64."),
        ("10.1.2.0/33", "“/33” is no length of a prefix: write a number from 0 to 32."),
        ("10.1.2.0/x", "“/x” is no length of a prefix: write a number from 0 to 32."),
        ("10.1.256.0/24", "each of the four numbers goes from 0 to 255"),
        ("10.1.02.0/24", "without leading zeros"),
        ("web/24", "“web” is no address"),
        ("web", "“web” is no subnet: write an address and how many bits of it are fixed, such as 10.1.2.0/24."),
        ("1" * 65, "This is too long for a subnet."),
    ],
)
def test_parse_subnet_wrong_says_what_to_write(text: str, sentence: str) -> None:
    with pytest.raises(SubnetError) as failed:
        parse_subnet(text)

    assert sentence in str(failed.value)


@pytest.mark.parametrize(
    ("pool", "field", "sentence"),
    [
        (("0.0.0.0/0",), "subnet", "is the whole internet"),
        (("127.0.0.0/24",), "subnet", "127.0.0.0/8 is for loopback (RFC 1122)"),
        (("224.1.0.0/16",), "subnet", "multicast"),
        (("fe80::/64",), "subnet", "single links"),
        (("::ffff:10.0.0.0/120",), "subnet", "IPv4 addresses written as IPv6"),
        (("10.1.2.0/31",), "subnet", "has no room for a gateway and a container: /30 is the smallest, /24 the usual"),
        (("fd00::/127",), "subnet", "/126 is the smallest, /64 the usual"),
        (("10.1.2.0/24", "10.1.3.1"), "gateway", "10.1.3.1 is not in 10.1.2.0/24, which goes from 10.1.2.0 to"),
        (("10.1.2.0/24", "10.1.2.0"), "gateway", "stands for the subnet itself; the first free one is 10.1.2.1"),
        (("10.1.2.0/24", "10.1.2.255"), "gateway", "is the broadcast address"),
        (("10.1.2.0/24", "fd00::1"), "gateway", "fd00::1 is of IPv6, but 10.1.2.0/24 of IPv4"),
        (("10.1.2.0/24", "web"), "gateway", "“web” is no address: write one such as 10.1.2.1"),
        (("10.1.2.0/24", "", "10.1.0.0/16"), "ip_range", "10.1.0.0/16 is not inside of 10.1.2.0/24"),
        (("10.1.2.0/24", "", "10.1.2.5/25"), "ip_range", "write 10.1.2.0/25"),
        (("10.1.2.0/24", "", "fd00::/64"), "ip_range", "is of IPv6"),
        (("10.1.2.0/24", "", "", "router"), "auxiliary", "write a name and an address"),
        (("10.1.2.0/24", "", "", "r=10.1.2.5, r=10.1.2.6"), "auxiliary", "“r” is there twice"),
        (("10.1.2.0/24", "10.1.2.1", "", "r=10.1.2.1"), "auxiliary", "10.1.2.1 is the gateway"),
        (("10.1.2.0/24", "", "", "r=10.9.2.1"), "auxiliary", "10.9.2.1 is not in 10.1.2.0/24"),
    ],
)
def test_check_pool_wrong_names_the_field_and_why(pool: tuple[str, ...], field: str, sentence: str) -> None:
    with pytest.raises(SubnetError) as failed:
        check_pool(*pool)

    assert failed.value.field == field
    assert sentence in str(failed.value)


def test_check_pool_right_gives_all_its_parts() -> None:
    checked = check_pool("10.1.2.0/24", " 10.1.2.1 ", "10.1.2.128/25", "router=10.1.2.5\nprinter = 10.1.2.6")

    assert checked == CheckedPool(
        ip_network("10.1.2.0/24"),
        ip_address("10.1.2.1"),
        ip_network("10.1.2.128/25"),
        (("router", ip_address("10.1.2.5")), ("printer", ip_address("10.1.2.6"))),
        (),
    )


@pytest.mark.parametrize(
    ("pool", "warning"),
    [
        (("8.8.8.0/24",), "not a private range"),
        (("2a01:4f8::/64",), "not a private range"),
        (("10.0.0.0/8",), "very large"),
        (("fd00::/80",), "smaller than /64"),
        (("10.1.2.0/24", "", "10.1.2.8/31"), "room for 2 containers"),
    ],
)
def test_check_pool_odd_but_possible_is_warned_of(pool: tuple[str, ...], warning: str) -> None:
    assert any(warning in text for text in check_pool(*pool).warnings)


@given(subnets, subnets)
def test_overlaps_is_symmetric_and_true_of_itself(one: Subnet, other: Subnet) -> None:
    there, back = overlaps(one, [Taken(other, "b")]), overlaps(other, [Taken(one, "a")])

    assert bool(there) == bool(back)
    assert overlaps(one, [Taken(one, "itself")])
    if is_within(one, other):
        assert there


@given(st.lists(subnets_v4, max_size=12), st.integers(16, 28))
def test_suggest_subnet_overlaps_with_nothing_taken(found: list[Subnet], prefix: int) -> None:
    taken = [Taken(subnet, "x") for subnet in found]

    suggested = suggest_subnet(taken, prefix)

    if suggested is not None:
        assert suggested.prefixlen == prefix and suggested.is_private
        assert not overlaps(suggested, taken)
        check_pool(str(suggested))


def test_suggest_subnet_where_nothing_is_free_is_none() -> None:
    everything = [Taken(ip_network(text), "x") for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]

    assert suggest_subnet(everything) is None
    assert suggest_subnet(everything, 64, version=6) == ip_network("fd00::/64")


def test_overlap_text_names_the_first_three_and_what_is_free() -> None:
    subnet = ip_network("10.1.0.0/16")
    found = [Taken(ip_network(f"10.1.{number}.0/24"), f"the network n{number}") for number in range(5)]

    text = overlap_text(subnet, found, ip_network("10.64.0.0/16"))

    assert text == (
        "10.1.0.0/16 overlaps with the network n0 (10.1.0.0/24), the network n1 (10.1.1.0/24), "
        "the network n2 (10.1.2.0/24) and 2 more. 10.64.0.0/16 is free."
    )


@given(subnets, st.sets(st.integers(0, 40), max_size=30))
def test_first_free_address_is_in_the_subnet_and_nobodys(subnet: Subnet, offsets: set[int]) -> None:
    used = [subnet[offset] for offset in offsets if offset < subnet.num_addresses]

    found = first_free_address(subnet, used)

    if found is None:
        assert capacity(subnet) <= len(used)
    else:
        assert found not in used
        assert parse_address(str(found), "ipv4", subnet) == found


@pytest.mark.parametrize(
    ("subnet", "ip_range", "count"),
    [("10.1.2.0/24", None, 253), ("10.1.2.0/30", None, 1), ("fd00::/126", None, 2), ("10.1.2.0/24", "10.1.2.8/30", 4)],
)
def test_capacity_counts_what_containers_can_have(subnet: str, ip_range: str | None, count: int) -> None:
    assert capacity(ip_network(subnet), ip_network(ip_range) if ip_range else None) == count
