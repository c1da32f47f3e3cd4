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
