"""Engines of fleet hosts that also listen on TCP: Docker with TLS, podman without."""

import contextlib
import socket
from collections.abc import Iterator

from tests.devices.certificates import Pair
from tests.fleet import Host
from tests.fleet.shell import wait_until

PLAIN_PORT, TLS_PORT = 2375, 2376


@contextlib.contextmanager
def engine_with_tls(host: Host, *, authority: str, server: Pair) -> Iterator[None]:
    """The host's own engine, that takes clients of the authority on port 2376 too; the host must be leased alone.

    It is as before at the end.
    """
    folder = "/etc/docker-tls"
    host.exec(f"mkdir -p {folder} && chmod 700 {folder}")
    for name, text in (("ca", authority), ("cert", server.certificate), ("key", server.key)):
        host.exec(f"cat > {folder}/{name}.pem <<'END'\n{text}\nEND")
    host.kill_docker(term=True)
    try:
        host.exec("rm -f /run/docker.pid /run/docker/containerd/containerd.pid")
        host.spawn(
            "engine",
            f"dockerd -H unix:///var/run/docker.sock -H tcp://0.0.0.0:{TLS_PORT} --tlsverify "
            f"--tlscacert={folder}/ca.pem --tlscert={folder}/cert.pem --tlskey={folder}/key.pem",
        )
        wait_until(lambda: host.ping() and _listens(host, TLS_PORT), 90, f"{host.name}'s engine on TCP")
        yield
    finally:
        host.kill_docker(term=True)
        host.start_docker()


@contextlib.contextmanager
def podman_without_encryption(host: Host) -> Iterator[None]:
    """A second service of the host's podman on port 2375, for everybody who can reach it."""
    host.spawn("open-engine", f"podman system service --time=0 tcp:0.0.0.0:{PLAIN_PORT}")
    try:
        wait_until(lambda: _listens(host, PLAIN_PORT), 30, f"{host.name}'s podman on TCP")
        yield
    finally:
        host.exec("kill $(cat /run/fleet/open-engine.pid)", check=False)


def _listens(host: Host, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host.address, port), 2):
        return True
    return False
