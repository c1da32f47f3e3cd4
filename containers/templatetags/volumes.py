"""Template tags about volumes and backups: who uses one, how it stands. No queries."""

from typing import TYPE_CHECKING, Final

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ssm.templatetags.ui import icon

if TYPE_CHECKING:
    from containers.models import Backup, Volume

register = template.Library()

_ACTS: Final = {
    "volume_create": "being made…",
    "volume_remove": "being removed…",
    "volume_backup": "being backed up…",
    "volume_restore": "being restored…",
}
_STATES: Final = {
    "running": ("busy", "loader-circle", "being made"),
    "good": ("good", "circle-check", "good"),
    "failed": ("bad", "circle-x", "failed"),
    "damaged": ("bad", "circle-alert", "damaged"),
    "deleting": ("busy", "trash-2", "being deleted"),
}


def _sign(tone: str, sign: str, text: str, title: str = "") -> SafeString:
    turning = "icon--turning" if sign == "loader-circle" else ""
    return format_html(
        '<span class="state state--{}" title="{}">{}<span>{}</span></span>', tone, title, icon(sign, turning), text
    )


@register.simple_tag
def volume_use(volume: "Volume") -> SafeString:
    """What is done with the volume now, else which containers use it. Needs ``for_page()`` and ``add_users``."""
    act = _ACTS.get(getattr(volume, "active_kind", None) or "")
    if act:
        return _sign("busy", "loader-circle", act)
    users = volume.users
    if not users:
        return _sign("idle", "circle", "unused", "No container mounts it.")
    running = sum(container.is_running for container in users)
    # Nobody learns from a volume the names of containers that are not for their eyes.
    shown = volume.shown_users
    words = _counted(len(users))
    if shown:
        words = shown[0].title if len(users) == 1 else f"{shown[0].title} +{len(users) - 1}"
    names = ", ".join(container.title for container in shown[:12]) or _counted(len(users))
    names += " …" if len(users) > min(len(shown), 12) and shown else ""
    return _sign("good" if running else "idle", "box", words, f"{names}: {running} running")


def _counted(number: int) -> str:
    return f"{number} container{'' if number == 1 else 's'}"


@register.simple_tag
def backup_state(backup: "Backup") -> SafeString:
    """How a backup stands."""
    tone, sign, words = _STATES[backup.state]
    return _sign(tone, sign, words, backup.error)
