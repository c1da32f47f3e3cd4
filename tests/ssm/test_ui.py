"""Template tags: words and signs of states, sizes and times."""

from datetime import UTC, datetime, timedelta

import pytest

from containers.models import Container
from containers.rules.actions import actions_for, find_action, is_confirmed
from containers.templatetags.inventory import image_name, port_links, published_ports
from devices.models import Device
from ssm.templatetags.ui import container_sign, host_port, milliseconds, relative_text, size, span_text

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def made(*, online: bool = True, address: str = "10.0.0.1", **fields: object) -> Container:
    device = Device(name="host", address=address, state="online" if online else "unreachable")
    container = Container(device=device, name="web", **fields)
    container.active_operations = []
    return container


@pytest.mark.parametrize(
    ("fields", "tone", "word"),
    [
        ({"state": "running"}, "good", "running"),
        ({"state": "running", "health": "healthy"}, "good", "healthy"),
        ({"state": "running", "health": "unhealthy"}, "bad", "unhealthy"),
        ({"state": "running", "health": "starting"}, "busy", "starting"),
        ({"state": "exited", "exit_code": 0}, "idle", "exited"),
        ({"state": "exited", "exit_code": 1, "health": "unhealthy"}, "bad", "exited 1"),
        ({"state": "exited", "exit_code": 137}, "bad", "exited 137 (killed)"),
        ({"state": "exited", "exit_code": 137, "oom_killed": True}, "bad", "exited 137 (out of memory)"),
        ({"state": "exited", "exit_code": 143}, "idle", "exited 143"),
        ({"state": "restarting"}, "busy", "restarting"),
        ({"state": "paused"}, "held", "paused"),
        ({"state": "dead"}, "bad", "dead"),
        ({"state": "created"}, "idle", "created"),
        ({"state": "running", "online": False}, "stale", "was running"),
        ({"state": "running", "removed_at": NOW}, "idle", "removed"),
    ],
)
def test_container_sign_tells_tone_and_word(fields: dict, tone: str, word: str) -> None:
    sign = container_sign(made(**fields))

    assert (sign.tone, sign.word) == (tone, word)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "–"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (150 * 1024**2, "150 MiB"),
        (16 * 1024**3, "16.0 GiB"),
    ],
)
def test_size_is_in_binary_units(count: int | None, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3660, "1 h 1 min"), (90_000, "1 d 1 h"), (20 * 86400, "20 d")],
)
def test_span_text_has_two_units_at_most(seconds: float, text: str) -> None:
    assert span_text(seconds) == text


@pytest.mark.parametrize(
    ("delta", "text"),
    [(0, "just now"), (30, "30 s ago"), (50, "1 min ago"), (-30, "in 30 s"), (7200, "2 h ago"), (-90_000, "in 1 d")],
)
def test_relative_text_has_one_unit(delta: int, text: str) -> None:
    assert relative_text(NOW - timedelta(seconds=delta), NOW) == text


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (3, "3 ms"), (1500, "1.5 s"), (125_000, "2 min")])
def test_milliseconds_are_readable(value: float | None, text: str) -> None:
    assert milliseconds(value) == text


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("docker.io/library/nginx:1.27", "nginx:1.27"),
        ("ghcr.io/a/b:1", "ghcr.io/a/b:1"),
        ("nginx:1.27@sha256:" + "ab" * 32, "nginx:1.27"),
        ("nginx@sha256:" + "ab" * 32, "nginx@abababa"),
        ("host:5000/a@sha256:" + "ab" * 32, "host:5000/a@abababa"),
        ("sha256:" + "ab" * 32, "abababababab"),
        ("", ""),
    ],
)
def test_image_name_is_short_and_still_tells_the_tag(reference: str, text: str) -> None:
    assert image_name(reference) == text


def binding(inner: int, outer: int | None, host_ip: str = "0.0.0.0", protocol: str = "tcp") -> dict[str, object]:
    return {"container_port": inner, "protocol": protocol, "host_ip": host_ip, "host_port": outer}


@pytest.mark.parametrize(
    ("port", "address", "text", "url"),
    [
        (binding(80, 8080), "10.0.0.1", "8080→80", "http://10.0.0.1:8080/"),
        (binding(80, 80), "2001:db8::1", "80", "http://[2001:db8::1]:80/"),
        (binding(8443, 9443), "a.example", "9443→8443", "https://a.example:9443/"),
        (binding(80, 80, "127.0.0.1"), "10.0.0.1", "80", ""),
        (binding(53, 53, protocol="udp"), "10.0.0.1", "53/udp", ""),
        (binding(80, 80, "192.168.1.5"), "10.0.0.1", "80", "http://192.168.1.5:80/"),
    ],
)
def test_port_is_a_link_where_a_browser_can_reach_it(port: dict, address: str, text: str, url: str) -> None:
    links = port_links(made(ports=[port], address=address))

    assert [(link.text, link.url) for link in links] == [(text, url)]


def test_published_ports_drop_doubles_and_exposed_ones() -> None:
    ports = [binding(80, 80), binding(80, 80, "::"), binding(9229, None)]

    assert [link.text for link in published_ports(made(ports=ports))] == ["80"]


@pytest.mark.parametrize(
    ("address", "port", "text"),
    [
        ("a.example", 22, "a.example"),
        ("a.example", 2222, "a.example:2222"),
        ("::1", 2222, "[::1]:2222"),
        ("::1", 22, "::1"),
    ],
)
def test_host_port_is_written_as_for_ssh(address: str, port: int, text: str) -> None:
    assert host_port(address, port) == text


@pytest.mark.parametrize("state", ["created", "running", "paused", "restarting", "exited", "dead"])
def test_every_state_offers_a_way_to_remove(state: str) -> None:
    assert actions_for(state)[-1].kind == "remove"


@pytest.mark.parametrize(
    ("kind", "answer", "confirmed"),
    [
        ("start", "", True),
        ("stop", "", False),
        ("stop", "yes", True),
        ("remove", "yes", False),
        ("remove", "web", True),
    ],
)
def test_is_confirmed_scales_with_the_harm(kind: str, answer: str, *, confirmed: bool) -> None:
    action = find_action(kind)

    assert action is not None
    assert is_confirmed(action, "web", answer) is confirmed
