"""Write the record of what people changed: one line in the view or service that changes something.

```
before = snapshot(device)
form.save()
record_audit(request.user, "device.change", device, before=before, after=snapshot(device), request=request)
```
"""

import hashlib
import json
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model
from django.http import HttpRequest

from ssm.accounts.models.audit import AuditEntry
from ssm.lib.addresses import client_address
from ssm.lib.fields import EncryptedTextField, Undecryptable
from ssm.lib.roles import SomeUser

# Longer texts are cut: the record tells what changed, it is no backup.
MOST_TEXT: Final = 500
MOST_ENTRIES: Final = 60
# Names of columns whose values are never written down, besides those that are encrypted.
_SECRET_NAMES: Final = frozenset({"password", "digest", "secret", "secrets", "token", "key", "session_key"})

current_request: ContextVar[HttpRequest | None] = ContextVar("current_request", default=None)


@dataclass(frozen=True, slots=True)
class Concealed:
    """Stands for a secret in a snapshot: tells whether there is one and whether it changed, never what it is."""

    mark: str = ""

    @classmethod
    def of(cls, value: object) -> "Concealed":
        """The mark is for comparing within this process; it is not written anywhere."""
        if isinstance(value, Undecryptable):
            return cls("undecryptable")
        text = str(value or "")
        return cls(hashlib.sha256(text.encode()).hexdigest() if text else "")

    def __str__(self) -> str:
        return "stored" if self.mark else "none"

    def __repr__(self) -> str:
        return f"<secret: {self}>"


def snapshot(row: Model, *also: str) -> dict[str, Any]:
    """The row's columns by name, for ``before`` and ``after``; secrets concealed. ``also`` names lists of other rows.

    One query for each name in ``also``, and for relations that are not loaded yet.
    """
    values: dict[str, Any] = {}
    for column in row._meta.concrete_fields:
        if column.attname in row.get_deferred_fields():
            continue
        value = getattr(row, column.attname)
        if isinstance(column, EncryptedTextField) or column.name in _SECRET_NAMES:
            values[column.name] = Concealed.of(value)
        elif column.is_relation:
            related = getattr(row, column.name)
            values[column.name] = None if related is None else str(related)
        else:
            values[column.name] = value
    for name in also:
        values[name] = sorted(str(other) for other in getattr(row, name).all())
    return values


def record_audit(
    user: SomeUser | None,
    action: str,
    object: Model | str | None,  # noqa: A002 - the word of the trade
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    outcome: str = "",
    request: HttpRequest | None = None,
) -> AuditEntry:
    """Add an entry. One statement, in the caller's transaction: what is rolled back was not done.

    ``action`` is "kind.verb" (device.add, device.change, device.remove, hostkey.accept …). ``object`` is a row, or the
    name of something that has none. Of ``before`` and ``after`` only what differs is kept; with one of them empty the
    other is kept whole. ``outcome`` is empty where it went as asked. Without ``request`` that of the current call
    counts, if there is one.
    """
    request = request or current_request.get()
    known = user if user is not None and user.is_authenticated else None
    token = getattr(request, "api_token", None)
    was, is_now = _differences(before or {}, after or {})
    kind, identity, name = _described(object, action)
    return AuditEntry.objects.create(
        user_id=known.pk if known else None,
        user_name=_text(known.get_username(), 150) if known else "",
        door=_door(request),
        token_name=_text(token.name, 100) if token is not None else "",
        address=client_address(request) if request is not None else "",
        user_agent=_text(request.headers.get("User-Agent", ""), 255) if request is not None else "",
        action=action[:60],
        object_kind=kind,
        object_id=identity,
        object_name=name,
        before=was,
        after=is_now,
        outcome=_text(outcome, 255),
    )


def _door(request: HttpRequest | None) -> str:
    if request is None:
        return "system"
    if getattr(request, "api_token", None) is not None:
        return "api"
    return "admin" if request.path.startswith("/admin/") else "page"


def _described(row: Model | str | None, action: str) -> tuple[str, str, str]:
    """Kind, id and name of what was acted on."""
    kind = action.partition(".")[0][:60]
    if row is None:
        return kind, "", ""
    if isinstance(row, str):
        return kind, "", _text(row, 255)
    return row._meta.model_name or kind, str(row.pk or "")[:64], _text(str(row), 255)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    if before and after:
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    else:
        names = list(before or after)
    was, is_now = {}, {}
    for name in names[:MOST_ENTRIES]:
        if name in before:
            was[str(name)[:80]] = _value(before[name])
        if name in after:
            changed = isinstance(after[name], Concealed) and before and str(after[name]) == str(before.get(name))
            is_now[str(name)[:80]] = "stored, another one" if changed else _value(after[name])
    return was, is_now


def _value(value: Any) -> Any:
    """As plain JSON of bounded size."""
    if isinstance(value, Concealed | Undecryptable):
        return "stored" if isinstance(value, Undecryptable) else str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _text(value, MOST_TEXT)
    text = json.dumps(value, cls=DjangoJSONEncoder, default=str, ensure_ascii=False)
    if len(text) > MOST_TEXT:
        return _text(text, MOST_TEXT)
    plain = json.loads(text)
    return _text(plain, MOST_TEXT) if isinstance(plain, str) else plain


def _text(text: str, most: int) -> str:
    """Without control characters (a line of the record is one line), cut where it is too long."""
    clean = "".join(char if char.isprintable() else " " for char in text[: most + 1])
    return clean if len(clean) <= most else clean[: most - 1] + "…"
