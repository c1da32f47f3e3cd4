"""Template tags about containers: what may be done, ports, images, events, inspect answers. No queries."""

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from containers.rules.actions import BULK_ACTIONS, Action, actions_for
from containers.rules.events import Severity, describe
from devices.work import KINDS
from ssm.templatetags.ui import icon

if TYPE_CHECKING:
    from containers.models import Container, Event
    from devices.models import Device

register = template.Library()


@dataclass(frozen=True, slots=True)
class PortLink:
    """A port of a container: ``text`` to show, ``url`` empty where nothing outside the host can reach it."""

    text: str
    url: str
    title: str
    is_published: bool = True


# ---- what may be done --------------------------------------------------------------------------------------


@register.simple_tag
def actions(container: "Container") -> tuple[Action, ...]:
    """What may be done to a container now: nothing while something is being done to it, while its device is out of
    reach, or once it is gone. ``worded`` puts its name into what is asked back."""
    if container.removed_at or container.active_operation is not None or not container.device.is_online:
        return ()
    return actions_for(container.state)


@register.simple_tag
def bulk_actions() -> tuple[Action, ...]:
    """What may be asked for of several containers at once."""
    return BULK_ACTIONS


@register.filter
def worded(action: Action, container: "Container") -> Action:
    """The action with the names of this container and its device in its question and warning."""
    words = {"name": container.title, "device": container.device.name}
    return replace(action, question=action.question.format(**words), warning=action.warning.format(**words))


@register.simple_tag
def operation_button(
    container: "Container", page: str, action: Action, place: str, classes: str, look: str = ""
) -> SafeString:
    """The button that asks for an act, in the row or the head (``place``); ``look="icon"`` has its word as a label.

    ``page`` is the address of the container's page. User-neutral: it belongs to the page's one form, which holds the
    user's token, and lies where ``hx-target`` names what is swapped. Built here, as a fleet page has many of them.
    """
    url = f"{page}operations/"
    label = format_html('title="{0}" aria-label="{0} {1}"', action.label, container.title) if look == "icon" else ""
    return format_html(
        '<button type="submit" class="{}" id="container-{}-{}-{}" form="operation-form" formaction="{}" name="kind"'
        ' value="{}" hx-post="{}" {}>{}{}</button>',
        f"{classes} menu__item--danger" if action.is_harmful else classes,
        container.pk,
        place,
        action.kind,
        url,
        action.kind,
        url,
        label,
        icon(action.icon),
        "" if look == "icon" else action.label,
    )


# What an image is about, told from its name; the first word found wins.
_ICON_WORDS: Final = (
    (
        ("postgres", "mysql", "mariadb", "mongo", "redis", "valkey", "sqlite", "influx", "database", "clickhouse"),
        "database",
    ),
    (("nginx", "traefik", "caddy", "haproxy", "apache", "httpd", "proxy", "envoy"), "network"),
    (("grafana", "prometheus", "exporter", "metrics", "kuma", "netdata", "chart"), "chart-line"),
    (("rabbitmq", "nats", "kafka", "mosquitto", "queue"), "inbox"),
    (("vault", "keycloak", "authelia", "authentik", "shield", "padlock"), "shield-check"),
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
    return _icon_of(container.display_icon, container.repository or container.image_reference)


# A fleet has many containers and few images.
@lru_cache(maxsize=1024)
def _icon_of(display_icon: str, image: str) -> str:
    asked = "" if display_icon == _DEFAULT_DISPLAY_ICON else display_icon.lower()
    for text in (asked, image.lower()):
        for words, name in _ICON_WORDS:
            if text and any(word in text for word in words):
                return name
    return "box"


# ---- names and addresses -----------------------------------------------------------------------------------


@register.filter
def image_name(reference: str) -> str:
    """An image reference for narrow places: no default registry, digests and bare ids shortened."""
    if reference.startswith("sha256:"):
        return reference.removeprefix("sha256:")[:12]
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
            exposed[(int(inner), protocol)] = PortLink(
                text, "", f"{inner}/{protocol}, not published", is_published=False
            )
    return [*(published[key] for key in sorted(published)), *(exposed[key] for key in sorted(exposed))][:limit]


@register.simple_tag
def published_ports(container: "Container") -> list[PortLink]:
    """The ports that can be reached from outside the container, for narrow places."""
    return [port for port in port_links(container) if port.is_published]


def _published(address: str, host_ip: str, outer: int, inner: Any, protocol: str) -> PortLink:
    everywhere = host_ip in ("", "0.0.0.0", "::", "[::]")  # noqa: S104  (compared, not bound)
    host = address if everywhere else host_ip
    host = f"[{host}]" if ":" in host else host
    suffix = "" if protocol == "tcp" else f"/{protocol}"
    text = f"{outer}{suffix}" if outer == inner else f"{outer}→{inner}{suffix}"
    title = f"{host}:{outer} → {inner}/{protocol}"
    local = host_ip.startswith("127.") or host_ip in ("::1", "[::1]")
    if protocol != "tcp" or local:
        return PortLink(text, "", title + (", on the device itself only" if local else ""))
    scheme = "https" if 443 in (outer, inner) or 8443 in (outer, inner) else "http"
    return PortLink(text, f"{scheme}://{host}:{outer}/", title)


# ---- inspect answers and events ----------------------------------------------------------------------------

# An answer with more entries than this is shown as text only up to here; the raw view has all.
_MOST_NODES: Final = 5000
_OPEN_AT_FIRST: Final = frozenset({"", "State", "Config", "HostConfig", "NetworkSettings"})


@register.filter
def json_text(value: Any) -> str:
    """JSON, indented; escaped by the template like any text."""
    return json.dumps(value, indent=2, ensure_ascii=False)


@register.filter
def json_tree(value: Any) -> SafeString:
    """Nested ``<details>`` of a JSON value, every key and text escaped."""
    return _tree(value, [_MOST_NODES])


def _tree(value: Any, budget: list[int]) -> SafeString:
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    shown = items[: max(0, budget[0])]
    budget[0] -= len(shown)
    lines = format_html_join("", "{}", ((_line(key, item, budget),) for key, item in shown))
    if len(shown) < len(items):
        lines += format_html('<div class="json__line muted">… {} more</div>', len(items) - len(shown))
    return lines


def _line(key: Any, item: Any, budget: list[int]) -> SafeString:
    if not isinstance(item, dict | list) or not item:
        kind = "empty" if item in ({}, [], "", None) else type(item).__name__
        text = json.dumps(item, ensure_ascii=False)
        return format_html(
            '<div class="json__line"><span class="json__key">{}</span> <span class="json__{}">{}</span></div>',
            key,
            kind,
            text,
        )
    size = f"{len(item)} " + ("entries" if len(item) != 1 else "entry")
    opened = " open" if str(key) in _OPEN_AT_FIRST else ""
    return format_html(
        '<details class="json__node"{}><summary><span class="json__key">{}</span> <small>{}</small></summary>'
        '<div class="json__inner">{}</div></details>',
        opened,
        key,
        size,
        _tree(item, budget),
    )


# A log is linked to from a little before an event to a little after it.
_LOG_BEFORE: Final = timedelta(minutes=2)
_LOG_AFTER: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class EventSentence:
    """An event in words: what happened, its icon and colour, and which part of the log tells more."""

    text: str
    icon: str
    tone: str
    log_since: str
    log_until: str


@register.simple_tag
def event_sentence(event: "Event") -> EventSentence:
    """The sentence of an event (containers.rules.events)."""
    said = describe(event)
    tone = {Severity.GOOD: "good", Severity.WARNING: "warning", Severity.BAD: "bad"}.get(said.severity, "info")
    since, until = event.time - _LOG_BEFORE, event.time + _LOG_AFTER
    return EventSentence(said.text, said.icon, tone, f"{since:%Y-%m-%dT%H:%M:%SZ}", f"{until:%Y-%m-%dT%H:%M:%SZ}")


@register.filter
def event_details(event: "Event") -> list[tuple[str, str]]:
    """What of an event's attributes tells something that the page does not say anyway: at most six, cut short."""
    wanted = {"execDuration": "ran for", "image": "image", "driver": "driver", "reclaimed": "reclaimed"}
    found = [(word, str(event.attributes[name])[:120]) for name, word in wanted.items() if event.attributes.get(name)]
    return [(word, f"{value} s" if word == "ran for" else value) for word, value in found]


# ---- what is done with a device again and again ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorkStanding:
    """One kind of due work of a device: its settings and how it went."""

    name: str
    label: str
    schedule: str
    is_wanted: bool
    why_not: str
    interval_s: int | None
    next_at: datetime | None
    last_at: datetime | None
    duration_ms: int | None
    error: str

    @property
    def is_note(self) -> bool:
        """Whether the text tells something that a run which went well had to say."""
        return self.interval_s is not None


@register.simple_tag
def schedules(device: "Device") -> list[WorkStanding]:
    """Sweeps, statistics and update checks of a device."""
    return [
        WorkStanding(
            name=kind.name,
            label=kind.label,
            schedule=getattr(device, kind.schedule),
            is_wanted=kind.is_wanted(device),
            why_not="switched off" if device.watch_enabled else "the device is not watched",
            interval_s=getattr(device, kind.interval_s) if kind.interval_s else None,
            next_at=getattr(device, kind.next_at),
            last_at=getattr(device, kind.last_at),
            duration_ms=getattr(device, kind.duration_ms),
            error=getattr(device, kind.error),
        )
        for kind in KINDS
    ]
