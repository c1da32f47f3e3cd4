"""What SSM may do on a device, and what to set up there for another grade."""

import uuid
from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from devices.connection_tests import untried_steps
from devices.models import Device
from devices.rules.grades import ABILITIES, Grade
from devices.rules.recipes import HostFacts, kit_for
from devices.services import effective_credential
from devices.views.devices import find_device
from ssm.lib.access import allowed
from ssm.lib.roles import Right, can_administer
from ssm.lib.tables import choice_of

_OFFERED: Final = (Grade.WATCH, Grade.OPERATE, Grade.EVERYTHING)


@dataclass(frozen=True, slots=True)
class AbilityRow:
    """One ability: from which grade on it is there, and whether this device has it (None: never looked)."""

    label: str
    grade: Grade
    is_wished: bool
    is_there: bool | None


@require_GET
@allowed(can_administer)
def access(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The device's grade now, and the kit for the wished one (``grade`` in the address)."""
    device = find_device(request, pk, Right.MANAGE_DEVICES)
    wished = Grade(choice_of(request.GET, "grade", [grade.value for grade in _OFFERED]) or Grade.WATCH.value)
    kit = kit_for(wished, _facts(device))
    has = set(device.access_abilities) if device.access_checked_at else None
    unlocked = {ability.key for ability in kit.unlocks}
    context = {
        "device": device,
        "now": Grade(device.access_grade) if device.access_grade in list(Grade) else None,
        "has_figures": "figures" in device.access_abilities,
        "wished": wished,
        "grades": _OFFERED,
        "kit": kit,
        "abilities": [
            AbilityRow(
                ability.label, ability.grade, ability.key in unlocked, None if has is None else ability.key in has
            )
            for ability in ABILITIES
        ],
        "steps": untried_steps(device.transport),
    }
    return render(request, "devices/access.html", context)


def _facts(device: Device) -> HostFacts:
    credential = effective_credential(device)
    return HostFacts(
        username=credential.username if credential is not None else "",
        public_key=credential.public_key if credential is not None else "",
        socket_path=device.docker_socket,
        transport=device.transport,
        program="podman" if "podman" in device.engine_product.lower() else "docker",
    )
