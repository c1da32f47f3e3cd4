"""SSM as a program or a browser asks it, over HTTP; what is not answered is asked again."""

import http.client
import json
import secrets
import time
import urllib.parse
from dataclasses import dataclass
from typing import Any, Final

_API: Final = "/api/v1"
_PATIENCE_S: Final = 8.0


class NoAnswer(Exception):
    """Nothing came back, or that SSM itself is in trouble: whether it was done is not known."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's value."""
        return json.loads(self.body)


class Caller:
    """One person: a token for the API, a session for pages. May be used by several threads."""

    def __init__(self, port: int, token: str, cookie: str) -> None:
        self.port = port
        self.cookie = cookie
        self._token = token
        self._csrf = secrets.token_hex(16)

    def get(self, path: str, **query: str) -> Any:
        """The value at a path of the API. Raises NoAnswer."""
        suffix = f"?{urllib.parse.urlencode(query)}" if query else ""
        answer = self._ask("GET", _API + path + suffix, None, self._with_token())
        if answer.status != 200:
            raise NoAnswer(f"{path}: status {answer.status}")
        return answer.json

    def order(self, path: str, body: Any, key: str) -> Answer:
        """POST to the API once, whatever happens on the way: by one idempotency key, until there is an answer."""
        headers = {**self._with_token(), "Idempotency-Key": key, "Content-Type": "application/json"}
        content = json.dumps(body).encode()
        deadline = time.monotonic() + 180
        while True:
            try:
                return self._ask("POST", _API + path, content, headers)
            except NoAnswer:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.4)

    def submit(self, path: str, **fields: str) -> Answer:
        """Send a form as a browser does, once. Raises NoAnswer."""
        headers = {
            "Cookie": f"{self.cookie}; csrftoken={self._csrf}",
            "X-CSRFToken": self._csrf,
            "Origin": f"http://127.0.0.1:{self.port}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return self._ask("POST", path, urllib.parse.urlencode(fields).encode(), headers)

    def page(self, path: str) -> Answer:
        """A page as a browser asks for it. Raises NoAnswer."""
        return self._ask("GET", path, None, {"Cookie": self.cookie})

    def _with_token(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE_S)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as exc:
            raise NoAnswer(f"{method} {path}: {type(exc).__name__}") from exc
        finally:
            connection.close()
        if response.status >= 500:
            raise NoAnswer(f"{method} {path}: status {response.status}")
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)
