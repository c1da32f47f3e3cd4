"""Pages of a container that ask its host: processes, and files that differ from the image."""

import uuid
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from containers import inside
from containers.models import Container
from containers.views.pages import find_container, sees_values
from devices.errors import DeviceError
from ssm.lib.access import allowed
from ssm.lib.htmx import is_partial, render_page
from ssm.lib.roles import can_view

_HEAVY = ("inspect", "environment")


@require_GET
@allowed(can_view)
def processes(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The processes in it; the frame at once, the answer when HTMX asks or with ``?ask=1``."""
    masks = not sees_values(request, pk)
    return _answer(request, pk, "processes", lambda container: inside.processes(container, masks=masks))


@require_GET
@allowed(can_view)
def changes(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Files that differ from the image, asked for in the same way."""
    return _answer(request, pk, "changes", inside.file_changes)


def _answer(request: HttpRequest, pk: uuid.UUID, tab: str, ask: Callable[[Container], Any]) -> HttpResponse:
    container = find_container(request, pk, unread=_HEAVY)
    context: dict[str, Any] = {"container": container, "tab": tab, "is_asked": False}
    if (is_partial(request) or "ask" in request.GET) and container.removed_at is None:
        context["is_asked"] = True
        try:
            context["answer"] = ask(container)
        except DeviceError as error:
            context["error"] = error
    return render_page(request, "containers/inside.html", f"containers/partials/{tab}.html", context)
