"""Which elements of a page its user may not see: what a browser asks for is checked as what a page shows."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from containers.fragments import Element
from containers.models import Backup, Batch, Container, Image, Network, Operation, UpdateCheck, Volume
from devices.models import Device
from ssm.lib.roles import Right, SomeUser, can_everywhere

_MODELS: Final[Mapping[str, Any]] = {
    "container": Container,
    "device": Device,
    "operation": Operation,
    "batch": Batch,
    "image": Image,
    "volume": Volume,
    "backup": Backup,
    "network": Network,
}


def hidden_objects(user: SomeUser, elements: Iterable[Element]) -> set[str]:
    """Ids of objects of these elements that the user may not see.

    One query a kind, none for who may see all. Counts have no object: they are of what the user may see.
    """
    if can_everywhere(user, Right.SEE):
        return set()
    asked: dict[str, set[str]] = {}
    for element in elements:
        if element.object_id:
            asked.setdefault(element.kind, set()).add(element.object_id)
    hidden = set()
    for kind, ids in asked.items():
        if kind == "check":
            rows: Any = UpdateCheck.objects.filter(requested_by_name=user.get_username())
        else:
            rows = _MODELS[kind].objects.visible_to(user) if kind in _MODELS else UpdateCheck.objects.none()
        hidden |= ids - {str(pk) for pk in rows.filter(pk__in=ids).values_list("pk", flat=True)}
    return hidden
