"""Rows of the admin that are only looked at."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from ssm.lib.fields import EncryptedTextField


class LookOnlyAdmin(admin.ModelAdmin[Any]):
    """Rows that cannot be added, changed or deleted by hand; what is encrypted is not shown."""

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The class's own, and all secret columns."""
        secret = [field.name for field in self.model._meta.local_fields if isinstance(field, EncryptedTextField)]
        return [*(super().get_exclude(request, obj) or ()), *secret]

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Never; whoever has the view permission may look."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Never by hand: they expire, or go with their device."""
        return False
