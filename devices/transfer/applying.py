"""Doing what a document of devices was found to ask for, entry by entry."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db import IntegrityError, transaction

from devices.models import Credential, Device, DeviceGroup, Jump, TlsIdentity
from devices.services import note_configured, trust_host_key
from devices.transfer.writing import DEVICE, GROUP, LINKS, LOGIN, of_jump
from devices.work import plan_all
from ssm.accounts.audit import record_audit, snapshot
from ssm.lib.roles import SomeUser
from ssm.lib.transfer import (
    ADDED,
    CHANGED,
    FAILED,
    NEW,
    UPDATED,
    Planned,
    Result,
    TransferFault,
    apply_each,
)


def apply(planned: Sequence[Planned], chosen: Collection[str], user: SomeUser, *, trust_keys: bool) -> list[Result]:
    """Do what was planned for the chosen entries (their keys), each by itself, and record it; a result for each.

    Jump hosts are set last, as they may be devices of the same file. ``trust_keys``: accept the file's host keys.
    """
    done = list(apply_each(planned, chosen, lambda one: _apply_one(one, user, trust_keys=trust_keys)))
    return [_with_jumps(one, result, user) for one, result in done]


def _with_jumps(one: Planned, result: Result, user: SomeUser) -> Result:
    is_stored = one.kind == DEVICE and result.outcome in (ADDED, UPDATED)
    fault = _set_jumps(one, user) if is_stored else ""
    return replace(result, message=fault) if fault else result


def _apply_one(one: Planned, user: SomeUser, *, trust_keys: bool) -> Result:
    try:
        with transaction.atomic():
            if one.kind == LOGIN:
                return _add_login(one, user)
            return _store_group(one, user) if one.kind == GROUP else _store_device(one, user, trust_keys=trust_keys)
    except TransferFault as exc:
        return Result(one.kind, one.name, FAILED, str(exc))
    except IntegrityError:
        return Result(one.kind, one.name, FAILED, "Something of this name was added meanwhile: read the file again.")


def _add_login(one: Planned, user: SomeUser) -> Result:
    row = Credential(name=one.name, **one.values)
    row.save()
    record_audit(user, "credential.add", row, after={"imported": True, **snapshot(row)})
    return Result(LOGIN, one.name, ADDED, " ".join(one.notes), row.get_absolute_url())


def _login(name: str) -> Credential | None:
    """The log-in of that name, which may have been left out a moment ago. TransferFault."""
    row = Credential.objects.filter(name=name).first() if name else None
    if name and row is None:
        raise TransferFault(f"The log-in “{name}” was not taken over.")
    return row


def _store_group(one: Planned, user: SomeUser) -> Result:
    row = DeviceGroup.objects.filter(name=one.name).first()
    before = snapshot(row) if row is not None else None
    row = row or DeviceGroup(name=one.name)
    row.credential = _login(one.values["login"])
    row.save()
    verb = "change" if before else "add"
    record_audit(user, f"devicegroup.{verb}", row, before=before, after={"imported": True, **snapshot(row)})
    note_configured(Device.objects.filter(credential=None, groups__contains=[row.name]))
    return Result(GROUP, one.name, UPDATED if before else ADDED)


def _store_device(one: Planned, user: SomeUser, *, trust_keys: bool) -> Result:
    device = Device.objects.select_for_update(of=("self",)).filter(name=one.name).first()
    if device is None and one.state == CHANGED:
        raise TransferFault("It was removed or renamed meanwhile: read the file again.")
    if device is not None and one.state == NEW:
        raise TransferFault("A device of this name was added meanwhile: read the file again.")
    before = snapshot(device, "host_keys") if device is not None else None
    device = device or Device(name=one.name)
    for name, value in one.values["columns"].items():
        setattr(device, name, value)
    for word, (column, model) in LINKS.items():
        name = one.values["links"][word]
        linked = _login(name) if model is Credential else TlsIdentity.objects.filter(name=name).first()
        setattr(device, column, linked)
    plan_all(device)
    device.save()
    for key in one.values["host_keys"] if trust_keys else ():
        trust_host_key(device, key, user)
    after = {"imported": True, **snapshot(device, "host_keys")}
    record_audit(user, f"device.{'change' if before else 'add'}", device, before=before, after=after)
    note_configured(Device.objects.filter(pk=device.pk))
    return Result(DEVICE, one.name, UPDATED if before else ADDED, " ".join(one.notes), device.get_absolute_url())


def _set_jumps(one: Planned, user: SomeUser) -> str:
    """Give a device the jump hosts of the file, where they differ; tells why not."""
    device = Device.objects.prefetch_related("jumps__via", "jumps__credential").get(name=one.name)
    wanted = one.values["jumps"]
    if [of_jump(jump) for jump in device.jumps.all()] == wanted:
        return ""
    try:
        with transaction.atomic():
            before = snapshot(device, "jumps")
            device.jumps.all().delete()
            for position, jump in enumerate(wanted):
                _add_jump(device, position, jump)
            fresh = Device.objects.get(pk=device.pk)
            record_audit(user, "device.change", fresh, before=before, after=snapshot(fresh, "jumps"))
            note_configured(Device.objects.filter(pk=device.pk))
    except (TransferFault, IntegrityError) as exc:
        reason = str(exc) if isinstance(exc, TransferFault) else "they do not fit together."
        return f"Without its jump hosts: {reason}"
    return ""


def _add_jump(device: Device, position: int, jump: Mapping[str, Any]) -> None:
    if "device" in jump:
        via = Device.objects.filter(name=jump["device"], transport=Device.Transport.SSH).first()
        if via is None:
            raise TransferFault(f"{jump['device']} is not there, or not reached by SSH.")
        Jump.objects.create(device=device, position=position, via=via)
        return
    login = _login(jump.get("login", ""))
    Jump.objects.create(device=device, position=position, address=jump["address"], port=jump["port"], credential=login)
