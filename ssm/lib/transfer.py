"""Rows as a file, out and in again: reading a document of strangers within bounds, and what an import is made of.

A document is JSON or YAML of one mapping: ``ssm`` says of what, ``version`` how it is written. Secrets are never in it.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import yaml

VERSION: Final = 1
# Below what a form may carry in all.
MOST_BYTES: Final = 2 * 1024 * 1024
MOST_ROWS: Final = 5000
_MOST_EVENTS: Final = 600_000
_MOST_DEPTH: Final = 12
FORMATS: Final[Mapping[str, tuple[str, str]]] = {
    "yaml": ("application/yaml", "YAML"),
    "json": ("application/json", "JSON"),
}
NEW, CHANGED, SAME, FAULTY = "new", "changed", "same", "faulty"
ADDED, UPDATED, KEPT, FAILED = "added", "updated", "kept", "failed"
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class TransferFault(ValueError):
    """A document, or a part of it, that cannot be taken over; says why in a user's words."""


@dataclass(frozen=True, slots=True)
class Change:
    """One column that would get another value."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Planned:
    """What would become of one entry: ``state`` is new, changed, same or faulty (``fault`` says why).

    ``kind`` and ``name`` tell which one it is; ``values`` are its columns as the app understands them.
    """

    kind: str
    name: str
    state: str
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    fault: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    row: Any = None

    @property
    def key(self) -> str:
        """How a form names it."""
        return f"{self.kind}:{self.name}"

    @property
    def may_be_taken(self) -> bool:
        """Whether an import would do anything with it."""
        return self.state in (NEW, CHANGED)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one entry: added, updated, kept as it was, or failed."""

    kind: str
    name: str
    outcome: str
    message: str = ""
    url: str = ""


def apply_each(
    planned: Iterable[Planned], chosen: Collection[str], do: Callable[[Planned], Result]
) -> Iterator[tuple[Planned, Result]]:
    """Each entry with what became of it: ``do`` is called for those that were chosen (their keys) and may be taken."""
    for one in planned:
        if one.state == FAULTY:
            yield one, Result(one.kind, one.name, FAILED, one.fault)
        elif not one.may_be_taken or one.key not in chosen:
            reason = "It is the same already." if one.state == SAME else "It was not chosen."
            yield one, Result(one.kind, one.name, KEPT, reason)
        else:
            yield one, do(one)


def write(document: Mapping[str, Any], form: str) -> str:
    """A document as text in one of the formats."""
    if form == "json":
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120))


def read(text: str, what: str) -> dict[str, Any]:
    """The document of a text, JSON or YAML. TransferFault where it is none, too large, or about something else."""
    if len(text) > MOST_BYTES or len(text.encode("utf-8", "replace")) > MOST_BYTES:
        raise TransferFault(f"This is larger than {MOST_BYTES // 1024 // 1024} MiB.")
    stripped = text.lstrip("\ufeff \t\r\n")
    document = _read_json(stripped) if stripped.startswith("{") else _read_yaml(stripped)
    if not isinstance(document, dict) or "ssm" not in document:
        raise TransferFault("This was not written by an export of SSM: it does not begin with “ssm”.")
    if document["ssm"] != what:
        raise TransferFault(f"This is an export of {str(document['ssm'])[:40]}, not of {what}.")
    if document.get("version") != VERSION:
        raise TransferFault("Another version of SSM wrote this, in a way that this one does not know.")
    return document


def _read_json(text: str) -> Any:
    depth = most = 0
    for char in text:
        depth += (char in "[{") - (char in "]}")
        most = max(most, depth)
    if most > 200:  # brackets in texts count too; far below what the parser's recursion bears
        raise TransferFault("This JSON is nested too deep.")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        where = f" in line {exc.lineno}" if isinstance(exc, json.JSONDecodeError) else ""
        raise TransferFault(f"This JSON cannot be read{where}.") from exc


def _read_yaml(text: str) -> Any:
    events = depth = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            events += 1
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent):
                raise TransferFault("This YAML has aliases, which exports never have.")
            if events > _MOST_EVENTS or depth > _MOST_DEPTH:
                raise TransferFault("This YAML is too large or nested too deep.")
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as exc:
        if isinstance(exc, TransferFault):
            raise
        mark = getattr(exc, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise TransferFault(f"This YAML cannot be read{where}.") from exc


def entries(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The list under a name, each entry a mapping with a ``name``; empty without it. TransferFault."""
    found = document.get(name) or []
    if not isinstance(found, list):
        raise TransferFault(f"“{name}” has to be a list.")
    if len(found) > MOST_ROWS:
        raise TransferFault(f"“{name}” has more than {MOST_ROWS:,} entries: import it in parts.")
    for place, entry in enumerate(found, 1):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"].strip():
            raise TransferFault(f"Entry {place} of “{name}” has no name.")
    return found


def unknown_keys(entry: Mapping[str, Any], known: Iterable[str]) -> tuple[str, ...]:
    """A note about keys that mean nothing here; secrets among them are never read."""
    odd = sorted(str(key)[:40] for key in entry if key not in set(known))
    return (f"Not taken over: {', '.join(odd[:10])}.",) if odd else ()


def text_of(entry: Mapping[str, Any], key: str, most: int = 255) -> str:
    """A text of an entry, one line, without control characters. TransferFault where it is none or too long."""
    value = entry.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > most:
        raise TransferFault(f"“{key}” has to be a text of at most {most} characters.")
    if not value.isprintable():
        raise TransferFault(f"“{key}” has characters that cannot be shown.")
    return value.strip()


def shown(value: Any) -> str:
    """A value in a preview."""
    if value is None or value == "" or value == []:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= 120 else f"{text[:119]}…"


def twice(planned: Iterable[Planned]) -> list[Planned]:
    """The same plan, in which the second of two entries with one name is faulty."""
    seen: set[tuple[str, str]] = set()
    found = []
    for one in planned:
        key = (one.kind, one.name.casefold())
        found.append(replace(one, state=FAULTY, fault="This name is further up already.") if key in seen else one)
        seen.add(key)
    return found


def guarded(kind: str, entry: Mapping[str, Any], plan: Callable[[], Planned]) -> Planned:
    """The plan of one entry; a fault concerns this entry alone."""
    try:
        return plan()
    except TransferFault as exc:
        name = "".join(char if char.isprintable() else " " for char in str(entry.get("name", ""))[:100])
        return Planned(kind, name, FAULTY, fault=str(exc))
