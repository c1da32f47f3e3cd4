"""Jump hosts, proxies, address families, outdated algorithms and compression, at real servers."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from devices.errors import (
    ConnectionLost,
    ConnectionTimedOut,
    DeviceError,
    HostKeyChanged,
    HostKeyUnknown,
    JumpRefused,
    NameNotFound,
    NotSsh,
    ProxyRefused,
)
from devices.rules.targets import Authentication, Proxy
from devices.ssh.session import open_session
from tests.devices.servers import Behaviour, tcp_server
from tests.devices.sshd import USER, Sshd, needs_sshd, private_text, sshd
from tests.devices.waiting import no_threads_left

pytestmark = needs_sshd
KEY = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
WHO = Authentication(USER, private_key=private_text(KEY))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Sshd]]:
    """Three servers that take the key."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(sshd(tmp_path_factory.mktemp("sshd"), [KEY, RSA])) for _ in range(3)]


def test_host_behind_two_jump_hosts_is_reached_and_all_connections_end_with_it(servers: list[Sshd]) -> None:
    first, second, last = servers
    target = last.target(WHO, hops=(first.target(WHO, name="first"), second.target(WHO, name="second")))

    with no_threads_left():
        session = open_session(target)
        peer = session.run(["sh", "-c", "echo $SSH_CONNECTION"], 5).output.split()
        session.close()

    assert peer[3] == str(last.port)


@pytest.mark.parametrize("position", [0, 1])
def test_key_of_each_jump_host_is_checked_before_anything_is_sent(servers: list[Sshd], position: int) -> None:
    hops = [servers[0].target(WHO, name="first"), servers[1].target(WHO, name="second")]
    hops[position] = replace(hops[position], pinned_keys=(servers[2].host_key,))
    strange = [*hops]
    strange[position] = replace(hops[position], pinned_keys=())

    with no_threads_left(), pytest.raises(HostKeyChanged) as changed:
        open_session(servers[2].target(WHO, hops=tuple(hops)))
    with no_threads_left(), pytest.raises(HostKeyUnknown) as unknown:
        open_session(servers[2].target(WHO, hops=tuple(strange)))

    assert changed.value.message.startswith(("first: ", "second: ")[position])
    assert unknown.value.details["fingerprint"] == servers[position].host_key.fingerprint


def test_jump_host_that_gives_no_way_is_named(servers: list[Sshd], tmp_path: Path) -> None:
    with (
        sshd(tmp_path / "sshd", [KEY], "AllowTcpForwarding no") as closed,
        no_threads_left(),
        pytest.raises(JumpRefused) as caught,
    ):
        open_session(servers[0].target(WHO, hops=(closed.target(WHO, name="bastion"),)))

    assert caught.value.message.startswith("bastion ")
    assert "AllowTcpForwarding" in caught.value.fix


def test_lost_jump_host_ends_the_session(servers: list[Sshd], tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        bastion = stack.enter_context(sshd(tmp_path / "sshd", [KEY], "MaxSessions 1"))
        with no_threads_left():
            session = open_session(servers[0].target(WHO, hops=(bastion.target(WHO, name="bastion"),)))
            session._transport.sock._raw._carrier.close()  # type: ignore[union-attr]

            with pytest.raises(ConnectionLost):
                session.run(["true"], 5)
            session.close()


# ---- proxies


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Pass on what either side says until one of them is closed, by its peer or by the server that ends."""
    with contextlib.suppress(OSError, ValueError):  # select() says ValueError of a socket that was closed here
        while True:
            for ready in select.select([one, other], [], [], 30)[0]:
                data = ready.recv(65536)
                if not data:
                    return
                (other if ready is one else one).sendall(data)


def socks_server(username: bytes = b"", password: bytes = b"") -> Behaviour:
    """A SOCKS 5 proxy for one destination at a time."""

    def behave(client: socket.socket) -> None:
        count = client.recv(2)[1]
        client.recv(count)
        if username:
            client.sendall(b"\x05\x02")
            name = client.recv(client.recv(2)[1])
            secret = client.recv(client.recv(1)[0])
            is_right = (name, secret) == (username, password)
            client.sendall(b"\x01" + (b"\x00" if is_right else b"\x01"))
            if not is_right:
                return
        else:
            client.sendall(b"\x05\x00")
        kind = client.recv(4)[3]
        host = socket.inet_ntoa(client.recv(4)) if kind == 1 else client.recv(client.recv(1)[0]).decode()
        port = int.from_bytes(client.recv(2), "big")
        with socket.create_connection((host, port), 5) as there:
            client.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
            _relay(client, there)

    return behave


def http_server(token: bytes = b"") -> Behaviour:
    """An HTTP proxy that knows CONNECT, and sends the server's greeting together with its answer."""

    def behave(client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        if token and b"Proxy-Authorization: Basic " + token not in head:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        host, port = head.split()[1].decode().rsplit(":", 1)
        with socket.create_connection((host, int(port)), 5) as there:
            greeting = there.recv(4096)
            client.sendall(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n" + greeting)
            _relay(client, there)

    return behave


@pytest.mark.parametrize("with_login", [False, True])
@pytest.mark.parametrize("kind", ["socks5", "http"])
@pytest.mark.parametrize("address", ["127.0.0.1", "localhost"])
def test_host_is_reached_through_a_proxy(servers: list[Sshd], kind: str, address: str, *, with_login: bool) -> None:
    behaviour = {
        ("socks5", False): socks_server(),
        ("socks5", True): socks_server(b"me", b"secret"),
        ("http", False): http_server(),
        ("http", True): http_server(b"bWU6c2VjcmV0"),
    }[kind, with_login]
    with tcp_server(behaviour) as port:
        proxy = Proxy(kind, "127.0.0.1", port, *(("me", "secret") if with_login else ()))

        session = open_session(servers[0].target(WHO, address=address, proxy=proxy))

        assert session.run(["echo", "in"], 5).output == "in"
        session.close()


def test_proxy_leads_to_the_first_jump_host(servers: list[Sshd]) -> None:
    with tcp_server(socks_server()) as port:
        hop = servers[1].target(WHO, name="bastion")
        session = open_session(servers[0].target(WHO, hops=(hop,), proxy=Proxy("socks5", "127.0.0.1", port)))

        assert session.run(["echo", "in"], 5).output == "in"
        session.close()


def answers_nothing(client: socket.socket) -> None:
    while client.recv(65536):
        pass


def refuses_by_socks(client: socket.socket) -> None:
    client.recv(3)
    client.sendall(b"\x05\x00")
    client.recv(10)
    client.sendall(b"\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00")


def floods(client: socket.socket) -> None:
    client.recv(65536)
    while True:
        client.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000)


def speaks_ssh(client: socket.socket) -> None:
    client.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
    answers_nothing(client)


def hangs_up(client: socket.socket) -> None:
    client.recv(65536)


@pytest.mark.parametrize(
    ("kind", "behaviour", "expected", "words"),
    [
        ("socks5", answers_nothing, ConnectionTimedOut, "gave no answer in time"),
        ("http", answers_nothing, ConnectionTimedOut, "gave no answer in time"),
        ("socks5", refuses_by_socks, ProxyRefused, "rules do not allow"),
        ("socks5", socks_server(b"me", b"right"), ProxyRefused, "refuses the user name or the password"),
        ("http", http_server(b"cmlnaHQ="), ProxyRefused, "wants a user name and a password"),
        ("socks5", speaks_ssh, ProxyRefused, "not a SOCKS 5 proxy"),
        ("http", speaks_ssh, ProxyRefused, "not an HTTP proxy"),
        ("http", floods, ProxyRefused, "not an HTTP proxy"),
        ("socks5", hangs_up, ProxyRefused, "closed the connection"),
    ],
)
def test_proxy_that_gives_no_way_is_told_apart(
    kind: str, behaviour: Behaviour, expected: type[DeviceError], words: str, servers: list[Sshd]
) -> None:
    with tcp_server(behaviour) as port, no_threads_left():
        target = servers[0].target(
            WHO, proxy=Proxy(kind, "127.0.0.1", port, "me", "wrong-secret"), connect_timeout_s=1.0
        )
        with pytest.raises(expected) as caught:
            open_session(target)

    assert words in caught.value.message
    assert "wrong-secret" not in str(caught.value)


# ---- families, algorithms, compression


@pytest.mark.parametrize(("family", "address"), [("ipv6", "127.0.0.1"), ("ipv4", "::1")])
def test_address_of_the_wrong_family_is_not_tried(servers: list[Sshd], family: str, address: str) -> None:
    with pytest.raises(NameNotFound, match=r"set to IPv. only"):
        open_session(servers[0].target(WHO, address=address, address_family=family))


OLD = {
    "kex": ("KexAlgorithms diffie-hellman-group14-sha1",),
    "kex-by-exchange": ("KexAlgorithms diffie-hellman-group-exchange-sha1",),
    "ciphers": ("Ciphers aes256-cbc", "MACs hmac-sha1"),
}


@pytest.mark.parametrize("what", OLD)
def test_server_with_outdated_algorithms_needs_leave(tmp_path: Path, what: str) -> None:
    with sshd(tmp_path / "sshd", [KEY], *OLD[what]) as old, no_threads_left():
        with pytest.raises(NotSsh) as caught:
            open_session(old.target(WHO))
        session = open_session(old.target(WHO, legacy_algorithms=True))
        said = session.run(["echo", "in"], 5).output
        session.close()

    assert "outdated algorithms" in caught.value.fix
    assert said == "in"


def test_good_algorithms_are_chosen_even_where_outdated_ones_are_allowed(servers: list[Sshd]) -> None:
    session = open_session(servers[0].target(WHO, legacy_algorithms=True))
    transport = session._transport

    assert transport.local_cipher == "aes128-gcm@openssh.com"
    assert transport.host_key_type == "ssh-ed25519"
    session.close()


def test_rsa_key_logs_in_where_outdated_algorithms_are_allowed(servers: list[Sshd]) -> None:
    who = Authentication(USER, private_key=private_text(RSA))
    session = open_session(servers[0].target(who, legacy_algorithms=True))

    assert session.run(["echo", "in"], 5).output == "in"
    session.close()


def test_compressed_connection_carries_much_unharmed(tmp_path: Path) -> None:
    with sshd(tmp_path / "sshd", [KEY], "Compression yes") as server:
        session = open_session(server.target(WHO, compression=True))
        channel = session.open_program("head -c 3000000 /dev/zero", 5)
        size = 0
        while data := channel.recv(65536):
            size += len(data)

        assert size == 3_000_000
        assert session._transport.remote_compression == "zlib@openssh.com"
        session.close()


def test_silent_connection_is_asked_after_its_own_time(servers: list[Sshd]) -> None:
    session = open_session(servers[0].target(WHO, keepalive_s=1))
    asked = threading.Event()
    original = session._transport.ask_for_life

    def ask() -> None:
        original()
        asked.set()

    session._transport.ask_for_life = ask  # type: ignore[method-assign]

    assert asked.wait(10)
    session.close()
