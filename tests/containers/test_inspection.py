"""From the Engine's answers to facts: what real engines send, and what only an attacker would."""

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from containers.inventory_rows import _COPIED
from containers.models import Container
from containers.rules.inspection import (
    ContainerFacts,
    container_facts,
    is_engine_id,
    list_digest,
    normal_reference,
    time_from_ns,
    time_ns,
)
from devices.models import Device
from tests.containers.hostile import ANYTHING, INSPECT_ANSWERS, LIST_ENTRIES, deep
from tests.factories import DeviceFactory

ID = "4f0c2d" + "0" * 58

# Docker Engine 28.5, shortened.
ANSWER: dict[str, Any] = {
    "Id": ID,
    "Name": "/shop-web-1",
    "Created": "2026-01-02T03:04:05.123456789Z",
    "Path": "/bin/run",
    "Args": ["--token", "abc", "-v"],
    "Image": "sha256:" + "a" * 64,
    "RestartCount": 3,
    "State": {
        "Status": "running",
        "Running": True,
        "ExitCode": 0,
        "OOMKilled": False,
        "Error": "",
        "StartedAt": "2026-01-02T03:04:06.5Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
        "Health": {"Status": "healthy", "Log": [{"Output": "ok"}]},
    },
    "Config": {
        "Image": "registry.example:5000/demo/web:1.2.3",
        "Env": ["PATH=/bin", "PASSWORD=x=y", "EMPTY=", "BARE"],
        "Labels": {
            "com.docker.compose.project": "shop",
            "com.docker.compose.service": "web",
            "wud.display.name": "Shop",
            "wud.display.icon": "si:nginx",
            "db.password": "hidden",
        },
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
    },
    "HostConfig": {"RestartPolicy": {"Name": "always"}},
    "Mounts": [
        {"Type": "volume", "Name": "data", "Source": "/var/lib/docker/x", "Destination": "/data", "RW": True},
        {"Type": "bind", "Source": "/etc/x", "Destination": "/x", "RW": False},
    ],
    "NetworkSettings": {
        "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}]},
        "Networks": {
            "shop_default": {
                "IPAddress": "172.18.0.2",
                "GlobalIPv6Address": "",
                "MacAddress": "02:42:ac:12:00:02",
                "Aliases": ["web", "4f0c2d"],
            }
        },
    },
}


def changed(**parts: Any) -> dict[str, Any]:
    """The answer with some entries of its parts replaced: ``State__Status="paused"``."""
    answer: dict[str, Any] = json.loads(json.dumps(ANSWER))
    for path, value in parts.items():
        *places, last = path.split("__")
        inner = answer
        for place in places:
            inner = inner[place]
        inner[last] = value
    return answer


def test_container_facts_real_answer_is_read_whole() -> None:
    facts = container_facts(ANSWER)

    assert (facts.engine_id, facts.name, facts.state, facts.health) == (ID, "shop-web-1", "running", "healthy")
    assert (facts.registry, facts.repository, facts.tag) == ("registry.example:5000", "demo/web", "1.2.3")
    assert facts.image_reference == "registry.example:5000/demo/web:1.2.3"
    assert (facts.exit_code, facts.oom_killed, facts.restart_count, facts.restart_policy) == (None, False, 3, "always")
    assert facts.started_at is not None
    assert facts.started_at.isoformat() == "2026-01-02T03:04:06.500000+00:00"
    assert facts.finished_at is None
    assert facts.command == "/bin/run --token •••••• -v"
    assert facts.variables == [("PATH", "/bin"), ("PASSWORD", "x=y"), ("EMPTY", ""), ("BARE", "")]
    assert facts.labels["db.password"] == "••••••"
    assert facts.inspect["Config"]["Env"][1] == "PASSWORD=••••••"
    assert (facts.display_name, facts.display_icon) == ("Shop", "si:nginx")
    assert (facts.compose_project, facts.compose_service) == ("shop", "web")
    assert facts.ports == [
        {"container_port": 80, "protocol": "tcp", "host_ip": "0.0.0.0", "host_port": 8080},
        {"container_port": 80, "protocol": "tcp", "host_ip": "::", "host_port": 8080},
        {"container_port": 53, "protocol": "udp", "host_ip": "", "host_port": None},
    ]
    assert facts.mounts == [
        {"kind": "volume", "source": "data", "destination": "/data", "read_only": False},
        {"kind": "bind", "source": "/etc/x", "destination": "/x", "read_only": True},
    ]
    assert facts.networks[0]["aliases"] == ["web", "4f0c2d"]
    assert facts.latest_ns == time_ns("2026-01-02T03:04:06.5Z")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("created", "created"),
        ("configured", "created"),
        ("initialized", "created"),
        ("running", "running"),
        ("Running", "running"),
        ("stopping", "running"),
        ("paused", "paused"),
        ("restarting", "restarting"),
        ("removing", "removing"),
        ("exited", "exited"),
        ("stopped", "exited"),
        ("dead", "dead"),
        ("unheard of", "created"),
        ("", "created"),
        (None, "created"),
        (7, "created"),
    ],
)
def test_container_facts_state_words(status: object, expected: str) -> None:
    assert container_facts(changed(State__Status=status)).state == expected


@pytest.mark.parametrize(
    ("parts", "name", "expected"),
    [
        ({"State__Status": "exited", "State__ExitCode": 137}, "exit_code", 137),
        ({"State__Status": "dead", "State__ExitCode": -1}, "exit_code", -1),
        ({"State__Status": "exited", "State__ExitCode": 2**31}, "exit_code", None),
        ({"State__Status": "exited", "State__ExitCode": True}, "exit_code", None),
        ({"State__Status": "exited", "State__ExitCode": "1"}, "exit_code", None),
        ({"State__OOMKilled": "yes"}, "oom_killed", False),
        ({"State__OOMKilled": True}, "oom_killed", True),
        ({"State__Health": None}, "health", "none"),
        ({"State__Health": {"Status": "none"}}, "health", "none"),
        ({"State__Health": {"Status": "starting"}}, "health", "starting"),
        ({"State__Status": "", "State__Dead": True}, "state", "dead"),
        ({"State__Status": "", "State__Dead": "no"}, "state", "created"),
        ({"RestartCount": -5}, "restart_count", 0),
        ({"RestartCount": None}, "restart_count", 0),
        ({"Name": "///x"}, "name", "x"),
        ({"Name": None}, "name", ID[:12]),
        ({"Name": "/" + "n" * 400}, "name", "n" * 255),
        ({"Config__Image": "sha256:" + "b" * 64}, "repository", ""),
        ({"Config__Image": "UPPER case"}, "repository", ""),
        ({"Config__Image": "nginx"}, "tag", "latest"),
        ({"Config__Labels": None}, "labels", {}),
        ({"Config__Labels": {"a": None, "b": 1, "c": [1]}}, "labels", {"a": "", "b": "1", "c": ""}),
        ({"Config__Env": "A=1"}, "variables", []),
        ({"Config__Env": [None, ["A=1"], "B"]}, "variables", [("", ""), ("", ""), ("B", "")]),
        ({"State__StartedAt": "9999-12-31T23:59:59Z"}, "started_at", None),
        ({"Path": None, "Config__Entrypoint": ["/e"], "Config__Cmd": ["c"]}, "command", "/e c"),
        ({"Path": None, "Config__Entrypoint": None, "Config__Cmd": "x"}, "command", ""),
    ],
)
def test_container_facts_odd_values(parts: dict[str, Any], name: str, expected: object) -> None:
    assert getattr(container_facts(changed(**parts)), name) == expected


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ({"80/tcp": None}, [(80, "tcp", None)]),
        ({"80": []}, [(80, "tcp", None)]),
        ({"80/tcp": [{"HostPort": ""}]}, [(80, "tcp", None)]),
        ({"80/tcp": [{"HostPort": "70000"}]}, [(80, "tcp", None)]),
        ({"80/tcp": [{"HostPort": 8080}]}, [(80, "tcp", 8080)]),
        ({"²/tcp": [{"HostPort": "1"}]}, []),
        ({"80/tcp": [{"HostPort": "²"}]}, [(80, "tcp", None)]),
        ({"9" * 5000: []}, []),
        ({"80/tcp": [{"HostPort": "9" * 5000}]}, [(80, "tcp", None)]),
        ({"70000/tcp": []}, []),
        ({"x/tcp": []}, []),
        ({"80/tcp": "x"}, [(80, "tcp", None)]),
        ({"80/tcp": ["x", 1, None]}, [(80, "tcp", None)]),
        ("x", []),
    ],
)
def test_container_facts_ports_table(ports: object, expected: list[tuple[int, str, int | None]]) -> None:
    facts = container_facts(changed(Config__ExposedPorts=None, NetworkSettings__Ports=ports))

    assert [(port["container_port"], port["protocol"], port["host_port"]) for port in facts.ports] == expected


def test_container_facts_asked_id_counts_whatever_the_answer_says() -> None:
    assert container_facts(changed(Id="another"), engine_id=ID).engine_id == ID


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-02T00:00:00Z", 86_400_000_000_000),
        ("2026-01-02T03:04:05.000000001Z", 1_767_323_045_000_000_001),
        ("2026-01-02T04:04:05.5+01:00", 1_767_323_045_500_000_000),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59Z", None),
        ("2262-04-11T23:47:16.854775807Z", 2**63 - 1),
        ("2262-04-11T23:47:16.854775808Z", None),
        ("2026-02-30T00:00:00Z", None),
        ("2026-01-02T03:04:05", None),
        ("2026-01-02T03:04:05.1234567890Z", None),
        ("٢٠٢٦-٠١-٠٢T٠٣:٠٤:٠٥Z", None),
        ("", None),
        (None, None),
        (1767323045, None),
    ],
)
def test_time_ns_table(text: object, expected: int | None) -> None:
    assert time_ns(text) == expected


@pytest.mark.parametrize("ns", [None, 2**200, -(2**200), 10**30])
def test_time_from_ns_what_no_calendar_holds_is_none(ns: int | None) -> None:
    assert time_from_ns(ns) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ID, True),
        ("abc", True),
        ("", False),
        (".", False),
        ("..", False),
        ("../x", False),
        ("a b", False),
        ("a\r\nHost: x", False),
        ("a" * 65, False),
        ("\ud800", False),
        ("ü", False),
        (7, False),
        (None, False),
    ],
)
def test_is_engine_id_table(text: object, expected: bool) -> None:
    assert is_engine_id(text) is expected


@pytest.mark.parametrize("text", ["sha256:" + "a" * 64, "a" * 64, "", "A B", "x" * 600])
def test_normal_reference_of_what_names_no_repository_is_none(text: str) -> None:
    assert normal_reference(text) is None


# ---- the digest of list entries

ENTRY: dict[str, Any] = {
    "Id": ID,
    "Names": ["/web"],
    "Image": "demo/web",
    "State": "running",
    "Status": "Up 3 hours (healthy)",
    "Labels": {"a": "1"},
    "Ports": [{"PrivatePort": 80, "Type": "tcp"}, {"PrivatePort": 81, "Type": "tcp"}],
    "NetworkSettings": {"Networks": {"bridge": {"EndpointID": "e1", "IPAddress": "172.17.0.2"}}},
}


@pytest.mark.parametrize(
    "same",
    [
        {"Status": "Up 5 seconds (healthy)"},
        {"Status": "Up About an hour (healthy)"},
        {"Status": "Up Less than a second (healthy)"},
        {"Status": "Up 2 weeks (healthy)"},
        {"Ports": [{"PrivatePort": 81, "Type": "tcp"}, {"Type": "tcp", "PrivatePort": 80}]},
        {"SizeRw": 5},
    ],
)
def test_list_digest_what_ages_or_has_no_order_does_not_count(same: dict[str, Any]) -> None:
    assert list_digest({**ENTRY, **same}) == list_digest(ENTRY)


@pytest.mark.parametrize(
    "other",
    [
        {"Status": "Up 3 hours (unhealthy)"},
        {"Status": "Up 3 hours (Paused)"},
        {"State": "exited", "Status": "Exited (0) 3 hours ago"},
        {"Names": ["/other"]},
        {"Labels": {"a": "2"}},
        {"Ports": []},
        {"NetworkSettings": {"Networks": {"bridge": {"EndpointID": "e2", "IPAddress": "172.17.0.2"}}}},
        {"NetworkSettings": {"Networks": {}}},
    ],
    ids=["health", "paused", "exited", "name", "label", "ports", "restarted", "disconnected"],
)
def test_list_digest_what_changed_counts(other: dict[str, Any]) -> None:
    assert list_digest({**ENTRY, **other}) != list_digest(ENTRY)


@pytest.mark.parametrize(("one", "two"), [(0, 1), (1, 137)])
def test_list_digest_exit_code_counts(one: int, two: int) -> None:
    codes = [list_digest({**ENTRY, "Status": f"Exited ({code}) 5 minutes ago"}) for code in (one, two)]

    assert codes[0] != codes[1]


@given(LIST_ENTRIES)
def test_list_digest_anything_gives_the_same_digest_twice(entry: dict[str, Any]) -> None:
    assert len(list_digest(entry)) == 64
    assert list_digest(entry) == list_digest(dict(reversed(entry.items())))


# ---- anything at all


def check_fits(facts: ContainerFacts) -> None:
    """Every value fits its column, by length, range and alphabet."""
    row = Container(device=Device(name="x"), **{name: getattr(facts, name) for name in _COPIED})
    empty = [name for name in _COPIED if not getattr(facts, name)]  # the model's forms want some of them filled
    row.clean_fields(exclude=["device", "environment", *empty])
    assert len(facts.name) <= 255
    assert len(facts.engine_id) <= 64
    assert 0 <= facts.latest_ns < 2**63
    text = json.dumps(asdict(facts), allow_nan=False, default=str, ensure_ascii=False)
    assert "\\u0000" not in text
    text.encode()


@given(INSPECT_ANSWERS)
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_container_facts_any_answer_fits_the_columns(answer: dict[str, Any]) -> None:
    check_fits(container_facts(answer, engine_id=ID))


@given(st.sampled_from(["State", "Config", "HostConfig", "Mounts", "NetworkSettings", "Args"]), ANYTHING)
@settings(deadline=None)
def test_container_facts_one_part_replaced_by_anything_fits_the_columns(part: str, value: object) -> None:
    check_fits(container_facts({**ANSWER, part: value}))


def test_container_facts_deep_values_are_cut() -> None:
    check_fits(container_facts(changed(Config__Labels={"a": deep(400)}, Mounts=deep(400), State__Error=deep(400))))


def test_container_facts_megabytes_are_cut() -> None:
    big = "x" * 1_000_000
    parts = {
        "Name": big,
        "Config__Image": big,
        "Config__Labels": {big: big, "wud.display.name": big, "com.docker.compose.project": big},
        "Config__Env": [big + "=" + big],
        "Args": [big] * 20,
        "State__Error": big,
        "NetworkSettings__Networks": {big: {"IPAddress": big, "Aliases": [big]}},
    }

    facts = container_facts(changed(**parts))

    check_fits(facts)
    assert len(json.dumps(asdict(facts), default=str)) < 500_000


@pytest.mark.django_db
@given(INSPECT_ANSWERS)
@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
def test_container_facts_any_answer_is_stored_by_postgres(answer: dict[str, Any]) -> None:
    facts = container_facts(answer, engine_id=ID)
    device = Device.objects.first() or DeviceFactory()
    values = {name: getattr(facts, name) for name in _COPIED}

    row = Container.objects.create(device=device, environment=json.dumps(facts.variables), **values)

    row.refresh_from_db()
    assert row.name == facts.name
    assert row.labels == facts.labels
    assert row.variables == [tuple(pair) for pair in facts.variables]
    row.delete()
