"""Containers made, copied, and made anew with changes."""

import uuid
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Status

from containers.api.asking import device_for
from containers.api.containers import router
from containers.api.drafts import Creation, Doubts, Recreation, filled, fresh, told
from containers.api.idempotency import idempotent
from containers.api.schemas import OperationEntry
from containers.creation_requests import request_create, request_recreate
from containers.forms.creation import doubts, sees_values_of, shown_of
from containers.models import Container
from containers.rules.creation import check
from containers.rules.drafts import Draft
from devices.models import Device
from ssm.lib.api.access import needs
from ssm.lib.api.errors import FieldProblem, answers
from ssm.lib.roles import Right

# Its endpoints stand on the router of containers, with whom they share paths.
__all__ = ["router"]


@router.post("", response=answers(OperationEntry, 202), operation_id="containers_create")
@needs(Right.OPERATE)
@idempotent
def containers_create(request: HttpRequest, order: Creation) -> Any:
    """Make a container, from an image or as a copy of another one (`source`). The image is pulled if it is missing.

    The operation tells the new container once it has succeeded.
    """
    device = device_for(request, order.device, Right.OPERATE)
    source, shown, sees_values = None, Draft(), True
    if order.source is not None:
        source = _container(request, order.source)
        sees_values = sees_values_of(request.user, source)
        shown = shown_of(source, sees_values=sees_values, is_successor=False)
    draft = filled(shown if source is not None else fresh(), order)
    changes = _checked(request, draft, shown, device, sees_values=sees_values, anyway=order.anyway)
    operation = request_create(
        request.user, device, draft, changes, source=source, pulls=order.pulls, starts=order.starts
    )
    return Status(202, OperationEntry.of(operation))


@router.post("/{uuid:pk}/recreate", response=answers(OperationEntry, 202), operation_id="containers_recreate")
@needs(Right.OPERATE)
@idempotent
def containers_recreate(request: HttpRequest, pk: uuid.UUID, order: Recreation) -> Any:
    """Put a container with these changes in its place; without any, make it anew as it is.

    What holds values of variables that you may not see, keeps them; what runs with them cannot be changed then.
    """
    found = _container(request, pk)
    sees_values = sees_values_of(request.user, found)
    shown = shown_of(found, sees_values=sees_values, is_successor=True)
    draft = filled(shown, order)
    changes = _checked(
        request, draft, shown, found.device, sees_values=sees_values, anyway=order.anyway, successor_of=found
    )
    return Status(202, OperationEntry.of(request_recreate(request.user, found, draft, changes, pulls=order.pulls)))


def _container(request: HttpRequest, pk: uuid.UUID) -> Container:
    rows = Container.objects.permitted(request.user, Right.OPERATE).present().select_related("device")
    return get_object_or_404(rows, pk=pk)


def _checked(
    request: HttpRequest,
    draft: Draft,
    shown: Draft,
    device: Device,
    *,
    sees_values: bool,
    anyway: bool,
    successor_of: Container | None = None,
) -> dict[str, Any]:
    """What changes. FieldProblem for what is wrong; Doubts for what only speaks against it, unless ``anyway``."""
    checked = check(draft, shown, sees_values=sees_values)
    if checked.errors:
        raise FieldProblem(told(checked.errors, draft))
    if not anyway and (against := doubts(request.user, device, draft, successor_of=successor_of)):
        raise Doubts(told(against, draft))
    return checked.changes
