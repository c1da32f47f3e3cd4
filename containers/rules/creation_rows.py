"""Ports, mounts and networks of the form that makes containers: from rows of texts to what changes (pure).

Each reader takes the form, what it showed at first, and where errors are put ("kind:place:column"); it gives
(key, value) of changes: containers.rules.changing.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any, Final

from containers.rules.changing import CREATE
from containers.rules.drafts import MODES, Draft, Row
from containers.rules.parameters import ParameterError

PROTOCOLS: Final = ("tcp", "udp", "sctp")
_RANGE: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_VOLUME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}")
_NETWORK: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}")
_ALIAS: Final = re.compile(r"[a-zA-Z0-9_](?:[a-zA-Z0-9_.-]{0,251}[a-zA-Z0-9_])?")
_OPTION: Final = re.compile(r"[a-zA-Z0-9=_.%-]{1,60}")
_BIND_OPTIONS: Final = frozenset(
    {CREATE, "ro", "rw", "z", "Z", "nocopy", "private", "rprivate", "shared", "rshared", "slave", "rslave"}
)
MOST_PORTS: Final = 200
_NO_PORTS: Final = {
    "host": "On the host's network its ports are the host's own",
    "none": "Without a network nothing can be published",
    "container": "Ports are published by the container whose network it is",
}


def read_ports(draft: Draft, shown: Draft, errors: dict[str, str]) -> Iterator[tuple[str, Any]]:
    """Published ports, whole, if they differ."""
    found: list[list[str]] = []
    taken: set[tuple[str, str, str]] = set()
    for place, row in draft.filled("port"):
        try:
            for entry in _port(row):
                outer = (entry[0], entry[1], entry[3])
                if entry[1] and outer in taken:
                    raise ParameterError("host", f"Port {entry[1]} is given twice.")
                taken.add(outer)
                found.append(entry)
        except ParameterError as exc:
            errors[f"port:{place}:{exc.field}"] = str(exc)
    if len(found) > MOST_PORTS:
        errors["port"] = f"These are {len(found)} ports, more than {MOST_PORTS}: publish a smaller range."
    if [row for _place, row in draft.filled("port")] != list(shown.of("port")):
        yield "ports", found


def port_entries(draft: Draft) -> Iterator[tuple[int, list[str]]]:
    """(its row's place, [address of the host, port, the container's port, protocol]) of each port that is right."""
    for place, row in draft.filled("port"):
        try:
            entries = list(_port(row))
        except ParameterError:
            continue
        yield from ((place, entry) for entry in entries)


def _port(row: Row) -> Iterator[list[str]]:
    """[address of the host, its port, the container's port, protocol] of each port of a row, which may be a range."""
    address, protocol = row["ip"].strip().strip("[]"), row["protocol"].strip() or "tcp"
    if address:
        try:
            ip_address(address)
        except ValueError:
            raise ParameterError("ip", f"“{address[:40]}” is no address of the host: write 127.0.0.1.") from None
    if protocol not in PROTOCOLS:
        raise ParameterError("protocol", "Choose tcp, udp or sctp.")
    if not row["container"].strip():
        raise ParameterError("container", "Give the port in the container.")
    inner, outer = _numbers(row, "container"), _numbers(row, "host")
    if outer is None:
        yield from ([address, "", str(number), protocol] for number in inner or ())
    elif inner is not None and len(inner) == len(outer):
        yield from ([address, str(out), str(number), protocol] for out, number in zip(outer, inner, strict=True))
    elif inner is not None and len(inner) == 1:
        # The Engine takes the first free one of a range.
        yield [address, row["host"].strip(), str(inner[0]), protocol]
    else:
        raise ParameterError("host", "Both ranges must be of the same length.")


def _numbers(row: Row, column: str) -> range | None:
    text = row[column].strip()
    if not text:
        return None
    match = _RANGE.fullmatch(text)
    first = int(match[1]) if match else 0
    last = int(match[2] or first) if match else 0
    if not 0 < first <= last <= 65535:
        raise ParameterError(column, f"“{text[:20]}” is no port: write a number from 1 to 65535, or a range 8000-8010.")
    if last - first >= MOST_PORTS:
        raise ParameterError(column, f"Publish {MOST_PORTS} ports at most.")
    return range(first, last + 1)


def read_mounts(draft: Draft, shown: Draft, errors: dict[str, str]) -> Iterator[tuple[str, Any]]:
    """Mounts, whole, if they differ; what was shown is right as it is."""
    found: list[list[str]] = []
    targets: set[str] = set()
    known = [dict(row) for row in shown.of("mount")]
    for place, row in draft.filled("mount"):
        try:
            entry = [row["kind"], row["source"], row["target"], row["options"]] if row in known else _mount(row)
            target = entry[2].rstrip("/") or "/"
            if target in targets:
                raise ParameterError("target", f"Two mounts at {target[:80]}: each needs a place of its own.")
            targets.add(target)
            found.append(entry)
        except ParameterError as exc:
            errors[f"mount:{place}:{exc.field}"] = str(exc)
    if [row for _place, row in draft.filled("mount")] != list(shown.of("mount")):
        yield "mounts", found


def _mount(row: Row) -> list[str]:
    """[kind, source, path in the container, options]."""
    kind, source = row["kind"].strip(), row["source"].strip()
    target, options = row["target"].strip(), row["options"].strip().replace(" ", "")
    if kind not in ("volume", "bind", "tmpfs"):
        raise ParameterError("kind", "Choose a volume, a directory of the host, or memory.")
    if not target.startswith("/") or target.rstrip("/") == "" or ":" in target:
        raise ParameterError(
            "target", "Give the path in the container, from / on (but not / itself, and without a colon)."
        )
    words = [word for word in options.split(",") if word]
    if kind == "bind":
        if not source.startswith("/") or ":" in source:
            raise ParameterError("source", "Give the whole path on the host, from / on and without a colon.")
    elif kind == "volume":
        if source and not _VOLUME.fullmatch(source):
            raise ParameterError(
                "source",
                "A volume's name has 2 to 255 letters, digits, dots, hyphens or underscores; empty: a new one.",
            )
    elif source:
        raise ParameterError("source", "Memory has no source: leave it empty.")
    for word in words:
        if (kind != "tmpfs" and word not in _BIND_OPTIONS) or not _OPTION.fullmatch(word):
            raise ParameterError("options", f"“{word[:30]}” is no option: {_options_of(kind)}.")
    return [kind, source, target, ",".join(words)]


def _options_of(kind: str) -> str:
    return "write ro, size=64m or mode=1777" if kind == "tmpfs" else "write ro, z, Z, rshared, nocopy or create"


def read_networks(draft: Draft, shown: Draft, errors: dict[str, str]) -> Iterator[tuple[str, Any]]:
    """The mode and the networks, whole, if they differ."""
    mode = draft.text("network_mode") or "networks"
    rows = [row for _place, row in draft.filled("network")]
    is_same = mode == (shown.text("network_mode") or "networks") and rows == list(shown.of("network"))
    if is_same and draft.text("network_container") == shown.text("network_container"):
        return
    if mode not in MODES:
        errors["network_mode"] = "Choose how it is connected."
        return
    if mode != "networks":
        other = draft.text("network_container")
        if mode == "container" and not _NETWORK.fullmatch(other):
            errors["network_container"] = "Name the container whose network it shares."
        elif draft.filled("port"):
            errors["network_mode"] = f"{_NO_PORTS[mode]}: remove the published ports."
        yield "networks", {"mode": f"container:{other}" if mode == "container" else mode, "rows": []}
        return
    found: list[list[Any]] = []
    for place, row in draft.filled("network"):
        try:
            entry = _network(row)
            if any(entry[0] == other[0] for other in found):
                raise ParameterError("name", f"The network {entry[0][:60]} is given twice.")
            found.append(entry)
        except ParameterError as exc:
            errors[f"network:{place}:{exc.field}"] = str(exc)
    yield "networks", {"mode": "networks", "rows": found or [["bridge", [], "", ""]]}


def _network(row: Row) -> list[Any]:
    """[name, aliases, IPv4 address, IPv6 address]."""
    name = row["name"].strip()
    aliases = [alias for alias in re.split(r"[\s,]+", row["aliases"].strip()) if alias]
    if not _NETWORK.fullmatch(name):
        raise ParameterError("name", "Name a network of the host.")
    for alias in aliases:
        if not _ALIAS.fullmatch(alias):
            raise ParameterError("aliases", f"“{alias[:40]}” is no name that others could ask for.")
    addresses = []
    for column, version in (("ipv4", 4), ("ipv6", 6)):
        text = row[column].strip()
        try:
            is_right = not text or ip_address(text).version == version
        except ValueError:
            is_right = False
        if not is_right:
            raise ParameterError(column, f"“{text[:40]}” is no IPv{version} address.")
        addresses.append(text)
    if name in ("bridge", "podman") and (aliases or any(addresses)):
        column = "aliases" if aliases else "ipv4" if addresses[0] else "ipv6"
        raise ParameterError(column, "The default network knows neither further names nor fixed addresses.")
    return [name, aliases, *addresses]
