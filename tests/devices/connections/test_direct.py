"""Engines without SSH: over TLS, over plain TCP, and on a local socket; every refusal told with what to do."""

import contextlib
import ctypes
import os
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devices.connections import ConnectionPool, open_engine
from devices.errors import (
    CertificateRefused,
    ClientCertificateRefused,
    ConnectionLost,
    ConnectionRefused,
    ConnectionTimedOut,
    DeviceError,
    KeyUnreadable,
    NotDocker,
    NotTls,
    PermissionDenied,
    SocketMissing,
)
from devices.rules.targets import Authentication, ConnectionTarget, TlsSettings
from tests.devices.certificates import Authority, Pair
from tests.devices.open_engines import PLAIN_PORT, TLS_PORT, engine_with_tls, podman_without_encryption
from tests.devices.servers import tcp_server
from tests.devices.waiting import no_threads_left
from tests.fleet import Host
from tests.fleet.fixtures import LeaseHost

# The system call itself, of 64-bit x86 and ARM: the C library's function changes all threads of the process.
_SETRESUID = {"x86_64": 117, "aarch64": 147}.get(os.uname().machine, -1)


def _target(transport: str, address: str = "", port: int = 1, **changes: object) -> ConnectionTarget:
    target = ConnectionTarget(
        "device", "engine host", address, port, Authentication(""), connect_timeout_s=5, request_timeout_s=10
    )
    return replace(target, transport=transport, **changes)


def _settings(authority: Authority, client: Pair | None) -> TlsSettings:
    return TlsSettings(authority.pem, client.certificate if client else "", client.key if client else "")


@contextlib.contextmanager
def _tls_server(pair: Pair, folder: Path) -> Iterator[int]:
    file = folder / "server.pem"
    file.write_text(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    def behave(connection: socket.socket) -> None:
        context.wrap_socket(connection, server_side=True).close()

    with tcp_server(behave) as port:
        yield port


def _names(host: Host) -> set[str]:
    return {name for container in host.containers() for name in container["Names"]}


@pytest.mark.parametrize("which", ["20", "28"])
def test_engine_over_tls_serves_requests_streams_and_the_library(lease_host: LeaseHost, which: str) -> None:
    host = lease_host(which, exclusive=True)
    ours, other = Authority(), Authority("somebody else")
    client = ours.client()
    target = _target("tls", host.address, TLS_PORT, tls=_settings(ours, client))
    refusals: dict[str, DeviceError] = {}

    with engine_with_tls(host, authority=ours.pem, server=ours.server(host.address, "engine.test")):
        with no_threads_left():
            engine = open_engine(target)
            with engine.stream("/events", {"until": "1"}, read_timeout_s=10) as stream:
                events = b"".join(stream)
            listed = engine.get_json("/containers/json", {"all": True})
            by_library = engine.api.containers(all=True)
            again = engine.get_json("/containers/json", {"all": True})
            kind, fingerprint, channels = engine.channel_kind, engine.host_key_fingerprint, engine.channel_count
            engine.close()
        by_name = open_engine(replace(target, tls_server_name="engine.test"))
        by_name.close()
        for name, changes in {
            "wrong authority": {"tls": _settings(other, client)},
            "system's authorities": {"tls": TlsSettings("", client.certificate, client.key)},
            "wrong name": {"tls_server_name": "other.test"},
            "no certificate": {"tls": _settings(ours, None)},
            "stranger's certificate": {"tls": _settings(ours, other.client())},
            "expired certificate": {"tls": _settings(ours, ours.client(days=-1))},
            "nothing listens": {"port": 9},
            "no TLS": {"port": 22},
            "plain": {"transport": "tcp"},
        }.items():
            with pytest.raises(DeviceError) as caught:
                open_engine(replace(target, **changes))
            refusals[name] = caught.value

    assert {name for container in listed for name in container["Names"]} == _names(host)
    assert len(by_library) == len(listed) == len(again)
    assert (kind, fingerprint, events) == ("tls", "", b"")
    assert channels == 1, "requests one after the other share a connection"
    expected: dict[str, tuple[type[DeviceError], str]] = {
        "wrong authority": (CertificateRefused, "an authority that the TLS identity does not name"),
        "system's authorities": (CertificateRefused, "an authority that the TLS identity does not name"),
        "wrong name": (CertificateRefused, "another name than other.test"),
        "no certificate": (ClientCertificateRefused, "wants a client certificate"),
        "stranger's certificate": (ClientCertificateRefused, "client certificate"),
        "expired certificate": (ClientCertificateRefused, "client certificate"),
        "nothing listens": (ConnectionRefused, "nothing listens on"),
        "no TLS": (NotTls, "speaks no TLS"),
        "plain": (NotDocker, "TLS"),
    }
    for name, (kind_of_error, words) in expected.items():
        assert isinstance(refusals[name], kind_of_error), f"{name}: {refusals[name]!r}"
        assert words in refusals[name].message, f"{name}: {refusals[name]}"
        assert refusals[name].fix, name
        assert client.key.splitlines()[1] not in str(refusals[name])


@pytest.mark.parametrize(
    ("name", "days", "words"),
    [("127.0.0.1", -1, "no longer valid"), ("other.test", 30, "another name than 127.0.0.1")],
    ids=["expired", "name"],
)
def test_server_certificate_that_is_not_good_is_told(name: str, days: int, words: str, tmp_path: Path) -> None:
    ours = Authority()
    server = ours.server(name, days=days)
    with _tls_server(server, tmp_path) as port, pytest.raises(CertificateRefused) as caught:
        open_engine(_target("tls", "127.0.0.1", port, tls=_settings(ours, None)))

    assert words in caught.value.message


def test_pair_that_does_not_belong_together_is_told_before_anything_is_connected() -> None:
    ours = Authority()
    mixed = TlsSettings(ours.pem, ours.client().certificate, ours.client().key)

    with pytest.raises(KeyUnreadable, match="can't be used together"):
        open_engine(_target("tls", "127.0.0.1", 1, tls=mixed))
    with pytest.raises(KeyUnreadable, match="authority can't be read"):
        open_engine(_target("tls", "127.0.0.1", 1, tls=TlsSettings("no certificate")))


def test_podman_over_plain_tcp_answers_and_tls_there_is_told(lease_host: LeaseHost) -> None:
    host = lease_host("podman", exclusive=True)
    target = _target("tcp", host.address, PLAIN_PORT)

    with podman_without_encryption(host):
        engine = open_engine(target)
        listed = engine.get_json("/containers/json", {"all": True})
        engine.close()
        with pytest.raises(NotTls, match="speaks no TLS"):
            open_engine(replace(target, transport="tls", tls=TlsSettings()))

    assert {name for container in listed for name in container["Names"]} == _names(host)
    assert engine.channel_kind == "tcp"


def test_host_that_vanishes_is_given_up_and_not_taken_for_a_slow_engine(lease_host: LeaseHost) -> None:
    host = lease_host("podman", exclusive=True)
    with podman_without_encryption(host):
        engine = open_engine(_target("tcp", host.address, PLAIN_PORT))
        host.cut(silent=True)
        try:
            with pytest.raises(ConnectionLost, match="no longer answers"):
                engine.ping(timeout_s=3)
        finally:
            host.heal()

    assert not engine.is_open
    assert engine.fell_silent
    engine.close()


@pytest.fixture
def local_socket(lease_host: LeaseHost, tmp_path: Path) -> Iterator[tuple[Host, str]]:
    """A host, and a short path of this machine to its engine's socket."""
    host = lease_host("28")
    link = tmp_path / "engine.sock"
    link.symlink_to(host.socket_path)
    yield host, str(link)


def test_local_socket_is_served_by_the_pool_as_any_device(local_socket: tuple[Host, str]) -> None:
    host, path = local_socket
    pool = ConnectionPool()

    engine = pool.engine(_target("local", socket_path=path))
    listed = engine.get_json("/containers/json", {"all": True})
    here = engine.run_program(["sh", "-c", "echo $$; echo ${SSM_SECRET_KEY-none}"], 5)

    assert pool.engine(_target("local", socket_path=path)) is engine
    assert {name for container in listed for name in container["Names"]} == _names(host)
    assert here.output.endswith(" none"), "a program on this machine gets no environment of SSM's"
    pool.close_all()
    assert not engine.is_open


def test_local_socket_that_gives_no_way_says_why(tmp_path: Path) -> None:
    nobody, file = tmp_path / "nobody.sock", tmp_path / "file"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(nobody))
    listener.close()
    file.write_text("")

    for path, words in (
        (tmp_path / "missing.sock", "there is no socket"),
        (nobody, "no engine listens on"),
        (file, "is not a socket"),
        (tmp_path / ("long" * 40), "longer than 107"),
    ):
        with pytest.raises(SocketMissing, match=words):
            open_engine(_target("local", socket_path=str(path)))


def test_local_socket_of_another_group_names_the_group(tmp_path: Path) -> None:
    if os.geteuid() != 0 or _SETRESUID < 0:
        pytest.skip("needs root to become somebody who may not open a socket")
    path = Path("/tmp") / f"ssm-test-{os.getpid()}.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    shutil.chown(path, group=12345)
    path.chmod(0o660)
    outcome: list[DeviceError] = []

    def as_nobody() -> None:
        ctypes.CDLL(None).syscall(_SETRESUID, -1, 65534, -1)
        try:
            open_engine(_target("local", socket_path=str(path)))
        except DeviceError as exc:
            outcome.append(exc)

    try:
        thread = threading.Thread(target=as_nobody)
        thread.start()
        thread.join(10)
    finally:
        listener.close()
        path.unlink()

    assert isinstance(outcome[0], PermissionDenied)
    assert "12345" in outcome[0].fix


def test_slow_tls_greeting_ends_at_the_time_out() -> None:
    def drip(connection: socket.socket) -> None:
        # A record header that announces much, then a byte now and then: each one is in time.
        connection.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")
        while True:
            connection.sendall(b"\x00")
            threading.Event().wait(0.1)

    with tcp_server(drip) as port, no_threads_left(), pytest.raises(ConnectionTimedOut, match="did not come in time"):
        open_engine(_target("tls", "127.0.0.1", port, tls=TlsSettings(), connect_timeout_s=1.0))
