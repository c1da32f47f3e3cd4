"""What counts as another target, and that secrets are not printed."""

from dataclasses import replace

import pytest

from devices.rules.targets import Authentication, ConnectionTarget, PinnedKey

TARGET = ConnectionTarget(
    device_id="1",
    name="web",
    address="10.0.0.1",
    port=22,
    authentication=Authentication("op", password="pw", private_key="KEY", passphrase="pass"),
    pinned_keys=(PinnedKey("ssh-ed25519", "AAAA"), PinnedKey("ssh-rsa", "BBBB")),
)


@pytest.mark.parametrize(
    "other",
    [
        replace(TARGET, address="10.0.0.2"),
        replace(TARGET, port=23),
        replace(TARGET, socket_path="/run/podman/podman.sock"),
        replace(TARGET, pinned_keys=TARGET.pinned_keys[:1]),
        replace(TARGET, authentication=replace(TARGET.authentication, username="root")),
        replace(TARGET, authentication=replace(TARGET.authentication, password="other")),
        replace(TARGET, authentication=replace(TARGET.authentication, password=None)),
        replace(TARGET, authentication=replace(TARGET.authentication, password="KEY", private_key="pw")),
        replace(TARGET, authentication=replace(TARGET.authentication, passphrase=None)),
        replace(TARGET, authentication=replace(TARGET.authentication, sudo=True)),
    ],
    ids=["address", "port", "socket", "keys", "user", "password", "no-password", "swapped", "passphrase", "sudo"],
)
def test_version_of_a_target_that_needs_a_new_connection_differs(other: ConnectionTarget) -> None:
    assert other.version != TARGET.version


@pytest.mark.parametrize(
    "same",
    [
        replace(TARGET, name="renamed"),
        replace(TARGET, request_timeout_s=1),
        replace(TARGET, connect_timeout_s=1),
        replace(TARGET, channel_kind="dial-stdio"),
        replace(TARGET, pinned_keys=TARGET.pinned_keys[::-1]),
    ],
    ids=["name", "request-timeout", "connect-timeout", "hint", "order-of-keys"],
)
def test_version_of_a_target_that_may_keep_its_connection_is_the_same(same: ConnectionTarget) -> None:
    assert same.version == TARGET.version


def test_secrets_are_not_printed() -> None:
    assert "KEY" not in repr(TARGET)
    assert "pw" not in repr(TARGET)
    assert "pass'" not in repr(TARGET)
