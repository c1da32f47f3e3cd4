"""Template tags about updates: badges, signs of states and steps. No queries."""

from typing import TYPE_CHECKING, Any, Final

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from containers.rules.digests import short
from containers.rules.reasons import NOTES
from ssm.templatetags.ui import icon

if TYPE_CHECKING:
    from containers.models import Container, UpdateStatus

register = template.Library()

_KIND_WORDS: Final = {
    "major": "major",
    "minor": "minor",
    "patch": "patch",
    "revision": "revision",
    "prerelease": "prerelease",
    "unknown": "newer",
    "digest": "rebuilt",
}
_STATE_SIGNS: Final = {
    "up_to_date": ("good", "circle-check"),
    "unknown": ("idle", "circle-help"),
    "not_watched": ("idle", "circle-pause"),
    "error": ("bad", "circle-alert"),
}
_STEP_ICONS: Final = {
    "dropped": "x",
    "kept": "check",
    "warning": "triangle-alert",
    "result": "arrow-up",
    "info": "circle",
}


def _offer(status: "UpdateStatus") -> str:
    return f"{status.tag} → {status.offered_tag}" if status.offered_tag else f"{status.tag} was rebuilt"


def _badge(kind: str, text: str, title: str) -> SafeString:
    return format_html(
        '<span class="update-badge update-badge--{}" title="{}">{}<span>{}</span></span>',
        kind,
        title,
        icon("arrow-up"),
        text,
    )


@register.simple_tag
def update_badge(container: "Container") -> SafeString | str:
    """The offer of a container for its row: nothing when there is none, or when somebody put it off."""
    status = getattr(container, "update", None)
    if status is None or status.state != "update_available" or status.is_snoozed or container.removed_at:
        return ""
    return offer_badge(status)


@register.simple_tag
def offer_badge(status: "UpdateStatus") -> SafeString:
    """What is offered, in the colour of its kind."""
    title = f"{_KIND_WORDS.get(status.change, status.change).capitalize()} update"
    if status.has_digest_update and status.offered_tag:
        title += f"; {status.tag} was rebuilt too"
    return _badge(status.change, _offer(status), title)


@register.simple_tag
def update_state(container: "Container") -> SafeString | str:
    """How a container stands, for the head of its page: the offer, else the state in a word."""
    status = getattr(container, "update", None)
    if status is None or container.removed_at:
        return ""
    return status_sign(status)


@register.simple_tag
def status_sign(status: "UpdateStatus") -> SafeString:
    """The state of an answer as colour, icon and word."""
    if status.state == "update_available":
        return offer_badge(status)
    tone, sign = _STATE_SIGNS.get(status.state, ("idle", "circle-help"))
    words = status.words
    return format_html(
        '<span class="state state--{}" title="{}">{}<span>{}</span></span>', tone, words.text, icon(sign), words.short
    )


@register.filter
def kind_word(kind: str) -> str:
    """A kind of update in a word."""
    return _KIND_WORDS.get(kind, kind)


@register.filter
def note_text(note: str) -> str:
    """A remark beside a state, in a sentence."""
    return NOTES.get(note, note)


@register.filter
def step_icon(step: dict[str, Any]) -> str:
    """The sprite's icon of a step."""
    return _STEP_ICONS.get(str(step.get("outcome")), "circle")


@register.filter
def short_digest(digest: str) -> str:
    """A digest as people compare it."""
    return short(digest)


@register.simple_tag
def warning_mark(container: "Container") -> SafeString | str:
    """A sign in a row when labels of the container are wrong, with what is wrong on hover."""
    warnings = container.label_warnings
    if not warnings:
        return ""
    text = "; ".join(f"{warning.get('label')}: {warning.get('text')}" for warning in warnings[:5])
    return format_html(
        '<span class="label-warning" title="{}">{}<span class="visually-hidden">Label with a mistake: {}</span></span>',
        text,
        icon("triangle-alert", "icon--small"),
        text,
    )
