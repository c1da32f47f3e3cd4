"""From the names that people type to the ids that the API takes: ``device/name``, ``name``, an id, or a pattern."""

import fnmatch
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ssm.cli.client import Client
from ssm.cli.errors import CommandFailed, Exit
from ssm.cli.output import name_of
from ssm.cli.text import plain

_WILD: Final = re.compile(r"[*?\[]")
_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing: where it is listed, and how it is called."""

    path: str
    word: str


CONTAINER: Final = Kind("/containers", "container")
VOLUME: Final = Kind("/volumes", "volume")


def device(client: Client, name: str) -> dict[str, Any]:
    """The device of that name or id. CommandFailed."""
    if _is_id(name):
        found: dict[str, Any] = client.get(f"/devices/{name}")
        return found
    for row in client.pages("/devices", {"q": name}):
        if row.get("name") == name:
            return row
    raise CommandFailed(
        f"There is no device {plain(name, 100)!r}, or you may not see it.",
        fix="See: ssm devices list",
        code=Exit.NOT_FOUND,
    )


def one(client: Client, kind: Kind, text: str) -> dict[str, Any]:
    """The one thing of that name. CommandFailed when there is none, or several."""
    found = some(client, kind, [text])
    if len(found) > 1:
        raise CommandFailed(
            f"{plain(text, 100)!r} fits several: {_listed(found)}.", fix="Name one as device/name.", code=Exit.NOT_FOUND
        )
    return found[0]


def some(client: Client, kind: Kind, texts: Sequence[str]) -> list[dict[str, Any]]:
    """The things that the names and patterns (``web-*/nginx``) fit, each once, in the order they were named.

    A name without a pattern must fit one alone, a pattern one at least. CommandFailed.
    """
    chosen: dict[str, dict[str, Any]] = {}
    for text in texts:
        found = _found(client, kind, text)
        if not found:
            raise CommandFailed(
                f"There is no {kind.word} {plain(text, 100)!r}, or you may not see it.",
                fix=f"See: ssm {kind.word}s list",
                code=Exit.NOT_FOUND,
            )
        if len(found) > 1 and not _WILD.search(text):
            raise CommandFailed(
                f"{plain(text, 100)!r} is the name of several: {_listed(found)}.",
                fix="Name one as device/name, or all of them as '*/name'.",
                code=Exit.NOT_FOUND,
            )
        chosen.update({str(row["id"]): row for row in found})
    return list(chosen.values())


def _found(client: Client, kind: Kind, text: str) -> list[dict[str, Any]]:
    if _is_id(text):
        return [client.get(f"{kind.path}/{text}")]
    # Names of containers and volumes hold no slash; those of devices may.
    on, slash, name = text.rpartition("/")
    query = {"q": max(_WILD.split(name.replace("]", "*")), key=len)[:200]}
    rows = client.pages(kind.path, query)
    if slash:
        return [row for row in rows if _fits(str(row["name"]), name) and _fits(str(row["device"]["name"]), on)]
    return [row for row in rows if _fits(str(row["name"]), name) or row.get("title") == name]


def _fits(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) if _WILD.search(pattern) else name == pattern


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _listed(found: Sequence[dict[str, Any]]) -> str:
    names = [plain(name_of(row), 150) for row in found[:_SHOWN]]
    return ", ".join(names) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
