"""Who may send a body beyond the usual size: asked before it is read, as it is written to disk."""

import asyncio
import logging
import shutil
import tempfile
from http.cookies import CookieError, SimpleCookie
from typing import Final

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest

from ssm.accounts import tokens
from ssm.accounts.errors import TokenRefused
from ssm.lib.database import database_work
from ssm.lib.roles import Right, can
from ssm.serve.answers import Refusal
from ssm.serve.limits import MIB

logger = logging.getLogger(__name__)

_ANSWER_S: Final = 20.0
# Room that uploads leave on their disk.
_KEPT_FREE: Final = 256 * MIB


async def refusal_of_upload(cookies: str, authorization: str, right: Right, length: int | None) -> Refusal | None:
    """Why a large body is not taken from whoever has this session or token; None if it is. Asks the database."""
    async with asyncio.timeout(_ANSWER_S):
        user = await asyncio.to_thread(_user, cookies, authorization, right)
    if user is None:
        return Refusal(403, "What is larger than usual is taken from those who may upload it.", "Log in anew.")
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < (length or 0) + _KEPT_FREE:
        logger.error("An upload was refused: %s has no room for it", tempfile.gettempdir())
        return Refusal(507, "There is no room for what is sent.", "Tell an administrator of SSM.")
    return None


def _user(cookies: str, authorization: str, right: Right) -> User | None:
    """Who it is, if the right is theirs. Never raises for what the client wrote."""
    with database_work():
        kind, _space, text = authorization.partition(" ")
        if kind.casefold() == "bearer":
            try:
                user = tokens.check(text.strip()).user
            except TokenRefused:
                return None
        else:
            request = HttpRequest()
            request.session = SessionStore(_session_key(cookies))
            found = get_user(request)
            if not isinstance(found, User):
                return None
            user = found
        return user if user.is_active and can(user, right) else None


def _session_key(cookies: str) -> str | None:
    try:
        morsel = SimpleCookie(cookies).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return None
    return morsel.value if morsel else None
