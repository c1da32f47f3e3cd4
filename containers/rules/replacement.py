"""Replacing a container by a successor: names, what stands in the way, and whether the successor is well (pure).

Shapes are those of ``GET /containers/{id}/json`` of the Docker Engine API 1.41 to 1.51 and of podman 4.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Self

from containers.rules.inspection import time_ns
from containers.rules.masking import clean_text
from containers.rules.probes import Probe, ProbeError, read_probe
from containers.rules.sentences import exit_meaning

SHORTEST_WATCH_S: Final = 1
LONGEST_WATCH_S: Final = 3600
DEFAULT_STABLE_S: Final = 15
# The Engine's own, where a health check leaves them out.
_INTERVAL_S: Final = 30.0
_TIMEOUT_S: Final = 30.0
_RETRIES: Final = 3
# A busy host is slow; that is no reason to go back.
_MARGIN_S: Final = 30.0
_STOP_TIMEOUT_S: Final = 10
_MOST_NAME: Final = 200
_HEALTH_TEXT: Final = 300
_SHARED: Final = "container:"
# Labels by which those who start and replace containers by themselves know their own.
_MANAGED: Final = {
    "com.docker.swarm.task.id": "a Swarm service",
    "io.kubernetes.pod.uid": "a Kubernetes pod",
    "com.hashicorp.nomad.alloc_id": "a Nomad job",
}


@dataclass(frozen=True, slots=True)
class Watch:
    """What a successor has to show before its predecessor is given up.

    Without a health check it stays up for ``stable_s`` seconds without a restart; with one it becomes healthy within
    ``patience_s`` (0: as long as its check allows). ``probe`` is asked besides, in both cases.
    """

    stable_s: int = DEFAULT_STABLE_S
    patience_s: int = 0
    probe: Probe | None = None

    def as_json(self) -> dict[str, Any]:
        """For the parameters of an operation."""
        return {
            "stable_s": self.stable_s,
            "patience_s": self.patience_s,
            "probe": self.probe.text if self.probe else "",
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """What `as_json` gave; the defaults for what is missing or out of bounds."""
        given = value if isinstance(value, Mapping) else {}
        try:
            probe = read_probe(str(given.get("probe") or ""))
        except ProbeError:
            probe = None
        return cls(
            stable_s=_seconds(given.get("stable_s"), DEFAULT_STABLE_S),
            patience_s=_seconds(given.get("patience_s"), 0),
            probe=probe,
        )


def _seconds(value: Any, usual: int) -> int:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return int(value) if is_number and SHORTEST_WATCH_S <= value <= LONGEST_WATCH_S else usual


def passing_name(name: str, operation_id: str) -> str:
    """What a successor is called until it takes over: nobody else's, and the same after a crash."""
    return f"{name[:_MOST_NAME]}-next-{operation_id.replace('-', '')[:12]}"


def kept_name(name: str, moment: datetime) -> str:
    """What a predecessor is called once it has been replaced: ``web-before-20260724-104203``."""
    return f"{name[:_MOST_NAME]}-before-{moment:%Y%m%d-%H%M%S}"


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a container shows. ``started_at`` is the Engine's text, empty for never."""

    engine_id: str
    name: str
    state: str
    health: str
    exit_code: int | None
    oom_killed: bool
    restart_count: int
    started_at: str
    error: str
    health_text: str
    health_allows_s: float

    @property
    def is_up(self) -> bool:
        """Whether its processes exist, or the Engine is about to start them again."""
        return self.state in ("running", "paused", "restarting")

    @property
    def was_started(self) -> bool:
        """Whether it was ever started."""
        return bool(self.started_at)


def look_of(inspect: Mapping[str, Any]) -> Look:
    """The look that an inspect answer gives."""
    state = _dict(inspect.get("State"))
    health = _dict(state.get("Health") or state.get("Healthcheck"))
    check = _dict(_dict(inspect.get("Config")).get("Healthcheck"))
    status = _text(health.get("Status"))
    code = state.get("ExitCode")
    started = _text(state.get("StartedAt"))
    return Look(
        engine_id=_text(inspect.get("Id")),
        name=_text(inspect.get("Name")).lstrip("/"),
        state=_text(state.get("Status")).lower(),
        health=status if status in ("starting", "healthy", "unhealthy") else "",
        exit_code=code if isinstance(code, int) and not isinstance(code, bool) else None,
        oom_killed=state.get("OOMKilled") is True,
        restart_count=_count(inspect.get("RestartCount")),
        # Podman says the year 1 in its own form; so does Docker.
        started_at=started if time_ns(started) is not None else "",
        error=clean_text(_text(state.get("Error")), 1000),
        health_text=_last_check(health),
        health_allows_s=_allowed_s(check),
    )


def _last_check(health: Mapping[str, Any]) -> str:
    log = health.get("Log")
    last = _dict(log[-1]) if isinstance(log, list) and log else {}
    return clean_text(" ".join(_text(last.get("Output")).split()), _HEALTH_TEXT)


def _allowed_s(check: Mapping[str, Any]) -> float:
    """How long a health check may take to its verdict: its start period, then all of its tries and one more."""
    interval, timeout = _ns(check.get("Interval")) or _INTERVAL_S, _ns(check.get("Timeout")) or _TIMEOUT_S
    retries = _count(check.get("Retries")) or _RETRIES
    allowed = _ns(check.get("StartPeriod")) + (retries + 1) * (interval + timeout) + _MARGIN_S
    return min(allowed, float(LONGEST_WATCH_S))


Progress = Literal["wait", "well", "bad"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a successor is well, with a sentence; ``left_s`` is how long there is still to wait at most."""

    state: Progress
    text: str
    left_s: float = 0.0


def judge(first: Look, latest: Look, up_s: float, watch: Watch) -> Verdict:
    """The verdict on a successor from the first look after its start and the latest one, ``up_s`` seconds later."""
    if latest.state in ("exited", "dead", "stopped"):
        return Verdict("bad", _ended(latest, up_s))
    if latest.state == "restarting" or latest.restart_count > 0 or latest.started_at != first.started_at:
        return Verdict("bad", f"its processes ended and were started again within {_spoken(up_s)}{_with_code(latest)}")
    if latest.state == "paused":
        return Verdict("bad", "somebody paused it meanwhile")
    if latest.state != "running":
        return Verdict("bad", f"it is {latest.state or 'in no known state'} instead of running")
    if latest.health == "unhealthy":
        said = f": {latest.health_text}" if latest.health_text else ""
        return Verdict("bad", f"its health check failed{said}")
    if latest.health == "starting":
        allowed = float(watch.patience_s or latest.health_allows_s)
        if up_s >= allowed:
            said = f"; the last check said: {latest.health_text}" if latest.health_text else ""
            return Verdict("bad", f"it was not healthy within {_spoken(allowed)}{said}")
        return Verdict("wait", "waiting until its health check passes", allowed - up_s)
    if latest.health == "healthy":
        return Verdict("well", "its health check passes")
    if up_s < watch.stable_s:
        return Verdict("wait", f"watching whether it stays up for {_spoken(watch.stable_s)}", watch.stable_s - up_s)
    return Verdict("well", f"it has stayed up for {_spoken(watch.stable_s)}")


def _ended(look: Look, up_s: float) -> str:
    if look.oom_killed:
        return f"it ran out of memory within {_spoken(up_s)}"
    said = f" ({look.error})" if look.error else ""
    return f"it ended within {_spoken(up_s)}{_with_code(look)}{said}"


def _with_code(look: Look) -> str:
    if look.exit_code is None:
        return ""
    meaning = exit_meaning(look.exit_code)
    return f" with exit code {look.exit_code}" + (f", {meaning}" if meaning else "")


def _spoken(seconds: float) -> str:
    whole = max(1, round(seconds))
    return f"{whole} second{'s' if whole != 1 else ''}"


def refusal(inspect: Mapping[str, Any]) -> tuple[str, str] | None:
    """Why a container cannot be replaced as it stands, and what to do; None when nothing stands in the way."""
    look, host = look_of(inspect), _dict(inspect.get("HostConfig"))
    if host.get("AutoRemove") is True:
        return (
            "it is removed by the engine as soon as it stops (--rm), so there would be no way back",
            "Create it anew without automatic removal.",
        )
    labels = _dict(_dict(inspect.get("Config")).get("Labels"))
    for label, whose in _MANAGED.items():
        if label in labels:
            return f"it belongs to {whose}, which would replace it at once", f"Change it in {whose}."
    if look.state == "paused":
        return "it is paused", "Resume it first."
    if look.state in ("removing", "dead"):
        return f"it is {look.state}", "Remove it, and create it anew."
    return None


def restart_policy(inspect: Mapping[str, Any]) -> dict[str, Any]:
    """The restart policy as the Engine's update call takes it."""
    policy = _dict(_dict(inspect.get("HostConfig")).get("RestartPolicy"))
    return {"Name": _text(policy.get("Name")) or "no", "MaximumRetryCount": _count(policy.get("MaximumRetryCount"))}


def stop_timeout_s(inspect: Mapping[str, Any]) -> int:
    """Seconds that the Engine gives the processes to end by themselves; at most an hour is waited for."""
    value = _dict(inspect.get("Config")).get("StopTimeout")
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        return _STOP_TIMEOUT_S
    return min(value, LONGEST_WATCH_S)


def dependents(entries: object, engine_id: str, name: str) -> list[str]:
    """Names of the containers that use the network of this one; from ``GET /containers/json``.

    They hold on to the old one's: they have to be created anew after it was replaced.
    """
    found = []
    for entry in entries if isinstance(entries, list) else []:
        mode = _text(_dict(_dict(entry).get("HostConfig")).get("NetworkMode"))
        wanted = mode.removeprefix(_SHARED)
        if mode.startswith(_SHARED) and wanted and (engine_id.startswith(wanted) or wanted == name):
            names = _dict(entry).get("Names")
            first = names[0] if isinstance(names, list) and names else _dict(entry).get("Id")
            found.append(clean_text(_text(first).lstrip("/"), 128))
    return sorted(found)


_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386"}


def foreign_platform(old_image: Mapping[str, Any], new_image: Mapping[str, Any], engine: Mapping[str, Any]) -> str:
    """What the new image is built for, when neither the host nor the image that ran there is; else empty.

    ``engine`` is the answer of ``/version``. A host that runs foreign images by emulation shows so by the old one.
    """
    wanted = _platform(new_image)
    has = (_text(engine.get("Os")).lower(), _architecture(engine.get("Arch")))
    if not wanted[1] or not has[1] or wanted in (has, _platform(old_image)):
        return ""
    return "/".join(part for part in wanted if part)


def _platform(image: Mapping[str, Any]) -> tuple[str, str]:
    return _text(image.get("Os")).lower() or "linux", _architecture(image.get("Architecture"))


def _architecture(value: Any) -> str:
    text = re.sub(r"[^a-z0-9_]", "", _text(value).lower())[:40]
    return _ARCHITECTURES.get(text, text)


def _ns(value: Any) -> float:
    return value / 1e9 if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**62 else 0.0


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else 0


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
