"""How the form that makes containers looks: its fields with label and hint, its rows, and where an error stands."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from containers.rules.drafts import DEFAULTS, ROWS, Draft

# Label and hint of each field.
TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "name": ("Name", "Other containers find it by this name on their shared networks."),
    "image": ("Image", "Such as nginx:1.27 or registry.example.com/team/app:2.0. Pulled if the host lacks it."),
    "command": ("Command", "Words as in a shell. Empty: the image's own."),
    "entrypoint": ("Entry point", "The program that gets the command. Empty: the image's own; '' for none."),
    "working_dir": ("Working directory", "Empty: the image's own."),
    "user": ("User", "Name or number, with :group if you like. Empty: the image's own."),
    "hostname": ("Host name", "Empty: the container's id."),
    "tty": ("A terminal", "For programs that want one."),
    "stdin": ("Input stays open", "For programs that are attached to."),
    "restart_policy": ("When it ends", ""),
    "restart_tries": ("Tries after a failure", "Only for “after a failure”; empty: without end."),
    "memory": ("Memory", "512m, 1.5g or bytes; empty: no limit."),
    "memory_reservation": ("Memory to keep free for it", "Not more than the limit."),
    "cpus": ("CPUs", "0.5 is half of one; empty: no limit."),
    "cpu_shares": ("CPU weight", "Its share when all are busy; 1024 is usual."),
    "cpuset": ("On these CPUs only", "Such as 0-3 or 0,2."),
    "pids": ("Processes and threads", "Empty: no limit."),
    "shm_size": ("Shared memory", "Size of /dev/shm; empty: 64m."),
    "stop_signal": ("Signal to stop it", "Empty: the image's own, else SIGTERM."),
    "stop_timeout": ("Seconds to stop", "Then it is killed; empty: 10."),
    "health_kind": ("Health check", ""),
    "health_command": ("Command of the check", "0 as its result means well."),
    "health_interval": ("Every", "30s, 1m30s."),
    "health_timeout": ("At most", "Then the check has failed."),
    "health_start_period": ("Not counted at first", "While it starts."),
    "health_retries": ("Failures in a row", "Until it counts as unhealthy."),
    "network_mode": ("Connected to", ""),
    "network_container": ("Container", "Whose network it shares; it must run."),
    "init": ("A small init process", "Collects processes that nobody waits for."),
    "privileged": ("Privileged", "It may do almost anything on the host."),
    "read_only": ("Read-only", "Nothing but its mounts can be written."),
    "auto_remove": ("Remove it when it ends", "With its anonymous volumes. It cannot be updated or recreated here."),
    "publish_all": ("Publish all ports that the image names", "On ports of the host that the Engine chooses."),
    "cap_add": ("Add capabilities", "One a line: NET_ADMIN."),
    "cap_drop": ("Drop capabilities", "One a line; ALL for all."),
    "security_opt": ("Security options", "One a line: no-new-privileges:true."),
    "group_add": ("Further groups", "One a line, by name or number."),
    "devices": ("Devices of the host", "One a line: /dev/ttyUSB0 or /dev/a:/dev/b:rwm."),
    "dns": ("Name servers", "One address a line."),
    "extra_hosts": ("Names for addresses", "One a line: db:10.0.0.5."),
    "sysctls": ("Kernel settings", "One a line: net.core.somaxconn=1024."),
    "ulimits": ("Limits of the process", "One a line: nofile=1024:4096."),
    "log_driver": ("Log driver", "Empty: the host's own. Logs can be read with json-file, local and journald."),
    "log_options": ("Options of the log driver", "One a line: max-size=10m."),
}
ROW_TEXTS: Final[Mapping[str, Mapping[str, str]]] = {
    "env": {"name": "Name", "value": "Value"},
    "label": {"name": "Name", "value": "Value"},
    "port": {"ip": "Address of the host", "host": "Host port", "container": "Container port", "protocol": "Protocol"},
    "mount": {"kind": "What", "source": "Volume or directory", "target": "Path in it", "options": "Options"},
    "network": {"name": "Network", "aliases": "Further names", "ipv4": "IPv4 address", "ipv6": "IPv6 address"},
}
# Beyond any real row.
BLANK_PLACE: Final = 9999
MORE: Final = (
    "privileged",
    "read_only",
    "init",
    "auto_remove",
    "cap_add",
    "cap_drop",
    "security_opt",
    "group_add",
    "devices",
    "dns",
    "extra_hosts",
    "sysctls",
    "ulimits",
    "shm_size",
    "log_driver",
    "log_options",
)


@dataclass(frozen=True, slots=True)
class ShownField:
    """A field as a template draws it."""

    name: str
    identity: str
    label: str
    value: str
    error: str
    hint: str
    placeholder: str = ""
    focus: bool = False


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row of fields; ``place`` counts from 0."""

    kind: str
    place: int
    cells: Mapping[str, ShownField]
    errors: tuple[ShownField, ...]


def shown_fields(draft: Draft, errors: Mapping[str, str], placeholders: Mapping[str, str]) -> dict[str, ShownField]:
    """All single fields by name."""
    return {
        name: ShownField(
            name,
            f"new-{name}",
            label,
            draft.fields.get(name, ""),
            errors.get(name, ""),
            hint,
            placeholders.get(name, ""),
        )
        for name, (label, hint) in TEXTS.items()
    }


def shown_rows(draft: Draft, errors: Mapping[str, str], added: str) -> dict[str, list[ShownRow]]:
    """All rows by kind; the last one of the kind ``added`` gets the cursor."""
    found: dict[str, list[ShownRow]] = {}
    for kind, columns in ROWS.items():
        rows = draft.of(kind)
        found[kind] = []
        for place, row in enumerate(rows):
            is_new = kind == added and place == len(rows) - 1
            cells = {
                column: ShownField(
                    name=f"{kind}_{column}",
                    identity=f"{kind}-{place}-{column}",
                    label=ROW_TEXTS[kind][column],
                    value=row[column],
                    error=errors.get(f"{kind}:{place}:{column}", ""),
                    hint="",
                    focus=is_new and column == ("source" if kind == "mount" else columns[1 if kind == "port" else 0]),
                )
                for column in columns
            }
            found[kind].append(ShownRow(kind, place, cells, tuple(cell for cell in cells.values() if cell.error)))
    return found


def blank_rows() -> dict[str, ShownRow]:
    """An empty row of each kind for scripts to copy; its place stands for the one that a copy gets."""
    empty = Draft(
        rows={kind: ({**dict.fromkeys(columns, ""), **DEFAULTS.get(kind, {})},) for kind, columns in ROWS.items()}
    )
    found = {}
    for kind, rows in shown_rows(empty, {}, "").items():
        cells = {
            column: replace(cell, identity=f"{kind}-{BLANK_PLACE}-{column}") for column, cell in rows[0].cells.items()
        }
        found[kind] = ShownRow(kind, BLANK_PLACE, cells, ())
    return found


def summary(errors: Mapping[str, str]) -> list[dict[str, Any]]:
    """Each error with what it is about and the id of its field, for the list above the form."""
    found = []
    for key, text in errors.items():
        kind, _colon, rest = key.partition(":")
        place, _colon, column = rest.partition(":")
        if rest:
            label, identity = f"{ROW_TEXTS[kind][column]}, row {int(place) + 1}", f"{kind}-{place}-{column}"
        else:
            label, identity = TEXTS.get(key, (key.capitalize(), ""))[0], f"new-{key}"
        found.append({"label": label, "identity": identity, "text": text})
    return found
