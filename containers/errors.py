"""What this app refuses, told to the user."""

from ssm.lib.errors import SsmError


class OperationRefused(SsmError):
    """The act makes no sense for this container as it is."""

    code = "operation_refused"
    status = 409


class OperationConflict(OperationRefused):
    """Another operation on the same container is under way. details: operation (its id)."""

    code = "operation_conflict"


class OperationCancelled(SsmError):
    """Somebody called a running operation off; what it had begun is undone."""

    code = "operation_cancelled"
    status = 409


class OperationTakenOver(Exception):
    """Another worker has this operation now: stop at once, and undo nothing, as that one goes on with it."""


class VolumeGone(SsmError):
    """The host has no such volume."""

    code = "volume_gone"
    status = 409


class VolumeTaken(SsmError):
    """A volume of that name exists already."""

    code = "volume_taken"
    status = 409


class VolumeInUse(SsmError):
    """Containers use the volume. details: containers (their names)."""

    code = "volume_in_use"
    status = 409


class BackupUnusable(SsmError):
    """A backup, or what should become one, is not whole, or not what its checksum says."""

    code = "backup_unusable"
    status = 422


class StoreFailed(SsmError):
    """The store of backups could not be written or read."""

    code = "store_failed"
    status = 507
