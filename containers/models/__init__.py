"""Rows of this app: what hosts hold, and what was done and seen."""

from containers.models.activity import LONG_KINDS, Batch, BatchStanding, Event, Operation
from containers.models.images import Image
from containers.models.inventory import Container
from containers.models.networks import Network
from containers.models.replacements import Replacement
from containers.models.requests import IdempotentRequest
from containers.models.statistics import ContainerUsage, HostUsage
from containers.models.updates import UpdateCheck, UpdatePolicy, UpdateStatus
from containers.models.volumes import Backup, BackupPlan, Volume

__all__ = [
    "LONG_KINDS",
    "Backup",
    "BackupPlan",
    "Batch",
    "BatchStanding",
    "Container",
    "ContainerUsage",
    "Event",
    "HostUsage",
    "IdempotentRequest",
    "Image",
    "Network",
    "Operation",
    "Replacement",
    "UpdateCheck",
    "UpdatePolicy",
    "UpdateStatus",
    "Volume",
]
