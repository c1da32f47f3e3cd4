"""Real OpenSSH servers on free loopback ports: they let the user in who runs the tests, by keys or certificates."""

import contextlib
import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from devices.rules.host_keys import PinnedKey, parse_host_key
from devices.rules.targets import Authentication, ConnectionTarget

USER = getpass.getuser()
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin") or ""
needs_sshd = pytest.mark.skipif(not SSHD, reason="there is no sshd on this machine")

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Sshd:
    """A running server. ``log`` is where it writes what it does."""

    port: int
    host_key: PinnedKey
    folder: Path
    log: Path

    def target(self, authentication: Authentication | None = None, **changes: object) -> ConnectionTarget:
        """This server as a saved device."""
        target = ConnectionTarget(
            device_id=f"sshd-{self.port}",
            name="web",
            address="127.0.0.1",
            port=self.port,
            authentication=authentication or Authentication(USER),
            pinned_keys=(self.host_key,),
            connect_timeout_s=8,
            request_timeout_s=8,
        )
        return replace(target, **changes)


def private_text(key: PrivateKey) -> str:
    """The key as OpenSSH writes it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    ).decode()


def public_line(key: PrivateKey) -> str:
    """The line of its .pub file."""
    encoded = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return encoded.decode()


@contextlib.contextmanager
def sshd(folder: Path, authorized: list[PrivateKey], *lines: str, address: str = "127.0.0.1") -> Iterator[Sshd]:
    """Run a server whose configuration is ``lines`` and then the usual ones; ``authorized`` keys may log in."""
    folder.mkdir(parents=True, exist_ok=True)
    host_key = ed25519.Ed25519PrivateKey.generate()
    key_file = folder / "host_key"
    key_file.write_text(private_text(host_key))
    key_file.chmod(0o600)
    (folder / "authorized_keys").write_text("".join(public_line(key) + "\n" for key in authorized))
    with socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET) as free:
        port = free.getsockname()[1]
    configuration = [
        *lines,
        f"ListenAddress [{address}]:{port}" if ":" in address else f"ListenAddress {address}:{port}",
        f"HostKey {key_file}",
        f"AuthorizedKeysFile {folder / 'authorized_keys'}",
        f"PidFile {folder / 'pid'}",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin yes",
        "LogLevel VERBOSE",
        "MaxStartups 50",
    ]
    (folder / "sshd_config").write_text("\n".join(configuration) + "\n")
    log = folder / "log"
    # sshd wants a directory that only systemd makes.
    Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-f", str(folder / "sshd_config"), "-E", str(log)])
    try:
        _wait_for(address, port, server, log)
        yield Sshd(port, parse_host_key(public_line(host_key)), folder, log)
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(address: str, port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection((address, port), 1):
            return
        if server.poll() is not None:
            break
        time.sleep(0.02)
    raise RuntimeError(f"sshd did not start: {log.read_text() if log.exists() else ''}")
