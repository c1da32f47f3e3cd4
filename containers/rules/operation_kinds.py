"""What the kinds of operations share: who may ask for them (pure)."""

from typing import Final

_MANAGE_VOLUMES: Final = frozenset(
    {"volume_create", "volume_remove", "volume_prune", "volume_backup", "volume_restore"}
)


def right_for(kind: str) -> str:
    """The right (`ssm.lib.roles.Right` by its value) that it takes to ask for an operation of this kind."""
    if kind == "device_test":
        return "manage_devices"
    return "manage_volumes" if kind in _MANAGE_VOLUMES else "operate"
