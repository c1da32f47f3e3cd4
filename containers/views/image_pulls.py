"""The form that pulls an image on one host or on many."""

from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from containers.filters import LONGEST_LIST
from containers.image_requests import pull_item
from containers.models import Image
from containers.rules.image_names import PLATFORMS, NameProblemError, pullable_reference
from containers.views.asking import ids_of, start_all, start_one
from devices.models import Device
from registries.models import Registry, RepositoryKnowledge
from registries.rules.references import ImageReference, InvalidReferenceError, parse_reference
from registries.services import Accounts
from ssm.lib.access import allowed
from ssm.lib.roles import Right, can_operate
from ssm.lib.tables import text_of

_SUGGESTED: Final = 12


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_operate)
def pull(request: HttpRequest) -> HttpResponse:
    """Pull ``reference`` on the hosts in ``device``, with the account that is stored for its registry."""
    given = request.POST if request.method == "POST" else request.GET
    typed = (given.get("reference") or "").strip()[:1024]
    platform = text_of(given, "platform")
    devices = list(Device.objects.permitted(request.user, Right.OPERATE).order_by("name")[:LONGEST_LIST])
    wanted = set(ids_of(given.getlist("device"), LONGEST_LIST))
    chosen = [device for device in devices if device.pk in wanted]
    errors: dict[str, str] = {}
    reference = ""
    if request.method == "POST":
        try:
            reference = pullable_reference(typed)
        except NameProblemError as exc:
            errors["reference"] = str(exc)
        if platform and platform not in PLATFORMS:
            errors["platform"] = "Choose one of the platforms of the list."
        if not chosen:
            errors["device"] = "Choose at least one host."
        if not errors:
            return _start(request, reference, platform, chosen)
    context = {
        "typed": typed,
        "platform": platform,
        "platforms": PLATFORMS,
        "devices": devices,
        "chosen": {device.pk for device in chosen} or ({devices[0].pk} if len(devices) == 1 else set()),
        "groups": sorted({group for device in devices for group in device.groups}),
        "errors": errors,
        "account": _account(typed),
        "stops": "stops" in given,
    }
    return render(request, "images/pull.html", context, status=422 if errors else 200)


def _start(request: HttpRequest, reference: str, platform: str, chosen: list[Device]) -> HttpResponse:
    items = [pull_item(device, reference, platform) for device in chosen]
    back = reverse("images:list")
    if len(items) == 1:
        return start_one(request, items[0], back=back)
    title = f"Pull {reference} on {len(items)} devices"
    return start_all(request, items, title=title, back=back, stops="stops" in request.POST)


def _account(typed: str) -> dict[str, Any]:
    """Whose credentials a pull of that name would use; empty while it is no name. One query."""
    try:
        found = parse_reference(typed)
    except InvalidReferenceError:
        return {}
    if not typed or not isinstance(found, ImageReference):
        return {}
    rows = Registry.objects.enabled().filter(host=found.registry.casefold()).defer("secrets", "client_key")
    return {"registry": found.registry, "account": Accounts(rows).of(found.registry, found.repository)}


@require_GET
@allowed(can_operate)
def suggestions(request: HttpRequest) -> HttpResponse:
    """Names to choose from while one is typed: of images on hosts, then what registries told of their tags."""
    typed = text_of(request.GET, "reference")
    names: list[str] = []
    if typed:
        images = Image.objects.visible_to(request.user).filter(name__icontains=typed).exclude(repo_tags=[])
        names = list(images.order_by("name").values_list("name", flat=True).distinct()[:_SUGGESTED])
        path, _colon, tag = typed.removeprefix("docker.io/").partition(":")
        known = RepositoryKnowledge.objects.visible_to(request.user).filter(path__icontains=path.rpartition("/")[2])
        for repository in known.defer("tag_dates").order_by("host", "path")[:4]:
            tags = [name for name in repository.tags if tag in name][-4:]
            names += [f"{repository.name}:{name}" for name in reversed(tags)]
    context = {"names": list(dict.fromkeys(names))[: 2 * _SUGGESTED], "account": _account(typed)}
    return render(request, "images/partials/suggestions.html", context)
