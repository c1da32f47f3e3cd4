"""Becoming another user on the host, one way alone, and rootless paths, on a real host."""

from dataclasses import replace

import pytest

from devices.connections import open_engine
from devices.connections.routes import become_words
from devices.errors import PermissionDenied, SocketMissing
from devices.rules.targets import Authentication, ConnectionTarget
from tests.devices.targets import by_key, by_password, target_of
from tests.devices.waiting import no_threads_left
from tests.fleet import Fleet
from tests.fleet.fixtures import LeaseHost


def test_sudo_takes_the_password_of_another_log_in(fleet: Fleet, lease_host: LeaseHost) -> None:
    host = lease_host("28")
    password = fleet.entry(host.number).users["sudopass"].password
    target = target_of(fleet, host, by_key(fleet, "sudopass"), become="sudo", become_password=password)

    with no_threads_left():
        engine = open_engine(target)
        kind = engine.channel_kind
        engine.close()

    assert kind == "dial-stdio-sudo"


def test_device_may_forbid_the_sudo_of_its_log_in(fleet: Fleet, lease_host: LeaseHost) -> None:
    host = lease_host("28")
    target = target_of(fleet, host, by_password(fleet, host, "sudoer", sudo=True), become="none")

    with no_threads_left(), pytest.raises(PermissionDenied, match="may not use the socket"):
        open_engine(target)


@pytest.mark.parametrize("kind", ["dial-stdio", "streamlocal"])
def test_one_way_that_is_forced_is_the_only_one_tried(fleet: Fleet, lease_host: LeaseHost, kind: str) -> None:
    host = lease_host("28")

    engine = open_engine(target_of(fleet, host, forced_channel_kind=kind))

    assert engine.channel_kind == kind
    engine.close()


def test_number_of_the_user_stands_in_the_path_of_the_socket(fleet: Fleet, lease_host: LeaseHost) -> None:
    host = lease_host("28")

    with no_threads_left(), pytest.raises(SocketMissing) as caught:
        open_engine(target_of(fleet, host, socket_path="/run/user/{uid}/docker.sock"))

    assert "{uid}" not in caught.value.message
    assert "/run/user/" in caught.value.message


def test_doas_that_is_not_there_is_told(fleet: Fleet, lease_host: LeaseHost) -> None:
    host = lease_host("28")
    target = target_of(fleet, host, by_password(fleet, host, "plain"), become="doas")

    with no_threads_left(), pytest.raises(PermissionDenied, match="the host has no doas"):
        open_engine(target)


TARGET = ConnectionTarget("1", "web", "web", 22, Authentication("op"))


@pytest.mark.parametrize(
    ("changes", "with_password", "expected"),
    [
        ({"become": "sudo"}, False, "sudo -n --"),
        ({"become": "sudo", "become_user": "podman"}, True, "sudo -k -S -p ssm-sudo-password: -u podman --"),
        ({"become": "doas"}, False, "doas -n --"),
        ({"become": "doas", "become_user": "podman"}, True, "doas -n -u podman --"),
    ],
)
def test_words_that_become_another_user(changes: dict[str, str], expected: str, *, with_password: bool) -> None:
    assert " ".join(become_words(replace(TARGET, **changes), with_password=with_password)) == expected
