"""Hosts out of Ansible inventories, as INI or YAML: no plug-in, script, template or vault in them is run (pure)."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from devices.rules.addresses import AddressError, HostAddress, parse_port
from devices.rules.imports import (
    MOST_HOSTS,
    Collector,
    Found,
    ImportedHost,
    ImportFault,
    located,
    parse_jumps,
    safe_groups,
    safe_name,
)

MOST_GROUPS = 500
MOST_DEPTH = 20
_RANGE = re.compile(r"\[([0-9]{1,6}|[A-Za-z]):([0-9]{1,6}|[A-Za-z])(?::([0-9]{1,4}))?\]")
_NO_GROUPS = frozenset({"all", "ungrouped"})
_SECRETS = ("ansible_password", "ansible_ssh_pass", "ansible_become_password", "ansible_become_pass")


@dataclass(slots=True)
class Group:
    """A group: its own hosts with what is set for them there, what it sets for all of them, and groups in it."""

    hosts: dict[str, dict[str, str]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    children: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Inventory:
    """All groups by name."""

    groups: dict[str, Group] = field(default_factory=dict)

    def group(self, name: str) -> Group:
        """The group, made if it is new; ImportFault beyond the limit."""
        if name not in self.groups and len(self.groups) >= MOST_GROUPS:
            raise ImportFault(f"This inventory has more than {MOST_GROUPS} groups: import it in parts.")
        return self.groups.setdefault(name, Group())


def read_ini(text: str, collector: Collector) -> Inventory:
    """The groups of an INI inventory."""
    inventory = Inventory()
    name, kind = "ungrouped", "hosts"
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        section = re.fullmatch(r"\[([^\]\s:]{1,100})(?::(vars|children|hosts))?\]\s*(?:[#;].*)?", line)
        if section is not None:
            name, kind = section[1], section[2] or "hosts"
            inventory.group(name)
            continue
        if kind == "children":
            inventory.group(name).children.append(line.split()[0])
            inventory.group(line.split()[0])
        elif kind == "vars":
            key, _, value = line.partition("=")
            inventory.group(name).variables[key.strip()] = _unquoted(value.strip())
        else:
            _read_host_line(inventory.group(name), line, number, collector)
    return inventory


def _read_host_line(group: Group, line: str, number: int, collector: Collector) -> None:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        collector.note(f"Line {number}: its quotes do not match; it is left out.")
        return
    if not words:
        return
    variables = {key: value for key, mark, value in (word.partition("=") for word in words[1:]) if mark}
    for host in expand(words[0]):
        group.hosts.setdefault(host, {}).update(variables)


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value


def expand(pattern: str) -> Iterator[str]:
    """The names that a pattern with ranges stands for: ``web[01:03]``, ``db-[a:c]``, ``n[0:10:2]``. ImportFault."""
    match = _RANGE.search(pattern)
    if match is None:
        yield pattern
        return
    first, last, step = match[1], match[2], int(match[3] or 1)
    if first.isdecimal() != last.isdecimal() or step < 1:
        raise ImportFault(f"The range in {safe_name(pattern)} cannot be read.")
    if first.isdecimal():
        numbers = range(int(first), int(last) + 1, step)
        width = len(first) if first.startswith("0") else 0
        texts = (str(number).zfill(width) for number in numbers)
    else:
        numbers = range(ord(first), ord(last) + 1, step)
        texts = (chr(number) for number in numbers)
    if len(numbers) > MOST_HOSTS:
        raise ImportFault(f"The range in {safe_name(pattern)} has more than {MOST_HOSTS} hosts.")
    count = 0
    for text in texts:
        for name in expand(pattern[: match.start()] + text + pattern[match.end() :]):
            count += 1
            if count > MOST_HOSTS:
                raise ImportFault(f"The ranges in {safe_name(pattern)} have more than {MOST_HOSTS} hosts.")
            yield name


def collect(inventory: Inventory, collector: Collector) -> Found:
    """Each host once, with its groups and what is set for it: by all, by groups (the inner ones win), by itself."""
    parents: dict[str, list[str]] = {}
    for name, group in inventory.groups.items():
        for child in group.children:
            parents.setdefault(child, []).append(name)
    members: dict[str, list[str]] = {}
    own: dict[str, dict[str, str]] = {}
    for name, group in inventory.groups.items():
        for host, variables in group.hosts.items():
            members.setdefault(host, []).append(name)
            own.setdefault(host, {}).update(variables)
            if len(own) > MOST_HOSTS:
                raise ImportFault(f"This inventory has more than {MOST_HOSTS} hosts: import it in parts.")
    lineages = {name: _lineage(name, parents) for name in inventory.groups}
    for host, names in members.items():
        levels: dict[str, int] = {}
        for name in names:
            for ancestor, level in lineages[name].items():
                levels[ancestor] = max(level, levels.get(ancestor, 0))
        merged: dict[str, str] = dict(inventory.groups["all"].variables) if "all" in inventory.groups else {}
        # The outermost first, so that the inner ones win.
        for name in sorted(levels, key=lambda name: (-levels[name], name)):
            merged |= inventory.groups[name].variables
        groups = [name for name in levels if name not in _NO_GROUPS]
        collector.add(_host(host, merged | own[host], groups))
    if not members:
        collector.note("This inventory names no hosts.")
    return collector.found()


def _lineage(name: str, parents: Mapping[str, list[str]]) -> dict[str, int]:
    """The group and all that hold it, with how far out each is; circles end by themselves."""
    levels, new = {name: 0}, [name]
    for level in range(1, MOST_DEPTH):
        new = [parent for child in new for parent in parents.get(child, ()) if parent not in levels]
        if not new:
            break
        levels.update(dict.fromkeys(new, level))
    return levels


def _host(name: str, variables: Mapping[str, str], groups: list[str]) -> ImportedHost:
    notes = [f"{key} is not taken over: store it in a log-in" for key in _SECRETS if key in variables]
    if "ansible_ssh_private_key_file" in variables:
        notes.append(f"its key {safe_name(variables['ansible_ssh_private_key_file'])} has to be stored as a log-in")
    values = {key: value for key, value in variables.items() if "{{" not in value and "{%" not in value}
    templated = [key for key in variables if key.startswith("ansible_") and key not in values and key not in _SECRETS]
    notes += [f"{safe_name(key)} is a template, which is not worked out" for key in templated[:5]]
    if values.get("ansible_connection", "ssh") not in ("ssh", "smart", "paramiko", "paramiko_ssh"):
        notes.append(f"it is not reached by SSH there ({safe_name(values['ansible_connection'])})")
    found = safe_groups(groups)
    try:
        where = _where(name, values)
        jumps = _jumps(values)
    except AddressError as exc:
        typed = values.get("ansible_host", name)
        return ImportedHost(safe_name(name), safe_name(typed), groups=found, fault=str(exc))
    become = values.get("ansible_become", "").lower() in ("true", "yes", "1", "on")
    method = values.get("ansible_become_method", "sudo")
    if become and method not in ("sudo", "doas"):
        notes.append(f"becoming another user by {safe_name(method)} is not possible")
    return ImportedHost(
        safe_name(name),
        where.host,
        where.port,
        where.username,
        groups=found,
        jumps=jumps,
        become=method if become and method in ("sudo", "doas") else "",
        become_user=_user(values.get("ansible_become_user", "")) if become else "",
        notes=tuple(notes),
    )


def _where(name: str, values: Mapping[str, str]) -> HostAddress:
    typed = values.get("ansible_host") or values.get("ansible_ssh_host") or name
    port = values.get("ansible_port") or values.get("ansible_ssh_port")
    username = values.get("ansible_user") or values.get("ansible_ssh_user") or ""
    return located(typed, port=parse_port(port) if port else None, username=username)


def _jumps(values: Mapping[str, str]) -> tuple[HostAddress, ...]:
    for key in ("ansible_ssh_common_args", "ansible_ssh_extra_args"):
        match = re.search(r"(?:-J\s*|ProxyJump[=\s]\s*)([^\s'\"]{1,300})", values.get(key, ""))
        if match is not None:
            return parse_jumps(match[1])
    return ()


def _user(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", name) and name != "root" else ""


def as_text(value: Any) -> str:
    """A plain value of YAML as INI would hold it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""
