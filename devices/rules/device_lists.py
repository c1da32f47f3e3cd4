"""Lists of hosts that people paste: one a line, or a table with a head (pure)."""

import csv

from devices.rules.addresses import AddressError, parse_port
from devices.rules.imports import (
    Collector,
    Found,
    ImportedHost,
    ImportFault,
    check_size,
    located,
    safe_groups,
    safe_name,
)

# Names of columns, as people and other programs write them.
_COLUMNS = {
    "name": "name",
    "label": "name",
    "title": "name",
    "address": "address",
    "host": "address",
    "hostname": "address",
    "ip": "address",
    "ip address": "address",
    "port": "port",
    "ssh port": "port",
    "user": "username",
    "username": "username",
    "login": "username",
    "group": "groups",
    "groups": "groups",
    "tags": "groups",
}
_ORDER = ("address", "name", "groups")


def parse_list(text: str) -> Found:
    """Hosts out of lines ``[user@]host[:port], name, groups``, or of a table whose first line names its columns.

    Commas, semicolons or tabs stand between columns; several groups have the other of comma and semicolon, or blanks,
    between them. Empty lines and those that begin with # are left out. A line that cannot be used has its fault.
    """
    check_size(text)
    lines = [line for line in text.lstrip("\ufeff").splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        return Found(())
    # The mark that comes first stands between columns; another one may stand between groups.
    delimiter = min((mark for mark in "\t;," if mark in lines[0]), key=lines[0].index, default=",")
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
    except csv.Error as exc:
        raise ImportFault(f"This table cannot be read: {exc}.") from exc
    names = [_COLUMNS.get(word.strip().casefold(), "") for word in rows[0]]
    if "address" in names:
        rows = rows[1:]
    else:
        names = list(_ORDER)
    collector = Collector()
    for row in rows:
        collector.add(_host({name: value.strip() for name, value in zip(names, row, strict=False) if name}))
    return collector.found()


def _host(row: dict[str, str]) -> ImportedHost:
    typed = row.get("address", "")
    name = safe_name(row.get("name", "") or typed)
    groups = row.get("groups", "")
    for mark in (";", ",", "|"):
        groups = groups.replace(mark, "\n")
    found = safe_groups(groups.split("\n"))
    try:
        port = parse_port(row["port"]) if row.get("port") else None
        where = located(typed, port=port, username=row.get("username", ""))
    except AddressError as exc:
        return ImportedHost(name, safe_name(typed), groups=found, fault=str(exc))
    name = name if row.get("name") else where.host
    return ImportedHost(name, where.host, where.port, where.username, groups=found)
