"""What is said to SOCKS 5 (RFC 1928, RFC 1929) and HTTP proxies (RFC 9110, section 9.3.6), and what they answer (pure).

Nothing here reads ahead: an SSH server speaks first, and what it says must not be taken for the proxy's.
"""

import base64
import ipaddress
import re

# An answer's head beyond this is no proxy's.
MOST_HEAD_BYTES = 8192
HTTP_BEGINS = b"HTTP/1."
NO_PROOF, BY_PASSWORD, NO_METHOD = 0, 2, 0xFF
_REPLIES = {
    1: "general failure",
    2: "its rules do not allow this connection",
    3: "it cannot reach the network",
    4: "it cannot reach the host",
    5: "the host refused the connection",
    6: "the time to live expired",
    7: "it does not know this command",
    8: "it does not know this kind of address",
}


class ProxyError(ValueError):
    """What the proxy answered is a refusal, or no answer of a proxy; the text says which, in a user's words."""


def socks_greeting(*, has_login: bool) -> bytes:
    """The first message: which proofs we can give."""
    return bytes([5, 2, NO_PROOF, BY_PASSWORD]) if has_login else bytes([5, 1, NO_PROOF])


def socks_method(answer: bytes) -> int:
    """The proof that the proxy wants, from its two bytes. ProxyError if it is no SOCKS 5 proxy or wants another."""
    if answer[:1] != b"\x05":
        raise ProxyError("what answers there is not a SOCKS 5 proxy")
    if answer[1] not in (NO_PROOF, BY_PASSWORD):
        raise ProxyError("it wants a user name and a password")
    return answer[1]


def socks_login(username: str, password: str) -> bytes:
    """User name and password (RFC 1929); ProxyError when one is longer than the protocol allows."""
    name, secret = username.encode(), password.encode("utf-8", "surrogatepass")
    if not 0 < len(name) < 256 or len(secret) > 255:
        raise ProxyError("the user name or the password is longer than SOCKS allows")
    return bytes([1, len(name)]) + name + bytes([len(secret)]) + secret


def socks_request(host: str, port: int) -> bytes:
    """Ask for a connection. Names are left to the proxy, which may know more of them than we do."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        name = host.encode("idna")
        where = bytes([3, len(name)]) + name
    else:
        where = bytes([1 if address.version == 4 else 4]) + address.packed
    return b"\x05\x01\x00" + where + port.to_bytes(2, "big")


def socks_reply(head: bytes) -> int:
    """How many more bytes follow the first five of a reply. ProxyError with the proxy's reason if it refused."""
    if head[:1] != b"\x05":
        raise ProxyError("its answer is not one of SOCKS 5")
    if head[1]:
        raise ProxyError(_REPLIES.get(head[1], f"it refused with code {head[1]}"))
    sizes = {1: 4, 3: head[4] + 1, 4: 16}
    if head[3] not in sizes:
        raise ProxyError("its answer is not one of SOCKS 5")
    return sizes[head[3]] - 1 + 2


def connect_request(host: str, port: int, username: str, password: str | None) -> bytes:
    """``CONNECT`` with basic authentication if there is a user name."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
    if username:
        token = base64.b64encode(f"{username}:{password or ''}".encode("utf-8", "surrogatepass")).decode("ascii")
        lines.append(f"Proxy-Authorization: Basic {token}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def connect_reply(head: bytes) -> None:
    """ProxyError unless the head of the answer says that the way is open."""
    match = re.match(rb"HTTP/1\.[01] ([0-9]{3})(?: ([^\r\n]{0,200}))?\r?\n", head)
    if match is None:
        raise ProxyError("what answers there is not an HTTP proxy")
    status = int(match[1])
    if status == 407:
        raise ProxyError("it wants a user name and a password, or refuses the ones it got")
    if not 200 <= status < 300:
        raise ProxyError(f"it answered {status} {(match[2] or b'').decode('latin-1').strip()}".rstrip())
