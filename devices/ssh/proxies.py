"""The first connection through a SOCKS 5 or HTTP proxy."""

import socket
from dataclasses import replace

from devices.errors import ConnectionTimedOut, DeviceError, ProxyRefused
from devices.rules import proxies as rules
from devices.rules.targets import ConnectionTarget, Proxy
from devices.rules.texts import clean_text
from devices.ssh.sockets import Deadline, connect, resolve


def connect_through(proxy: Proxy, target: ConnectionTarget, deadline: Deadline) -> socket.socket:
    """A socket that leads to the target, opened by the proxy, with nothing of the target's read from it yet.

    The target's name is resolved by the proxy. ProxyRefused, or the errors of a connection, which name the proxy.
    """
    raw = _reach(proxy, target, deadline)
    try:
        if proxy.kind == "socks5":
            _socks(raw, proxy, target, deadline)
        else:
            _http(raw, proxy, target, deadline)
    except BaseException as exc:
        raw.close()
        if isinstance(exc, rules.ProxyError):
            raise _refused(proxy, target, str(exc)) from exc
        if isinstance(exc, TimeoutError):
            raise ConnectionTimedOut(
                f"{target.label}: {_named(proxy)} accepted the connection, but gave no answer in time.",
                fix="Check that this is a proxy of the chosen kind, and that it may reach the host.",
            ) from exc
        if isinstance(exc, OSError):
            raise _refused(proxy, target, "it closed the connection") from exc
        raise
    return raw


def _reach(proxy: Proxy, target: ConnectionTarget, deadline: Deadline) -> socket.socket:
    there = replace(target, address=proxy.address, port=proxy.port)
    try:
        return connect(there, resolve(there, deadline), deadline)
    except DeviceError as exc:
        message = exc.message.replace(f"{target.label}: ", f"{target.label}: the proxy: ", 1)
        raise type(exc)(message, fix="Check the proxy's address and port, and that it runs.") from exc


def _socks(raw: socket.socket, proxy: Proxy, target: ConnectionTarget, deadline: Deadline) -> None:
    _send(raw, rules.socks_greeting(has_login=bool(proxy.username)), deadline)
    if rules.socks_method(_exactly(raw, 2, deadline)) == rules.BY_PASSWORD:
        if not proxy.username:
            raise rules.ProxyError("it wants a user name and a password")
        _send(raw, rules.socks_login(proxy.username, proxy.password or ""), deadline)
        if _exactly(raw, 2, deadline)[1]:
            raise rules.ProxyError("it refuses the user name or the password")
    _send(raw, rules.socks_request(target.address, target.port), deadline)
    _exactly(raw, rules.socks_reply(_exactly(raw, 5, deadline)), deadline)


def _http(raw: socket.socket, proxy: Proxy, target: ConnectionTarget, deadline: Deadline) -> None:
    _send(raw, rules.connect_request(target.address, target.port, proxy.username, proxy.password), deadline)
    head = b""
    while not head.endswith((b"\r\n\r\n", b"\n\n")):
        if len(head) >= rules.MOST_HEAD_BYTES or not rules.HTTP_BEGINS.startswith(head[: len(rules.HTTP_BEGINS)]):
            raise rules.ProxyError("what answers there is not an HTTP proxy")
        head += _exactly(raw, 1, deadline)
    rules.connect_reply(head)


def _send(raw: socket.socket, data: bytes, deadline: Deadline) -> None:
    raw.settimeout(max(0.05, deadline.left_s))
    raw.sendall(data)


def _exactly(raw: socket.socket, size: int, deadline: Deadline) -> bytes:
    data = b""
    while len(data) < size:
        if deadline.is_over:
            raise TimeoutError("the deadline passed")
        raw.settimeout(max(0.05, deadline.left_s))
        piece = raw.recv(size - len(data))
        if not piece:
            raise ConnectionError("closed")
        data += piece
    return data


def _named(proxy: Proxy) -> str:
    return f"the proxy {clean_text(proxy.address, 100)} port {proxy.port}"


def _refused(proxy: Proxy, target: ConnectionTarget, why: str) -> ProxyRefused:
    return ProxyRefused(
        f"{target.label}: {_named(proxy)} gives no way to {target.address} port {target.port}: {clean_text(why, 200)}.",
        fix="Check the kind, user name and password of the proxy, and that its rules allow this host and port.",
    )
