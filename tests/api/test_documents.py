"""The documents of the API and of the sockets name what there is."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from ssm.api.entry import api
from ssm.api.pages import sections, shapes
from tests.accounts.test_socket_messages import SOCKETS
from tests.people import People

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("path", SOCKETS)
def test_document_of_sockets_names_every_message(path: str) -> None:
    text = (DOCS / "sockets.md").read_text()
    socket = SOCKETS[path]

    address = "/" + re.sub(r"<uuid:\w+>", "<uuid>", path)
    assert address in text
    missing = {name for name in {*socket.takes, *socket.sends} if not re.search(rf'[`"]{name}[`"]', text)}
    assert not missing


def test_document_of_sockets_names_no_socket_that_is_none() -> None:
    named = set(re.findall(r"`/(ws/[^`?]*)", (DOCS / "sockets.md").read_text()))

    assert {name.replace("<uuid>", "<uuid:container_id>") for name in named} == set(SOCKETS)


def test_document_of_the_api_names_every_part() -> None:
    text = (DOCS / "api.md").read_text()
    description: dict[str, Any] = api.get_openapi_schema()

    parts = {path.split("/")[3] for path in description["paths"]}
    assert {part for part in parts if f"/{part}" not in text} == set()


@pytest.mark.django_db
def test_page_describes_every_endpoint(people: People) -> None:
    description: dict[str, Any] = api.get_openapi_schema()
    page = people.client("stranger").get("/api/")
    text = page.content.decode()

    names = {entry["operationId"] for methods in description["paths"].values() for entry in methods.values()}
    assert {each.name for part in sections() for each in part.endpoints} == names
    assert all(f'id="{name}"' in text for name in names)
    assert all(f'id="shape-{shape.name}"' in text for shape in shapes())
    assert len(page.content) < 600_000
    assert Client().get("/api/").status_code == 302


def test_description_tells_of_streams_and_keys() -> None:
    paths: dict[str, Any] = api.get_openapi_schema()["paths"]

    assert list(paths["/api/v1/events/follow"]["get"]["responses"][200]["content"]) == ["application/x-ndjson"]
    keys = [each["name"] for each in paths["/api/v1/volumes/{pk}/backup"]["post"]["parameters"]]
    assert "Idempotency-Key" in keys
