"""The connection test, on hosts good and bad."""

import socket
from dataclasses import replace
from typing import Any

import pytest

from devices.connections import pool
from devices.diagnosis import Diagnosis, Step, diagnose, steps_of
from devices.rules.host_keys import PinnedKey
from devices.rules.targets import Authentication, ConnectionTarget
from tests.devices.servers import read_request, tcp_server, unix_server
from tests.devices.targets import by_password, target_of
from tests.devices.waiting import no_threads_left
from tests.fleet import Fleet, Host
from tests.fleet.fixtures import LeaseHost

KEYS = [key for key, _title in steps_of()]


def test_new_device_stops_at_its_host_key_and_goes_on_once_that_is_accepted(fleet: Fleet, docker_host: Host) -> None:
    new = target_of(fleet, docker_host, device_id="", pinned_keys=())

    with no_threads_left():
        first = diagnose(new, emit=lambda _step: None)
        assert first.needs_decision
        assert not first.ok
        second = diagnose(new, accept=first.host_key, emit=lambda _step: None)

    assert [step.state for step in first.steps] == ["ok", "ok", "needs_decision", *["skipped"] * 5]
    assert first.steps[2].host_key == first.host_key == target_of(fleet, docker_host).pinned_keys[0]
    assert second.ok
    assert second.error is None
    assert (second.channel_kind, second.api_version) == ("streamlocal", "1.51")
    assert second.version["ApiVersion"] == "1.51"


def test_steps_are_told_while_they_run(fleet: Fleet, docker_host: Host) -> None:
    emitted: list[Step] = []

    result = diagnose(target_of(fleet, docker_host), emit=emitted.append)

    order = [step.key for step in emitted if step.state == "ok"]
    assert order == KEYS
    for key in KEYS:
        states = [step.state for step in emitted if step.key == key]
        assert states[0] == "running"
        assert states[-1] == "ok"
    assert tuple(step for step in emitted if step.state == "ok") == result.steps
    assert all(step.duration_ms is not None for step in result.steps)


def test_accepted_key_that_is_not_the_shown_one_is_refused(fleet: Fleet, docker_host: Host) -> None:
    new = target_of(fleet, docker_host, device_id="", pinned_keys=())
    other = PinnedKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIOt4HYdnSEJ9ZuCGI0++42C6yHkw1Lm5vSzV3tWRlXhU")

    result = diagnose(new, accept=other, emit=lambda _step: None)

    assert result.error is not None
    assert result.error.code == "host_key_changed"
    assert result.error.details["expected"] == [other.fingerprint]
    assert failed_step(result) == "host_key"
    assert result.host_key == target_of(fleet, docker_host).pinned_keys[0]


def failed_step(result: Diagnosis) -> str:
    return next(step.key for step in result.steps if step.state == "failed")


@pytest.mark.parametrize(
    ("changes", "step", "code"),
    [
        ({"address": "no-such-host.invalid"}, "resolve", "name_not_found"),
        ({"port": 1}, "tcp", "refused"),
        ({"authentication": Authentication("op", password="wrong")}, "authentication", "authentication_failed"),
        ({"authentication": Authentication("op", private_key="rubbish")}, "authentication", "key_unreadable"),
        ({"socket_path": "/run/nowhere.sock"}, "socket", "socket_missing"),
    ],
    ids=["name", "port", "password", "key", "socket"],
)
def test_step_that_fails_is_told_with_its_fix(
    fleet: Fleet, docker_host: Host, changes: dict[str, Any], step: str, code: str
) -> None:
    with no_threads_left():
        result = diagnose(target_of(fleet, docker_host, **changes), emit=lambda _step: None)

    assert result.error is not None
    assert (failed_step(result), result.error.code) == (step, code)
    assert result.error.fix
    position = KEYS.index(step)
    assert [each.state for each in result.steps] == ["ok"] * position + ["failed"] + ["skipped"] * (
        len(KEYS) - 1 - position
    )


def test_user_without_access_fails_at_the_socket_and_sudo_shows_in_the_channel(
    fleet: Fleet, lease_host: LeaseHost
) -> None:
    host = lease_host("28")

    plain = diagnose(target_of(fleet, host, by_password(fleet, host, "plain")), emit=lambda _step: None)
    sudo = diagnose(target_of(fleet, host, by_password(fleet, host, "sudoer", sudo=True)), emit=lambda _step: None)

    assert failed_step(plain) == "socket"
    assert plain.error is not None
    assert "usermod -aG docker plain" in plain.error.fix
    assert sudo.channel_kind == "dial-stdio-sudo"
    assert "sudo" in sudo.steps[KEYS.index("channel")].detail


def test_socket_of_something_else_fails_at_the_api(fleet: Fleet, docker_host: Host) -> None:
    def behave(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with unix_server(docker_host, behave, "other.sock") as path:
        result = diagnose(target_of(fleet, docker_host, socket_path=path), emit=lambda _step: None)

    assert result.error is not None
    assert (failed_step(result), result.error.code) == ("api", "not_docker")


def test_silent_server_fails_at_the_host_key_within_its_time() -> None:
    def never_greets(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with tcp_server(never_greets) as port, no_threads_left():
        target = ConnectionTarget("", "new", "127.0.0.1", port, Authentication("op"), connect_timeout_s=30)

        result = diagnose(target, emit=lambda _step: None, deadline_s=0.5)

    assert result.error is not None
    assert (failed_step(result), result.error.code) == ("host_key", "timed_out")


def test_diagnosis_leaves_the_pool_alone(fleet: Fleet, docker_host: Host) -> None:
    target = target_of(fleet, docker_host, Authentication("op", password="wrong"), device_id="diagnosed")

    diagnose(target, emit=lambda _step: None)
    diagnose(replace(target, port=1), emit=lambda _step: None)

    assert pool.state("diagnosed").failures == 0
