"""The demo's hosts as rows: one credential, one device per host, its host key pinned."""

from collections.abc import Iterable

from django.db import transaction

from devices.connections.keys import private_key_fingerprint
from devices.models import Credential, Device
from devices.rules.host_keys import PinnedKey
from devices.services import replace_host_keys
from ssm.demo.plans import HostPlan
from tests.fleet import HostEntry

CREDENTIAL_NAME = "Demo fleet"


def register_devices(hosts: Iterable[tuple[HostPlan, HostEntry]]) -> None:
    """Write a device for each host, or correct the one that is there. Writes a few rows per host."""
    for plan, entry in hosts:
        credential, _created = Credential.objects.update_or_create(
            name=CREDENTIAL_NAME,
            defaults={
                "username": entry.user,
                "private_key": entry.private_key,
                "key_fingerprint": private_key_fingerprint(entry.private_key, None, CREDENTIAL_NAME),
            },
        )
        device = Device.objects.filter(credential=credential, address=entry.address).first()
        if device is None:
            device = Device.objects.create(
                name=_free_name(plan.name),
                address=entry.address,
                port=entry.port,
                credential=credential,
                groups=list(plan.groups),
                docker_socket=entry.socket,
            )
        pinned = PinnedKey(key_type=entry.host_key_type, key_base64=entry.host_key_base64)
        replace_host_keys(device, pinned, None)


def forget_devices() -> int:
    """Delete the demo's devices with all that was recorded of them, and the credential; returns how many devices."""
    with transaction.atomic(durable=True):
        devices = Device.objects.filter(credential__name=CREDENTIAL_NAME)
        count = devices.count()
        devices.delete()
        Credential.objects.filter(name=CREDENTIAL_NAME).delete()
    return count


def _free_name(name: str) -> str:
    """The host's name, or one beside it when the user has a device of that name."""
    return f"{name} (demo)" if Device.objects.filter(name=name).exists() else name
