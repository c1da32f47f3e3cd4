"""What is done with devices: register, trust a host key, note how the connection stands."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from devices.connections.access import Access
from devices.errors import DeviceError, HostKeyError, JumpHostsLoop, NoLogin
from devices.models import AcceptedKey, Credential, Device, DeviceGroup, HostKey, HostKeyRule, Jump, ShownKey, now
from devices.rules.host_keys import PinnedKey
from devices.rules.known_hosts import matches
from devices.rules.targets import Answer, Authentication, ConnectionTarget, Proxy, TlsSettings
from ssm.lib.roles import Right, SomeUser, grants_of

# A watcher tells every 20 s that it still hears a device; after this silence nobody may call it online.
SILENCE = timedelta(seconds=90)
# Longer chains are a mistake, most likely a circle.
MOST_HOPS = 8
MOST_RULES = 1000
DEFAULT_PROXY_PORTS = {"socks5": 1080, "http": 3128}


def connection_target(device: Device) -> ConnectionTarget:
    """All that it takes to reach a device, jump hosts included.

    Reads its credential with answers, its host keys and its jump hosts: one query each unless prefetched, and the same
    for each jump host that is a device. NoLogin or JumpHostsLoop when the rows lack something or go in circles;
    UndecryptableSecretError when a secret was written with a key that is no longer configured.
    """
    return _target(device, seen=(device.pk,))


def _target(device: Device, *, seen: tuple[object, ...]) -> ConnectionTarget:
    is_ssh = device.transport == Device.Transport.SSH
    credential = effective_credential(device) if is_ssh else None
    if credential is None and is_ssh:
        raise NoLogin(
            f"{device.name}: no log-in is chosen, and none of its groups has one.",
            fix="Choose a log-in under Edit, or give one of its groups a default log-in.",
        )
    who = authentication(credential) if credential is not None else Authentication("")
    target = ConnectionTarget(
        device_id=str(device.pk),
        name=device.name,
        address=device.address,
        port=device.port,
        authentication=who,
        pinned_keys=pinned_keys(device.host_keys.all()),
        socket_path=device.docker_socket,
        connect_timeout_s=device.connect_timeout_s,
        request_timeout_s=device.request_timeout_s,
        channel_kind=device.channel_kind,
        transport=device.transport,
        **way_of(device),
    )
    if not is_ssh:
        return target
    jumps = device.jumps.select_related("via", "credential")
    return replace(target, hops=tuple(hop for hop, _jump in _hops(target, jumps, seen)))


def way_of(device: Device) -> dict[str, Any]:
    """Fields of a target that tell how to get there, jump hosts left out. Reads the proxy's and Docker's credential."""
    docker = device.docker_credential
    return {
        "address_family": device.address_family,
        "proxy": proxy_of(device),
        "keepalive_s": float(device.keepalive_s),
        "legacy_algorithms": device.legacy_algorithms,
        "compression": device.compression,
        "become": device.become,
        "become_user": device.become_user,
        "become_password": (docker.password or None) if docker is not None else None,
        "forced_channel_kind": device.forced_channel_kind,
        "tls": tls_of(device),
        "tls_server_name": device.tls_server_name,
        "trust_sshfp": device.trust_sshfp,
        **(host_key_rules(device.address, device.port) if device.transport == Device.Transport.SSH else {}),
    }


def tls_of(device: Device) -> TlsSettings | None:
    """What the device's TLS identity holds, decrypted; None without one."""
    identity = device.tls
    if identity is None or device.transport != Device.Transport.TLS:
        return None
    return TlsSettings(identity.ca_pem, identity.certificate_pem, identity.private_key)


def host_key_rules(address: str, port: int) -> dict[str, Any]:
    """Authorities and revoked keys whose patterns match a host, as fields of a target. One query."""
    found: dict[str, list[PinnedKey]] = {HostKeyRule.Kind.AUTHORITY: [], HostKeyRule.Kind.REVOKED: []}
    for rule in HostKeyRule.objects.all()[:MOST_RULES]:
        if matches(rule.patterns, address, port):
            found[rule.kind].append(PinnedKey(rule.key_type, rule.key_base64))
    return {
        "authorities": tuple(found[HostKeyRule.Kind.AUTHORITY]),
        "revoked_keys": tuple(found[HostKeyRule.Kind.REVOKED]),
    }


def proxy_of(device: Device) -> Proxy | None:
    """The proxy of a device, if it has one."""
    if device.proxy_kind == Device.ProxyKind.NONE:
        return None
    who = device.proxy_credential
    return Proxy(
        kind=device.proxy_kind,
        address=device.proxy_address,
        port=device.proxy_port or DEFAULT_PROXY_PORTS[device.proxy_kind],
        username=who.username if who is not None else "",
        password=(who.password or None) if who is not None else None,
    )


def hops_of(
    target: ConnectionTarget, jumps: Iterable[Jump], device: Device | None
) -> list[tuple[ConnectionTarget, Jump | None]]:
    """The jump hosts of ``jumps`` in order, for a target that need not be saved.

    Each with the row it stands for; None for those that are devices, or on the way to one. JumpHostsLoop, NoLogin.
    """
    return list(_hops(target, jumps, (device.pk,) if device is not None else ()))


def _hops(
    target: ConnectionTarget, jumps: Iterable[Jump], seen: tuple[object, ...]
) -> Iterator[tuple[ConnectionTarget, Jump | None]]:
    count = 0
    for jump in jumps:
        found: list[tuple[ConnectionTarget, Jump | None]]
        if jump.via is None:
            found = [(_jump_target(target, jump), jump)]
        elif jump.via.pk in seen or jump.via.transport != Device.Transport.SSH:
            raise JumpHostsLoop(
                f"{target.label}: {jump.via.name} cannot be a jump host here: the way to it leads through "
                f"{target.label} itself, or it is not reached by SSH.",
                fix="Correct the jump hosts of both devices.",
            )
        else:
            seen = (*seen, jump.via.pk)
            hop = _target(jump.via, seen=seen)
            found = [*((before, None) for before in hop.hops), (replace(hop, hops=()), None)]
        count += len(found)
        if count > MOST_HOPS:
            raise JumpHostsLoop(
                f"{target.label}: the way leads through more than {MOST_HOPS} jump hosts.",
                fix="Correct the jump hosts of this device and of the devices that it is reached through.",
            )
        yield from found


def _jump_target(target: ConnectionTarget, jump: Jump) -> ConnectionTarget:
    keys = jump.host_keys.all() if not jump._state.adding else ()
    return ConnectionTarget(
        device_id="",
        name=f"jump host {jump.address}",
        address=jump.address,
        port=jump.port,
        authentication=authentication(jump.credential) if jump.credential is not None else target.authentication,
        pinned_keys=pinned_keys(keys),
        connect_timeout_s=target.connect_timeout_s,
        address_family=target.address_family,
        keepalive_s=target.keepalive_s,
        legacy_algorithms=target.legacy_algorithms,
        **host_key_rules(jump.address, jump.port),
    )


def pinned_keys(keys: Iterable[AcceptedKey]) -> tuple[PinnedKey, ...]:
    """Rows of accepted keys as the connection wants them."""
    return tuple(PinnedKey(key_type=key.key_type, key_base64=key.key_base64) for key in keys)


def may_manage(user: SomeUser, groups: Iterable[str], *, kept: Iterable[str] = ()) -> bool:
    """Whether the user may add, or move, a device into these groups.

    It must not leave what the user may manage, nor come into groups of others: these have default log-ins, and people
    who act on what is in them. ``kept`` are groups that it is in already.
    """
    scopes = grants_of(user).of(Right.MANAGE_DEVICES)

    def within(some: set[str]) -> bool:
        return any(all(not limit.labels and some & set(limit.device_groups) for limit in scope) for scope in scopes)

    names = set(groups)
    return within(names) and all(within({name}) for name in names - set(kept))


def may_use(user: SomeUser, credential: Credential) -> bool:
    """Whether the user may have devices log in with it: at a server of his choice, he could read it. One query."""
    return Credential.objects.permitted(user, Right.MANAGE_DEVICES).filter(pk=credential.pk).exists()


def effective_credential(device: Device) -> Credential | None:
    """The device's own credential, else the one of the first of its groups that has one. At most one query."""
    if device.credential_id is not None:
        return device.credential
    return default_credential(device.groups)


def default_credential(groups: Sequence[str]) -> Credential | None:
    """The credential of the first of these groups that has one. One query, none without groups."""
    if not groups:
        return None
    found = DeviceGroup.objects.filter(name__in=groups, credential__isnull=False).select_related("credential")
    by_name = {group.name: group.credential for group in found}
    return next((by_name[name] for name in groups if name in by_name), None)


def authentication(credential: Credential) -> Authentication:
    """The log-in that a credential stands for, decrypted. One query for its answers unless prefetched."""
    return Authentication(
        username=credential.username,
        password=credential.password or None,
        private_key=credential.private_key or None,
        passphrase=credential.passphrase or None,
        sudo=credential.use_sudo,
        certificate=credential.certificate,
        answers=tuple(Answer(answer.prompt, answer.answer) for answer in credential.answers.all()),
        agent=credential.use_agent,
        agent_key=credential.agent_key,
    )


def devices_using(credential: Credential) -> QuerySet[Device]:
    """Devices that this credential opens, in whatever way: their own, their group's, a jump host's, a proxy's."""
    groups = list(credential.device_groups.values_list("name", flat=True))
    direct = (
        Q(credential=credential)
        | Q(docker_credential=credential)
        | Q(proxy_credential=credential)
        | Q(jumps__credential=credential)
    )
    inherited = Q(credential=None, groups__overlap=groups) if groups else Q(pk__in=[])
    return Device.objects.filter(Q(pk__in=Device.objects.filter(direct).values("pk")) | inherited)


def note_configured(devices: QuerySet[Device]) -> None:
    """Record that the way to these devices changed, and to those that are reached through them: watchers connect anew.

    An unreachable one is tried at once.
    """
    ids = set(devices.values_list("pk", flat=True))
    new = ids
    for _ in range(MOST_HOPS):
        new = set(Jump.objects.filter(via__in=new).values_list("device_id", flat=True)) - ids
        ids |= new
        if not new:
            break
    changed = Device.objects.filter(pk__in=ids)
    changed.update(configured_at=now())
    changed.filter(state=Device.State.UNREACHABLE).update(next_attempt_at=now())


def trust_host_key(
    device: Device, key: PinnedKey, user: SomeUser | None, *, source: str = HostKey.Source.COMPARED
) -> HostKey:
    """Accept a host key for a device, in place of an older one of the same type; no key of it is in doubt any more."""
    host_key, _created = HostKey.objects.update_or_create(
        device=device,
        key_type=key.key_type,
        defaults={
            "key_base64": key.key_base64,
            "fingerprint": key.fingerprint,
            "accepted_by": user if user is not None and user.is_authenticated else None,
            "accepted_at": now(),
            "source": source,
        },
    )
    ShownKey.objects.filter(device=device).delete()
    return host_key


def replace_host_keys(device: Device, key: PinnedKey, user: SomeUser | None) -> HostKey:
    """Accept a key and forget all others of the device: for a host that was set up anew."""
    with transaction.atomic(durable=True):
        device.host_keys.exclude(key_type=key.key_type).delete()
        return trust_host_key(device, key, user)


def keep_key_by_dns(device: Device, target: ConnectionTarget, shown: PinnedKey | None) -> None:
    """Pin the key of a host that was let through by DNS alone, so that later changes need a person."""
    is_by_dns = target.trust_sshfp and not target.pinned_keys and shown is not None and not target.authorities
    if is_by_dns and shown is not None:
        trust_host_key(device, shown, None, source=HostKey.Source.DNS)


def _note_shown_key(device: Device, error: DeviceError) -> None:
    """Keep the key that a host was refused for, so that it can be decided about without asking the host again."""
    details = error.details
    if not isinstance(error, HostKeyError) or not details.get("key_base64"):
        return
    shown, is_new = ShownKey.objects.get_or_create(
        device=device,
        defaults={name: str(details[name]) for name in ("key_type", "key_base64", "fingerprint")},
    )
    if is_new:
        return
    shown.last_shown_at = now()
    if shown.fingerprint != details["fingerprint"]:
        shown.key_type, shown.key_base64 = str(details["key_type"]), str(details["key_base64"])
        shown.fingerprint, shown.first_shown_at = str(details["fingerprint"]), shown.last_shown_at
    shown.save()


def note_connecting(device: Device) -> bool:
    """Record that a first attempt is under way; one that is known to be unreachable stays so until it answers."""
    fresh = Q(state=Device.State.UNKNOWN) | Q(state=Device.State.DISABLED)
    return _change(device, fresh, state=Device.State.CONNECTING, state_code="", state_message="", state_fix="")


def note_online(device: Device, *, engine: dict[str, Any], channel_kind: str) -> bool:
    """Record that the engine answers, and that a sweep is due; ``engine`` holds columns to set.

    True when the state changed by it.
    """
    moment = now()
    ShownKey.objects.filter(device=device).delete()
    Device.objects.filter(pk=device.pk).update(
        last_seen_at=moment, next_attempt_at=None, next_sweep_at=moment, channel_kind=channel_kind, **engine
    )
    return _change(
        device, ~Q(state=Device.State.ONLINE), state=Device.State.ONLINE, state_code="", state_message="", state_fix=""
    )


def note_unreachable(device: Device, error: DeviceError, next_attempt_at: datetime | None) -> bool:
    """Record why the device cannot be reached and when the next try is; True when state or reason changed."""
    _note_shown_key(device, error)
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


def note_access(device_id: str, access: Access) -> None:
    """Record what the way to a device's engine allows, as it was just found out."""
    Device.objects.filter(pk=device_id).update(
        access_grade=access.grade.value,
        access_abilities=[*access.abilities, *(["figures"] if access.runs_commands else [])],
        access_checked_at=now(),
    )


def request_attempt_now(device: Device) -> None:
    """Ask the watchers to try an unreachable device at once: they look at ``next_attempt_at`` every second."""
    Device.objects.filter(pk=device.pk).exclude(state=Device.State.ONLINE).update(next_attempt_at=now())


def _change(device: Device, condition: Q, **columns: Any) -> bool:
    return bool(Device.objects.filter(condition, pk=device.pk).update(state_since=now(), **columns))
