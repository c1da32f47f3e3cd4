"""Tokens of programs: made, told apart, checked."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from django.contrib.auth.models import User
from django.http import HttpRequest

from ssm.accounts.errors import TokenRefused
from ssm.accounts.models import ApiToken
from ssm.accounts.models.audit import now
from ssm.accounts.rights_news import announce
from ssm.lib.addresses import client_address
from ssm.lib.roles import Limit, Right, grants_of, set_grants

# Tools that look for leaked secrets know tokens by such a beginning.
_FORM: Final = re.compile(r"ssm_(?P<prefix>[a-z0-9]{8})_(?P<secret>[A-Za-z0-9_-]{43})")
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
_SEEN_EVERY: Final = timedelta(minutes=1)


def make_token(
    user: User, name: str, rights: Iterable[Right], limit: Limit, expires_at: datetime
) -> tuple[ApiToken, str]:
    """A new token and its text, which is shown this once and kept nowhere."""
    prefix = "".join(secrets.choice(_LETTERS) for _ in range(8))
    secret = secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user,
        name=name,
        prefix=prefix,
        digest=_digest(secret),
        rights=sorted(rights),
        device_groups=list(limit.device_groups),
        labels=list(limit.labels),
        expires_at=expires_at,
    )
    return token, f"ssm_{prefix}_{secret}"


def revoke(token: ApiToken) -> None:
    """End a token; streams that were opened with it are closed."""
    token.revoked_at = token.revoked_at or now()
    token.save(update_fields=["revoked_at"])
    announce(token.user_id)


def authenticate(request: HttpRequest) -> User | None:
    """The user that the request's ``Authorization: Bearer ssm_…`` acts as, with the rights of the token alone.

    None where there is no such header. Raises TokenRefused. Sets ``request.user`` and ``request.api_token``. Ask
    `ssm.lib.roles.can` and the querysets' ``permitted`` about this user object, never ``has_perm``, which does not know
    of tokens. Three queries.
    """
    kind, _space, text = request.headers.get("Authorization", "").partition(" ")
    if kind.casefold() != "bearer":
        return None
    token = check(text.strip())
    user = token.user
    request.user = user
    request.api_token = token  # type: ignore[attr-defined]
    moment = now()
    if token.last_used_at is None or moment - token.last_used_at > _SEEN_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=moment, last_used_address=client_address(request))
    return user


def check(text: str) -> ApiToken:
    """The token that a text is, its user narrowed to the token's rights. Raises TokenRefused."""
    match = _FORM.fullmatch(text)
    token = ApiToken.objects.select_related("user").filter(prefix=match["prefix"]).first() if match else None
    if match is None or token is None or not hmac.compare_digest(token.digest, _digest(match["secret"])):
        raise TokenRefused
    if not token.is_valid(now()):
        raise TokenRefused("is over" if token.revoked_at is None else "was revoked")
    if not token.user.is_active:
        raise TokenRefused("belongs to somebody who may not log in any more")
    narrow(token.user, token)
    return token


def narrow(user: User, token: ApiToken) -> None:
    """Leave this user object what the token allows of what its user may."""
    rights = [Right(name) for name in token.rights if name in set(Right)]
    set_grants(user, grants_of(user).narrowed(rights, token.limit))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
