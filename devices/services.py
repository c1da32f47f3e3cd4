"""What is done with devices: register, trust a host key, note how the connection stands."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from devices.errors import DeviceError
from devices.models import Credential, Device, HostKey, now
from devices.rules.host_keys import PinnedKey
from devices.rules.targets import Authentication, ConnectionTarget
from ssm.lib.roles import SomeUser

# A watcher tells every 20 s that it still hears a device; after this silence nobody may call it online.
SILENCE = timedelta(seconds=90)


def connection_target(device: Device) -> ConnectionTarget:
    """All that it takes to reach a device. Reads its credential and host keys (two queries unless prefetched).

    Raises UndecryptableSecretError when a secret was written with a key that is no longer configured.
    """
    credential = device.credential
    return ConnectionTarget(
        device_id=str(device.pk),
        name=device.name,
        address=device.address,
        port=device.port,
        authentication=authentication(credential),
        pinned_keys=tuple(
            PinnedKey(key_type=key.key_type, key_base64=key.key_base64) for key in device.host_keys.all()
        ),
        socket_path=device.docker_socket,
        connect_timeout_s=device.connect_timeout_s,
        request_timeout_s=device.request_timeout_s,
        channel_kind=device.channel_kind,
    )


def authentication(credential: Credential) -> Authentication:
    """The log-in that a credential stands for, decrypted."""
    return Authentication(
        username=credential.username,
        password=credential.password or None,
        private_key=credential.private_key or None,
        passphrase=credential.passphrase or None,
        sudo=credential.use_sudo,
    )


def trust_host_key(device: Device, key: PinnedKey, user: SomeUser | None) -> HostKey:
    """Accept a host key for a device, in place of an older one of the same type. Writes one row."""
    host_key, _created = HostKey.objects.update_or_create(
        device=device,
        key_type=key.key_type,
        defaults={
            "key_base64": key.key_base64,
            "fingerprint": key.fingerprint,
            "accepted_by": user if user is not None and user.is_authenticated else None,
            "accepted_at": now(),
        },
    )
    return host_key


def replace_host_keys(device: Device, key: PinnedKey, user: SomeUser | None) -> HostKey:
    """Accept a key and forget all others of the device: for a host that was set up anew."""
    with transaction.atomic(durable=True):
        device.host_keys.exclude(key_type=key.key_type).delete()
        return trust_host_key(device, key, user)


def note_connecting(device: Device) -> bool:
    """Record that a first attempt is under way; one that is known to be unreachable stays so until it answers."""
    fresh = Q(state=Device.State.UNKNOWN) | Q(state=Device.State.DISABLED)
    return _change(device, fresh, state=Device.State.CONNECTING, state_code="", state_message="", state_fix="")


def note_online(device: Device, *, engine: dict[str, Any], channel_kind: str) -> bool:
    """Record that the engine answers, and that a sweep is due; ``engine`` holds columns to set.

    True when the state changed by it.
    """
    moment = now()
    Device.objects.filter(pk=device.pk).update(
        last_seen_at=moment, next_attempt_at=None, next_sweep_at=moment, channel_kind=channel_kind, **engine
    )
    return _change(
        device, ~Q(state=Device.State.ONLINE), state=Device.State.ONLINE, state_code="", state_message="", state_fix=""
    )


def note_unreachable(device: Device, error: DeviceError, next_attempt_at: datetime | None) -> bool:
    """Record why the device cannot be reached and when the next try is; True when state or reason changed."""
    changed = _change(
        device,
        ~Q(state=Device.State.UNREACHABLE),
        state=Device.State.UNREACHABLE,
        state_code=error.code,
        state_message=error.message,
        state_fix=error.fix,
        next_attempt_at=next_attempt_at,
    )
    # The moment it was lost stays; only the reason and the next try follow.
    renewed = Device.objects.filter(pk=device.pk, state=Device.State.UNREACHABLE).exclude(
        state_code=error.code, state_message=error.message, next_attempt_at=next_attempt_at
    )
    return bool(
        renewed.update(
            state_code=error.code,
            state_message=error.message,
            state_fix=error.fix,
            next_attempt_at=next_attempt_at,
        )
        or changed
    )


def note_disabled(device: Device) -> bool:
    """Record that nobody watches the device any more."""
    return _change(
        device,
        ~Q(state=Device.State.DISABLED),
        state=Device.State.DISABLED,
        state_code="",
        state_message="",
        state_fix="",
    )


def note_alive(device_ids: Iterable[str]) -> None:
    """Record that these devices were heard of just now. One query."""
    Device.objects.filter(pk__in=list(device_ids), state=Device.State.ONLINE).update(last_seen_at=now())


def doubt_silent_devices() -> list[Device]:
    """Take the online mark from devices that no watcher has vouched for lately; gives those it was taken from."""
    silent = Device.objects.filter(state=Device.State.ONLINE, last_seen_at__lt=datetime.now(UTC) - SILENCE)
    changed = []
    for device in silent:
        if not device.watch_enabled:
            changed += [device] if note_disabled(device) else []
            continue
        if _change(
            device,
            Q(state=Device.State.ONLINE, last_seen_at=device.last_seen_at),
            state=Device.State.UNREACHABLE,
            state_code="watcher_silent",
            state_message=f"Nobody has heard of {device.name} for {int(SILENCE.total_seconds())} seconds.",
            state_fix="The event listener (manage.py watch_hosts) does not run or cannot keep up: look at its output.",
        ):
            changed.append(device)
    return changed


def request_attempt_now(device: Device) -> None:
    """Ask the watchers to try an unreachable device at once: they look at ``next_attempt_at`` every second."""
    Device.objects.filter(pk=device.pk).exclude(state=Device.State.ONLINE).update(next_attempt_at=now())


def _change(device: Device, condition: Q, **columns: Any) -> bool:
    return bool(Device.objects.filter(condition, pk=device.pk).update(state_since=now(), **columns))
