"""What images, volumes and networks have in common: filters by place, orders, and how they are shown."""

import uuid
from datetime import UTC, datetime
from typing import Any, Final

from django.db.models import BigIntegerField, DateTimeField, Value
from django.db.models.functions import Coalesce
from ninja import Schema
from pydantic import Field

from ssm.lib.api.forms import Text

# What is not known comes last where the largest or newest come first.
SIZE: Final = Coalesce("size_bytes", Value(-1), output_field=BigIntegerField())
CREATED: Final = Coalesce("created_at", Value(datetime(1970, 1, 1, tzinfo=UTC)), output_field=DateTimeField())
SORTS: Final = {
    "name": ("name", "device__name"),
    "device": ("device__name", "name"),
    "size": ("-size_order", "name"),
    "created": ("-created_order", "name"),
}


class OnDevice(Schema):
    """Which ones; all that are given must hold."""

    q: Text = Field("", description="Part of the name.", max_length=200)
    device: uuid.UUID | None = None
    group: Text = Field("", description="A group of devices.", max_length=50)

    def of(self, rows: Any, column: str = "name") -> Any:
        """Those of the rows that pass."""
        if self.device:
            rows = rows.filter(device_id=self.device)
        if self.group:
            rows = rows.filter(device__groups__contains=[self.group])
        return rows.filter(**{f"{column}__icontains": self.q}) if self.q else rows
