"""Template tags of networks: how one is used, what is special about it, addresses. No queries."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ssm.templatetags.ui import icon

if TYPE_CHECKING:
    from containers.models import Container, Network

register = template.Library()
_DOING: Final = {
    "network_remove": "removing",
    "network_connect": "connecting",
    "network_disconnect": "disconnecting",
    "network_configure": "changing",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """Something special about a network, in a word and a sentence."""

    text: str
    title: str


@register.simple_tag
def network_use(network: "Network") -> SafeString:
    """How many containers are on a network, as colour, icon and words; what is being done to it goes first."""
    kind = getattr(network, "active_kind", None)
    if kind:
        return _sign("busy", "loader-circle", f"{_DOING.get(kind, kind)}…", "icon--turning")
    total, running = network.container_count, network.running_count
    if not total:
        return _sign("idle", "circle", "no containers" if network.is_predefined else "unused")
    words = f"{total} container{'s' if total != 1 else ''}"
    if running < total:
        words += f", {running} running" if running else ", none running"
    return _sign(
        "good" if running else "idle", "dot" if running else "circle", words, "icon--filled" if running else ""
    )


def _sign(tone: str, name: str, words: str, classes: str = "") -> SafeString:
    return format_html('<span class="state state--{}">{}<span>{}</span></span>', tone, icon(name, classes), words)


@register.filter
def network_marks(network: "Network") -> list[Mark]:
    """What sets it apart from a plain network."""
    marks = (
        (network.internal, "internal", "Its containers reach nothing outside of it."),
        (network.ipv6_enabled, "IPv6", "Its containers have IPv6 addresses."),
        (network.config_only, "template", "Nothing can be on it: others are made from it."),
        (network.ingress, "ingress", "It brings the swarm's published ports to its services."),
        (network.attachable and network.scope == "swarm", "attachable", "Containers beside services may join."),
    )
    return [Mark(text, title) for holds, text, title in marks if holds]


@register.filter
def takes_containers(network: "Network") -> bool:
    """Whether containers can be connected to it and disconnected from it at all."""
    is_closed = network.config_only or network.driver in ("host", "null") or network.name in ("host", "none")
    return not is_closed and (network.scope != "swarm" or network.attachable)


@register.simple_tag
def place_addresses(place: Mapping[str, Any]) -> SafeString:
    """The addresses of a container on a network; those that it asked for are marked, also while it has none."""
    shown = []
    for address, fixed in ((place.get("address"), place.get("fixed")), (place.get("address6"), place.get("fixed6"))):
        if address or fixed:
            note = ("fixed" if address else "fixed, when it runs") if fixed else ""
            shown.append((address or fixed, note))
    if not shown:
        return format_html('<span class="muted">{}</span>', "–")
    return format_html_join(" ", '<code>{}</code> <span class="muted small">{}</span>', shown)


@register.filter
def own_aliases(place: Mapping[str, Any], container: "Container") -> list[str]:
    """The further names of a container on a network, without the id that engines before 25 add."""
    return [name for name in place.get("aliases", []) if name != container.engine_id[:12]]
