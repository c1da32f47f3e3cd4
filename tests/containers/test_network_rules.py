"""Networks as engines tell of them, what makes one, and places of containers on them."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.rules.endpoints import (
    Endpoint,
    Place,
    addresses_outside,
    check_endpoint,
    kept_endpoint,
    used_addresses,
    why_not_connectable,
)
from containers.rules.networks import (
    NetworkFieldError,
    NetworkSpec,
    Pool,
    check_together,
    create_body,
    fix_of,
    network_facts,
    read_driver,
    read_name,
    read_pairs,
    spec_of,
    taken_of,
)
from containers.rules.subnets import Subnet

ID = "e7ea966708f9240c322402397316bf27db452803b306ee05c8a28999cab25ec9"
TOLD: dict[str, Any] = {
    "Name": "shop_default",
    "Id": ID,
    "Created": "2026-11-24T13:56:42.678020121Z",
    "Scope": "local",
    "Driver": "bridge",
    "EnableIPv6": True,
    "IPAM": {
        "Driver": "default",
        "Options": None,
        "Config": [
            {
                "Subnet": "10.99.0.0/24",
                "IPRange": "10.99.0.128/25",
                "Gateway": "10.99.0.1",
                "AuxiliaryAddresses": {"router": "10.99.0.5"},
            },
            {"Subnet": "fd00:1::/64"},
        ],
    },
    "Internal": True,
    "Attachable": False,
    "Ingress": False,
    "ConfigFrom": {"Network": ""},
    "ConfigOnly": False,
    "Containers": {},
    "Options": {"com.docker.network.driver.mtu": "1400"},
    "Labels": {"com.docker.compose.project": "shop", "secret_token": "s3cret"},
}

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=10,
)


def test_facts_of_an_answer_are_complete_and_hide_secrets() -> None:
    facts = network_facts(TOLD)

    assert facts is not None
    assert (facts.engine_id, facts.name, facts.driver, facts.compose_project) == (ID, "shop_default", "bridge", "shop")
    assert facts.internal and facts.ipv6_enabled and facts.ipv4_enabled
    assert facts.pools[0] == Pool(
        subnet="10.99.0.0/24", gateway="10.99.0.1", ip_range="10.99.0.128/25", auxiliary={"router": "10.99.0.5"}
    )
    assert facts.labels["secret_token"] != "s3cret"
    unmasked = network_facts(TOLD, masks=False)
    assert unmasked is not None and unmasked.labels["secret_token"] == "s3cret"


@given(st.dictionaries(st.sampled_from(list(TOLD)), json_values))
def test_facts_of_any_answer_never_fail(answer: dict[str, Any]) -> None:
    facts = network_facts({"Id": ID, **answer})

    assert facts is None or len(facts.name) <= 255


@pytest.mark.parametrize("engine_id", [None, 5, "", "../containers", "x" * 65])
def test_facts_without_a_usable_id_are_none(engine_id: object) -> None:
    assert network_facts({**TOLD, "Id": engine_id}) is None


@pytest.mark.parametrize("version", ["1.41", "1.45", "1.48", ""])
def test_body_of_the_spec_of_an_answer_makes_the_same_again(version: str) -> None:
    facts = network_facts(TOLD, masks=False)
    assert facts is not None

    body = create_body(spec_of(facts), version)

    assert body["IPAM"]["Config"] == TOLD["IPAM"]["Config"]
    assert (body["Labels"], body["Options"]) == (TOLD["Labels"], TOLD["Options"])
    assert (body["Internal"], body["EnableIPv6"]) == (True, True)
    assert ("EnableIPv4" in body) is (version in ("1.48", ""))


def test_body_of_a_plain_network_leaves_its_addresses_to_the_engine() -> None:
    assert "IPAM" not in create_body(NetworkSpec("web"), "1.51")


@pytest.mark.parametrize("name", ["web", "a.b-c_D9", "0"])
def test_read_name_right(name: str) -> None:
    assert read_name(f" {name} ") == name


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("", "Give it a name"), ("a b", "letters, digits"), ("-a", "first"), ("a/b", "letters"), ("host", "keep for")],
)
def test_read_name_wrong_says_why(name: str, sentence: str) -> None:
    with pytest.raises(NetworkFieldError, match=sentence):
        read_name(name)


@pytest.mark.parametrize(
    ("driver", "sentence"), [("host", "no second"), ("null", "no second"), ("a b", "not the name")]
)
def test_read_driver_wrong_says_why(driver: str, sentence: str) -> None:
    with pytest.raises(NetworkFieldError, match=sentence):
        read_driver(driver)


def test_read_pairs_takes_lines_and_keeps_equals_signs_of_values() -> None:
    assert read_pairs("a=b=c\n\n  d \ne = f ", "labels") == {"a": "b=c", "d": "", "e": "f"}


@pytest.mark.parametrize(("text", "sentence"), [("a b=c", "Line 1"), ("a=1\na=2", "Line 2"), ("=x", "Line 1")])
def test_read_pairs_wrong_names_the_line(text: str, sentence: str) -> None:
    with pytest.raises(NetworkFieldError, match=sentence):
        read_pairs(text, "labels")


@pytest.mark.parametrize(
    ("spec", "pools", "version", "field"),
    [
        (NetworkSpec("n"), ["10.1.0.0/16", "10.1.2.0/24"], "1.51", "pools"),
        (NetworkSpec("n"), ["10.1.0.0/24", "10.2.0.0/24"], "1.51", "pools"),
        (NetworkSpec("n", ipv4=False, ipv6=True), ["10.1.0.0/24"], "1.51", "ipv4"),
        (NetworkSpec("n", ipv4=False), [], "1.51", "ipv4"),
        (NetworkSpec("n", ipv4=False, ipv6=True), ["fd00::/64"], "1.45", "ipv4"),
        (NetworkSpec("n", ipv6=True), [], "1.45", "ipv6"),
        (NetworkSpec("n", driver="macvlan", options={"parent": "eth0"}), [], "1.51", "pools"),
        (NetworkSpec("n", config_from="t"), ["10.1.0.0/24"], "1.51", "pools"),
    ],
)
def test_check_together_what_does_not_fit_names_the_field(
    spec: NetworkSpec, pools: list[str], version: str, field: str
) -> None:
    with pytest.raises(NetworkFieldError) as failed:
        check_together(spec, [ip_network(text) for text in pools], version)

    assert failed.value.field == field


@pytest.mark.parametrize(
    ("spec", "pools", "version"),
    [
        (NetworkSpec("n"), [], "1.41"),
        (NetworkSpec("n", ipv6=True), ["10.1.0.0/24", "fd00::/64"], "1.41"),
        (NetworkSpec("n", ipv4=False, ipv6=True), ["fd00::/64"], "1.51"),
        (NetworkSpec("n", driver="macvlan"), ["10.1.0.0/24", "10.2.0.0/24"], ""),
    ],
)
def test_check_together_what_fits_passes(spec: NetworkSpec, pools: list[str], version: str) -> None:
    check_together(spec, [ip_network(text) for text in pools], version)


def test_taken_of_leaves_odd_subnets_out() -> None:
    taken = taken_of("web", [{"subnet": "10.1.0.0/24"}, {"subnet": "odd"}, {}])

    assert [(entry.subnet, entry.owner) for entry in taken] == [(ip_network("10.1.0.0/24"), "the network web")]


@pytest.mark.parametrize(
    ("message", "fix"),
    [
        ("Pool overlaps with other one on this address space", "Choose another subnet"),
        ("could not find an available, non-overlapping IPv4 address pool among the defaults", "give a subnet"),
        ("This node is not a swarm manager.", "needs a swarm"),
        ("error while removing network: network x has active endpoints", "Disconnect its containers"),
        (
            "user specified IP address is supported only when connecting to networks with user configured subnets",
            "made",
        ),
        ("Address already in use", "choose another"),
        ("something new", ""),
    ],
)
def test_fix_of_known_refusals(message: str, fix: str) -> None:
    assert fix in fix_of(message) and bool(fix) == bool(fix_of(message))


# ---- places ---------------------------------------------------------------------------------------------------------


def place(**changes: Any) -> Place:
    pool = Pool(subnet="10.1.2.0/24", gateway="10.1.2.1", ip_range="", auxiliary={"router": "10.1.2.5"})
    values: dict[str, Any] = {
        "name": "shop",
        "driver": "bridge",
        "scope": "local",
        "attachable": False,
        "is_predefined": False,
        "config_only": False,
        "pools": [pool],
        "used": {ip_address("10.1.2.9"): "web"},
        **changes,
    }
    return Place(**values)


@pytest.mark.parametrize(
    ("target", "names", "mode", "sentence"),
    [
        (place(driver="host", name="host"), [], "", "from its creation or never"),
        (place(driver="null", name="none"), [], "", "no network to connect to"),
        (place(config_only=True), [], "", "template"),
        (place(scope="swarm"), [], "", "services of the swarm"),
        (place(), ["host"], "", "uses the host's network"),
        (place(), [], "container:abc", "shares the network of another container"),
        (place(), ["none"], "", "disconnect it from there first"),
        (place(), ["bridge"], "bridge", ""),
        (place(scope="swarm", attachable=True), [], "", ""),
    ],
)
def test_why_not_connectable(target: Place, names: list[str], mode: str, sentence: str) -> None:
    why = why_not_connectable(target, names, mode=mode)

    assert sentence in why and bool(sentence) == bool(why)


@pytest.mark.parametrize(
    ("target", "fields", "field", "sentence"),
    [
        (place(), {"aliases": "ok, not/ok"}, "aliases", "“not/ok” is no name"),
        (place(is_predefined=True), {"aliases": "db"}, "aliases", "resolves no names"),
        (place(is_predefined=True), {"ipv4": "10.1.2.8"}, "ipv4", "gives the addresses itself"),
        (place(), {"ipv4": "10.1.3.8"}, "ipv4", "is not in 10.1.2.0/24"),
        (place(), {"ipv4": "10.1.2.1"}, "ipv4", "is the gateway of shop"),
        (place(), {"ipv4": "10.1.2.5"}, "ipv4", "kept free for router"),
        (place(), {"ipv4": "10.1.2.9"}, "ipv4", "belongs to web already"),
        (place(), {"ipv6": "fd00::1"}, "ipv6", "has no IPv6 subnet"),
        (place(), {"mac": "02:42"}, "mac", "six pairs"),
        (place(), {"mac": "03:42:ac:11:00:02"}, "mac", "address of a group"),
        (place(), {"aliases": " ".join(f"a{n}" for n in range(21))}, "aliases", "More than 20"),
    ],
)
def test_check_endpoint_wrong_names_the_field_and_why(
    target: Place, fields: dict[str, str], field: str, sentence: str
) -> None:
    with pytest.raises(NetworkFieldError) as failed:
        check_endpoint(target, **fields)

    assert failed.value.field == field
    assert sentence in str(failed.value)


def test_check_endpoint_right_becomes_what_the_engine_takes() -> None:
    endpoint = check_endpoint(place(), "db, cache db", " 10.1.2.77 ", "", "02-42-AC-11-00-02")

    assert endpoint == Endpoint(("db", "cache"), "10.1.2.77", "", "02:42:ac:11:00:02")
    assert endpoint.body() == {
        "Aliases": ["db", "cache"],
        "IPAMConfig": {"IPv4Address": "10.1.2.77"},
        "MacAddress": "02:42:ac:11:00:02",
    }
    assert Endpoint().body() == {}


def test_used_addresses_are_of_that_network_alone_asked_for_ones_too() -> None:
    containers = [
        ("web", [{"name": "shop", "address": "10.1.2.9", "fixed": ""}, {"name": "other", "address": "10.9.9.9"}]),
        ("stopped", [{"name": "shop", "address": "", "fixed": "10.1.2.77"}]),
        ("odd", [{"name": "shop", "address": "x"}]),
    ]

    assert used_addresses(containers, "shop") == {ip_address("10.1.2.9"): "web", ip_address("10.1.2.77"): "stopped"}


def test_kept_endpoint_drops_what_the_engine_gave() -> None:
    told = {
        "IPAMConfig": {"IPv4Address": "10.99.0.77"},
        "Links": None,
        "Aliases": ["al", "12dadcf67d6a"],
        "NetworkID": ID,
        "IPAddress": "10.99.0.77",
        "MacAddress": "02:42:0a:63:00:4d",
        "DriverOpts": {"x": "1"},
        "GwPriority": 7,
    }

    assert kept_endpoint(told, "12dadcf67d6ab874edfecced2a9c") == {
        "Aliases": ["al"],
        "IPAMConfig": {"IPv4Address": "10.99.0.77"},
        "DriverOpts": {"x": "1"},
        "GwPriority": 7,
    }


@given(st.dictionaries(st.sampled_from(["IPAMConfig", "Links", "Aliases", "DriverOpts", "GwPriority"]), json_values))
def test_kept_endpoint_of_any_answer_never_fails(told: dict[str, Any]) -> None:
    subnets: list[Subnet] = [ip_network("10.0.0.0/8")]

    assert isinstance(addresses_outside(kept_endpoint(told, "x" * 64), subnets), list)


def test_addresses_outside_tells_which_do_not_fit() -> None:
    endpoint = {"IPAMConfig": {"IPv4Address": "10.99.0.77", "IPv6Address": "fd00::7"}}

    assert addresses_outside(endpoint, [ip_network("10.99.0.0/24")]) == ["fd00::7"]
    assert addresses_outside({}, []) == []
