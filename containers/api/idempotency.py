"""`Idempotency-Key`: a request that is sent again gets the first one's answer and does nothing.

As in the IETF draft "The Idempotency-Key HTTP Header Field": the key is the caller's, counts per user, and is kept for
a day. The key's row and what the request does are one transaction, so that there is no moment between the two.
"""

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar

from django.db import IntegrityError, transaction
from django.http import HttpRequest
from ninja import Schema, Status

from containers.errors import OperationRefused
from containers.models import IdempotentRequest
from ssm.lib.api.errors import FieldProblem

HEADER: Final = "Idempotency-Key"
_LONGEST: Final = 200
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class KeyReused(OperationRefused):
    """The key was used for another request."""

    code = "idempotency_key_reused"


def idempotent(endpoint: Endpoint) -> Endpoint:
    """Have the endpoint, which answers ``Status(status, schema)``, act once for each key. Errors keep no key."""

    @wraps(endpoint)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        key = request.headers.get(HEADER, "")
        if not key:
            return endpoint(request, *args, **kwargs)
        if len(key) > _LONGEST or not key.isascii() or not key.isprintable():
            raise FieldProblem({HEADER: f"A key is at most {_LONGEST} printable ASCII characters."})
        digest = _digest(request)
        caller: Any = request.user.pk
        try:
            with transaction.atomic():
                row = IdempotentRequest.objects.create(user_id=caller, key=key, digest=digest)
                answer: Status[Schema] = endpoint(request, *args, **kwargs)
                row.status, row.answer = answer.status_code, answer.value.model_dump(mode="json")
                row.save(update_fields=["status", "answer"])
            return answer
        except IntegrityError:
            first = IdempotentRequest.objects.filter(user_id=caller, key=key).first()
            if first is None:
                raise
        if first.digest != digest:
            raise KeyReused(
                "This idempotency key was used for another request.", fix="Use a new key for each request of its own."
            )
        return Status(first.status, first.answer)

    # Read where the API is described.
    guarded.is_idempotent = True  # type: ignore[attr-defined]
    return guarded  # type: ignore[return-value]


def _digest(request: HttpRequest) -> str:
    parts = [request.method or "", request.get_full_path()]
    digest = hashlib.sha256("\0".join(parts).encode())
    digest.update(b"\0" + request.body)
    return digest.hexdigest()
