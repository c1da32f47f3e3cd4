"""Answers that the front gives itself, when a request never reaches Django."""

import html
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from ssm.middleware import FURTHER, PERMISSIONS, POLICY

# As `ssm.lib.api.errors` has it for what Django refuses.
_API: Final = b"/api/"
_CODES: Final = {
    400: "malformed",
    403: "forbidden",
    408: "too_slow",
    413: "too_large",
    414: "address_too_long",
    429: "too_many_connections",
    431: "headers_too_large",
    500: "failed",
    503: "busy",
    507: "no_room",
}
# As RFC 9110 has it.
_PHRASES: Final = {413: "Content Too Large", 414: "URI Too Long"}
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · SSM</title></head>
<body><main><h1>{title}</h1><p>{text} {fix}</p><p><a href="/">Home</a></p></main></body></html>
"""


def headers_of_all() -> list[tuple[bytes, bytes]]:
    """What every answer carries, as Django's have it."""
    named = {
        "Content-Security-Policy": POLICY,
        "Permissions-Policy": PERMISSIONS,
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
        **FURTHER,
    }
    return [(name.encode(), value.encode()) for name, value in named.items()]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is not taken: for people `text` and `fix`, for programs the name of the status."""

    status: int
    text: str
    fix: str = ""
    retry_after_s: int = 0


def answer(refusal: Refusal, path: bytes = b"/") -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body: JSON below /api/, else a plain page."""
    title = phrase(refusal.status)
    if path.startswith(_API):
        kind = b"application/json"
        code = _CODES.get(refusal.status, "refused")
        body = json.dumps({"code": code, "message": refusal.text, "fix": refusal.fix, "fields": {}}).encode()
    else:
        kind = b"text/html; charset=utf-8"
        body = _PAGE.format(
            title=html.escape(title), text=html.escape(refusal.text), fix=html.escape(refusal.fix)
        ).encode()
    headers = [(b"Content-Type", kind), (b"Content-Length", str(len(body)).encode()), *headers_of_all()]
    if refusal.retry_after_s:
        headers.append((b"Retry-After", str(refusal.retry_after_s).encode()))
    return headers, body


def last_answer(refusal: Refusal, path: bytes = b"/", *, has_body: bool = True) -> bytes:
    """The same as bytes for the wire, on a connection that ends with it."""
    headers, body = answer(refusal, path)
    lines = [f"HTTP/1.1 {refusal.status} {phrase(refusal.status)}".encode()]
    lines += [name + b": " + value for name, value in (*headers, (b"Connection", b"close"))]
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body if has_body else b"")


def phrase(status: int) -> str:
    """The name of a status, never a text of the client's."""
    try:
        return _PHRASES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return "Refused"
