"""A program that calls the API with a token."""

import json
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import Client

from devices.models import now
from ssm.accounts.tokens import make_token
from ssm.lib.roles import Limit, Right
from tests.people import People

BASE = "/api/v1"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body, and headers."""

    status: int
    body: Any
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls with one token; without one as nobody."""

    token: str = ""

    def get(self, path: str, query: dict[str, Any] | None = None) -> Answer:
        """GET below the API's root."""
        return self._answer(Client().get(BASE + path, query or {}, headers=self._headers({})))

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        """POST JSON; headers are named with underscores."""
        client = Client(enforce_csrf_checks=True)
        sent = self._headers({name.replace("_", "-"): value for name, value in headers.items()})
        return self._answer(client.post(BASE + path, body, content_type="application/json", headers=sent))

    def put(self, path: str, body: Any) -> Answer:
        """PUT JSON."""
        client = Client(enforce_csrf_checks=True)
        return self._answer(client.put(BASE + path, body, content_type="application/json", headers=self._headers({})))

    def lines(self, path: str, body: Any = None) -> list[dict[str, Any]]:
        """POST JSON; the answer is a stream of lines, read to its end."""
        client = Client(enforce_csrf_checks=True)
        response = client.post(BASE + path, body, content_type="application/json", headers=self._headers({}))
        assert response.status_code == 200, response.content
        return [json.loads(line) for line in async_to_sync(_whole)(response.streaming_content).splitlines()]

    def patch(self, path: str, body: Any) -> Answer:
        """PATCH JSON."""
        client = Client(enforce_csrf_checks=True)
        return self._answer(client.patch(BASE + path, body, content_type="application/json", headers=self._headers({})))

    def delete(self, path: str, query: str = "") -> Answer:
        """DELETE."""
        client = Client(enforce_csrf_checks=True)
        return self._answer(client.delete(BASE + path + query, headers=self._headers({})))

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        return ({"Authorization": f"Bearer {self.token}"} if self.token else {}) | more

    @staticmethod
    def _answer(response: Any) -> Answer:
        is_json = response.headers.get("Content-Type", "").startswith("application/json") and response.content
        return Answer(response.status_code, response.json() if is_json else None, dict(response.headers))


async def _whole(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


MakeCaller = Callable[..., Caller]


def token_of(user: User, rights: Iterable[Right] = Right, limit: Limit | None = None) -> str:
    """A token of the user with these rights, good for a day."""
    _row, text = make_token(user, "test", rights, limit or Limit(), now() + timedelta(days=1))
    return text


@pytest.fixture
def caller(people: People) -> MakeCaller:
    """Function that gives a caller with a token of the person of a role."""

    def make(role: str = "operator", rights: Iterable[Right] = Right, limit: Limit | None = None) -> Caller:
        return Caller(token_of(getattr(people, role), rights, limit))

    return make
