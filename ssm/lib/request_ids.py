"""One id for each request and socket: in its answer, in the log, and in what is done because of it."""

import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings

from ssm.lib.addresses import is_trusted_proxy, told_address
from ssm.lib.log_context import log_context

logger = logging.getLogger("ssm.requests")

HEADER: Final = b"x-request-id"
_FORM: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")
# Asked for all the time by machines: told in the log only when they fail.
_QUIET: Final = ("/healthz", "/readyz", "/metrics", "/static/")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


@dataclass(slots=True)
class _Answer:
    status: int = 0
    bytes: int = 0


def with_request_ids(application: Application) -> Application:
    """Wrap an ASGI application of HTTP or WebSockets.

    The id is the one of a trusted proxy's ``X-Request-ID``, else a new one; HTTP answers carry it. With
    SSM_LOG_REQUESTS each request is one record once it is over: method, path (without the query), status, time.
    """

    async def wrapped(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await application(scope, receive, send)
            return
        peer = str((scope.get("client") or [""])[0])
        headers = dict(scope.get("headers") or ())
        told = headers.get(HEADER, b"")
        is_theirs = _FORM.fullmatch(told) is not None and is_trusted_proxy(peer)
        request_id = told.decode() if is_theirs else secrets.token_hex(8)
        answer = _Answer()

        async def send_marked(message: Message) -> None:
            kind = message["type"]
            if kind == "http.response.start":
                answer.status = int(message["status"])
                message["headers"] = [*message.get("headers", ()), (HEADER, request_id.encode())]
            elif kind == "http.response.body":
                answer.bytes += len(message.get("body", b""))
            elif kind == "websocket.accept":
                answer.status = 101
            elif kind == "websocket.close" and not answer.status:
                answer.status = 403
            await send(message)

        began = time.monotonic()
        with log_context(request=request_id):
            try:
                await application(scope, receive, send_marked)
            finally:
                if settings.SSM_LOG_REQUESTS:
                    address = told_address(peer, headers.get(b"x-forwarded-for", b"").decode("latin1"))
                    _tell(scope, answer, address, time.monotonic() - began)

    return wrapped


def _tell(scope: MutableMapping[str, Any], answer: _Answer, address: str, seconds: float) -> None:
    path = str(scope.get("path", ""))
    if answer.status < 400 and path.startswith(_QUIET):
        return
    method = str(scope.get("method", "WEBSOCKET"))
    logger.info(
        "%s %s %s",
        method[:20],
        path[:500],
        answer.status or "no answer",
        extra={
            "method": method[:20],
            "path": path[:500],
            "status": answer.status,
            "duration_ms": round(seconds * 1000, 1),
            "bytes": answer.bytes,
            "address": address,
        },
    )
