"""Every way to log in and to reach the engine, on real hosts."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from devices.connections import open_engine
from devices.errors import (
    AuthenticationFailed,
    HostKeyChanged,
    HostKeyUnknown,
    KeyUnreadable,
    PermissionDenied,
    SocketMissing,
)
from devices.rules.host_keys import PinnedKey
from tests.devices.targets import by_key, by_password, target_of
from tests.devices.waiting import no_threads_left
from tests.fleet import Fleet, Host
from tests.fleet.fixtures import LeaseHost

ENGINES = ["20", "26", "28", "podman"]


@pytest.mark.parametrize("which", ENGINES)
@pytest.mark.parametrize(
    ("username", "sudo", "kind"),
    [("op", False, "streamlocal"), ("sudoer", True, "dial-stdio-sudo"), ("sudopass", True, "dial-stdio-sudo")],
)
def test_user_with_a_way_reaches_every_engine(
    fleet: Fleet, lease_host: LeaseHost, which: str, username: str, kind: str, *, sudo: bool
) -> None:
    host = lease_host(which)
    target = target_of(fleet, host, by_password(fleet, host, username, sudo=sudo))

    with no_threads_left():
        engine = open_engine(target)
        try:
            listed = engine.get_json("/containers/json", {"all": True})
            through_library = engine.api.containers(all=True)
        finally:
            engine.close()

    assert engine.channel_kind == kind
    assert engine.api_version == fleet.entry(host.number).api_version
    assert engine.host_key_fingerprint == target.pinned_keys[0].fingerprint
    names = {name for container in host.containers() for name in container["Names"]}
    assert {name for container in listed for name in container["Names"]} == names
    assert {name for container in through_library for name in container["Names"]} == names


@pytest.mark.parametrize("which", ["28", "podman"])
def test_remembered_way_is_tried_first(fleet: Fleet, lease_host: LeaseHost, which: str) -> None:
    host = lease_host(which)
    target = target_of(fleet, host, by_password(fleet, host, "sudoer", sudo=True), channel_kind="dial-stdio-sudo")

    engine = open_engine(target)

    assert engine.channel_kind == "dial-stdio-sudo"
    engine.close()


@pytest.mark.parametrize("which", ["28", "podman"])
@pytest.mark.parametrize(
    ("username", "sudo", "words"),
    [
        ("plain", False, ("may not use the socket", "usermod -aG docker plain")),
        ("plain", True, ("sudo does not allow", "sudoers")),
        ("sudoer", False, ("may not use the socket", "let the credential use sudo")),
    ],
)
def test_user_without_a_way_is_told_what_to_do(
    fleet: Fleet, lease_host: LeaseHost, which: str, username: str, words: tuple[str, str], *, sudo: bool
) -> None:
    host = lease_host(which)
    target = target_of(fleet, host, by_password(fleet, host, username, sudo=sudo))

    with no_threads_left(), pytest.raises(PermissionDenied) as caught:
        open_engine(target)

    assert words[0] in caught.value.message
    assert words[1] in caught.value.fix
    assert f"host {host.name}" in caught.value.message
    assert str(target.authentication.password) not in str(caught.value)


def test_sudo_with_a_wrong_or_missing_password_says_so(fleet: Fleet, lease_host: LeaseHost) -> None:
    host = lease_host("28")
    by_key_alone = target_of(fleet, host, by_key(fleet, "sudopass", sudo=True))
    by_wrong = target_of(fleet, host, by_key(fleet, "sudopass", sudo=True, password="wrong-one"))

    with pytest.raises(PermissionDenied) as missing:
        open_engine(by_key_alone)
    with pytest.raises(PermissionDenied) as wrong:
        open_engine(by_wrong)

    assert "sudo asks for a password" in missing.value.message
    assert "sudo refuses the credential's password" in wrong.value.message
    assert "wrong-one" not in str(wrong.value)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_key_of_another_type_with_passphrase_logs_in(fleet: Fleet, lease_host: LeaseHost, kind: str) -> None:
    host = lease_host("28")
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = ec.generate_private_key(ec.SECP384R1())
    if kind == "rsa":
        key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.BestAvailableEncryption(b"open sesame"),
    )
    line = public.decode()
    host.exec(f"echo '{line}' >> /etc/ssh/fleet_keys")
    good = by_key(fleet, private_key=private.decode(), passphrase="open sesame")
    try:
        open_engine(target_of(fleet, host, good)).close()
        with no_threads_left(), pytest.raises(KeyUnreadable):
            open_engine(target_of(fleet, host, replace(good, passphrase="wrong")))
    finally:
        host.exec(f"grep -vF '{line}' /etc/ssh/fleet_keys > /tmp/keys; cat /tmp/keys > /etc/ssh/fleet_keys")
    with no_threads_left(), pytest.raises(AuthenticationFailed) as caught:
        open_engine(target_of(fleet, host, good))
    assert "key" in caught.value.details["allowed"]


def test_wrong_password_is_refused_with_the_methods_that_the_server_takes(fleet: Fleet, lease_host: LeaseHost) -> None:
    host = lease_host("28")
    target = target_of(fleet, host, replace(by_password(fleet, host), password="hunter2-wrong"))

    with no_threads_left(), pytest.raises(AuthenticationFailed) as caught:
        open_engine(target)

    told = {"allowed": ["key", "password"], "tried": ["password"], "username": "op", "asked": []}
    assert caught.value.details == told
    assert "hunter2" not in f"{caught.value}{caught.value.details}"


def test_key_that_is_refused_falls_back_to_the_password(fleet: Fleet, lease_host: LeaseHost) -> None:
    host = lease_host("28")
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both = replace(by_password(fleet, host), private_key=key.decode())

    open_engine(target_of(fleet, host, both)).close()

    with pytest.raises(AuthenticationFailed) as caught:
        open_engine(target_of(fleet, host, replace(both, password="wrong")))
    assert caught.value.details["tried"] == ["key", "password"]


def test_server_with_prompts_only_gets_the_password(fleet: Fleet, lease_host: LeaseHost) -> None:
    host = lease_host("26", exclusive=True)
    host.set_ssh_mode("kbdint")

    open_engine(target_of(fleet, host, by_password(fleet, host))).close()

    with no_threads_left(), pytest.raises(AuthenticationFailed) as caught:
        open_engine(target_of(fleet, host, replace(by_password(fleet, host), password="wrong")))
    assert caught.value.details["allowed"] == ["key", "keyboard-interactive"]


def test_server_that_wants_key_and_password_gets_both(fleet: Fleet, lease_host: LeaseHost) -> None:
    host = lease_host("26", exclusive=True)
    both = replace(by_password(fleet, host), private_key=by_key(fleet).private_key)

    with sshd_line(host, "AuthenticationMethods publickey,password"):
        open_engine(target_of(fleet, host, both)).close()

        for half, missing in ((by_key(fleet), "password"), (by_password(fleet, host), "key")):
            with no_threads_left(), pytest.raises(AuthenticationFailed) as caught:
                open_engine(target_of(fleet, host, half))
            assert caught.value.details["allowed"] == [missing]


def test_server_that_forbids_forwarding_is_reached_by_the_docker_command(fleet: Fleet, lease_host: LeaseHost) -> None:
    host = lease_host("26", exclusive=True)
    host.set_ssh_mode("no-streamlocal")

    engine = open_engine(target_of(fleet, host))

    assert engine.channel_kind == "dial-stdio"
    assert len(engine.get_json("/containers/json", {"all": 1})) == len(host.containers())
    engine.close()


def test_server_that_forbids_forwarding_and_has_no_command_is_told(fleet: Fleet, lease_host: LeaseHost) -> None:
    host = lease_host("26", exclusive=True)
    host.set_ssh_mode("no-streamlocal")
    host.exec(
        "mkdir -p /bin-without-docker; cd /bin-without-docker; "
        "for program in env sh grep readlink true; do ln -sf /usr/bin/$program; done; "
        "echo SetEnv PATH=/bin-without-docker >> /etc/ssh/sshd_config"
    )
    host.kill_ssh()
    host.start_ssh()

    with no_threads_left(), pytest.raises(PermissionDenied) as caught:
        open_engine(target_of(fleet, host))

    assert "AllowStreamLocalForwarding" in caught.value.fix


@pytest.mark.parametrize("username", ["op", "sudoer"])
def test_server_with_one_session_at_a_time_is_usable(fleet: Fleet, lease_host: LeaseHost, username: str) -> None:
    host = lease_host("26", exclusive=True)
    host.set_ssh_mode("max1")

    engine = open_engine(target_of(fleet, host, by_password(fleet, host, username, sudo=True)))

    for _ in range(3):
        assert engine.get_json("/containers/json", {"all": 1})
    engine.close()


def test_host_key_that_is_not_pinned_is_unknown(fleet: Fleet, lease_host: LeaseHost) -> None:
    host = lease_host("28")
    target = target_of(fleet, host, pinned_keys=())

    with no_threads_left(), pytest.raises(HostKeyUnknown) as caught:
        open_engine(target)

    known = target_of(fleet, host).pinned_keys[0]
    assert caught.value.details["fingerprint"] == known.fingerprint
    assert (caught.value.details["key_type"], caught.value.details["key_base64"]) == (known.key_type, known.key_base64)


def test_host_key_that_changed_is_refused_with_both_fingerprints(fleet: Fleet, lease_host: LeaseHost) -> None:
    host = lease_host("26", exclusive=True)
    target = target_of(fleet, host, by_password(fleet, host))
    host.new_host_key()

    with no_threads_left(), pytest.raises(HostKeyChanged) as caught:
        open_engine(target)

    shown = target_of(fleet, host).pinned_keys[0]
    assert caught.value.details["expected"] == [target.pinned_keys[0].fingerprint]
    assert caught.value.details["fingerprint"] == shown.fingerprint
    assert target.pinned_keys[0].fingerprint in caught.value.message
    assert shown.fingerprint in caught.value.message


def test_host_key_of_another_type_than_the_pinned_one_is_a_change(fleet: Fleet, lease_host: LeaseHost) -> None:
    host = lease_host("28")
    pinned = PinnedKey("ssh-rsa", "AAAAB3NzaC1yc2EAAAADAQABAAAAAQ==")

    with no_threads_left(), pytest.raises(HostKeyChanged):
        open_engine(target_of(fleet, host, pinned_keys=(pinned,)))


@pytest.mark.parametrize(
    ("path", "word"),
    [("/run/nowhere.sock", "no socket"), ("/etc/passwd", "not a socket"), ("/root/x.sock", "no socket")],
)
def test_socket_path_that_leads_nowhere_is_missing(fleet: Fleet, lease_host: LeaseHost, path: str, word: str) -> None:
    host = lease_host("28")

    with no_threads_left(), pytest.raises(SocketMissing) as caught:
        open_engine(target_of(fleet, host, socket_path=path))

    assert word in caught.value.message
    assert path in caught.value.message


@pytest.mark.parametrize("username", ["op", "sudoer"])
def test_engine_that_is_dead_is_missing(fleet: Fleet, lease_host: LeaseHost, username: str) -> None:
    host = lease_host("26", exclusive=True)
    host.kill_docker()

    with no_threads_left(), pytest.raises(SocketMissing) as caught:
        open_engine(target_of(fleet, host, by_password(fleet, host, username, sudo=True)))

    assert "no engine listens" in caught.value.message
    assert "systemctl start docker" in caught.value.fix


def test_user_without_a_shell_uses_the_socket_all_the_same(fleet: Fleet, lease_host: LeaseHost) -> None:
    host = lease_host("26", exclusive=True)

    with sshd_line(host, "ForceCommand /bin/false"):
        engine = open_engine(target_of(fleet, host))

    assert engine.channel_kind == "streamlocal"
    engine.close()


@contextlib.contextmanager
def sshd_line(host: Host, line: str) -> Iterator[None]:
    """Have sshd running with one more line of configuration."""
    host.kill_ssh()
    host.exec(["sh", "-c", 'echo "$1" >> /etc/ssh/sshd_config', "sh", line])
    host.start_ssh()
    try:
        yield
    finally:
        host.set_ssh_mode("default")
