"""Requests to the API: JSON there and back, pages one after the other, streams line by line."""

import http.client
import json
import secrets
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from ssm.cli.errors import ApiRefused, CommandFailed, Exit, Unreachable
from ssm.cli.profiles import Profile
from ssm.cli.text import plain
from ssm.lib.version import VERSION

_BASE: Final = "/api/v1"
_ANSWER_S: Final = 60.0
_LARGEST: Final = 64 * 1024 * 1024
_LONGEST_LINE: Final = 4 * 1024 * 1024
_TRIES: Final = 4
_PAGE: Final = 200
# A pause that SSM asks for is kept once; more than this is left to the caller.
_LONGEST_PAUSE_S: Final = 65.0
# They pass: a process is being restarted, or has more to do than it can.
_PASSING: Final = frozenset({502, 503, 504})
Query = Mapping[str, Any]


class _Stream(Protocol):
    def read1(self, amount: int = ..., /) -> bytes: ...
    def read(self, amount: int = ..., /) -> bytes: ...
    def close(self) -> None: ...


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Nobody gets the token because SSM, or who pretends to be it, points there."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Client:
    """The API of one installation. ``say`` is told what takes long."""

    def __init__(self, profile: Profile, say: Callable[[str], None] = lambda _text: None) -> None:
        self.profile = profile
        self._say = say
        try:
            context = ssl.create_default_context(cafile=profile.ca_file or None)
        except (OSError, ssl.SSLError) as exc:
            raise CommandFailed(f"The CA file {profile.ca_file} cannot be used.", code=Exit.USAGE) from exc
        self._opener = urllib.request.build_opener(_NoRedirects(), _Plain(), _Secure(context=context))

    def get(self, path: str, query: Query | None = None) -> Any:
        """What the path answers. CommandFailed."""
        return self.call("GET", path, query=query)

    def post(self, path: str, body: Any = None, query: Query | None = None) -> Any:
        """Ask for something; sent again when the answer is lost, with one key, so that it happens once."""
        return self.call("POST", path, body=body, query=query)

    def call(self, method: str, path: str, *, body: Any = None, query: Query | None = None) -> Any:
        """One request and its answer; None where that is empty. CommandFailed."""
        with_key = {"Idempotency-Key": secrets.token_hex(16)} if method == "POST" else {}
        stream = self._send(method, path, query, body, with_key, _ANSWER_S)
        try:
            data = stream.read(_LARGEST + 1)
        except (OSError, http.client.HTTPException) as exc:
            raise Unreachable(f"The answer of {self.profile.url} broke off.", fix="Try again.") from exc
        finally:
            stream.close()
        if len(data) > _LARGEST:
            raise Unreachable("The answer is larger than any of SSM.")
        return _read(data, self.profile.url) if data else None

    def pages(self, path: str, query: Query | None = None, *, most: int | None = None) -> Iterator[dict[str, Any]]:
        """The rows of a list, page by page, `most` at most."""
        cursor, left = "", most
        while left is None or left > 0:
            limit = _PAGE if left is None else min(_PAGE, left)
            answer = self.get(path, {**(query or {}), "limit": limit, "cursor": cursor})
            items = answer.get("items") if isinstance(answer, dict) else None
            if not isinstance(items, list):
                raise Unreachable(f"{self.profile.url} does not answer as SSM does.")
            yield from items if left is None else items[:left]
            cursor = str(answer.get("next") or "")
            left = None if left is None else left - len(items)
            if not cursor:
                return

    def lines(
        self, path: str, query: Query | None = None, *, method: str = "GET", timeout_s: float | None = None
    ) -> Iterator[dict[str, Any]]:
        """A stream of objects (NDJSON) until it ends; Unreachable when it is cut."""
        stream = self._send(method, path, query, None, {}, timeout_s)
        try:
            for line in _lines(stream):
                if line.strip():
                    yield _read(line, self.profile.url)
        except (OSError, http.client.HTTPException) as exc:
            raise Unreachable(f"The stream of {self.profile.url} was cut.") from exc
        finally:
            stream.close()

    def download(self, path: str, write: Callable[[bytes], object]) -> int:
        """Hand the bytes of the path to `write`, piece by piece; how many they were. Unreachable when it is cut."""
        stream = self._send("GET", path, None, None, {}, 120.0)
        size, expected = 0, _length(stream)
        try:
            while data := stream.read(256 * 1024):
                write(data)
                size += len(data)
        except (OSError, http.client.HTTPException) as exc:
            raise Unreachable("The download was cut.") from exc
        finally:
            stream.close()
        if expected is not None and size != expected:
            raise Unreachable(f"The download was cut after {size} of {expected} bytes.")
        return size

    def _send(
        self, method: str, path: str, query: Query | None, body: Any, more: Mapping[str, str], timeout_s: float | None
    ) -> _Stream:
        request = self._request(method, path, query, body, more)
        may_repeat = method in ("GET", "HEAD") or bool(more)
        for attempt in range(1, _TRIES + 1):
            is_last = attempt == _TRIES or not may_repeat
            try:
                stream: _Stream = self._opener.open(request, timeout=timeout_s)
                return stream
            except urllib.error.HTTPError as exc:
                with exc:
                    pause = _pause(exc, attempt)
                    if exc.code == 429 and attempt == 1 and pause <= _LONGEST_PAUSE_S:
                        self._say(f"SSM asks to wait {pause:.0f} s: too many requests in this minute.")
                    elif exc.code not in _PASSING or is_last:
                        raise self._refusal(exc) from exc
            except (OSError, http.client.HTTPException) as exc:
                reason = getattr(exc, "reason", exc)
                if isinstance(reason, ssl.SSLCertVerificationError):
                    raise Unreachable(
                        f"The certificate of {self.profile.url} is not trusted: {plain(reason.verify_message)}.",
                        fix="Name the CA that signed it by SSM_CA_FILE.",
                    ) from exc
                if is_last or isinstance(reason, socket.gaierror | ConnectionRefusedError):
                    raise Unreachable(
                        f"{self.profile.url} does not answer: {plain(reason) or type(reason).__name__}.",
                        fix="Is the address right, and is SSM running?",
                    ) from exc
                pause = attempt / 2
            time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _request(
        self, method: str, path: str, query: Query | None, body: Any, more: Mapping[str, str]
    ) -> urllib.request.Request:
        told = {name: _word(value) for name, value in (query or {}).items() if value not in (None, "")}
        url = f"{self.profile.url}{_BASE}{path}" + (f"?{urlencode(told, doseq=True)}" if told else "")
        headers = {"Accept": "application/json", "User-Agent": f"ssm-cli/{VERSION}", **more}
        try:
            self.profile.token.encode("ascii")
        except UnicodeEncodeError as exc:
            raise CommandFailed("This is no token of SSM.", code=Exit.REFUSED) from exc
        headers["Authorization"] = f"Bearer {self.profile.token}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        elif method == "POST":
            data = b""
        return urllib.request.Request(url, data=data, method=method, headers=headers)  # noqa: S310 - checked by profiles

    def _refusal(self, answer: urllib.error.HTTPError) -> CommandFailed:
        if 300 <= answer.code < 400:
            return Unreachable(
                f"{self.profile.url} sends elsewhere: {plain(answer.headers.get('Location', ''), 300)}",
                fix="Log in with the address that SSM has.",
            )
        try:
            told = json.loads(answer.read(_LARGEST))
            message, fix, kind = str(told["message"]), str(told.get("fix", "")), str(told.get("code", ""))
            fields = told.get("fields") or {}
        except (ValueError, KeyError, TypeError, AttributeError, OSError, http.client.HTTPException):
            return Unreachable(
                f"{self.profile.url} answered {answer.code}, and not as SSM does.", fix="Is this the address of SSM?"
            )
        if isinstance(fields, dict) and fields:
            told_fields = "; ".join(f"{name}: {text}" if name else str(text) for name, text in fields.items())
            message = f"{message} {told_fields}" if told_fields not in message else message
        return ApiRefused(answer.code, kind, message, fix)


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        super().connect()
        keep_alive(self.sock)


class _SecureConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        keep_alive(self.sock)


class _Plain(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, req)


class _Secure(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, req, context=self._context)  # type: ignore[attr-defined]


def keep_alive(sock: socket.socket) -> None:
    """Have a dead other end noticed within two minutes, where the system can: a silent log may be followed for days."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 6)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _lines(stream: _Stream) -> Iterator[bytes]:
    """The lines of a stream. Not by `readline`, which takes a connection that was lost for the stream's end."""
    rest = b""
    while data := stream.read1(64 * 1024):
        *lines, rest = (rest + data).split(b"\n")
        yield from lines
        if len(rest) > _LONGEST_LINE:
            raise Unreachable("A line of the stream is longer than any of SSM.")
    if rest:
        raise Unreachable("The stream was cut.")


def _read(data: bytes, url: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise Unreachable(f"{url} does not answer as SSM does.", fix="Is this the address of SSM?") from exc


def _word(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _pause(answer: urllib.error.HTTPError, attempt: int) -> float:
    told = answer.headers.get("Retry-After", "")
    return min(float(told), 3600.0) if told.isdigit() else attempt / 2


def _length(stream: Any) -> int | None:
    told = stream.headers.get("Content-Length", "") if hasattr(stream, "headers") else ""
    return int(told) if told.isdigit() else None
