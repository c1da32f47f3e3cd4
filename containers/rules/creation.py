"""From a form to what is to be made or changed of a container (pure).

A form for an existing container shows it as it is stored, with secrets hidden; what is sent is compared with what was
shown, and only the difference is carried over to the container as its host tells it. So nothing is lost that the form
does not show, and what was hidden stays as it is.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from containers.rules.changing import CREATE
from containers.rules.creation_values import (
    FIELDS,
    check_no_mask,
    read_duration,
    read_pairs,
    read_words,
)
from containers.rules.drafts import MODES, Draft, Row
from containers.rules.limits import RESTART_POLICIES, read_whole
from containers.rules.masking import MASK
from containers.rules.parameters import ParameterError, read_name
from registries.rules.references import ImageId, InvalidReferenceError, parse_reference

_PROTOCOLS: Final = ("tcp", "udp", "sctp")
_RANGE: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_VOLUME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}")
_NETWORK: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}")
_ALIAS: Final = re.compile(r"[a-zA-Z0-9_](?:[a-zA-Z0-9_.-]{0,251}[a-zA-Z0-9_])?")
_OPTION: Final = re.compile(r"[a-zA-Z0-9=_.%-]{1,60}")
_BIND_OPTIONS: Final = frozenset(
    {CREATE, "ro", "rw", "z", "Z", "nocopy", "private", "rprivate", "shared", "rshared", "slave", "rslave"}
)
_HEALTH: Final = ("health_kind", "health_command", "health_interval", "health_timeout", "health_start_period")
# What decides where values that somebody may not see end up: who runs, and who gets the lines.
_TELLING: Final = ("command", "entrypoint", *_HEALTH[:2], "log_driver", "log_options")
MOST_PORTS: Final = 200
Change = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Checked:
    """What a form asks for, or why it cannot be asked for.

    ``changes`` is JSON for containers.rules.changing. ``errors`` are sentences by field: a field's name, or
    "kind:place:column" in a row.
    """

    changes: Change
    errors: Mapping[str, str]


def check(draft: Draft, shown: Draft, *, sees_values: bool) -> Checked:
    """Compare a form with what it showed at first (an empty draft for a new container).

    ``sees_values``: whether its user may see values of variables. Who may not cannot change what runs with them.
    """
    errors: dict[str, str] = {}
    changes: Change = {}
    for part in (_names, _fields, _restart, _health, _log, _pairs, _ports, _mounts, _networks):
        for key, value in part(draft, shown, errors):
            if key in ("config", "host"):
                changes.setdefault(key, {}).update(value)
            else:
                changes[key] = value
    if not sees_values:
        _keep_from_telling(draft, shown, errors)
    if draft.fields.get("auto_remove") and draft.text("restart_policy") not in ("", "no"):
        errors.setdefault(
            "auto_remove", "A container that is removed when it ends cannot be started again: choose one."
        )
    return Checked(changes, errors)


def _differs(draft: Draft, shown: Draft, *names: str) -> bool:
    return any(draft.text(name) != shown.text(name) for name in names)


def _names(draft: Draft, shown: Draft, errors: dict[str, str]) -> Iterator[tuple[str, Any]]:
    if _differs(draft, shown, "name") or not draft.text("name"):
        try:
            yield "name", read_name(draft.text("name"))
        except ParameterError as exc:
            errors["name"] = str(exc)
    image = draft.text("image")
    if not image:
        errors["image"] = "Name the image that it is made of, such as nginx:1.27."
    elif _differs(draft, shown, "image"):
        try:
            parse_reference(image)
        except InvalidReferenceError as exc:
            errors["image"] = str(exc)
        else:
            yield "image", image


def _fields(draft: Draft, shown: Draft, errors: dict[str, str]) -> Iterator[tuple[str, Any]]:
    for each in FIELDS:
        if not _differs(draft, shown, each.name):
            continue
        try:
            check_no_mask(draft.fields, each.name)
            value = each.read(draft.fields, each.name)
        except ParameterError as exc:
            errors[each.name] = str(exc)
        else:
            yield each.part, {each.key: value}
    if "memory" not in errors and "memory_reservation" not in errors:
        memory, reservation = (_size(draft, name) for name in ("memory", "memory_reservation"))
        if memory and reservation and reservation > memory:
            errors["memory_reservation"] = "It must not be more than the limit of memory."


def _size(draft: Draft, name: str) -> int | None:
    field = next(each for each in FIELDS if each.name == name)
    try:
        size: int | None = field.read(draft.fields, name)
    except ParameterError:
        return None
    return size


def _restart(draft: Draft, shown: Draft, errors: dict[str, str]) -> Iterator[tuple[str, Any]]:
    if not _differs(draft, shown, "restart_policy", "restart_tries"):
        return
    policy = draft.text("restart_policy") or "no"
    if policy not in RESTART_POLICIES:
        errors["restart_policy"] = f"Choose one of {', '.join(RESTART_POLICIES)}."
        return
    try:
        tries = read_whole(draft.fields, "restart_tries", 0, 1_000_000) or 0
    except ParameterError as exc:
        errors["restart_tries"] = str(exc)
        return
    yield "host", {"RestartPolicy": {"Name": policy, "MaximumRetryCount": tries if policy == "on-failure" else 0}}


def _health(draft: Draft, shown: Draft, errors: dict[str, str]) -> Iterator[tuple[str, Any]]:
    if not _differs(draft, shown, *_HEALTH, "health_retries"):
        return
    kind, form = draft.text("health_kind") or "image", draft.fields
    if kind == "none":
        yield "config", {"Healthcheck": {"Test": ["NONE"]}}
        return
    check: dict[str, Any] = {}
    try:
        check_no_mask(form, "health_command")
        words = read_words(form, "health_command") if kind == "exec" else None
        if kind in ("exec", "shell") and not draft.text("health_command"):
            errors["health_command"] = "Write the command that tells whether it is well."
        if kind == "exec" and words:
            check["Test"] = ["CMD", *words]
        if kind == "shell":
            check["Test"] = ["CMD-SHELL", draft.text("health_command")]
    except ParameterError as exc:
        errors[exc.field] = str(exc)
    for name, key in (("interval", "Interval"), ("timeout", "Timeout"), ("start_period", "StartPeriod")):
        try:
            if value := read_duration(form, f"health_{name}"):
                check[key] = value
        except ParameterError as exc:
            errors[exc.field] = str(exc)
    try:
        if retries := read_whole(form, "health_retries", 1, 1000):
            check["Retries"] = retries
    except ParameterError as exc:
        errors[exc.field] = str(exc)
    yield "config", {"Healthcheck": check or None}


def _log(draft: Draft, shown: Draft, errors: dict[str, str]) -> Iterator[tuple[str, Any]]:
    if not _differs(draft, shown, "log_driver", "log_options"):
        return
    driver = draft.text("log_driver")
    try:
        check_no_mask(draft.fields, "log_options")
        options = read_pairs(draft.fields, "log_options", "max-size=10m") or {}
    except ParameterError as exc:
        errors[exc.field] = str(exc)
        return
    if options and not driver:
        errors["log_driver"] = "Options are those of a driver: name it, such as json-file."
        return
    yield "host", {"LogConfig": {"Type": driver, "Config": options} if driver else None}


def _pairs(draft: Draft, shown: Draft, errors: dict[str, str]) -> Iterator[tuple[str, Any]]:
    """Variables and labels, as what is set and what is dropped: those that are not shown stay."""
    for kind, what in (("env", "variable"), ("label", "label")):
        before = {row["name"]: row["value"] for row in shown.of(kind)}
        seen: set[str] = set()
        wanted: dict[str, str] = {}
        for place, row in draft.filled(kind):
            name, value = row["name"].strip(), row["value"]
            if not name:
                errors[f"{kind}:{place}:name"] = f"Name the {what}."
            elif name in seen:
                errors[f"{kind}:{place}:name"] = f"The {what} {name[:60]} is given twice."
            elif kind == "env" and ("=" in name or any(ord(character) <= 32 for character in name)):
                errors[f"{kind}:{place}:name"] = "A name has neither blanks nor an equals sign."
            elif "\x00" in value:
                errors[f"{kind}:{place}:value"] = "It must not hold a zero byte."
            elif value != before.get(name):
                if MASK in value:
                    errors[f"{kind}:{place}:value"] = "Write the whole value, or leave it as it was."
                wanted[name] = value
            seen.add(name)
        dropped = [name for name in before if name not in seen]
        if wanted or dropped:
            yield kind, {"set": wanted, "drop": dropped}


def _ports(draft: Draft, shown: Draft, errors: dict[str, str]) -> Iterator[tuple[str, Any]]:
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


def _port(row: Row) -> Iterator[list[str]]:
    """[address of the host, its port, the container's port, protocol] of each port of a row, which may be a range."""
    address, protocol = row["ip"].strip().strip("[]"), row["protocol"].strip() or "tcp"
    if address:
        try:
            ip_address(address)
        except ValueError:
            raise ParameterError("ip", f"“{address[:40]}” is no address of the host: write 127.0.0.1.") from None
    if protocol not in _PROTOCOLS:
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


def _mounts(draft: Draft, shown: Draft, errors: dict[str, str]) -> Iterator[tuple[str, Any]]:
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


def _networks(draft: Draft, shown: Draft, errors: dict[str, str]) -> Iterator[tuple[str, Any]]:
    mode = draft.text("network_mode") or "networks"
    rows = [row for _place, row in draft.filled("network")]
    is_same = mode == (shown.text("network_mode") or "networks") and rows == list(shown.of("network"))
    if is_same and not _differs(draft, shown, "network_container"):
        return
    if mode not in MODES:
        errors["network_mode"] = "Choose how it is connected."
        return
    if mode != "networks":
        other = draft.text("network_container")
        if mode == "container" and not _NETWORK.fullmatch(other):
            errors["network_container"] = "Name the container whose network it shares."
        elif draft.filled("port") and mode == "container":
            errors["network_mode"] = "Ports are published by the container whose network it is: remove them here."
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


def _keep_from_telling(draft: Draft, shown: Draft, errors: dict[str, str]) -> None:
    """Refuse what would bring hidden values to light: another program, another image, another receiver of its lines."""
    before = {row["name"] for row in shown.of("env") if row["value"] == MASK}
    kept = [row["name"] for _place, row in draft.filled("env") if row["name"] in before and row["value"] == MASK]
    if not kept:
        return
    sentence = (
        f"{len(kept)} of its variables hold values that you may not see, so you cannot change what runs with them: "
        "give these values anew, remove them, or ask somebody with the right to see values of variables."
    )
    for name in _TELLING:
        if _differs(draft, shown, name):
            errors.setdefault(name, sentence)
    if _differs(draft, shown, "image") and _repository(draft.text("image")) != _repository(shown.text("image")):
        errors.setdefault("image", sentence)


def _repository(text: str) -> tuple[str, str]:
    try:
        found = parse_reference(text)
    except InvalidReferenceError:
        return "", text
    return ("", str(found)) if isinstance(found, ImageId) else (found.registry, found.repository)
