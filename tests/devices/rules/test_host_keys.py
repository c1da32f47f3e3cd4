"""Host keys: fingerprints as OpenSSH prints them, and verdicts."""

import pytest

from devices.rules.host_keys import (
    HostKeyError,
    PinnedKey,
    Verdict,
    judge,
    parse_host_key,
    wanted_algorithms,
)

# Made with OpenSSH 9.2: ssh-keygen -t ed25519; fingerprint by ssh-keygen -lf.
BLOB = "AAAAC3NzaC1lZDI1NTE5AAAAIH8q992HvJLjRk1eZ/Sj8erpkjKipY6zdPg+hfEL2k/F"
KEY = PinnedKey("ssh-ed25519", BLOB)
OTHER = PinnedKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIOt4HYdnSEJ9ZuCGI0++42C6yHkw1Lm5vSzV3tWRlXhU")


def test_fingerprint_is_that_of_ssh_keygen() -> None:
    assert KEY.fingerprint == "SHA256:g0/J3McY8TYxnCrCSojK1vYjs0f8W+mysWJXx9FtVWw"


@pytest.mark.parametrize(
    "line",
    [
        f"ssh-ed25519 {BLOB}",
        f"ssh-ed25519 {BLOB} root@h1",
        f"10.0.0.1 ssh-ed25519 {BLOB}",
        f"[h]:2222 ssh-ed25519 {BLOB} c",
    ],
)
def test_host_key_line_is_read(line: str) -> None:
    assert parse_host_key(line) == KEY


@pytest.mark.parametrize("line", ["", "ssh-ed25519", "ssh-dss AAAA", f"ssh-rsa {BLOB}", "ssh-ed25519 not*base64"])
def test_host_key_line_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(HostKeyError):
        parse_host_key(line)


@pytest.mark.parametrize(
    ("pinned", "verdict"),
    [
        ((), Verdict.UNKNOWN),
        ((KEY,), Verdict.TRUSTED),
        ((OTHER,), Verdict.CHANGED),
        ((OTHER, KEY), Verdict.TRUSTED),
        ((PinnedKey("ssh-rsa", "AAAA"),), Verdict.CHANGED),
    ],
    ids=["nothing-pinned", "same", "other", "one-of-two", "other-type"],
)
def test_shown_key_is_judged(pinned: tuple[PinnedKey, ...], verdict: Verdict) -> None:
    assert judge(KEY, pinned) is verdict


def test_pinned_type_is_asked_for_first() -> None:
    assert wanted_algorithms([PinnedKey("ssh-rsa", "AAAA")])[:3] == ("rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519")
    assert wanted_algorithms([])[0] == "ssh-ed25519"
    assert len(set(wanted_algorithms([KEY]))) == 6
