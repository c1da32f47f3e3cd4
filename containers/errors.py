"""What this app refuses, told to the user."""

from ssm.lib.errors import SsmError


class OperationRefused(SsmError):
    """The act makes no sense for this container as it is."""

    code = "operation_refused"
    status = 409


class OperationConflict(OperationRefused):
    """Another operation on the same container is under way. details: operation (its id)."""

    code = "operation_conflict"
