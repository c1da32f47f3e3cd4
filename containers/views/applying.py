"""Apply updates: of one container or of many; go back to what one was before, and what becomes of what was kept."""

import uuid
from itertools import groupby
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect, reswap, retarget, trigger_client_event

from containers import batches
from containers.errors import OperationRefused
from containers.filters import FleetFilter
from containers.models import Container, Replacement, UpdateStatus
from containers.rules.apply_options import Options, keeps, read_options
from containers.rules.parameters import ParameterError
from containers.rules.update_targets import Target
from containers.updates import applying
from containers.updates.applying import Candidate
from containers.updates.listing import UpdateFilter
from containers.views.operations import DIALOG
from devices.models import now
from ssm.accounts.audit import record_audit, snapshot
from ssm.lib.access import allowed
from ssm.lib.htmx import is_partial
from ssm.lib.roles import Right, can_operate
from ssm.lib.tables import text_of

PHRASE: Final = "update"
_HEAVY: Final = ("inspect", "environment")


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_operate)
def apply(request: HttpRequest) -> HttpResponse:
    """Show what would be updated to what and how; POST with ``confirmation`` asks for it: one operation, or a batch."""
    found = applying.candidates(_chosen(request, request.POST if request.method == "POST" else request.GET))
    if not found:
        refused = OperationRefused("None of the chosen containers exists any more.", fix="Choose others.")
        return _refuse(request, refused)
    errors: dict[str, str] = {}
    usual = applying.usual_options()
    options, picks = usual, []
    is_asked = "confirmation" in request.POST
    if is_asked:
        try:
            options = read_options(request.POST, usual)
        except ParameterError as exc:
            errors[exc.field] = str(exc)
        picks = _picks(request, found)
        if not picks:
            errors["pick"] = "Choose at least one."
        if _is_typed(found) and text_of(request.POST, "confirmation").strip() != PHRASE:
            errors["confirmation"] = f"That is not “{PHRASE}”."
    if not is_asked or errors:
        return _ask(request, found, picks, errors, status=422 if errors else 200)
    try:
        return _request(request, found, picks, options)
    except OperationRefused as refused:
        return _refuse(request, refused)


def _chosen(request: HttpRequest, given: QueryDict) -> list[Container]:
    """The containers that are meant and may be operated, by device and name; one more than allowed at most."""
    rows = Container.objects.permitted(request.user, Right.OPERATE).present()
    matching = given.get("matching", "")[:2000]
    image = text_of(given, "image")
    if image or (matching and given.get("list") == "updates"):
        query = QueryDict("" if matching == "all" else matching, mutable=True)
        if image:
            query["image"] = image
        statuses = UpdateFilter.read(query).select(UpdateStatus.objects.visible_to(request.user)).offering(now())
        rows = rows.filter(update__in=statuses.order_by())
    elif matching:
        rows = FleetFilter.read(QueryDict("" if matching == "all" else matching)).select(rows)
    else:
        rows = rows.filter(pk__in=_ids(given.getlist("container")))
    rows = rows.select_related("device", "update").defer(*_HEAVY, "update__trace", "update__lookups", "update__good")
    return list(rows.order_by("device__name", "name", "pk")[: batches.MOST_ITEMS + 1])


def _ids(texts: list[str]) -> list[uuid.UUID]:
    found = []
    for text in texts[: batches.MOST_ITEMS + 1]:
        try:
            found.append(uuid.UUID(text))
        except ValueError:
            continue  # not one of our boxes
    return found


def _is_typed(found: list[Candidate]) -> bool:
    """Whether it reaches more than one device, so that it has to be typed."""
    return len({candidate.container.device_id for candidate in found if candidate.targets}) > 1


def _picks(request: HttpRequest, found: list[Candidate]) -> list[tuple[Candidate, Target]]:
    """What was ticked, and to what each is updated; a single one may go to any tag."""
    if len(found) == 1:
        candidate = found[0]
        tag = text_of(request.POST, "other").strip() or text_of(request.POST, "tag")
        known = {target.tag: target for target in candidate.targets}
        return [(candidate, known.get(tag) or Target(tag[:128], "unknown"))] if tag else []
    ticked = set(request.POST.getlist("pick"))
    return [
        (candidate, candidate.first)
        for candidate in found
        if candidate.first is not None and not candidate.problem and str(candidate.container.pk) in ticked
    ]


def _ask(
    request: HttpRequest,
    found: list[Candidate],
    picks: list[tuple[Candidate, Target]],
    errors: dict[str, str],
    status: int,
) -> HttpResponse:
    usual = applying.usual_options()
    able = [candidate for candidate in found if not candidate.problem]
    ticked = {candidate.container.pk for candidate, _target in picks}
    if "confirmation" not in request.POST:
        ticked = {candidate.container.pk for candidate in able if candidate.is_preselected}
    context: dict[str, Any] = {
        "found": found,
        "single": found[0] if len(found) == 1 else None,
        "by_device": [
            (device, list(group)) for device, group in groupby(able, lambda candidate: candidate.container.device)
        ],
        "unable": [candidate for candidate in found if candidate.problem],
        "ticked": ticked,
        "has_compose": any(candidate.drift for candidate in able),
        "given": request.POST.dict(),
        "errors": errors,
        "usual": usual,
        "keeps": keeps(usual.keep_old_s),
        "keep": request.POST.get("keep_old_s", str(usual.keep_old_s)),
        "phrase": PHRASE if _is_typed(found) else "",
        "back": _back(request),
    }
    if not is_partial(request):
        return render(request, "updates/apply.html", context, status=status)
    response = render(request, "updates/partials/apply.html", context, status=status)
    return reswap(retarget(response, DIALOG), "innerHTML")


def _request(
    request: HttpRequest, found: list[Candidate], picks: list[tuple[Candidate, Target]], options: Options
) -> HttpResponse:
    asked: Any
    if len(found) == 1:
        candidate, target = picks[0]
        asked = applying.request_update(request.user, candidate, target.tag, options)
    else:
        stops = request.POST.get("stops_on_failure") == "on"
        asked = applying.request_updates(request.user, picks, options, stops_on_failure=stops)
    # To its page: there the progress is.
    return HttpResponseClientRedirect(asked.get_absolute_url()) if is_partial(request) else redirect(asked)


def _refuse(request: HttpRequest, refused: OperationRefused) -> HttpResponse:
    if not is_partial(request):
        messages.error(request, str(refused))
        # Not redirect(): what has no slash it takes for the name of a view.
        return HttpResponseRedirect(_back(request))
    return trigger_client_event(HttpResponse(status=204), "toast", {"text": str(refused), "tone": "bad"})


def _back(request: HttpRequest) -> str:
    """The page that the button was on, if it is one of ours."""
    came_from = request.POST.get("back") or request.headers.get("HX-Current-URL") or request.headers.get("Referer", "")
    if url_has_allowed_host_and_scheme(came_from, {request.get_host()}, require_https=request.is_secure()):
        return came_from
    return reverse("updates:list")


# ---- what a container was before


@require_POST
@allowed(can_operate)
def replacement(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Go back to what a container was before (``act`` rollback), or say what becomes of it (discard, keep)."""
    rows = Replacement.objects.permitted(request.user, Right.OPERATE).select_related("container__device", "device")
    found = get_object_or_404(rows.defer("container__inspect", "container__environment"), pk=pk)
    act = request.POST.get("act", "")
    if act not in ("rollback", "discard", "keep"):
        return HttpResponse("Unknown act.\n", status=400, content_type="text/plain")
    if act == "keep":
        before = snapshot(found)
        applying.keep_longer(found, 0)
        found.refresh_from_db(fields=["keep_until"])
        record_audit(request.user, "replacement.keep", found, before=before, after=snapshot(found), request=request)
        return redirect(reverse("containers:updates", args=[found.container_id]))
    errors: dict[str, str] = {}
    options = applying.usual_options()
    is_asked = "confirmation" in request.POST
    if is_asked and act == "rollback":
        try:
            options = read_options(request.POST, options)
        except ParameterError as exc:
            errors[exc.field] = str(exc)
    if not is_asked or errors:
        return _ask_back(request, found, act, errors, status=422 if errors else 200)
    try:
        if act == "rollback":
            asked = applying.request_rollback(request.user, found, options)
        else:
            asked = applying.request_discard(request.user, found)
    except OperationRefused as refused:
        return _refuse(request, refused)
    return HttpResponseClientRedirect(asked.get_absolute_url()) if is_partial(request) else redirect(asked)


def _ask_back(request: HttpRequest, found: Replacement, act: str, errors: dict[str, str], status: int) -> HttpResponse:
    usual = applying.usual_options()
    context = {
        "replacement": found,
        "container": found.container,
        "act": act,
        "errors": errors,
        "given": request.POST.dict(),
        "usual": usual,
        "keeps": keeps(usual.keep_old_s),
        "keep": request.POST.get("keep_old_s", str(usual.keep_old_s)),
        "back": _back(request),
    }
    if not is_partial(request):
        return render(request, "updates/go_back.html", context, status=status)
    response = render(request, "updates/partials/go_back.html", context, status=status)
    return reswap(retarget(response, DIALOG), "innerHTML")
