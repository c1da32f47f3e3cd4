"""Template tags of the design system: icons, states, sizes, times, links. No queries."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from django import template
from django.forms import BoundField, PasswordInput, Select
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

if TYPE_CHECKING:
    from containers.models import Container, Operation
    from containers.projects import Project
    from devices.models import Device
    from registries.models import RepositoryKnowledge

register = template.Library()

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SIGNALS: Final = {129: "hung up", 130: "interrupted", 134: "aborted", 137: "killed", 139: "crashed", 143: "terminated"}
# What a press on a button has begun, as long as it is under way.
_DOING: Final = {
    "start": "starting",
    "stop": "stopping",
    "restart": "restarting",
    "pause": "pausing",
    "unpause": "resuming",
    "kill": "killing",
    "remove": "removing",
    "rename": "renaming",
    "configure": "changing",
}


@dataclass(frozen=True, slots=True)
class Sign:
    """How a state looks: a tone (good, busy, bad, held, idle, stale), an icon of the sprite and a word."""

    tone: str
    icon: str
    word: str
    title: str = ""


# ---- icons and states --------------------------------------------------------------------------------------


# A fleet page has some 400 icons of 30 kinds, and a URL out of the manifest takes 0.1 ms each.
@register.simple_tag
@lru_cache(maxsize=512)
def icon(name: str, classes: str = "") -> SafeString:
    """An icon of the sprite; decoration only, so the words beside it (or a label) carry the meaning."""
    return format_html(
        '<svg class="{}" aria-hidden="true"><use href="{}#{}"></use></svg>',
        f"icon {classes}".rstrip(),
        static("vendor/icons.svg"),
        name,
    )


def container_sign(container: "Container") -> Sign:
    """The sign of a container: what is being done to it, else what its host said last."""
    if container.removed_at is not None:
        return Sign("idle", "circle", "removed")
    operation = container.active_operation
    if operation is not None:
        return Sign("busy", "loader-circle", f"{_DOING.get(operation.kind, operation.kind)}…")
    said = _container_said(container)
    if not container.device.is_online:
        return Sign("stale", "unlink", f"was {said.word}", "The device is not connected: this is its last known state.")
    return said


def _container_said(container: "Container") -> Sign:
    state, health = container.state, container.health
    if container.looping_since is not None:
        ends = container.loop_ends
        since = f"{container.looping_since:%Y-%m-%d %H:%M} UTC"
        return Sign("bad", "refresh-cw", "restart loop", f"It ended {ends} times since {since}, unasked for.")
    if state == "running":
        return {
            "healthy": Sign("good", "circle-check", "healthy"),
            "unhealthy": Sign("bad", "circle-x", "unhealthy"),
            "starting": Sign("busy", "loader-circle", "starting"),
        }.get(health, Sign("good", "dot", "running"))
    if state == "exited":
        return _exited(container.exit_code, oom_killed=container.oom_killed)
    return {
        "created": Sign("idle", "circle", "created"),
        "paused": Sign("held", "circle-pause", "paused"),
        "restarting": Sign("busy", "refresh-cw", "restarting"),
        "removing": Sign("busy", "loader-circle", "removing"),
        "dead": Sign("bad", "circle-x", "dead"),
    }.get(state, Sign("idle", "circle", state))


def _exited(code: int | None, *, oom_killed: bool) -> Sign:
    if oom_killed:
        return Sign("bad", "circle-x", f"exited {code} (out of memory)" if code is not None else "out of memory")
    if not code:
        return Sign("idle", "circle", "exited")
    signal = _SIGNALS.get(code)
    if code in (130, 143):  # it was asked to end, and did
        return Sign("idle", "circle", f"exited {code}", f"It was {signal}, as asked.")
    return Sign("bad", "circle-x", f"exited {code} ({signal})" if signal else f"exited {code}")


def device_sign(device: "Device") -> Sign:
    """The sign of a device's connection."""
    return {
        "online": Sign("good", "dot", "online"),
        "connecting": Sign("busy", "loader-circle", "connecting"),
        "unreachable": Sign("bad", "unlink", "unreachable"),
        "disabled": Sign("idle", "circle-pause", "not watched"),
    }.get(device.state, Sign("idle", "circle", "not connected yet"))


def operation_sign(operation: "Operation") -> Sign:
    """The sign of an operation."""
    return {
        "queued": Sign("busy", "hourglass", "queued"),
        "running": Sign("busy", "loader-circle", "running"),
        "succeeded": Sign("good", "circle-check", "done"),
        "failed": Sign("bad", "circle-x", "failed"),
        "lost": Sign("bad", "circle-alert", "lost", "Its worker died, and the host no longer tells what became of it."),
        "cancelled": Sign("idle", "circle-x", "cancelled"),
    }.get(operation.state, Sign("idle", "circle", operation.state))


def repository_sign(repository: "RepositoryKnowledge") -> Sign:
    """The sign of what is known of a repository at its registry."""
    if repository.is_being_looked_up:
        return Sign("busy", "loader-circle", "looking up")
    if repository.last_error_code == "rate_limited":
        return Sign("busy", "hourglass", "waiting", "The registry asked to be left alone for a while.")
    if repository.last_error_code:
        return Sign("bad", "circle-x", "failing")
    if repository.looked_up_at is None:
        return Sign("idle", "circle", "not asked yet")
    return Sign("good", "circle-check", "answered")


def project_sign(project: "Project") -> Sign:
    """The sign of a compose project: how many of its containers run."""
    words = f"{project.running}/{project.total} running"
    if project.state == "stale":
        return Sign("stale", "unlink", "last known", "The device is not connected: this is its last known state.")
    if project.needing:
        return Sign("bad", "circle-alert", words, f"{project.needing} of its containers need attention.")
    return {
        "running": Sign("good", "circle-check", words),
        "partly": Sign("busy", "circle", words),
    }.get(project.state, Sign("idle", "circle", words))


_SIGNS: Final[dict[str, Callable[[Any], Sign]]] = {
    "Container": container_sign,
    "Device": device_sign,
    "Operation": operation_sign,
    "Project": project_sign,
    "RegistryEntry": lambda entry: entry.sign,
    "RepositoryKnowledge": repository_sign,
}


@register.simple_tag
def state(thing: Any, look: str = "") -> SafeString:
    """The state of a container, device or operation as colour, icon and word; ``look="pill"`` for page heads."""
    sign = _SIGNS[type(thing).__name__](thing)
    classes = f"state--{sign.tone}" + (" state--pill" if look == "pill" else "")
    extra = {"loader-circle": "icon--turning", "refresh-cw": "icon--turning", "dot": "icon--filled"}.get(sign.icon, "")
    return format_html(
        '<span class="state {}" title="{}">{}<span>{}</span></span>',
        classes,
        sign.title,
        icon(sign.icon, extra),
        sign.word,
    )


@register.filter
def doing(kind: str) -> str:
    """The word for an operation under way: ``stop`` becomes ``stopping``."""
    return _DOING.get(kind, kind)


# ---- sizes and times ---------------------------------------------------------------------------------------


@register.filter
def size(count: int | None) -> str:
    """Bytes for people, in binary units; a dash when not known (never 0)."""
    if count is None:
        return "–"
    value = float(count)
    for unit in _UNITS:
        if abs(value) < 1024 or unit == _UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def span_text(seconds: float) -> str:
    """A length of time in its two largest units at most, e.g. ``3 d 4 h``; below a minute in seconds."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    if days < 14:
        return f"{days} d {hours % 24} h" if hours % 24 else f"{days} d"
    return f"{days} d"


@register.filter
def span(seconds: float) -> str:
    """A length of time given in seconds: ``6 h``."""
    return span_text(seconds)


@register.filter
def milliseconds(value: float | None) -> str:
    """A measured time: ``840 ms``, ``2.4 s``; a dash when not known."""
    if value is None:
        return "–"
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.1f} s" if value < 60_000 else span_text(value / 1000)


@register.filter
def lasted(operation: "Operation") -> str:
    """How long an operation took, from its start to its end; a dash before."""
    if operation.started_at is None or operation.finished_at is None:
        return "–"
    return milliseconds((operation.finished_at - operation.started_at) / timedelta(milliseconds=1))


def relative_text(value: datetime, now: datetime) -> str:
    """How long ago or ahead, in one unit, as static/js/times.js writes it too."""
    seconds = (now - value).total_seconds()
    ahead = seconds < 0
    amount = abs(seconds)
    for limit, divisor, unit in (
        (45, 1, "s"),
        (3600, 60, "min"),
        (86400, 3600, "h"),
        (30 * 86400, 86400, "d"),
        (365 * 86400, 30 * 86400, "mo"),
        (float("inf"), 365 * 86400, "y"),
    ):
        if amount < limit:
            number = max(1, round(amount / divisor))
            if unit == "s" and not ahead and amount < 10:
                return "just now"
            return f"in {number} {unit}" if ahead else f"{number} {unit} ago"
    raise AssertionError("unreachable")


@register.simple_tag
def moment(value: datetime | None, kind: str = "", never: str = "–") -> SafeString | str:
    """A time as ``<time>``: relative, with the exact one on hover, kept fresh by times.js.

    ``kind="since"`` writes the bare length of time (``3 h``), ``"ahead"`` is for what is due (``in 3 h``, ``now``),
    ``"exact"`` writes the time itself, ``"clock"`` the time of day (before today with its date).
    """
    if value is None:
        return never
    now = datetime.now(UTC)
    exact = value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if kind == "exact":
        text = exact
    elif kind == "since":
        text = span_text((now - value).total_seconds())
    elif kind == "clock":
        text = value.astimezone(UTC).strftime(
            "%H:%M" if value.astimezone(UTC).date() == now.date() else "%Y-%m-%d %H:%M"
        )
    elif kind == "ahead" and value <= now:
        text = "now"
    else:
        text = relative_text(value, now)
    return format_html(
        '<time datetime="{}" title="{}" data-time="{}">{}</time>', value.astimezone(UTC).isoformat(), exact, kind, text
    )


# ---- names and addresses -----------------------------------------------------------------------------------


@register.filter
def short_id(value: str) -> str:
    """The first twelve digits of an engine id or digest, as the Docker CLI shows them."""
    return value.removeprefix("sha256:")[:12]


@register.filter
def host_port(address: str, port: int) -> str:
    """Address and port as SSH clients write them: brackets around IPv6, port 22 left out."""
    host = f"[{address}]" if ":" in address and port != 22 else address
    return host if port == 22 else f"{host}:{port}"


@register.filter
def host_key_file(key_type: str) -> str:
    """The middle of OpenSSH's file name for a host key of a type: ``/etc/ssh/ssh_host_<this>_key.pub``."""
    return "ecdsa" if key_type.startswith("ecdsa") else key_type.removeprefix("ssh-")


@register.filter
def entry(mapping: Mapping[str, Any], key: str) -> Any:
    """The value under a key; None without it."""
    return mapping.get(key)


@register.filter
def json_text(value: Any) -> str:
    """A plain value as text: lists by their entries, nothing as a dash."""
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value in (None, "") else str(value)


@register.filter
def nth(items: Sequence[Any], index: int) -> Any:
    """An entry of a list by its place; empty when there is none."""
    return items[index] if 0 <= index < len(items) else ""


@register.filter
def rest_count(items: Iterable[Any], shown: int) -> int:
    """How many of the items are left out when only ``shown`` are."""
    return max(0, len(list(items)) - shown)


# ---- forms -------------------------------------------------------------------------------------------------


@register.simple_tag
def control(field: BoundField, hint: str = "") -> SafeString:
    """A form's control with the design system's class, tied to its error and its hint for screen readers."""
    kind = "form-select" if isinstance(field.field.widget, Select) else "form-control"
    described = [f"{field.id_for_label}_error"] if field.errors else []
    if field.help_text or hint:
        described.append(f"{field.id_for_label}_helptext")
    attributes: dict[str, Any] = {"class": f"{kind} is-invalid" if field.errors else kind}
    if described:
        attributes["aria-describedby"] = " ".join(described)
    if isinstance(field.field.widget, PasswordInput):
        attributes["autocomplete"] = "new-password"
    return field.as_widget(attrs=attributes)


# ---- query strings -----------------------------------------------------------------------------------------


@register.simple_tag(takes_context=True)
def sort_link(context: template.Context, field: str) -> str:
    """The query string that sorts by ``field``: the other way round when it is sorted so already."""
    query = context["request"].GET.copy()
    query.pop("page", None)
    query["sort"] = f"-{field}" if query.get("sort", context.get("sort", "")) == field else field
    return f"?{query.urlencode()}"


@register.simple_tag
def link_query(**parameters: Any) -> str:
    """``?name=value&…`` of the given parameters, empty ones left out."""
    return "?" + urlencode({name: value for name, value in parameters.items() if value not in (None, "")})
