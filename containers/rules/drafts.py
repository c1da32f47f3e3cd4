"""What a form says of a container to be made: its fields and rows as texts; how a container is shown in it (pure)."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from containers.rules.creation_values import FIELDS, show_duration, show_pairs, show_words
from containers.rules.masking import MASK, masked
from containers.rules.specification import Specification

# Row kinds and the columns of each; a column of the form is called kind_column.
ROWS: Final[Mapping[str, tuple[str, ...]]] = {
    "env": ("name", "value"),
    "port": ("ip", "host", "container", "protocol"),
    "mount": ("kind", "source", "target", "options"),
    "network": ("name", "aliases", "ipv4", "ipv6"),
    "label": ("name", "value"),
}
# What a fresh row holds already; by it alone no row counts as filled.
DEFAULTS: Final[Mapping[str, Mapping[str, str]]] = {
    "port": {"protocol": "tcp"},
    "mount": {"kind": "volume"},
}
SINGLE: Final = (
    "name",
    "image",
    "restart_policy",
    "restart_tries",
    "health_kind",
    "health_command",
    "health_interval",
    "health_timeout",
    "health_start_period",
    "health_retries",
    "log_driver",
    "log_options",
    "network_mode",
    "network_container",
    *(each.name for each in FIELDS),
)
MODES: Final = ("networks", "host", "none", "container")
MOST_ROWS: Final = 300
MOST_CHARACTERS: Final = 32_768
_VARIABLE: Final = re.compile(r"(?:export\s+)?([^\s=#][^=\s]*)\s*=(.*)")

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Draft:
    """The form's content: ``fields`` by name (missing ones are empty), ``rows`` by kind of row."""

    fields: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """A field without blanks around it."""
        return self.fields.get(name, "").strip()

    def of(self, kind: str) -> tuple[Row, ...]:
        """The rows of a kind."""
        return self.rows.get(kind, ())

    def filled(self, kind: str) -> list[tuple[int, Row]]:
        """The rows in which something was written, with their places."""
        defaults = DEFAULTS.get(kind, {})
        return [
            (place, row)
            for place, row in enumerate(self.of(kind))
            if any(value.strip() and value != defaults.get(column) for column, value in row.items())
        ]

    def with_row(self, kind: str) -> "Draft":
        """With one more empty row."""
        empty = {**dict.fromkeys(ROWS[kind], ""), **DEFAULTS.get(kind, {})}
        return replace(self, rows={**self.rows, kind: (*self.of(kind), empty)[:MOST_ROWS]})

    def without_row(self, kind: str, place: int) -> "Draft":
        """Without the row at that place."""
        rows = [row for index, row in enumerate(self.of(kind)) if index != place]
        return replace(self, rows={**self.rows, kind: tuple(rows)})

    def with_fields(self, **fields: str) -> "Draft":
        """With other texts in these fields."""
        return replace(self, fields={**self.fields, **fields})

    def with_variables(self, text: str) -> "Draft":
        """With the lines of an .env file as variables: those of a known name get the new value."""
        rows = {row["name"]: row for row in self.of("env") if row["name"].strip()}
        for line in text.splitlines()[:MOST_ROWS]:
            match = _VARIABLE.fullmatch(line.strip())
            if match:
                rows[match[1]] = {"name": match[1], "value": _unquoted(match[2].strip())}
        return replace(self, rows={**self.rows, "env": tuple(rows.values())[:MOST_ROWS]})


def read_draft(lists: Callable[[str], Sequence[str]]) -> Draft:
    """From a posted form: ``lists`` gives all values of a name. What is too long is cut."""
    fields = {name: _sent(given[-1]) for name in SINGLE if (given := lists(name))}
    rows = {}
    for kind, columns in ROWS.items():
        values = [[_sent(text) for text in lists(f"{kind}_{column}")[:MOST_ROWS]] for column in columns]
        count = max(map(len, values))
        rows[kind] = tuple(
            {column: texts[place] if place < len(texts) else "" for column, texts in zip(columns, values, strict=True)}
            for place in range(count)
        )
    return Draft(fields, rows)


def _sent(text: str) -> str:
    """Browsers send the lines of a text area with CR and LF."""
    return str(text)[:MOST_CHARACTERS].replace("\r\n", "\n")


def draft_of(specification: Specification, *, sees_values: bool) -> Draft:
    """How the form shows a container. Values of variables only for eyes that may see them, else the sign for hidden."""
    config, host = specification.config, specification.host_config
    shown = {
        each.name: each.show(values.get(each.key)) if values.get(each.key) is not None else ""
        for each in FIELDS
        for values in ({"config": config, "host": host}[each.part],)
    }
    policy = _dict(host.get("RestartPolicy"))
    mode, _colon, other = str(host.get("NetworkMode", "")).partition(":")
    shown |= {
        "name": specification.name,
        "image": specification.image,
        "restart_policy": str(policy.get("Name") or "no"),
        "restart_tries": str(policy.get("MaximumRetryCount") or ""),
        **_health(_dict(config.get("Healthcheck"))),
        "log_driver": str(_dict(host.get("LogConfig")).get("Type", "")),
        "log_options": show_pairs(_dict(host.get("LogConfig")).get("Config")),
        "network_mode": mode if mode in MODES else "networks",
        "network_container": other,
    }
    pairs = [entry.partition("=") for entry in config.get("Env") or ()]
    rows = {
        "env": tuple({"name": name, "value": value if sees_values else MASK} for name, _equals, value in pairs),
        "port": tuple(_ports(_dict(host.get("PortBindings")))),
        "mount": tuple(_mounts(host)),
        "network": tuple(_network(name, endpoint) for name, endpoint in specification.networks),
        "label": tuple(
            {"name": name, "value": str(value)} for name, value in masked(_dict(config.get("Labels"))).items()
        ),
    }
    return Draft(shown, rows)


def _health(check: Mapping[str, Any]) -> dict[str, str]:
    test = check.get("Test") or []
    kind = {"NONE": "none", "CMD": "exec", "CMD-SHELL": "shell"}.get(test[0] if test else "", "image")
    words = list(test[1:])
    return {
        "health_kind": kind,
        "health_command": " ".join(words) if kind == "shell" else show_words(words) if words else "",
        "health_interval": show_duration(check.get("Interval")),
        "health_timeout": show_duration(check.get("Timeout")),
        "health_start_period": show_duration(check.get("StartPeriod")),
        "health_retries": str(check.get("Retries") or ""),
    }


def _ports(bindings: Mapping[str, Any]) -> Iterable[Row]:
    for spec, entries in bindings.items():
        port, _slash, protocol = str(spec).partition("/")
        for entry in entries or [{}]:
            host_port = str(entry.get("HostPort") or "")
            yield {
                "ip": str(entry.get("HostIp") or ""),
                "host": "" if host_port == "0" else host_port,
                "container": port,
                "protocol": protocol or "tcp",
            }


def _mounts(host: Mapping[str, Any]) -> Iterable[Row]:
    for bind in host.get("Binds") or ():
        source, _colon, rest = str(bind).partition(":")
        target, _colon, options = rest.partition(":")
        kind = "bind" if source.startswith("/") else "volume"
        yield {"kind": kind, "source": source, "target": target, "options": options.removeprefix("rw").lstrip(",")}
    for mount in host.get("Mounts") or ():
        kind, options = str(mount.get("Type", "")), "ro" if mount.get("ReadOnly") else ""
        size = _dict(mount.get("TmpfsOptions")).get("SizeBytes")
        if kind == "tmpfs" and size:
            options = ",".join(part for part in (options, f"size={size}") if part)
        yield {
            "kind": kind,
            "source": str(mount.get("Source", "")),
            "target": str(mount.get("Target", "")),
            "options": options,
        }
    for target, options in _dict(host.get("Tmpfs")).items():
        yield {"kind": "tmpfs", "source": "", "target": str(target), "options": str(options or "")}


def _network(name: str, endpoint: Mapping[str, Any]) -> Row:
    addresses = _dict(endpoint.get("IPAMConfig"))
    return {
        "name": name,
        "aliases": ", ".join(endpoint.get("Aliases") or ()),
        "ipv4": str(addresses.get("IPv4Address") or ""),
        "ipv6": str(addresses.get("IPv6Address") or ""),
    }


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
