"""Host certificates of a real authority on a real sshd, and every reason not to believe one."""

import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from devices.errors import HostKeyChanged, HostKeyError, HostKeyRevoked, HostKeyUnknown
from devices.rules.host_keys import PinnedKey, parse_host_key
from devices.rules.targets import Authentication
from devices.ssh.session import open_session
from tests.devices.sshd import USER, Sshd, needs_sshd, private_text, sshd
from tests.devices.waiting import wait_until

pytestmark = needs_sshd
KEY = ed25519.Ed25519PrivateKey.generate()


def _authority(folder: Path, name: str) -> PinnedKey:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    return parse_host_key((folder / f"{name}.pub").read_text())


def _certified(server: Sshd, authority: Path, *options: str) -> None:
    """Have the server show a certificate for its key that the authority signed."""
    key = server.folder / "host_key"
    public = subprocess.run(["ssh-keygen", "-y", "-f", key], check=True, capture_output=True).stdout
    key.with_suffix(".pub").write_bytes(public)
    subprocess.run(
        ["ssh-keygen", "-q", "-s", authority, "-I", "web", *options, key.with_suffix(".pub")],
        check=True,
        capture_output=True,
    )
    starts = server.log.read_text().count("Server listening")
    os.kill(int((server.folder / "pid").read_text()), signal.SIGHUP)
    wait_until(lambda: server.log.read_text().count("Server listening") > starts)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authorities")


HOST = ("-h", "-n", "127.0.0.1,web.example.com")


def test_certificate_of_a_trusted_authority_vouches_and_any_other_does_not(place: Path, tmp_path: Path) -> None:
    ours, other = _authority(place, "ours"), _authority(place, "other")
    certificate = f"HostCertificate {tmp_path / 'sshd' / 'host_key-cert.pub'}"
    with sshd(tmp_path / "sshd", [KEY], certificate) as server:
        login = Authentication(USER, private_key=private_text(KEY))
        target = server.target(login, pinned_keys=(), authorities=(ours,))
        faults: dict[str, str] = {}

        def refused(name: str, expected: type[HostKeyError] = HostKeyUnknown, **changes: object) -> None:
            with pytest.raises(expected) as caught:
                open_session(replace(target, **changes)).close()
            faults[name] = caught.value.message

        _certified(server, place / "ours", *HOST)
        open_session(target).close()
        open_session(replace(target, pinned_keys=(server.host_key,))).close()
        refused("nobody asked for it", authorities=())
        refused("another authority", authorities=(other,))
        refused("revoked authority", revoked_keys=(ours,))
        refused("revoked key", HostKeyRevoked, revoked_keys=(server.host_key,))
        _certified(server, place / "ours", "-h", "-n", "web.example.com")
        refused("other name")
        refused("other name, other key pinned", HostKeyChanged, pinned_keys=(other,))
        _certified(server, place / "ours", "-n", "127.0.0.1")
        refused("for users")
        _certified(server, place / "ours", "-h", "-n", "127.0.0.1", "-V", "20200101:20210101")
        refused("expired")
        _certified(server, place / "ours", "-h", "-n", "127.0.0.*")
        open_session(target).close()

    for name, words in {
        "another authority": "not trusted for this host",
        "revoked authority": "never to be trusted",
        "revoked key": "never to be trusted",
        "other name": "made out to other hosts",
        "other name, other key pinned": "made out to other hosts",
        "expired": "valid until 202",
    }.items():
        assert words in faults[name], f"{name}: {faults[name]}"
