"""Template tags about images: who uses one, what stands behind its tags. No queries."""

from typing import TYPE_CHECKING, Final

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ssm.templatetags.ui import icon

if TYPE_CHECKING:
    from containers.models import Image
    from containers.updates.image_tags import TagStanding

register = template.Library()

# Tone, icon and words of what a registry has behind a tag by now.
_STANDINGS: Final = {
    "current": ("good", "circle-check", "up to date"),
    "newer": ("busy", "circle-arrow-up", "a newer image is there"),
    "failed": ("bad", "circle-alert", "could not be asked"),
    "unknown": ("idle", "circle-help", "not known"),
}


def _sign(tone: str, sign: str, text: str, title: str = "") -> SafeString:
    return format_html(
        '<span class="state state--{}" title="{}">{}<span>{}</span></span>', tone, title, icon(sign), text
    )


@register.simple_tag
def image_use(image: "Image") -> SafeString:
    """Whether containers use the image: how many, how many of them run. Needs ``with_users()``."""
    count, running = getattr(image, "container_count", 0), getattr(image, "running_count", 0)
    if count:
        words = f"{count} container{'s' if count != 1 else ''}"
        title = f"{running} of them running" if running else "none of them running"
        return _sign("good" if running else "idle", "box", words, title)
    if image.is_dangling:
        return _sign("idle", "unlink", "dangling", "No tag names it and no container uses it.")
    return _sign("idle", "circle", "unused", "No container uses it.")


@register.simple_tag
def tag_sign(standing: "TagStanding") -> SafeString:
    """What a registry has behind a tag of an image by now."""
    tone, sign, words = _STANDINGS[standing.state]
    return _sign(tone, sign, words, standing.error)
