"""Rows of this app: what hosts hold, and what was done and seen."""

from containers.models.activity import Batch, BatchStanding, Event, Operation
from containers.models.inventory import Container

__all__ = ["Batch", "BatchStanding", "Container", "Event", "Operation"]
