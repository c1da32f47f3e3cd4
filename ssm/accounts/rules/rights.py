"""What rights mean, in words."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class RightText:
    """A right's title, and what it opens."""

    title: str
    text: str


# By the names of ssm.lib.roles.Right, in the order of forms.
RIGHTS: Final[dict[str, RightText]] = {
    "see": RightText("See", "Devices, containers, images, volumes, networks, statistics, events. Part of every role."),
    "logs": RightText("Logs", "Read, search and download what containers write."),
    "inspect_environment": RightText("See secrets of containers", "The values of environment variables."),
    "operate": RightText("Operate", "Start, stop, create, update and remove containers, images and networks."),
    "exec": RightText("Run commands inside", "A shell in a container: it also shows its environment."),
    "manage_volumes": RightText("Manage volumes", "Create, remove, back up and restore the data of volumes."),
    "manage_devices": RightText("Manage devices", "Servers, their credentials and host keys. Not within labels."),
    "manage_registries": RightText("Manage registries", "Accounts at registries. Only in a role for everything."),
    "manage_users": RightText("Manage users", "Users, roles, tokens, and the audit. Only in a role for everything."),
}


def reach(device_groups: list[str], labels: list[str]) -> str:
    """Where something holds, in words."""
    if not device_groups and not labels:
        return "everywhere"
    parts = []
    if device_groups:
        parts.append(f"device group{'s' if len(device_groups) > 1 else ''} {', '.join(device_groups)}")
    if labels:
        parts.append(f"label{'s' if len(labels) > 1 else ''} {', '.join(labels)}")
    return " with ".join(parts)
