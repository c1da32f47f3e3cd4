"""Whatever changes what somebody may do is told to open streams, by whichever door it came."""

from typing import Any

from django.contrib.auth.models import Group, User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.contrib.sessions.models import Session
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete
from django.http import HttpRequest

from ssm.accounts.audit import record_audit
from ssm.accounts.models import Account, Role
from ssm.accounts.rights_news import announce


def connect() -> None:
    """Listen; called once, when all models are there."""
    for sender in (User.groups.through, User.user_permissions.through):
        m2m_changed.connect(_on_membership, sender=sender, dispatch_uid=f"accounts.{sender.__name__}")
    m2m_changed.connect(_on_permissions, sender=Group.permissions.through, dispatch_uid="accounts.permissions")
    post_save.connect(_on_role, sender=Role, dispatch_uid="accounts.role")
    pre_delete.connect(_on_role, sender=Group, dispatch_uid="accounts.group")
    post_save.connect(_on_user, sender=User, dispatch_uid="accounts.user")
    post_delete.connect(_on_user, sender=User, dispatch_uid="accounts.user-gone")
    post_save.connect(_on_account, sender=Account, dispatch_uid="accounts.account")
    pre_delete.connect(_on_session_end, sender=Session, dispatch_uid="accounts.session")
    user_logged_in.connect(_on_log_in, dispatch_uid="accounts.log-in")
    user_logged_out.connect(_on_log_out, dispatch_uid="accounts.log-out")
    user_login_failed.connect(_on_failure, dispatch_uid="accounts.failure")


def _on_membership(instance: Any, action: str, **_: Any) -> None:
    if action.startswith("post_"):
        announce(instance.pk if isinstance(instance, User) else None)


def _on_permissions(action: str, **_: Any) -> None:
    if action.startswith("post_"):
        announce()


def _on_role(**_: Any) -> None:
    announce()


def _on_user(instance: User, update_fields: Any = None, **_: Any) -> None:
    if update_fields is None or set(update_fields) - {"last_login"}:
        announce(instance.pk)


def _on_account(instance: Account, **_: Any) -> None:
    announce(instance.user_id)


def _on_session_end(instance: Session, **_: Any) -> None:
    if user_id := str(instance.get_decoded().get("_auth_user_id", "")):
        announce(int(user_id))


def _on_log_in(request: HttpRequest | None, user: User, **_: Any) -> None:
    if request is not None:
        record_audit(user, "user.log-in", user, request=request)


def _on_log_out(request: HttpRequest | None, user: User | None, **_: Any) -> None:
    if request is not None and user is not None:
        record_audit(user, "user.log-out", user, request=request)


def _on_failure(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """Of failed log-ins the name is kept, which may be anything that somebody typed there."""
    if request is not None:
        name = str(credentials.get("username", ""))[:150]
        locked = getattr(request, "is_locked_out", False)
        outcome = "refused: too many failed log-ins" if locked else "refused: wrong name or password"
        record_audit(None, "user.log-in", name, request=request, outcome=outcome)
