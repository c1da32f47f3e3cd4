"""The networks that a host holds, to rows: from one list with each sweep, from events about single ones in between."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from django.db import transaction

from containers.models import Container, Network, Operation
from containers.push import publish
from containers.rules.inspection import is_engine_id
from containers.rules.networks import NetworkFacts, network_facts
from devices.connections import Engine
from devices.errors import EngineNotFound, NotDocker
from devices.models import Device, now

# What one host may have; a row each.
MOST_NETWORKS: Final = 5000
_COPIED: Final = [
    "name",
    "driver",
    "scope",
    "pools",
    "ipam_driver",
    "ipam_options",
    "internal",
    "attachable",
    "ingress",
    "ipv4_enabled",
    "ipv6_enabled",
    "config_only",
    "config_from",
    "options",
    "labels",
    "compose_project",
    "created_at",
]


def sweep_networks(device: Device, engine: Engine) -> int:
    """Bring all network rows of a device in line with its host; how many were new. One request. Raises DeviceError."""
    started_at = now()
    listed = engine.get_json("/networks")
    if not isinstance(listed, list):
        # Not to be taken for an empty list: every row of the device would vanish.
        raise NotDocker(f"{engine.target.label}: the engine's list of networks is no list.")
    found = [network_facts(entry) for entry in listed[:MOST_NETWORKS] if isinstance(entry, dict)]
    facts = {item.engine_id: item for item in found if item is not None}
    with transaction.atomic(durable=True):
        # A row that was written after the list was asked for is news that the list does not have.
        known = [*facts, *_being_remade(device)]
        gone = Network.objects.filter(device=device, seen_at__lt=started_at).exclude(engine_id__in=known)
        vanished = list(gone.values_list("pk", flat=True))
        Network.objects.filter(pk__in=vanished).delete()
        fresh = _write(device, facts.values(), started_at)
        publish("network", device.pk, vanished, what="vanished")
    return fresh


def inspect_network(engine: Engine, name: str, *, masks: bool = True) -> NetworkFacts | None:
    """Facts of one network as it is now, by its id; None when the host has none. Raises DeviceError."""
    answer = raw_network(engine, name)
    return network_facts(answer, masks=masks) if answer is not None else None


def raw_network(engine: Engine, engine_id: str) -> dict[str, Any] | None:
    """The engine's own answer about a network, by its id; None when the host has none. Raises DeviceError."""
    if not is_engine_id(engine_id):
        return None
    try:
        answer = engine.get_json(f"/networks/{engine_id}")
    except EngineNotFound:
        return None
    if not isinstance(answer, dict):
        raise NotDocker(f"{engine.target.label}: the engine's answer about a network is no object.")
    return answer


def refresh_network(device: Device, engine: Engine, engine_id: str) -> Network | None:
    """Look at one network and write its row; None when it is gone, and then its row is too. Raises DeviceError."""
    facts = inspect_network(engine, engine_id)
    with transaction.atomic(durable=True):
        if facts is None:
            forget(device, engine_id)
            return None
        _write(device, [facts], now())
    return Network.objects.filter(device=device, engine_id=facts.engine_id).first()


def forget(device: Device, engine_id: str) -> None:
    """Take away the row of a network that the host has no more, and tell open pages."""
    if engine_id in _being_remade(device):
        return
    gone = Network.objects.filter(device=device, engine_id=engine_id)
    vanished = list(gone.values_list("pk", flat=True))
    gone.delete()
    publish("network", device.pk, vanished, what="vanished")


def _being_remade(device: Device) -> list[str]:
    """Ids of networks that an operation removes only to make them anew: their rows stay, as their successors'. A query.

    Whoever performs it says so with ``take_over`` or ``forget`` at its end.
    """
    remaking = Operation.objects.active().filter(device=device, kind=Operation.Kind.NETWORK_CONFIGURE)
    return list(remaking.values_list("engine_id", flat=True))


def take_over(device: Device, engine: Engine, old_id: str, new_id: str) -> None:
    """Have the row of a network go on as that of its successor. Raises DeviceError."""
    facts = inspect_network(engine, new_id)
    with transaction.atomic(durable=True):
        row = Network.objects.select_for_update().filter(device=device, engine_id=old_id).first()
        if row is not None:
            # An event of its making may have been quicker.
            Network.objects.filter(device=device, engine_id=new_id).exclude(pk=row.pk).delete()
            row.engine_id = new_id
            row.save(update_fields=["engine_id"])
            publish("network", device.pk, [row.pk], what="appeared")
        if facts is not None:
            _write(device, [facts], now())


def apply_network_event(device: Device, engine: Engine, action: str, engine_id: str) -> None:
    """Bring one network up to date after an event about it. Raises DeviceError."""
    if action in ("destroy", "remove"):
        forget(device, engine_id)
    elif action in ("create", "update"):
        refresh_network(device, engine, engine_id)


def announce_of(device: Device, engine_id: str) -> None:
    """Tell open pages that other containers are on a network now. One query."""
    publish(
        "network", device.pk, Network.objects.filter(device=device, engine_id=engine_id).values_list("pk", flat=True)
    )


def announce_around(device: Device, container_id: str) -> None:
    """The same of all networks of a container that came or went. Two queries.

    Starts and ends are told by events of the networks themselves; that a stopped one is on a network is told by none.
    """
    networks = (
        Container.objects.filter(device=device, engine_id=container_id).values_list("networks", flat=True).first()
    )
    names = [str(place.get("name", "")) for place in networks or ()]
    publish("network", device.pk, Network.objects.filter(device=device, name__in=names).values_list("pk", flat=True))


def _write(device: Device, found: Iterable[NetworkFacts], moment: datetime) -> int:
    """Make rows of what is new, change those that differ, note that all were seen; how many are new. Announces both."""
    facts = {item.engine_id: item for item in found}
    rows = {
        row.engine_id: row for row in Network.objects.select_for_update().filter(device=device, engine_id__in=facts)
    }
    fresh, changed = [], []
    for engine_id, item in facts.items():
        row = rows.get(engine_id)
        if row is None:
            fresh.append(_filled(Network(device=device, engine_id=engine_id), item, moment))
        elif any(getattr(row, name) != getattr(item, name) for name in _COPIED):
            changed.append(_filled(row, item, moment))
    Network.objects.filter(pk__in=[row.pk for row in rows.values()], seen_at__lt=moment).update(seen_at=moment)
    Network.objects.bulk_create(fresh, ignore_conflicts=True)
    Network.objects.bulk_update(changed, [*_COPIED, "changed_at"], batch_size=200)
    publish("network", device.pk, [row.pk for row in changed])
    publish("network", device.pk, [row.pk for row in fresh], what="appeared")
    return len(fresh)


def _filled(row: Network, facts: NetworkFacts, moment: datetime) -> Network:
    for name in _COPIED:
        setattr(row, name, getattr(facts, name))
    row.seen_at = row.changed_at = moment
    return row
