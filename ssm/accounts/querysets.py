"""Doors to rows about people."""

from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.db.models import Q, QuerySet

from ssm.lib.roles import Right, SomeUser, can

if TYPE_CHECKING:
    from ssm.accounts.models import ApiToken, AuditEntry  # noqa: F401 - in the quoted bases below


class AuditQuerySet(QuerySet["AuditEntry"]):
    """The audit."""

    def visible_to(self, user: SomeUser) -> Self:
        """All for those who manage users; to others what they did themselves."""
        if can(user, Right.MANAGE_USERS):
            return self.all()
        return self.filter(user_id=user.pk) if user.is_authenticated else self.none()

    def about(self, kind: str, identity: object) -> Self:
        """Entries about one object."""
        return self.filter(object_kind=kind, object_id=str(identity))

    def by(self, user: SomeUser) -> Self:
        """What somebody did, and what was tried in that name."""
        return self.filter(Q(user_id=user.pk) | Q(user_id=None, user_name=user.get_username()))


class TokenQuerySet(QuerySet["ApiToken"]):
    """Tokens of programs."""

    def visible_to(self, user: SomeUser) -> Self:
        """One's own; all for those who manage users."""
        if can(user, Right.MANAGE_USERS):
            return self.all()
        return self.filter(user_id=user.pk) if user.is_authenticated else self.none()

    def valid(self, moment: datetime) -> Self:
        """Neither over nor revoked."""
        return self.filter(revoked_at=None, expires_at__gt=moment)
