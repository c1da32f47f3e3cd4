"""Limits and the restart policy of a container that may change while it runs (pure).

The Engine's ``POST /containers/{id}/update`` takes the keys of HostConfig that are named here (Docker Engine API 1.41,
ContainerUpdate). It takes 0 for "as it is", so that a limit of memory or CPUs can be changed but not lifted by it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from containers.rules.parameters import ParameterError

RESTART_POLICIES: Final = ("no", "always", "unless-stopped", "on-failure")
# What the Engine refuses to go below.
SMALLEST_MEMORY: Final = 6 * 1024**2
_LARGEST: Final = 2**60
_SIZE: Final = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,3}))?\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_CPUS: Final = re.compile(r"([0-9]{1,5})(?:\.([0-9]{1,9}))?")
_UNITS: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
KEYS: Final = ("Memory", "MemorySwap", "MemoryReservation", "NanoCpus", "CpuShares", "PidsLimit", "RestartPolicy")


@dataclass(frozen=True, slots=True)
class Limits:
    """As they stand; sizes in bytes, CPUs in billionths, None for no limit. ``memory_swap`` -1 is no limit of swap."""

    memory: int | None
    memory_swap: int | None
    memory_reservation: int | None
    nano_cpus: int | None
    cpu_shares: int | None
    pids: int | None
    restart_policy: str
    restart_tries: int

    @property
    def memory_text(self) -> str:
        """For a form's field."""
        return size_text(self.memory)

    @property
    def memory_reservation_text(self) -> str:
        """For a form's field."""
        return size_text(self.memory_reservation)

    @property
    def cpus_text(self) -> str:
        """CPUs for a form's field, as short as it can be said."""
        return cpus_text(self.nano_cpus)


def limits_of(host_config: Mapping[str, Any]) -> Limits:
    """The limits in an inspect answer's HostConfig; odd values count as none."""
    policy = host_config.get("RestartPolicy")
    policy = policy if isinstance(policy, dict) else {}
    name = policy.get("Name")
    return Limits(
        memory=_positive(host_config.get("Memory")),
        memory_swap=-1 if host_config.get("MemorySwap") == -1 else _positive(host_config.get("MemorySwap")),
        memory_reservation=_positive(host_config.get("MemoryReservation")),
        nano_cpus=_positive(host_config.get("NanoCpus")),
        cpu_shares=_positive(host_config.get("CpuShares")),
        pids=_positive(host_config.get("PidsLimit")),
        restart_policy=name if name in RESTART_POLICIES else "no",
        restart_tries=_positive(policy.get("MaximumRetryCount")) or 0,
    )


def read_limits(form: Mapping[str, str], now: Limits) -> dict[str, Any]:
    """What differs between a form and how it stands, as the body of the Engine's update; empty when nothing does.

    Fields: memory and memory_reservation as sizes ("512m"), cpus ("1.5"), cpu_shares, pids, restart_policy,
    restart_tries. Raises ParameterError.
    """
    body: dict[str, Any] = {}
    memory = read_size(form, "memory")
    if memory != now.memory:
        if memory is None:
            raise ParameterError("memory", "The Engine cannot lift a limit of memory: recreate the container for that.")
        if memory < SMALLEST_MEMORY:
            raise ParameterError("memory", "The Engine takes 6 MiB at least.")
        # Left as it is, it would have to be the larger one of the two.
        body |= {"Memory": memory, "MemorySwap": -1 if now.memory_swap == -1 else 2 * memory}
    reservation = read_size(form, "memory_reservation")
    if reservation != now.memory_reservation:
        if reservation is None:
            raise ParameterError("memory_reservation", "The Engine cannot lift it: give another value.")
        body["MemoryReservation"] = reservation
    limit = memory or 0
    if reservation and limit and reservation > limit:
        raise ParameterError("memory_reservation", "It must not be more than the limit of memory.")
    cpus = read_cpus(form)
    if cpus != now.nano_cpus:
        if cpus is None:
            raise ParameterError("cpus", "The Engine cannot lift a limit of CPUs: give the number that the host has.")
        body["NanoCpus"] = cpus
    shares = read_whole(form, "cpu_shares", 2, 262_144)
    if shares is not None and shares != now.cpu_shares:
        body["CpuShares"] = shares
    pids = read_whole(form, "pids", 1, 4_194_304)
    if pids != now.pids:
        body["PidsLimit"] = pids if pids is not None else -1
    return body | _policy(form, now)


def _policy(form: Mapping[str, str], now: Limits) -> dict[str, Any]:
    policy = form.get("restart_policy", "no")
    if policy not in RESTART_POLICIES:
        raise ParameterError("restart_policy", f"Choose one of {', '.join(RESTART_POLICIES)}.")
    tries = read_whole(form, "restart_tries", 0, 1_000_000) or 0
    if policy != "on-failure":
        tries = 0
    if (policy, tries) == (now.restart_policy, now.restart_tries):
        return {}
    return {"RestartPolicy": {"Name": policy, "MaximumRetryCount": tries}}


def has_limits(host_config: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a container's HostConfig shows all that was wanted by an update."""
    now = limits_of(host_config)
    policy = wanted.get("RestartPolicy")
    shown = {
        "Memory": now.memory,
        "MemorySwap": now.memory_swap,
        "MemoryReservation": now.memory_reservation,
        "NanoCpus": now.nano_cpus,
        "CpuShares": now.cpu_shares,
        "PidsLimit": now.pids if now.pids is not None else -1,
    }
    if any(shown[key] != value for key, value in wanted.items() if key in shown and key != "MemorySwap"):
        return False
    if policy is None:
        return True
    return (now.restart_policy, now.restart_tries) == (policy.get("Name"), policy.get("MaximumRetryCount", 0))


def size_text(size: int | None) -> str:
    """A number of bytes as a form takes it: with the largest unit that leaves a whole number; empty for none."""
    if not size:
        return ""
    for unit, factor in (("g", 1024**3), ("m", 1024**2), ("k", 1024)):
        if size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def cpus_text(nano: int | None) -> str:
    """Billionths of a CPU as a number of CPUs for a form, as short as it can be said; empty for none."""
    return f"{nano / 1_000_000_000:.9f}".rstrip("0").rstrip(".") if nano else ""


def _positive(value: Any) -> int | None:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 < value < _LARGEST else None


def read_size(form: Mapping[str, str], field: str) -> int | None:
    """Bytes from a field such as "512m" or "1.5g"; None for an empty one and for 0. Raises ParameterError."""
    text = form.get(field, "").strip()
    if not text or text == "0":
        return None
    match = _SIZE.fullmatch(text)
    if not match:
        raise ParameterError(field, f"“{text[:20]}” is not a size: write 512m, 1.5g or a number of bytes.")
    fraction = (match[2] or "").ljust(3, "0")
    size = (int(match[1]) * 1000 + int(fraction)) * _UNITS[match[3].lower()] // 1000
    if not 0 < size < _LARGEST:
        raise ParameterError(field, f"“{text[:20]}” is out of bounds.")
    return size


def read_cpus(form: Mapping[str, str]) -> int | None:
    """Billionths of a CPU from the field ``cpus``; None for an empty one and for 0. Raises ParameterError."""
    text = form.get("cpus", "").strip().replace(",", ".")
    if not text or text == "0":
        return None
    match = _CPUS.fullmatch(text)
    nano = int(match[1]) * 1_000_000_000 + int((match[2] or "").ljust(9, "0")) if match else 0
    if nano < 10_000_000:
        raise ParameterError("cpus", f"“{text[:20]}” is not a number of CPUs: write 0.5, 2 or the like.")
    return nano


def read_whole(form: Mapping[str, str], field: str, least: int, most: int) -> int | None:
    """A whole number within bounds; None for an empty field. Raises ParameterError."""
    text = form.get(field, "").strip()
    if not text or (text in ("0", "-1") and least > 0):
        return None
    if not (text.isascii() and text.isdigit()) or not least <= int(text[:12]) <= most:
        raise ParameterError(field, f"Give a whole number from {least:,} to {most:,}.")
    return int(text)
