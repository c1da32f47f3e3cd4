"""Hosts out of lists, SSH configurations and inventories."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.rules.addresses import HostAddress
from devices.rules.device_lists import parse_list
from devices.rules.imports import MOST_BYTES, MOST_HOSTS, Found, ImportFault
from devices.rules.inventories_yaml import parse_inventory
from devices.rules.ssh_config import parse_ssh_config, wildcard_matches


def only(found: Found) -> dict[str, object]:
    """The fields of the one host that differ from the usual."""
    (host,) = found.hosts
    usual = {"port": 22, "username": "", "groups": (), "jumps": (), "notes": (), "fault": "", "address_family": "any"}
    fields = {name: getattr(host, name) for name in host.__dataclass_fields__}
    return {name: value for name, value in fields.items() if value not in (usual.get(name, ""), None, False)}


# ---- lists


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", {"name": "10.0.0.1", "address": "10.0.0.1"}),
        ("root@web:2222", {"name": "web", "address": "web", "port": 2222, "username": "root"}),
        (
            "web.example.com, Web one, production; berlin",
            {"name": "Web one", "address": "web.example.com", "groups": ("production", "berlin")},
        ),
        ("[2001:db8::1]:22\tsix\ta,b", {"name": "six", "address": "2001:db8::1", "groups": ("a", "b")}),
        (
            "Name;IP;Port;User;Groups\nweb;10.0.0.1;2222;op;a|b",
            {"name": "web", "address": "10.0.0.1", "port": 2222, "username": "op", "groups": ("a", "b")},
        ),
        ('\ufeff# servers\n\nhost,name\n10.0.0.1,"a, b"', {"name": "a, b", "address": "10.0.0.1"}),
    ],
)
def test_list_line_is_read(text: str, expected: dict[str, object]) -> None:
    assert only(parse_list(text)) == expected


@pytest.mark.parametrize("text", ["not a host, x", "web:99999", "user name@web", "host;port\nweb;0"])
def test_list_line_that_is_no_host_has_its_fault(text: str) -> None:
    assert only(parse_list(text))["fault"]


# ---- SSH configurations

CONFIG = """
User everybody
Include ~/.ssh/more
Host bastion
    HostName bastion.example.com
    User jump
    Port 2200
Host web* !web9
    ProxyJump bastion,op@10.0.0.9:2222
    Compression yes
Host "web1" web9
    HostName=%h.example.com
    IdentityFile ~/.ssh/id_web   # of old
    ConnectTimeout 5
    ServerAliveInterval = 30
    AddressFamily inet6
Match host web1 exec "touch /tmp/x"
    User evil
Host *.internal
    Port 1
Host bad
    HostName -oProxyCommand=x
Match all
    Port 2022
"""


def test_ssh_config_gives_each_named_host_what_holds_for_it() -> None:
    found = parse_ssh_config(CONFIG)

    hosts = {host.name: host for host in found.hosts}
    assert list(hosts) == ["bastion", "web1", "web9", "bad"]
    web1, web9, bastion = hosts["web1"], hosts["web9"], hosts["bastion"]
    # The first value counts: the user of the beginning holds for all.
    assert (web1.address, web1.port, web1.username) == ("web1.example.com", 2022, "everybody")
    assert web1.jumps == (
        HostAddress("bastion.example.com", 2200, "everybody"),
        HostAddress("10.0.0.9", 2222, "op"),
    )
    assert (web1.compression, web1.connect_timeout_s, web1.keepalive_s) == (True, 5, 30)
    assert web1.address_family == "ipv6"
    assert "id_web" in web1.notes[0]
    assert (web9.jumps, web9.compression) == ((), False)
    assert (bastion.address, bastion.port) == ("bastion.example.com", 2200)
    assert hosts["bad"].fault
    assert any("Include" in note for note in found.notes)
    assert any("exec" in note for note in found.notes)


def test_ssh_config_without_named_hosts_says_so() -> None:
    assert "names a host without wildcards" in parse_ssh_config("Host *\n  User x").notes[0]


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("*", "", True),
        ("web?", "web1", True),
        ("web?", "web", False),
        ("*.a.*", "x.a.b.a.c", True),
        ("a*b*c", "aXbY", False),
        ("", "", True),
        ("a**", "a", True),
    ],
)
def test_wildcards_match_as_those_of_ssh(pattern: str, text: str, *, expected: bool) -> None:
    assert wildcard_matches(pattern, text) is expected


def test_wildcards_of_an_attacker_end_in_time() -> None:
    started = time.monotonic()

    assert not wildcard_matches("*a" * 500, "a" * 2000 + "b")

    assert time.monotonic() - started < 5


# ---- inventories

INI = """
[web]
web[01:03].example.com ansible_port=2222
one ansible_host=10.0.0.1 ansible_user="root" ansible_become=true ansible_become_method=doas ansible_password=hunter2

[db]
db-[a:b] ansible_ssh_common_args='-o ProxyJump=jump@bastion:22 -o Foo=bar'
templated ansible_host="{{ lookup('pipe', 'id') }}"

[berlin:children]
web
db
[berlin:vars]
ansible_user=everybody
[web:vars]
ansible_user=webby
[all:vars]
ansible_port=22
"""


def test_ini_inventory_gives_hosts_with_ranges_groups_and_the_innermost_values() -> None:
    found = parse_inventory(INI)

    hosts = {host.name: host for host in found.hosts}
    assert list(hosts) == [
        *("web01.example.com", "web02.example.com", "web03.example.com", "one", "db-a", "db-b", "templated"),
    ]
    web = hosts["web02.example.com"]
    assert (web.port, web.username, web.groups) == (2222, "webby", ("web", "berlin"))
    one = hosts["one"]
    assert (one.address, one.username, one.become) == ("10.0.0.1", "root", "doas")
    assert "ansible_password is not taken over" in one.notes[0]
    assert "hunter2" not in repr(found)
    assert hosts["db-a"].jumps == (HostAddress("bastion", 22, "jump"),)
    assert hosts["db-b"].username == "everybody"
    assert hosts["templated"].address == "templated"
    assert "template" in hosts["templated"].notes[0]


YAML = """
---
all:
  vars: {ansible_user: everybody}
  hosts:
    alone:
  children:
    web:
      hosts:
        web[1:2]:
          ansible_port: 2222
          ansible_password: !vault "6162"
      vars:
        ansible_become: yes
    db:
      hosts: [db1, db2]
"""


def test_yaml_inventory_gives_hosts_with_groups_and_values() -> None:
    found = parse_inventory(YAML)

    hosts = {host.name: host for host in found.hosts}
    assert list(hosts) == ["alone", "web1", "web2", "db1", "db2"]
    assert (hosts["web1"].port, hosts["web1"].become, hosts["web1"].groups) == (2222, "sudo", ("web",))
    assert {host.username for host in found.hosts} == {"everybody"}


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system [id]", "!!python/name:os.system x"])
def test_yaml_inventory_never_builds_objects(tag: str) -> None:
    with pytest.raises(ImportFault):
        parse_inventory(f"all:\n  hosts:\n    web:\n      ansible_host: {tag}\n")


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
CIRCLE = "all: &x\n  children:\n" + "".join(f"    g{number}: *x\n" for number in range(20))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(LAUGHS, id="laughs"),
        pytest.param("all: " + "[" * 5000, id="deep"),
        pytest.param("all:\n  hosts: {web[1:999999]: }\n", id="range"),
        pytest.param("[web]\nweb[1:900][1:900]\n", id="ranges"),
        pytest.param("[web]\n" + "".join(f"h{number}\n" for number in range(MOST_HOSTS + 1)), id="many"),
        pytest.param("".join(f"[g{number}]\n" for number in range(600)), id="groups"),
        pytest.param("all: {a: b\n", id="damaged"),
        pytest.param("- just\n- a list:\n", id="no-inventory"),
        pytest.param("x" * (MOST_BYTES + 1), id="large"),
        pytest.param("[web]\nh\x00st\n", id="binary"),
    ],
)
def test_inventory_that_is_too_much_is_refused_in_time(text: str) -> None:
    started = time.monotonic()

    with pytest.raises(ImportFault):
        parse_inventory(text if not text.startswith("- ") else "---\n" + text)

    assert time.monotonic() - started < 10


def test_inventory_in_a_circle_ends() -> None:
    assert parse_inventory(CIRCLE).notes
    assert parse_inventory("[a:children]\nb\n[b:children]\na\n[b]\nhost\n").hosts[0].groups == ("b", "a")


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab[]:=*!#\n \t'\"{}-,;@%&|>\\1"), max_size=200))
def test_no_text_breaks_a_reader(text: str) -> None:
    for reader in (parse_list, parse_ssh_config, parse_inventory):
        try:
            found = reader(text)
        except ImportFault:
            continue
        assert all(host.fault or host.address for host in found.hosts)
