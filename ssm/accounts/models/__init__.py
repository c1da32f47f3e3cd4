"""Tables of this app."""

from ssm.accounts.models.access import Account, ApiToken, OpenSession
from ssm.accounts.models.audit import AuditEntry
from ssm.accounts.models.roles import Role
from ssm.accounts.models.second_factor import AuthenticatorApp, RecoveryCode

__all__ = ["Account", "ApiToken", "AuditEntry", "AuthenticatorApp", "OpenSession", "RecoveryCode", "Role"]
