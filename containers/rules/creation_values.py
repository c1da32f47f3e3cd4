"""Values of the form that makes containers: from a field's text to what the Engine takes, and back (pure).

Readers take all fields and the name of one, and give the value, or None for "as the image or the Engine has it"; they
raise ParameterError with the sentence that stands beside the field. Shapes: Docker Engine API, ContainerCreate.
"""

import re
import shlex
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, Literal

from containers.rules.limits import SMALLEST_MEMORY, cpus_text, read_cpus, read_size, read_whole, size_text
from containers.rules.masking import MASK
from containers.rules.parameters import LONGEST_STOP_S, ParameterError

Form = Mapping[str, str]

_MOST_LINES: Final = 100
_DURATION: Final = re.compile(
    r"(?:([0-9]{1,5})h)?(?:([0-9]{1,7})m(?!s))?(?:([0-9]{1,9})(?:\.([0-9]{1,3}))?s)?(?:([0-9]{1,9})ms)?"
)
_SIGNAL: Final = re.compile(r"(?:SIG)?RTM(?:IN(?:\+[0-9]{1,2})?|AX(?:-[0-9]{1,2})?)|[0-9]{1,2}")
_HOST_NAME: Final = re.compile(
    r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*"
)
_CPU_SET: Final = re.compile(r"[0-9]{1,4}(?:-[0-9]{1,4})?(?:,[0-9]{1,4}(?:-[0-9]{1,4})?)*")
_CAPABILITY: Final = re.compile(r"(?:CAP_)?[A-Z_]{2,40}")
_KEY: Final = re.compile(r"[A-Za-z0-9_./-]{1,200}")
_NANOSECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the form and the key of the create call's body that it stands for."""

    name: str
    part: Literal["config", "host"]
    key: str
    read: Callable[[Form, str], Any]
    show: Callable[[Any], str]


def text_of(form: Form, field: str) -> str:
    """A field's text without blanks around it."""
    return form.get(field, "").strip()


def read_words(form: Form, field: str) -> list[str] | None:
    """Words as a shell parts them."""
    text = text_of(form, field)
    if not text:
        return None
    try:
        return shlex.split(text)
    except ValueError:
        raise ParameterError(field, 'A quotation mark is not closed: write "two words" or two\\ words.') from None


def show_words(value: Any) -> str:
    """Words for the field."""
    return shlex.join(str(word) for word in value) if isinstance(value, list) else str(value or "")


def read_lines(form: Form, field: str) -> list[str]:
    """The lines that are not empty."""
    lines = [line.strip() for line in form.get(field, "").splitlines() if line.strip()]
    if len(lines) > _MOST_LINES:
        raise ParameterError(field, f"These are more than {_MOST_LINES} lines.")
    return lines


def show_lines(value: Any) -> str:
    """One entry a line."""
    return "\n".join(str(entry) for entry in value or ())


def read_duration(form: Form, field: str) -> int | None:
    """Nanoseconds from "30s", "1m30s", "500ms" or a number of seconds."""
    text = text_of(form, field).replace(" ", "").lower()
    if not text or text == "0":
        return None
    if text.isascii() and text.isdigit() and len(text) < 9:
        return int(text) * _NANOSECOND
    match = _DURATION.fullmatch(text)
    if not match or not any(match.groups()):
        raise ParameterError(field, f"“{text[:20]}” is no time: write 30s, 1m30s or 500ms.")
    hours, minutes, seconds = (int(match[group] or 0) for group in (1, 2, 3))
    fraction = int((match[4] or "").ljust(3, "0") or 0) + int(match[5] or 0)
    return (hours * 3600 + minutes * 60 + seconds) * _NANOSECOND + fraction * 1_000_000


def show_duration(value: Any) -> str:
    """As short as it can be said."""
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        return ""
    if value % _NANOSECOND:
        return f"{value // 1_000_000}ms"
    minutes, seconds = divmod(value // _NANOSECOND, 60)
    return (f"{minutes}m" if minutes else "") + (f"{seconds}s" if seconds or not minutes else "")


def _show_text(value: Any) -> str:
    return "" if value is None else str(value)


def _read_text(form: Form, field: str) -> str | None:
    text = text_of(form, field)
    if any(ord(character) < 32 for character in text):
        raise ParameterError(field, "It must be one line.")
    return text or None


def _read_flag(form: Form, field: str) -> bool | None:
    return True if form.get(field) else None


def _show_flag(value: Any) -> str:
    return "on" if value is True else ""


def _matching(pattern: re.Pattern[str], sentence: str) -> Callable[[Form, str], str | None]:
    def read(form: Form, field: str) -> str | None:
        text = _read_text(form, field)
        if text and not pattern.fullmatch(text):
            raise ParameterError(field, sentence)
        return text

    return read


def _read_signal(form: Form, field: str) -> str | None:
    text = (_read_text(form, field) or "").upper()
    if text and not _SIGNAL.fullmatch(text) and "SIG" + text.removeprefix("SIG") not in signal.Signals.__members__:
        raise ParameterError(field, f"“{text[:20]}” is not the name of a signal: write SIGTERM, SIGQUIT or the like.")
    return text or None


def _read_path(form: Form, field: str) -> str | None:
    text = _read_text(form, field)
    if text and not text.startswith("/"):
        raise ParameterError(field, "Give the whole path, from / on.")
    return text


def _read_stop_timeout(form: Form, field: str) -> int | None:
    return 0 if text_of(form, field) == "0" else read_whole(form, field, 0, LONGEST_STOP_S)


def _read_memory(form: Form, field: str) -> int | None:
    size = read_size(form, field)
    if size is not None and size < SMALLEST_MEMORY:
        raise ParameterError(field, "The Engine takes 6 MiB at least.")
    return size


def _read_capabilities(form: Form, field: str) -> list[str] | None:
    names = [line.upper() for line in read_lines(form, field)]
    for name in names:
        if not _CAPABILITY.fullmatch(name):
            raise ParameterError(field, f"“{name[:40]}” is no capability: write NET_ADMIN, one a line.")
    return names or None


def _read_addresses(form: Form, field: str) -> list[str] | None:
    lines = read_lines(form, field)
    for line in lines:
        _address(field, line, f"“{line[:40]}” is not the address of a name server: write 9.9.9.9, one a line.")
    return lines or None


def _address(field: str, text: str, sentence: str) -> None:
    try:
        ip_address(text)
    except ValueError:
        raise ParameterError(field, sentence) from None


def _read_host_names(form: Form, field: str) -> list[str] | None:
    lines = read_lines(form, field)
    for line in lines:
        name, _colon, address = line.partition(":")
        if not name or not address:
            raise ParameterError(field, f"“{line[:60]}” lacks a part: write name:address, one a line.")
        if address != "host-gateway":
            _address(field, address.strip("[]"), f"“{address[:40]}” is no address: write name:10.0.0.5, one a line.")
    return lines or None


def _read_plain_lines(form: Form, field: str) -> list[str] | None:
    return read_lines(form, field) or None


def _read_devices(form: Form, field: str) -> list[dict[str, str]] | None:
    found = []
    for line in read_lines(form, field):
        outside, _colon, rest = line.partition(":")
        inside, _colon, permissions = rest.partition(":")
        if inside and not permissions and not inside.startswith("/"):
            inside, permissions = "", inside
        if not outside.startswith("/") or (inside and not inside.startswith("/")) or set(permissions) - set("rwm"):
            raise ParameterError(field, f"“{line[:60]}” is no device: write /dev/ttyUSB0 or /dev/a:/dev/b:rwm.")
        found.append(
            {"PathOnHost": outside, "PathInContainer": inside or outside, "CgroupPermissions": permissions or "rwm"}
        )
    return found or None


def _show_devices(value: Any) -> str:
    lines = []
    for entry in value or ():
        outside, inside = entry.get("PathOnHost", ""), entry.get("PathInContainer", "")
        permissions = entry.get("CgroupPermissions", "rwm")
        line = outside if inside in ("", outside) and permissions == "rwm" else f"{outside}:{inside}"
        lines.append(line if permissions == "rwm" else f"{line}:{permissions}")
    return "\n".join(lines)


def read_pairs(form: Form, field: str, example: str) -> dict[str, str] | None:
    """Lines of name=value."""
    found: dict[str, str] = {}
    for line in read_lines(form, field):
        name, equals, value = line.partition("=")
        name = name.strip()
        if not equals or not _KEY.fullmatch(name):
            raise ParameterError(field, f"“{line[:60]}” is not name=value: write {example}, one a line.")
        if name in found:
            raise ParameterError(field, f"{name} is given twice.")
        found[name] = value.strip()
    return found or None


def show_pairs(value: Any) -> str:
    """Lines of name=value."""
    return "\n".join(f"{name}={content}" for name, content in (value or {}).items())


def _read_sysctls(form: Form, field: str) -> dict[str, str] | None:
    return read_pairs(form, field, "net.core.somaxconn=1024")


def _read_ulimits(form: Form, field: str) -> list[dict[str, Any]] | None:
    found = []
    for name, value in (read_pairs(form, field, "nofile=1024:4096") or {}).items():
        soft, _colon, hard = value.partition(":")
        numbers = [text for text in (soft, hard or soft)]
        if not all(re.fullmatch(r"-1|[0-9]{1,18}", text) for text in numbers):
            raise ParameterError(field, f"“{value[:40]}” is no limit: write nofile=1024:4096, one a line.")
        low, high = (int(text) for text in numbers)
        if high != -1 and (low > high or low == -1):
            raise ParameterError(field, f"The first number of {name} must not be more than the second.")
        found.append({"Name": name.lower(), "Soft": low, "Hard": high})
    return found or None


def _show_ulimits(value: Any) -> str:
    return "\n".join(f"{entry.get('Name')}={entry.get('Soft')}:{entry.get('Hard')}" for entry in value or ())


def _whole(least: int, most: int) -> Callable[[Form, str], int | None]:
    return lambda form, field: read_whole(form, field, least, most)


FIELDS: Final[tuple[Field, ...]] = (
    Field("command", "config", "Cmd", read_words, show_words),
    Field("entrypoint", "config", "Entrypoint", read_words, show_words),
    Field("user", "config", "User", _read_text, _show_text),
    Field("working_dir", "config", "WorkingDir", _read_path, _show_text),
    Field(
        "hostname",
        "config",
        "Hostname",
        _matching(_HOST_NAME, "A host name has letters, digits, hyphens and dots."),
        _show_text,
    ),
    Field("tty", "config", "Tty", _read_flag, _show_flag),
    Field("stdin", "config", "OpenStdin", _read_flag, _show_flag),
    Field("stop_signal", "config", "StopSignal", _read_signal, _show_text),
    Field("stop_timeout", "config", "StopTimeout", _read_stop_timeout, _show_text),
    Field("memory", "host", "Memory", _read_memory, size_text),
    Field("memory_reservation", "host", "MemoryReservation", _read_memory, size_text),
    Field("cpus", "host", "NanoCpus", lambda form, _field: read_cpus(form), cpus_text),
    Field("cpu_shares", "host", "CpuShares", _whole(2, 262_144), _show_text),
    Field(
        "cpuset", "host", "CpusetCpus", _matching(_CPU_SET, "Write the numbers of CPUs such as 0-3 or 0,2."), _show_text
    ),
    Field("pids", "host", "PidsLimit", _whole(1, 4_194_304), _show_text),
    Field("shm_size", "host", "ShmSize", read_size, size_text),
    Field("init", "host", "Init", _read_flag, _show_flag),
    Field("privileged", "host", "Privileged", _read_flag, _show_flag),
    Field("read_only", "host", "ReadonlyRootfs", _read_flag, _show_flag),
    Field("auto_remove", "host", "AutoRemove", _read_flag, _show_flag),
    Field("publish_all", "host", "PublishAllPorts", _read_flag, _show_flag),
    Field("cap_add", "host", "CapAdd", _read_capabilities, show_lines),
    Field("cap_drop", "host", "CapDrop", _read_capabilities, show_lines),
    Field("security_opt", "host", "SecurityOpt", _read_plain_lines, show_lines),
    Field("group_add", "host", "GroupAdd", _read_plain_lines, show_lines),
    Field("devices", "host", "Devices", _read_devices, _show_devices),
    Field("dns", "host", "Dns", _read_addresses, show_lines),
    Field("extra_hosts", "host", "ExtraHosts", _read_host_names, show_lines),
    Field("sysctls", "host", "Sysctls", _read_sysctls, show_pairs),
    Field("ulimits", "host", "Ulimits", _read_ulimits, _show_ulimits),
)


def check_no_mask(form: Form, field: str) -> None:
    """Refuse a changed value that still holds the sign for something hidden."""
    if MASK in form.get(field, ""):
        raise ParameterError(
            field, "It holds a value that is hidden from you: write the whole anew, or leave it as it was."
        )
