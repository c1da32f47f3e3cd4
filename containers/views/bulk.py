"""Acts on several containers at once, and the page that tells the result of each."""

import uuid
from itertools import groupby
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import reswap, retarget, trigger_client_event

from containers import batches
from containers.errors import OperationRefused
from containers.filters import FleetFilter
from containers.models import Batch, Container, Operation
from containers.projects import MOST_PROJECTS, in_projects, keys_of, project_url
from containers.rules.actions import Action, bulk_question, find_action
from containers.rules.parameters import SIGNALS, ParameterError, read_parameters
from containers.views.operations import DIALOG
from ssm.lib.access import allowed
from ssm.lib.htmx import is_partial, render_page
from ssm.lib.roles import Right, can_operate, can_view
from ssm.lib.tables import page_of


@require_POST
@allowed(can_operate)
def bulk(request: HttpRequest) -> HttpResponse:
    """Ask back as hard as the harm demands, then ask for the act on each of the chosen containers."""
    action = find_action(request.POST.get("kind", ""))
    if action is None:
        return HttpResponse("Unknown kind of operation.\n", status=400, content_type="text/plain")
    chosen = _chosen(request)
    devices = {container.device_id for container in chosen}
    question = bulk_question(action, len(chosen), len(devices))
    confirmation = request.POST.get("confirmation", "").strip()
    is_asked = "confirmation" in request.POST
    errors: dict[str, str] = {}
    parameters: dict[str, Any] = {}
    try:
        parameters = read_parameters(action.kind, request.POST) if is_asked else {}
    except ParameterError as exc:
        errors[exc.field] = str(exc)
    is_wrong = question is not None and is_asked and confirmation != (question.phrase or "yes")
    if chosen and question and (not is_asked or is_wrong or errors):
        context = {
            "action": action,
            "question": question,
            "chosen": chosen,
            "by_device": [(device, list(group)) for device, group in groupby(chosen, lambda item: item.device)],
            "signals": SIGNALS,
            "errors": errors,
            "given": {**request.POST.dict(), "asked": is_asked},
            "is_wrong": is_wrong,
            "back": _back(request),
            "projects": request.POST.getlist("project")[:MOST_PROJECTS],
        }
        return _ask(request, context, status=422 if is_asked else 200)
    try:
        title = _title(action, len(chosen), request.POST.getlist("project"))
        batch = batches.request_batch(request.user, chosen, action.kind, parameters, title=title)
    except OperationRefused as refused:
        return _refuse(request, refused)
    if not is_partial(request):
        return redirect(batch)
    response = render(request, "activity/partials/batch.html", {"batch": batches.find_batch(batch.pk)})
    return trigger_client_event(trigger_client_event(response, "dialog-close", {}), "selection-clear", {})


def _chosen(request: HttpRequest) -> list[Container]:
    """The chosen containers that the user may operate, one more than allowed at most, by device and name."""
    visible = Container.objects.permitted(request.user, Right.OPERATE).select_related("device")
    visible = visible.defer("inspect", "environment")
    matching = request.POST.get("matching", "")[:2000]
    if request.POST.get("of") == "projects":
        keys = request.POST.getlist("project")
        if matching:
            keys = keys_of(request.user, QueryDict("" if matching == "all" else matching))
        visible = visible.present().filter(in_projects(keys))
    elif matching:
        fleet = FleetFilter.read(QueryDict("" if matching == "all" else matching))
        visible = fleet.select(visible.present())
    else:
        visible = visible.filter(pk__in=_ids(request.POST.getlist("container")))
    return list(visible.order_by("device__name", "name", "pk")[: batches.MOST_ITEMS + 1])


def _ids(texts: list[str]) -> list[uuid.UUID]:
    found = []
    for text in texts[: batches.MOST_ITEMS + 1]:
        try:
            found.append(uuid.UUID(text))
        except ValueError:
            continue  # not one of our boxes
    return found


def _title(action: Action, count: int, projects: list[str]) -> str:
    if len(projects) == 1:
        return f"{action.label} the project {projects[0].partition(':')[2][:120]}"
    return f"{action.label} {count:,} container{'s' if count != 1 else ''}"


def _ask(request: HttpRequest, context: dict[str, Any], status: int) -> HttpResponse:
    if not is_partial(request):
        return render(request, "containers/bulk_confirm.html", context, status=status)
    response = render(request, "containers/partials/bulk_confirm.html", context, status=status)
    return reswap(retarget(response, DIALOG), "innerHTML")


def _refuse(request: HttpRequest, refused: OperationRefused) -> HttpResponse:
    if not is_partial(request):
        messages.error(request, str(refused))
        return redirect(_back(request))
    return trigger_client_event(HttpResponse(status=204), "toast", {"text": str(refused), "tone": "bad"})


def _back(request: HttpRequest) -> str:
    """The table with the filters that the boxes stood under, or the page of one project."""
    projects = request.POST.getlist("project")
    if projects:
        device, _colon, name = projects[0].partition(":")
        is_one = len(projects) == 1 and bool(_ids([device]))
        return project_url(device, name) if is_one else reverse("projects:list")
    matching = request.POST.get("matching", "")[:2000]
    return reverse("containers:list") + (f"?{matching}" if matching and matching != "all" else "")


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_view)
def batch(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """GET lists what became of each item; POST with ``act`` tries the failed again or cancels what has not begun."""
    found = get_object_or_404(Batch.objects.visible_to(request.user), pk=pk)
    if request.method == "POST":
        return _go_on(request, found)
    found = batches.find_batch(found.pk) or found
    rows = Operation.objects.visible_to(request.user).filter(batch=found).select_related("device", "container")
    context = {
        "batch": found,
        "standing": found.standing,
        "page": page_of(request, rows.order_by("wave", "device_name", "target_name")),
    }
    return render_page(request, "activity/batch.html", "activity/partials/results.html", context)


@allowed(can_operate)
def _go_on(request: HttpRequest, found: Batch) -> HttpResponse:
    act = request.POST.get("act", "")
    try:
        if act == "retry":
            return redirect(batches.retry_failed(request.user, found))
        if act == "cancel":
            count = batches.cancel_waiting(found)
            messages.success(request, f"{count} cancelled." if count else "All had begun already: nothing to cancel.")
    except OperationRefused as refused:
        messages.error(request, str(refused))
    return redirect(found)
