"""Open sessions: where somebody is logged in, what still holds them back, and the end of one."""

import time
from collections import OrderedDict
from threading import Lock
from typing import Any, Final

from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.http import HttpRequest

from ssm.accounts.models import Account, OpenSession
from ssm.accounts.models.audit import now
from ssm.lib.addresses import client_address
from ssm.lib.roles import SomeUser, grants_of

# What a session remembers of its log-in.
SECOND_FACTOR: Final = "second_factor"
MUST_CHANGE_PASSWORD: Final = "must_change_password"  # noqa: S105 - the name of an entry
DEMANDED: Final = "second_factor_demanded"
# "Last seen" is written this often at most.
NOTED_EVERY_S: Final = 60.0
_MOST_NOTED: Final = 10_000


def held_back(user: SomeUser, session: Any) -> str:
    """What somebody who is logged in has to do before anything else: "password", "second-factor", or nothing ("").

    No query beyond that of the user's rights.
    """
    if session.get(MUST_CHANGE_PASSWORD):
        return "password"
    if SECOND_FACTOR in session:
        return ""
    demanded = session.get(DEMANDED) or grants_of(user).demands_second_factor
    return "second-factor" if demanded else ""


def begin(request: HttpRequest, user: User, *, app_id: int | None = None) -> None:
    """Note in a session that was just logged in what its user has to do first, and where it is.

    ``app_id`` is that of the second factor that was used.
    """
    if app_id is not None:
        request.session[SECOND_FACTOR] = app_id
    account = Account.objects.filter(user=user).first()
    if account is not None and account.must_change_password:
        request.session[MUST_CHANGE_PASSWORD] = True
    if account is not None and account.demands_second_factor:
        request.session[DEMANDED] = True
    request.session.save()
    note_session(request, at_once=True)


class _Noted:
    """Which sessions were written lately, so that a page costs no write."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, float] = OrderedDict()
        self._lock = Lock()

    def is_due(self, key: str) -> bool:
        moment = time.monotonic()
        with self._lock:
            # What is seen for the first time was noted at its log-in.
            before = self._times.setdefault(key, moment)
            if moment - before < NOTED_EVERY_S:
                return False
            self._times[key] = moment
            self._times.move_to_end(key)
            if len(self._times) > _MOST_NOTED:
                self._times.popitem(last=False)
            return True


_noted = _Noted()


def note_session(request: HttpRequest, *, at_once: bool = False) -> None:
    """Keep where and when the request's session was seen last; at most one write a minute and session.

    For requests whose session is stored already.
    """
    key = request.session.session_key
    if not key or not (_noted.is_due(key) or at_once):
        return
    seen = {
        "address": client_address(request),
        "user_agent": "".join(char for char in request.headers.get("User-Agent", "")[:255] if char.isprintable()),
        "last_seen_at": now(),
    }
    # The session may have ended meanwhile: then nothing is written.
    if Session.objects.filter(pk=key).exists():
        OpenSession.objects.update_or_create(
            session_id=key, defaults=seen, create_defaults={**seen, "user_id": int(request.session["_auth_user_id"])}
        )


def end_sessions(user: User, *, but: str | None = None) -> int:
    """Log the user out everywhere, except in the session with the key ``but``. Returns how many were ended."""
    rows = Session.objects.filter(open_session__user=user)
    if but:
        rows = rows.exclude(pk=but)
    count = rows.count()
    for row in rows:
        row.delete()  # one by one: each end is told
    return count
