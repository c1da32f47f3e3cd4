"""Tables of this app."""

from accounts.models.audit import AuditEntry
from accounts.models.roles import Role

__all__ = ["AuditEntry", "Role"]
