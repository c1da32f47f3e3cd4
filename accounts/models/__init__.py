"""Tables of this app."""

from accounts.models.access import Account, ApiToken, OpenSession
from accounts.models.audit import AuditEntry
from accounts.models.roles import Role
from accounts.models.second_factor import AuthenticatorApp, RecoveryCode

__all__ = ["Account", "ApiToken", "AuditEntry", "AuthenticatorApp", "OpenSession", "RecoveryCode", "Role"]
