"""From where a request came."""

from ipaddress import ip_address, ip_network
from typing import Final

from django.conf import settings
from django.http import HttpRequest

_LONGEST: Final = 20


def client_address(request: HttpRequest) -> str:
    """The address of who asks; empty where it is unknown.

    Only what a proxy of SSM_TRUSTED_PROXIES tells in X-Forwarded-For is believed: read from its end, the first
    address that is no such proxy is the client's. Everybody else may write there what they like.
    """
    return told_address(str(request.META.get("REMOTE_ADDR", "")), str(request.META.get("HTTP_X_FORWARDED_FOR", "")))


def told_address(peer: str, forwarded: str) -> str:
    """The same from the connection's other end and the text of X-Forwarded-For."""
    here = _clean(peer)
    if not here or not _is_trusted(here):
        return here
    told = forwarded[-2000:].split(",")[-_LONGEST:]
    for entry in reversed(told):
        address = _clean(entry)
        if not address:
            break
        here = address
        if not _is_trusted(address):
            break
    return here


def is_trusted_proxy(peer: str) -> bool:
    """Whether a connection comes from a proxy of SSM_TRUSTED_PROXIES."""
    address = _clean(peer)
    return bool(address) and _is_trusted(address)


def _clean(text: str) -> str:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _is_trusted(text: str) -> bool:
    address = ip_address(text)
    return any(address in ip_network(entry, strict=False) for entry in settings.SSM_TRUSTED_PROXIES)
