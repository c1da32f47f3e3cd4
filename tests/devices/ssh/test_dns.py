"""SSHFP look-ups at a real name server of the test's own: what it says, and how far it is believed."""

import base64
import contextlib
import hashlib
import socket
import threading
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from devices.rules.host_keys import PinnedKey
from devices.ssh.dns import ask_dns

KEY = PinnedKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIOt4HYdnSEJ9ZuCGI0++42C6yHkw1Lm5vSzV3tWRlXhU")


def _record(key: PinnedKey) -> str:
    return "4 2 " + hashlib.sha256(base64.b64decode(key.key_base64)).hexdigest()


@contextlib.contextmanager
def name_server(
    *records: str, validates: bool = True, code: int = 0, garbage: bytes = b""
) -> Iterator[tuple[str, int]]:
    """Answers each question with these records; says that it validated them if told so."""
    place = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    place.bind(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                data, peer = place.recvfrom(4096)
                if not data:
                    return
                query = dns.message.from_wire(data)
                answer = dns.message.make_response(query)
                answer.set_rcode(dns.rcode.Rcode(code))
                if validates and query.flags & dns.flags.AD:
                    answer.flags |= dns.flags.AD
                if records:
                    answer.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "SSHFP", *records))
                place.sendto(garbage or answer.to_wire(), peer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield place.getsockname()
    finally:
        with contextlib.suppress(OSError):
            place.shutdown(socket.SHUT_RDWR)
        place.close()


@pytest.mark.parametrize(
    ("records", "validates", "trusts", "says", "vouches"),
    [
        ([_record(KEY)], True, True, "same", True),
        ([_record(KEY)], False, True, "same", False),
        ([_record(KEY)], True, False, "same", False),
        (["4 2 " + "ab" * 32], True, True, "other", False),
        (["1 2 " + "ab" * 32], True, True, "", False),
        ([], True, True, "", False),
    ],
    ids=["validated", "not-validated", "resolver-far-away", "other-key", "other-kind", "none"],
)
def test_word_of_dns_counts_only_if_it_was_validated_by_a_trusted_resolver(
    records: list[str],
    validates: bool,
    trusts: bool,
    says: str,
    vouches: bool,
) -> None:
    with name_server(*records, validates=validates) as server:
        word = ask_dns("host.example.com", KEY, 5, server=server, trusts_server=trusts)

    assert (word.says, word.vouches) == (says, vouches)


def test_answers_that_are_no_good_say_nothing() -> None:
    with name_server(_record(KEY), code=2) as failing:
        assert ask_dns("host.example.com", KEY, 5, server=failing, trusts_server=True).says == ""
    with name_server(garbage=b"\x00" * 40) as rubbish:
        assert ask_dns("host.example.com", KEY, 0.5, server=rubbish, trusts_server=True).says == ""


def test_addresses_are_not_looked_up() -> None:
    with name_server(_record(KEY)) as server:
        assert ask_dns("10.0.0.7", KEY, 5, server=server, trusts_server=True).says == ""
        assert ask_dns("fe80::1%eth0", KEY, 5, server=server, trusts_server=True).says == ""
