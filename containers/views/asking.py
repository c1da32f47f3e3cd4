"""What the pages of images share when they ask for acts: the dialog that asks back, and the answer once asked for."""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django_htmx.http import HttpResponseClientRedirect, reswap, retarget, trigger_client_event

from containers import batches
from containers.batches import Item
from containers.errors import OperationRefused
from containers.models import Batch, Operation
from ssm.lib.htmx import is_partial

DIALOG: Final = "#remote-dialog"
KIND: Final = Operation.Kind


def ids_of(texts: Iterable[str], most: int) -> list[uuid.UUID]:
    """Those of the texts that are UUIDs, at most so many."""
    found = []
    for text in list(texts)[:most]:
        try:
            found.append(uuid.UUID(text))
        except ValueError:
            continue  # not one of our boxes
    return found


def ask_back(
    request: HttpRequest, template: str, context: dict[str, Any], *, title: str, is_wrong: bool = False
) -> HttpResponse:
    """Show a form that asks back: in the dialog where HTMX asked, else as a page of its own."""
    status = 422 if is_wrong else 200
    context = {**context, "dialog_title": title, "dialog": template}
    if not is_partial(request):
        return render(request, "images/confirm.html", context, status=status)
    response = render(request, template, context, status=status)
    return reswap(retarget(response, DIALOG), "innerHTML")


def start_one(request: HttpRequest, item: Item, *, back: str) -> HttpResponse:
    """Ask for one act and show its page; a refusal is told where the button was."""
    try:
        operation = batches.request_item(request.user, item)
    except OperationRefused as refused:
        return refuse(request, refused, back=back)
    return _go_to(request, operation.get_absolute_url())


def start_all(
    request: HttpRequest, items: Sequence[Item], *, title: str, back: str, stops: bool = False, in_turn: bool = False
) -> HttpResponse:
    """Ask for several acts; their summary where HTMX asked from a list, else the page with a result per item."""
    try:
        batch = batches.request_items(request.user, items, title=title, stops_on_failure=stops, one_per_device=in_turn)
    except OperationRefused as refused:
        return refuse(request, refused, back=back)
    return show_batch(request, batch)


def show_batch(request: HttpRequest, batch: Batch) -> HttpResponse:
    """The summary of a batch in the place that lists keep for it, or its page."""
    if not is_partial(request):
        return redirect(batch)
    response = render(request, "activity/partials/batch.html", {"batch": batches.find_batch(batch.pk)})
    response = reswap(retarget(response, "#bulk-result"), "innerHTML")
    return trigger_client_event(trigger_client_event(response, "dialog-close", {}), "selection-clear", {})


def refuse(request: HttpRequest, refused: OperationRefused, *, back: str) -> HttpResponse:
    """Say why not."""
    if not is_partial(request):
        messages.error(request, str(refused))
        return redirect(back)
    response = trigger_client_event(HttpResponse(status=204), "dialog-close", {})
    return trigger_client_event(response, "toast", {"text": str(refused), "tone": "bad"})


def _go_to(request: HttpRequest, url: str) -> HttpResponse:
    return HttpResponseClientRedirect(url) if is_partial(request) else redirect(url)
