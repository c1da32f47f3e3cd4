"""The form that makes a container: a new one, a duplicate, or one anew with changes."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from containers.creation_requests import request_create, request_recreate
from containers.errors import OperationRefused
from containers.forms.creation import (
    copy_of,
    defaults_of,
    doubts,
    image_facts_of,
    image_names,
    names_on,
    sees_values_of,
    shown_of,
)
from containers.forms.creation_fields import MORE, ShownField, ShownRow, blank_rows, shown_fields, shown_rows, summary
from containers.models import Container, Operation
from containers.rules.creation import check
from containers.rules.creation_rows import PROTOCOLS
from containers.rules.drafts import DEFAULTS, ROWS, Draft, read_draft
from containers.rules.limits import RESTART_POLICIES
from devices.models import Device
from ssm.lib.access import allowed
from ssm.lib.roles import Right, can_operate
from ssm.lib.tables import Choice

_EMPTY: Final = Draft()
_FRESH: Final = Draft(
    {"restart_policy": "unless-stopped", "health_kind": "image", "network_mode": "networks"},
    {kind: ({**dict.fromkeys(ROWS[kind], ""), **DEFAULTS.get(kind, {})},) for kind in ("env", "port", "mount")}
    | {"network": ({"name": "bridge", "aliases": "", "ipv4": "", "ipv6": ""},)},
)
_KINDS: Final = (Choice("volume", "Volume"), Choice("bind", "Directory"), Choice("tmpfs", "Memory"))
_MODES: Final = (
    Choice("networks", "Networks, as below"),
    Choice("host", "The host's own network"),
    Choice("container", "The network of another container"),
    Choice("none", "Nothing"),
)
_CHECKS: Final = (
    Choice("image", "As the image says"),
    Choice("shell", "A line for the shell"),
    Choice("exec", "A command, as words"),
    Choice("none", "None, whatever the image says"),
)


@dataclass(frozen=True, slots=True)
class _Page:
    """One request about the form: ``source`` is the container that is duplicated or recreated."""

    request: HttpRequest
    device: Device | None
    shown: Draft
    sees_values: bool = True
    source: Container | None = None
    is_successor: bool = False
    options: Mapping[str, bool] = field(default_factory=dict)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_operate)
def new(request: HttpRequest) -> HttpResponse:
    """GET shows the form, empty or as the container ``from``; POST changes its rows, or asks for the container."""
    given = request.POST if request.method == "POST" else request.GET
    source, shown, sees_values = None, _EMPTY, True
    if given.get("from"):
        source = _container(request, given["from"])
        sees_values = sees_values_of(request.user, source)
        shown = shown_of(source, sees_values=sees_values, is_successor=False)
    device = _device(request, given.get("device") or (str(source.device_id) if source else ""))
    page = _Page(request, device, shown, sees_values, source, options=_options(request))
    if request.method == "POST":
        return _posted(page)
    if tried := _tried_before(request, Operation.Kind.CREATE):
        return _show(page, tried)
    if source is not None:
        names = set(Container.objects.filter(device=device).present().values_list("name", flat=True))
        return _show(page, copy_of(shown, names))
    return _show(page, _filled_in(request))


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_operate)
def recreate(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The same form for an existing container: POST asks for it to be replaced by one with the changes."""
    container = _container(request, str(pk))
    sees_values = sees_values_of(request.user, container)
    shown = shown_of(container, sees_values=sees_values, is_successor=True)
    page = _Page(request, container.device, shown, sees_values, container, is_successor=True, options=_options(request))
    if request.method != "POST":
        return _show(page, _tried_before(request, Operation.Kind.RECREATE) or shown)
    if request.POST.get("seen", container.engine_id) != container.engine_id:
        note = {"": f"{container.name} was made anew by somebody meanwhile: look at the values, then send them again."}
        return _show(page, read_draft(request.POST.getlist), note, status=409)
    return _posted(page)


@require_GET
@allowed(can_operate)
def choices(request: HttpRequest) -> HttpResponse:
    """References of images to choose from, for what was typed so far."""
    device = _device(request, request.GET.get("device", ""))
    names = image_names(request.user, device, request.GET.get("image", ""))
    return render(request, "creating/partials/options.html", {"names": names})


def _container(request: HttpRequest, text: str) -> Container:
    """The container that the user may operate, with all its columns; 404 else."""
    rows = Container.objects.permitted(request.user, Right.OPERATE).present().select_related("device")
    try:
        return get_object_or_404(rows, pk=uuid.UUID(text))
    except ValueError:
        return get_object_or_404(rows.none())


def _device(request: HttpRequest, text: str) -> Device | None:
    devices = Device.objects.permitted(request.user, Right.OPERATE).order_by("name")
    try:
        chosen = devices.filter(pk=uuid.UUID(text)).first()
    except ValueError:
        chosen = None
    return chosen or (devices.first() if devices.count() == 1 else None)


def _options(request: HttpRequest) -> dict[str, bool]:
    """What is asked for beside the container itself: boxes that are ticked at first, or not."""
    if request.method != "POST":
        return {"starts": True, "pulls": False, "anyway": False}
    return {name: bool(request.POST.get(name)) for name in ("starts", "pulls", "anyway")}


def _filled_in(request: HttpRequest) -> Draft:
    """A fresh form with what the address says: the links of other pages bring an image, a volume or a network."""
    draft = _FRESH.with_fields(image=request.GET.get("image", "")[:640])
    rows = dict(draft.rows)
    if volume := request.GET.get("volume", "")[:255]:
        rows["mount"] = ({"kind": "volume", "source": volume, "target": "", "options": ""},)
    if network := request.GET.get("network", "")[:255]:
        rows["network"] = ({"name": network, "aliases": "", "ipv4": "", "ipv6": ""},)
    return Draft(draft.fields, rows)


def _tried_before(request: HttpRequest, kind: str) -> Draft | None:
    """What an operation was asked for with, for another try by the one who asked."""
    try:
        wanted = uuid.UUID(request.GET.get("operation", ""))
    except ValueError:
        return None
    mine = Operation.objects.permitted(request.user, Right.OPERATE).filter(kind=kind, requested_by=request.user.pk)
    operation = mine.filter(pk=wanted).first()
    tried = json.loads(operation.sealed or "{}").get("draft") if operation is not None else None
    return Draft(tried["fields"], {kind: tuple(rows) for kind, rows in tried["rows"].items()}) if tried else None


def _posted(page: _Page) -> HttpResponse:
    """A row more or less, or the whole form."""
    post = page.request.POST
    draft = read_draft(post.getlist)
    if (kind := post.get("add", "")) in ROWS:
        return _show(page, draft.with_row(kind), added=kind)
    if post.get("drop"):
        kind, _colon, place = post["drop"].partition(":")
        if kind in ROWS and place.isascii() and place.isdigit():
            draft = draft.without_row(kind, int(place[:6]))
        return _show(page, draft)
    if "paste" in post:
        return _show(page, draft.with_variables(post.get("variables", "")[:200_000]))
    if "redraw" in post:
        return _show(page, draft)
    return _ask(page, draft)


def _ask(page: _Page, draft: Draft) -> HttpResponse:
    checked = check(draft, page.shown, sees_values=page.sees_values)
    errors = dict(checked.errors)
    if page.device is None:
        errors["device"] = "Choose the device that it is to run on."
    against: dict[str, str] = {}
    if page.device is not None:
        against = doubts(page.request.user, page.device, draft, successor_of=page.source if page.is_successor else None)
        against = {key: text for key, text in against.items() if key not in errors}
    if errors or (against and not page.options["anyway"]):
        return _show(page, draft, {**errors, **against}, status=422, has_doubts=bool(against))
    try:
        operation = _request(page, draft, checked.changes)
    except OperationRefused as refused:
        return _show(page, draft, {"": str(refused)}, status=409)
    return redirect(operation)


def _request(page: _Page, draft: Draft, changes: dict[str, Any]) -> Operation:
    assert page.device is not None  # noqa: S101 - told to the type checker; _ask has looked
    user, source, pulls = page.request.user, page.source, page.options["pulls"]
    if page.is_successor and source is not None:
        return request_recreate(user, source, draft, changes, pulls=pulls)
    return request_create(user, page.device, draft, changes, source=source, pulls=pulls, starts=page.options["starts"])


def _show(
    page: _Page,
    draft: Draft,
    errors: Mapping[str, str] | None = None,
    *,
    status: int = 200,
    added: str = "",
    has_doubts: bool = False,
) -> HttpResponse:
    request, device, errors = page.request, page.device, errors or {}
    user = request.user
    image = draft.text("image")
    fields: dict[str, ShownField] = shown_fields(draft, errors, defaults_of(user, device, image))
    rows: dict[str, list[ShownRow]] = shown_rows(draft, errors, added)
    more = [fields[name] for name in MORE]
    if errors and "" in errors:
        messages.error(request, errors[""])
    context = {
        "device": device,
        "devices": [] if page.is_successor else list(Device.objects.permitted(user, Right.OPERATE).order_by("name")),
        "device_error": errors.get("device", ""),
        "source": page.source,
        "is_successor": page.is_successor,
        "sees_values": page.sees_values,
        "fields": fields,
        "rows": rows,
        "blank": blank_rows(),
        "errors": summary({key: text for key, text in errors.items() if key}),
        "has_doubts": has_doubts,
        "options": page.options,
        "policies": RESTART_POLICIES,
        "protocols": PROTOCOLS,
        "kinds": _KINDS,
        "modes": _MODES,
        "checks": _CHECKS,
        "names": names_on(user, device),
        "image_names": image_names(user, device, ""),
        "image": image_facts_of(user, device, image),
        "is_more_open": any(each.value or each.error for each in more),
        "shares_data": page.source is not None and not page.is_successor and any(draft.of("mount")),
    }
    return render(request, "creating/form.html", context, status=status)
