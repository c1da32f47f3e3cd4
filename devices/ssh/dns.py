"""SSHFP records of a host, and whether whoever answered has checked them by DNSSEC."""

import ipaddress
import logging
from pathlib import Path
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver

from devices.rules.host_keys import PinnedKey
from devices.rules.sshfp import DnsWord, Record, compare

logger = logging.getLogger(__name__)

LOOK_UP_S: Final = 2.0
_PORT: Final = 53
_MOST_RECORDS: Final = 64
_RESOLVER_SETTINGS: Final = Path("/etc/resolv.conf")


def ask_dns(
    host: str, key: PinnedKey, timeout_s: float, *, server: tuple[str, int] | None = None, trusts_server: bool = False
) -> DnsWord:
    """What DNS says of the key that a host shows; nothing for bare addresses and wherever the look-up fails.

    The system's resolver is asked, and believed to have validated if it says so and either runs on this machine or
    resolv.conf has ``trust-ad``: the word of one far away could be forged on its way. ``server`` (address and port)
    and ``trusts_server`` stand in for it.
    """
    try:
        ipaddress.ip_address(host.partition("%")[0])
        return DnsWord()
    except ValueError:
        pass
    try:
        place, is_trusted = (server, trusts_server) if server is not None else _system_resolver()
        query = dns.message.make_query(host, dns.rdatatype.SSHFP, want_dnssec=True)
        query.flags |= dns.flags.AD
        answer, _by_tcp = dns.query.udp_with_fallback(
            query, place[0], timeout=min(timeout_s, LOOK_UP_S), port=place[1], ignore_unexpected=True
        )
    except (dns.exception.DNSException, OSError, ValueError, UnicodeError) as exc:
        logger.debug("no SSHFP records of %s: %s", host, type(exc).__name__)
        return DnsWord()
    if answer.rcode() != dns.rcode.NOERROR:
        return DnsWord()
    records = [
        Record(item.algorithm, item.fp_type, item.fingerprint)
        for group in answer.answer
        if group.rdtype == dns.rdatatype.SSHFP
        for item in group
    ]
    return DnsWord(compare(key, records[:_MOST_RECORDS]), is_trusted and bool(answer.flags & dns.flags.AD))


def _system_resolver() -> tuple[tuple[str, int], bool]:
    address = str(dns.resolver.get_default_resolver().nameservers[0])
    try:
        words = _RESOLVER_SETTINGS.read_text().split()
    except OSError:
        words = []
    return (address, _PORT), "trust-ad" in words or ipaddress.ip_address(address).is_loopback
