"""Adding many devices at once: what would become of each host that a text names, and then doing it, row by row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from devices.models import Credential, Device, Jump
from devices.rules.addresses import HostAddress
from devices.rules.device_lists import parse_list
from devices.rules.imports import Found, ImportedHost
from devices.rules.inventories_yaml import parse_inventory
from devices.rules.ssh_config import parse_ssh_config
from devices.services import default_credential, may_manage, may_use
from ssm.accounts.audit import record_audit, snapshot
from ssm.lib.roles import Right, SomeUser

LIST, SSH_CONFIG, INVENTORY = "list", "ssh-config", "inventory"
_READERS: Final = {LIST: parse_list, SSH_CONFIG: parse_ssh_config, INVENTORY: parse_inventory}
NEW, KNOWN, FAULTY = "new", "known", "faulty"
ADDED, SKIPPED, FAILED = "added", "skipped", "failed"


@dataclass(frozen=True, slots=True)
class Planned:
    """What would become of one host: ``name`` is free, or the one it has already (``device``)."""

    host: ImportedHost
    state: str
    name: str
    reason: str = ""
    device: Device | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one host."""

    name: str
    address: str
    outcome: str
    message: str = ""
    device: Device | None = None


def read(source: str, text: str) -> Found:
    """The hosts of a text of this kind. ImportFault."""
    return _READERS[source](text)


def plan(hosts: Iterable[ImportedHost], user: SomeUser) -> list[Planned]:
    """What would become of each host, in order. Two queries."""
    taken = {name.casefold() for name in Device.objects.values_list("name", flat=True)}
    known = {(device.address, device.port): device for device in Device.objects.visible_to(user)}
    seen: set[tuple[str, int]] = set()
    planned = []
    for host in hosts:
        place = (host.address, host.port)
        if host.fault:
            planned.append(Planned(host, FAULTY, host.name, host.fault))
        elif place in known:
            planned.append(Planned(host, KNOWN, known[place].name, "It is a device already.", known[place]))
        elif place in seen:
            planned.append(Planned(host, KNOWN, host.name, "The same address and port are further up."))
        else:
            seen.add(place)
            name = _free_name(host, taken)
            taken.add(name.casefold())
            changed = name != host.name
            planned.append(Planned(host, NEW, name, f"The name {host.name} is taken." if changed else ""))
    return planned


def _free_name(host: ImportedHost, taken: set[str]) -> str:
    wanted = host.name or host.address
    for name in (wanted, f"{wanted[:60]} ({host.address[:30]})"):
        if name.casefold() not in taken:
            return name
    return next(name for number in range(2, 10_000) if (name := f"{wanted[:90]} {number}").casefold() not in taken)


def usernames(planned: Sequence[Planned]) -> list[str]:
    """The user names that need a log-in, of hosts and of jump hosts, in the order of their appearance."""
    hosts = [row.host for row in planned if row.state == NEW]
    found = dict.fromkeys(host.username for host in hosts)
    found |= dict.fromkeys(jump.username for host in hosts for jump in host.jumps if jump.username)
    return list(found)


def add(
    planned: Sequence[Planned],
    chosen: set[int],
    logins: Mapping[str, Credential | None],
    groups: Sequence[str],
    user: SomeUser,
) -> list[Result]:
    """Add the chosen rows, each by itself: one that fails does not keep the others from being added.

    ``logins`` says which credential a user name of the text means (None: the default of the device's groups);
    ``groups`` are for all of them, besides those of the text. Jump hosts that are devices, or become some by this very
    call, are referred to as such.
    """
    results: list[Result] = []
    added: list[tuple[int, Planned, Device]] = []
    for place, row in enumerate(planned):
        if row.state != NEW or place not in chosen:
            reason = row.reason if row.state != NEW else "It was not chosen."
            outcome = FAILED if row.state == FAULTY else SKIPPED
            results.append(Result(row.name, row.host.address, outcome, reason, row.device))
            continue
        result = _add_one(row, logins, groups, user)
        results.append(result)
        if result.device is not None:
            added.append((place, row, result.device))
    for place, row, device in added:
        if row.host.jumps and (fault := _add_jumps(row.host.jumps, device, logins, user)):
            results[place] = Result(row.name, row.host.address, ADDED, fault, device)
    return results


def _add_one(row: Planned, logins: Mapping[str, Credential | None], groups: Sequence[str], user: SomeUser) -> Result:
    host = row.host
    names = list(dict.fromkeys([*groups, *host.groups]))[:20]
    if not may_manage(user, names):
        reason = "Your role is limited to some groups: name one of them for all, and no other."
        return Result(row.name, host.address, FAILED, reason)
    credential = logins.get(host.username)
    default = default_credential(names) if credential is None else None
    if default is not None and not may_use(user, default):
        return Result(
            row.name, host.address, FAILED, "The default log-in of these groups is also for devices of others."
        )
    device = Device(
        name=row.name,
        address=host.address,
        port=host.port,
        groups=names,
        credential=credential,
        address_family=host.address_family,
        compression=host.compression,
        become=host.become,
        become_user=host.become_user,
    )
    if host.connect_timeout_s is not None:
        device.connect_timeout_s = host.connect_timeout_s
    if host.keepalive_s is not None:
        device.keepalive_s = host.keepalive_s
    try:
        device.full_clean()
        with transaction.atomic():
            device.save()
            record_audit(user, "device.add", device, after={"imported": True, **snapshot(device)})
    except ValidationError as exc:
        return Result(row.name, host.address, FAILED, " ".join(exc.messages))
    except IntegrityError:
        return Result(row.name, host.address, FAILED, f"Another device called {row.name} was added meanwhile.")
    return Result(row.name, host.address, ADDED, "; ".join(host.notes), device)


def _add_jumps(
    jumps: Sequence[HostAddress], device: Device, logins: Mapping[str, Credential | None], user: SomeUser
) -> str:
    """Give a new device its jump hosts; tells why not if that is not possible."""
    manageable = Device.objects.permitted(user, Right.MANAGE_DEVICES).exclude(pk=device.pk)
    try:
        with transaction.atomic():
            for position, jump in enumerate(jumps):
                via = manageable.filter(address=jump.host, port=jump.port, transport=Device.Transport.SSH).first()
                Jump.objects.create(
                    device=device,
                    position=position,
                    via=via,
                    address="" if via is not None else jump.host,
                    port=22 if via is not None else jump.port,
                    credential=None if via is not None else logins.get(jump.username),
                )
    except IntegrityError:
        return "Added, but without its jump hosts: they could not be stored."
    return ""
