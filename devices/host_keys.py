"""What is done with host keys beside accepting one: imports of known_hosts, rules, and those that wait for a person."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db import transaction
from django.http import HttpRequest

from devices.models import Device, HostKey, HostKeyRule
from devices.rules.known_hosts import AUTHORITY, KnownHost
from devices.services import note_configured, trust_host_key
from ssm.accounts.audit import record_audit
from ssm.lib.roles import Right, SomeUser, can_everywhere


@dataclass(frozen=True, slots=True)
class ImportedLine:
    """What became of one line: added, known, differs (another key is accepted), nobody (about no device), or rule."""

    number: int
    outcome: str
    text: str
    device: Device | None = None


@dataclass(slots=True)
class Imported:
    """What an import did. ``added`` are devices that have a new key."""

    lines: list[ImportedLine] = field(default_factory=list)
    added: set[Device] = field(default_factory=set)
    # Lines that whoever asked may not import.
    left_out: int = 0

    def count(self, outcome: str) -> int:
        """How many lines ended so."""
        return sum(1 for line in self.lines if line.outcome == outcome)


def import_known_hosts(lines: Iterable[KnownHost], devices: Iterable[Device], user: SomeUser) -> Imported:
    """Accept the keys that lines name for these devices, in one transaction. A key that differs is never replaced.

    Lines with a marker become rules, whatever devices there are. ``devices`` are those that the user may change, their
    host keys prefetched.
    """
    done = Imported()
    places = [device for device in devices if device.transport == Device.Transport.SSH]
    accepted = {device.pk: {key.key_type: key for key in device.host_keys.all()} for device in places}
    with transaction.atomic():
        for line in lines:
            if line.marker:
                done.lines.append(_rule(line, user))
                continue
            about = [device for device in places if line.is_about(device.address, device.port)]
            if not about:
                name = "a hashed name" if line.is_hashed else line.patterns[:80]
                done.lines.append(ImportedLine(line.number, "nobody", f"{name} is none of your devices"))
            for device in about:
                done.lines.append(_take(line, device, accepted[device.pk], user))
                if done.lines[-1].outcome == "added":
                    done.added.add(device)
    note_configured(Device.objects.filter(pk__in=[device.pk for device in done.added]))
    return done


def take_known_hosts(request: HttpRequest, lines: Sequence[KnownHost]) -> Imported:
    """Import lines for whoever asks, and record it: keys of devices that they manage, rules if they manage all."""
    may_rule = can_everywhere(request.user, Right.MANAGE_DEVICES)
    devices = Device.objects.permitted(request.user, Right.MANAGE_DEVICES).prefetch_related("host_keys")
    taken = [line for line in lines if may_rule or not line.marker]
    done = import_known_hosts(taken, devices, request.user)
    done.left_out = len(lines) - len(taken)
    for device in sorted(done.added, key=lambda each: each.name):
        keys = [line.text for line in done.lines if line.device == device and line.outcome == "added"]
        record_audit(request.user, "hostkey.import", device, after={"host_keys": keys}, request=request)
    for line in done.lines:
        if line.outcome == "rule":
            record_audit(request.user, "hostkeyrule.add", line.text, request=request)
    return done


def _take(line: KnownHost, device: Device, accepted: dict[str, HostKey], user: SomeUser) -> ImportedLine:
    known = accepted.get(line.key.key_type)
    if known is not None and known.key_base64 == line.key.key_base64:
        return ImportedLine(line.number, "known", f"{line.key.fingerprint} is accepted already", device)
    if known is not None:
        text = f"accepted is {known.fingerprint}, the file has {line.key.fingerprint}: left as it is"
        return ImportedLine(line.number, "differs", text, device)
    accepted[line.key.key_type] = trust_host_key(device, line.key, user, source=HostKey.Source.KNOWN_HOSTS)
    return ImportedLine(line.number, "added", f"{line.key.key_type} {line.key.fingerprint}", device)


def _rule(line: KnownHost, user: SomeUser) -> ImportedLine:
    if line.is_hashed:
        return ImportedLine(line.number, "bad", "a rule needs names that can be read, not hashed ones")
    kind = HostKeyRule.Kind.AUTHORITY if line.marker == AUTHORITY else HostKeyRule.Kind.REVOKED
    rule, is_new = HostKeyRule.objects.get_or_create(
        kind=kind,
        patterns=line.patterns,
        fingerprint=line.key.fingerprint,
        defaults={
            "key_type": line.key.key_type,
            "key_base64": line.key.key_base64,
            "comment": line.comment,
            "added_by": user if user.is_authenticated else None,
        },
    )
    text = f"{rule.get_kind_display()} for {line.patterns[:80]}: {line.key.fingerprint}"
    return ImportedLine(line.number, "rule" if is_new else "known", text)
