"""The YAML form of Ansible inventories, read without building any object, and without unfolding bombs (pure)."""

import re
from typing import Any

import yaml

from devices.rules.imports import Collector, Found, ImportFault, check_size
from devices.rules.inventories import MOST_DEPTH, Inventory, as_text, collect, expand, read_ini
from devices.rules.texts import clean_text

# Aliases can make a small text mean an endless one: with so few, even merges of merges stay small.
_MOST_ALIASES = 24
_MOST_EVENTS = 200_000
_MOST_NESTING = 60
_KEY = re.compile(r"""["']?[\w.-]+["']?:(\s|$)""")
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """The safe loader, to which tags of Ansible (vault, unsafe) mean nothing at all."""


_Loader.add_multi_constructor("!", lambda _loader, _tag, _node: None)


def looks_like_yaml(text: str) -> bool:
    """Whether the first line that says something is YAML's: a mark of its own or a key. ``host:22`` is INI's."""
    for line in text.lstrip("\ufeff").splitlines():
        word = line.strip()
        if word and not word.startswith(("#", ";")):
            return word.startswith(("---", "%YAML", "{")) or _KEY.match(word) is not None
    return False


def parse_inventory(text: str) -> Found:
    """Hosts of an inventory, INI or YAML as its first lines show. ImportFault."""
    check_size(text)
    collector = Collector()
    inventory = read_yaml(text) if looks_like_yaml(text) else read_ini(text, collector)
    return collect(inventory, collector)


def read_yaml(text: str) -> Inventory:
    """The groups of a YAML inventory. ImportFault."""
    _check_bounds(text)
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as exc:
        raise _fault(exc) from exc
    inventory = Inventory()
    if not isinstance(document, dict):
        raise ImportFault("This YAML is no inventory: it has to begin with names of groups.")
    seen: set[tuple[str, int]] = set()
    for name, content in document.items():
        _read_group(inventory, str(name)[:100], content, MOST_DEPTH, seen)
    return inventory


def _check_bounds(text: str) -> None:
    aliases = events = depth = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            events += 1
            aliases += isinstance(event, yaml.AliasEvent)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if events > _MOST_EVENTS or aliases > _MOST_ALIASES or depth > _MOST_NESTING:
                raise ImportFault("This YAML is too large, nested too deep, or has too many aliases.")
    except (yaml.YAMLError, RecursionError) as exc:
        raise _fault(exc) from exc


def _fault(exc: Exception) -> ImportFault:
    mark = getattr(exc, "problem_mark", None)
    where = f" in line {mark.line + 1}" if mark is not None else ""
    problem = clean_text(str(getattr(exc, "problem", "") or type(exc).__name__), 200)
    return ImportFault(f"This YAML cannot be read{where}: {problem}.")


def _read_group(inventory: Inventory, name: str, content: Any, depth: int, seen: set[tuple[str, int]]) -> None:
    group = inventory.group(name)
    # An alias may lead back to where it stands: each group's content is read once.
    if not isinstance(content, dict) or depth <= 0 or (name, id(content)) in seen:
        return
    seen.add((name, id(content)))
    for key, value in _mapping(content.get("vars")).items():
        group.variables[str(key)] = as_text(value)
    for pattern, variables in _mapping(content.get("hosts")).items():
        values = {str(key): as_text(value) for key, value in _mapping(variables).items()}
        for host in expand(str(pattern)[:300]):
            group.hosts.setdefault(host, {}).update(values)
    for child, below in _mapping(content.get("children")).items():
        group.children.append(str(child)[:100])
        _read_group(inventory, str(child)[:100], below, depth - 1, seen)


def _mapping(value: Any) -> dict[Any, Any]:
    if isinstance(value, dict):
        return value
    # Ansible takes a list of names where nothing is set for them.
    return dict.fromkeys(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else {}
