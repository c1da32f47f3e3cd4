"""Pages that add many devices at once: the text, a preview of each row, and what became of it."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from devices.forms.importing import ImportForm, ImportPlan
from devices.importing import ADDED, FAILED, SKIPPED, add
from ssm.lib.access import allowed
from ssm.lib.roles import can_administer


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_administer)
def import_devices(request: HttpRequest) -> HttpResponse:
    """The form; its POST shows the preview, that of the preview (``step`` is add) adds the chosen rows."""
    if request.method != "POST":
        return render(request, "devices/import.html", {"form": ImportForm()})
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return render(request, "devices/import.html", {"form": form}, status=422)
    is_final = request.POST.get("step") == "add"
    planned = ImportPlan(form, request.user, request.POST if is_final else None)
    if not is_final:
        context = {"plan": planned, "source": form.cleaned_data["source"], "text": form.cleaned_data["text"]}
        return render(request, "devices/import_preview.html", context)
    return _add(request, planned)


def _add(request: HttpRequest, planned: ImportPlan) -> HttpResponse:
    chosen = {int(number) for number in request.POST.getlist("row") if number.isdecimal() and len(number) < 6}
    results = add(planned.planned, chosen, planned.credentials(), planned.groups, request.user)
    counts: dict[str, Any] = {
        f"{outcome}_count": sum(result.outcome == outcome for result in results) for outcome in (ADDED, SKIPPED, FAILED)
    }
    if counts["added_count"]:
        plural = "" if counts["added_count"] == 1 else "s"
        messages.success(request, f"{counts['added_count']} device{plural} added.")
    return render(request, "devices/import_results.html", {"results": results, **counts})
