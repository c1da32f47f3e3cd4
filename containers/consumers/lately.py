"""What of a page changed while it was on its way to its reader, and on which devices its objects are. In a thread."""

from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Q

from containers.fragments import Element
from containers.models import Batch, Container, HostUsage, Image, Network, Operation, UpdateCheck
from devices.models import Device, now
from ssm.lib.roles import SomeUser

PAGE_ON_ITS_WAY: Final = timedelta(seconds=30)
# Readings come by themselves again and again: only the latest need to be made up for.
READING_ON_ITS_WAY: Final = timedelta(seconds=5)
# Rows of a device that only those may see who may see them there, by the kind of their elements.
OF_DEVICES: Final[dict[str, Any]] = {"container": Container, "image": Image, "network": Network}


def came_or_went(since: datetime, *, or_changed: bool = False) -> bool:
    """Whether rows of lists came or went since then, or containers changed. Two queries at most."""
    happened = Q() if or_changed else Q(appeared_at__gte=since) | Q(removed_at__gte=since)
    return (
        Container.objects.filter(changed_at__gte=since).filter(happened).exists()
        or Operation.objects.filter(created_at__gte=since).exists()
    )


def devices_of(user: SomeUser, elements: list[Element]) -> dict[str, str]:
    """The device of each object that the user may see. One query for each kind that the page shows."""
    found: dict[str, str] = {}
    for kind, model in OF_DEVICES.items():
        if ids := _ids(elements, kind):
            rows = model.objects.visible_to(user).filter(pk__in=ids).values_list("pk", "device_id")
            found |= {str(object_id): str(device_id) for object_id, device_id in rows}
    return found


def changed_lately(elements: list[Element]) -> set[str]:
    """Ids of objects that changed while a page may have been on its way to its reader. At most one query a kind."""
    since = now() - PAGE_ON_ITS_WAY
    containers = Q(changed_at__gte=since) | Q(operations__created_at__gte=since)
    containers |= Q(operations__finished_at__gte=since) | Q(device__state_since__gte=since)
    containers |= Q(update__changed_at__gte=since)
    found: set[str] = set()
    lately: tuple[tuple[Any, str], ...] = (
        (Container.objects.filter(containers), "container"),
        (Device.objects.filter(state_since__gte=since), "device"),
        (Image.objects.filter(Q(changed_at__gte=since) | Q(device__state_since__gte=since)), "image"),
        (Network.objects.filter(Q(changed_at__gte=since) | Q(device__state_since__gte=since)), "network"),
        (Operation.objects.filter(Q(state__in=Operation.ACTIVE_STATES) | Q(finished_at__gte=since)), "operation"),
        (UpdateCheck.objects.filter(started_at__gte=since), "check"),
        (HostUsage.objects.filter(sampled_at__gte=now() - READING_ON_ITS_WAY), "usage"),
        (Batch.objects.filter(Q(created_at__gte=since) | Q(operations__finished_at__gte=since)), "batch"),
    )
    for rows, kind in lately:
        if ids := _ids(elements, kind):
            found |= {str(pk) for pk in rows.filter(pk__in=ids).values_list("pk", flat=True)}
    return found


def _ids(elements: list[Element], kind: str) -> set[str]:
    return {element.object_id for element in elements if element.kind == kind}
