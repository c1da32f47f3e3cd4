"""One operation: how far it is, what it told, how it ended; call it off or ask for the same again."""

import uuid

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from containers import batches, operations
from containers.errors import OperationRefused
from containers.models import Operation
from containers.rules.operation_kinds import right_for
from ssm.lib.access import allowed
from ssm.lib.roles import Right, can, can_view


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_view)
def operation(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """GET shows it; POST with ``act`` cancels it or asks for the same again."""
    visible = Operation.objects.visible_to(request.user).select_related("device", "container", "batch")
    found = get_object_or_404(visible, pk=pk)
    right = Right(right_for(found.kind))
    if request.method == "POST":
        if not can(request.user, right) or not Operation.objects.permitted(request.user, right).filter(pk=pk).exists():
            raise PermissionDenied
        return _act(request, found)
    context = {
        "operation": found,
        "may_act": can(request.user, right),
        "may_repeat": found.is_final and found.state != Operation.State.SUCCEEDED,
    }
    return render(request, "activity/operation.html", context)


def _act(request: HttpRequest, found: Operation) -> HttpResponse:
    act = request.POST.get("act", "")
    try:
        if act == "repeat" and found.is_final:
            return redirect(batches.ask_again(request.user, found))
        if act == "cancel" and not operations.request_cancel(request.user, found):
            messages.error(request, "It cannot be called off any more: the engine is at it, or it has ended.")
    except OperationRefused as refused:
        messages.error(request, str(refused))
    return redirect(found)
