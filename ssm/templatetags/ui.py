"""Template tags of the design system: icons, states, sizes, times, ports. No queries."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from containers.rules.actions import Action, actions_for

if TYPE_CHECKING:
    from containers.models import Container, Operation
    from devices.models import Device

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
}


@dataclass(frozen=True, slots=True)
class Sign:
    """How a state looks: a tone (good, busy, bad, held, idle, stale), an icon of the sprite and a word."""

    tone: str
    icon: str
    word: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class PortLink:
    """A port of a container: ``text`` to show, ``url`` empty where nothing outside the host can reach it."""

    text: str
    url: str
    title: str


# ---- icons and states --------------------------------------------------------------------------------------


@register.simple_tag
def icon(name: str, classes: str = "") -> SafeString:
    """An icon of the sprite; decoration only, so the words beside it (or a label) carry the meaning."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        classes,
        static("vendor/icons.svg"),
        name,
    )


def container_sign(container: "Container") -> Sign:
    """The sign of a container: what is being done to it, else what its host said last."""
    operation = container.active_operation
    if operation is not None:
        return Sign("busy", "loader-circle", f"{_DOING.get(operation.kind, operation.kind)}…")
    said = _container_said(container)
    if not container.device.is_online:
        return Sign("stale", "unlink", f"was {said.word}", "The device is not connected: this is its last known state.")
    return said


def _container_said(container: "Container") -> Sign:
    state, health = container.state, container.health
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
    }.get(operation.state, Sign("idle", "circle", operation.state))


_SIGNS: Final = {"Container": container_sign, "Device": device_sign, "Operation": operation_sign}


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


@register.simple_tag
def actions(container: "Container") -> tuple[Action, ...]:
    """What may be done to a container now, with its name in the words: nothing while something is being done to it,
    while its device is out of reach, or once it is gone."""
    if container.removed_at or container.active_operation is not None or not container.device.is_online:
        return ()
    return tuple(worded(action, container) for action in actions_for(container.state))


def worded(action: Action, container: "Container") -> Action:
    """The action with the names of this container and its device in its question and warning."""
    words = {"name": container.title, "device": container.device.name}
    return replace(action, question=action.question.format(**words), warning=action.warning.format(**words))


# What an image is about, told from its name; the first word found wins.
_ICON_WORDS: Final = (
    (
        ("postgres", "mysql", "mariadb", "mongo", "redis", "valkey", "sqlite", "influx", "database", "clickhouse"),
        "database",
    ),
    (("nginx", "traefik", "caddy", "haproxy", "apache", "httpd", "proxy", "envoy"), "network"),
    (("grafana", "prometheus", "exporter", "metrics", "kuma", "netdata", "chart"), "chart-line"),
    (("rabbitmq", "nats", "kafka", "mosquitto", "queue"), "inbox"),
    (("vault", "keycloak", "authelia", "authentik", "shield", "lock"), "shield-check"),
    (("minio", "backup", "restic", "nextcloud", "storage", "registry", "harddisk", "nas"), "hard-drive"),
    (("jellyfin", "plex", "sonarr", "radarr", "movie", "television"), "clapperboard"),
    (("mail", "postfix", "dovecot", "smtp"), "mail"),
    (("home-assistant", "homeassistant", "zigbee", "esphome", "home"), "house"),
    (("gitea", "gitlab", "forgejo", "jenkins", "runner", "git"), "git-branch"),
    (("worker", "celery", "cron", "cog"), "cog"),
    (("wordpress", "ghost", "web", "site"), "globe"),
    (("alpine", "debian", "ubuntu", "busybox", "console", "bash"), "square-terminal"),
)
_DEFAULT_DISPLAY_ICON: Final = "mdi:docker"


@register.filter
def container_icon(container: "Container") -> str:
    """The sprite's icon for a container: what its label asks for where we have a like one, else by its image's name."""
    asked = "" if container.display_icon == _DEFAULT_DISPLAY_ICON else container.display_icon.lower()
    for text in (asked, container.repository.lower() or container.image_reference.lower()):
        for words, name in _ICON_WORDS:
            if text and any(word in text for word in words):
                return name
    return "box"


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

    ``kind="since"`` writes the bare length of time (``3 h``), ``kind="exact"`` the time itself.
    """
    if value is None:
        return never
    now = datetime.now(UTC)
    exact = value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if kind == "exact":
        text = exact
    elif kind == "since":
        text = span_text((now - value).total_seconds())
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
def image_name(reference: str) -> str:
    """An image reference for narrow places: no default registry, digests and bare ids shortened."""
    if reference.startswith("sha256:"):
        return short_id(reference)
    name, at, digest = reference.partition("@sha256:")
    name = name.removeprefix("docker.io/").removeprefix("library/")
    return f"{name}@{digest[:7]}" if at and ":" not in name.rpartition("/")[2] else name


@register.simple_tag
def port_links(container: "Container", limit: int = 100) -> list[PortLink]:
    """The published ports first, as links to the device, then the ones that are only exposed; doubles dropped."""
    published: dict[tuple[int, str], PortLink] = {}
    exposed: dict[tuple[int, str], PortLink] = {}
    for port in container.ports:
        inner, protocol = port.get("container_port"), port.get("protocol") or "tcp"
        outer = port.get("host_port")
        if outer:
            link = _published(container.device.address, port.get("host_ip") or "", int(outer), inner, protocol)
            published.setdefault((int(outer), protocol), link)
        elif inner:
            text = f"{inner}" if protocol == "tcp" else f"{inner}/{protocol}"
            exposed[(int(inner), protocol)] = PortLink(text, "", f"{inner}/{protocol}, not published")
    return [*(published[key] for key in sorted(published)), *(exposed[key] for key in sorted(exposed))][:limit]


def _published(address: str, host_ip: str, outer: int, inner: Any, protocol: str) -> PortLink:
    everywhere = host_ip in ("", "0.0.0.0", "::", "[::]")  # noqa: S104  (compared, not bound)
    host = address if everywhere else host_ip
    host = f"[{host}]" if ":" in host else host
    suffix = "" if protocol == "tcp" else f"/{protocol}"
    title = f"{host}:{outer} → {inner}/{protocol}"
    local = host_ip.startswith("127.") or host_ip in ("::1", "[::1]")
    if protocol != "tcp" or local:
        return PortLink(f"{outer}→{inner}{suffix}", "", title + (", on the device itself only" if local else ""))
    scheme = "https" if 443 in (outer, inner) or 8443 in (outer, inner) else "http"
    return PortLink(f"{outer}→{inner}", f"{scheme}://{host}:{outer}/", title)


@register.filter
def rest_count(items: Iterable[Any], shown: int) -> int:
    """How many of the items are left out when only ``shown`` are."""
    return max(0, len(list(items)) - shown)


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
