"""What can go wrong before or while the servers of a checkout run; each is shown as one line."""

from ssm.lib.errors import SsmError


class ServiceError(SsmError):
    """A server or process of this checkout could not be started or kept running."""

    code = "service"


class BinaryMissing(ServiceError):
    """A program that SSM starts is not on this machine."""

    code = "binary_missing"


class PortInUse(ServiceError):
    """Another program listens where SSM was told to listen."""

    code = "port_in_use"


class DiskFull(ServiceError):
    """The disk below the data directory has no room left for a database."""

    code = "disk_full"


class AlreadyRunning(ServiceError):
    """Another supervisor already runs for this data directory."""

    code = "already_running"


class ServiceFailed(ServiceError):
    """A server ended, or did not answer in time; the message holds the last thing that it said."""

    code = "service_failed"
