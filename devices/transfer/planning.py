"""What would become of each entry of a document of devices."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model

from devices.forms.fields import MAX_GROUPS, clean_cron, clean_host
from devices.forms.ways import clean_user_to_become
from devices.models import Credential, Device, DeviceGroup, TlsIdentity
from devices.rules.host_keys import HostKeyError, PinnedKey, parse_host_key
from devices.transfer.writing import COLUMNS, DEVICE, GROUP, LINKS, LOGIN, LOGIN_COLUMNS, default_of, of_jump
from ssm.lib.transfer import (
    CHANGED,
    NEW,
    SAME,
    Change,
    Planned,
    TransferFault,
    entries,
    guarded,
    shown,
    text_of,
    twice,
    unknown_keys,
)

MOST_JUMPS: Final = 8
_MOST_KEYS: Final = 10


def plan(told: Mapping[str, Any]) -> list[Planned]:
    """What would become of each entry: log-ins, groups, devices, in this order. Six queries. TransferFault.

    Rows are found again by their names. Log-ins that exist are never changed; ones that are new come without secrets.
    """
    logins, groups, devices = (entries(told, name) for name in ("logins", "groups", "devices"))
    planned = [*_plan_logins(logins), *_plan_groups(groups, {entry["name"] for entry in logins})]
    known_names = {
        Credential: {*Credential.objects.values_list("name", flat=True), *(entry["name"] for entry in logins)},
        TlsIdentity: set(TlsIdentity.objects.values_list("name", flat=True)),
    }
    rows = Device.objects.select_related("credential", "proxy_credential", "docker_credential", "tls")
    rows = rows.prefetch_related("jumps__via", "jumps__credential", "host_keys")
    known = {row.name: row for row in rows.filter(name__in=[entry["name"] for entry in devices])}
    everybody = {*Device.objects.values_list("name", flat=True), *(entry["name"] for entry in devices)}
    for entry in devices:
        found = known.get(entry["name"].strip())

        def one(entry: Mapping[str, Any] = entry, found: Device | None = found) -> Planned:
            return _plan_device(entry, found, known_names, everybody)

        planned.append(guarded(DEVICE, entry, one))
    return twice(planned)


def _plan_logins(told: Sequence[Mapping[str, Any]]) -> Iterable[Planned]:
    known = {row.name: row for row in Credential.objects.only("name", "username")}
    for entry in told:

        def one(entry: Mapping[str, Any] = entry) -> Planned:
            name = text_of(entry, "name", 100)
            if name in known:
                return Planned(LOGIN, name, SAME, notes=("It exists, and is left as it is.",), row=known[name])
            values = _columns(Credential, entry, LOGIN_COLUMNS)
            _check(Credential(name=name, **values), exclude=())
            notes = unknown_keys(entry, ("name", *LOGIN_COLUMNS))
            needs = not values.get("passwordless") and not values.get("use_agent")
            if needs:
                notes = ("Its key or password is not in the file: give it on the log-in's page.", *notes)
            return Planned(LOGIN, name, NEW, notes=notes, values=values)

        yield guarded(LOGIN, entry, one)


def _plan_groups(told: Sequence[Mapping[str, Any]], coming: Collection[str]) -> Iterable[Planned]:
    known = {row.name: row for row in DeviceGroup.objects.select_related("credential")}
    logins = {*Credential.objects.values_list("name", flat=True), *coming}
    for entry in told:

        def one(entry: Mapping[str, Any] = entry) -> Planned:
            name, login = text_of(entry, "name", 50), text_of(entry, "login", 100)
            if login and login not in logins:
                raise TransferFault(f"There is no log-in “{login}”.")
            row = known.get(name)
            values = {"login": login}
            notes = unknown_keys(entry, ("name", "login"))
            if row is None:
                return Planned(GROUP, name, NEW, notes=notes, values=values)
            before = row.credential.name if row.credential else ""
            if before == login:
                return Planned(GROUP, name, SAME, notes=notes, row=row)
            return Planned(
                GROUP, name, CHANGED, (Change("login", shown(before), shown(login)),), notes, "", values, row
            )

        yield guarded(GROUP, entry, one)


def _plan_device(
    entry: Mapping[str, Any],
    found: Device | None,
    known_names: Mapping[type[Model], Collection[str]],
    devices: Collection[str],
) -> Planned:
    name = text_of(entry, "name", 100)
    columns = _columns(Device, entry, COLUMNS)
    notes = list(unknown_keys(entry, ("name", *COLUMNS, *LINKS, "jumps", "host_keys")))
    links: dict[str, str] = {}
    for word, (_column, model) in LINKS.items():
        linked = text_of(entry, word, 100)
        if linked and linked not in known_names[model]:
            if model is Credential:
                raise TransferFault(f"There is no log-in “{linked}”.")
            notes.append(f"There is no TLS identity “{linked}”: it comes without, add it and choose it there.")
            linked = ""
        links[word] = linked
    jumps = _jumps(entry, name, known_names[Credential], devices)
    keys = _host_keys(entry)
    probe = Device(name=name, **columns)
    _clean_device(probe)
    columns = {column: getattr(probe, column) for column in columns}
    values = {"columns": columns, "links": links, "jumps": jumps, "host_keys": keys}
    if found is None:
        return Planned(DEVICE, name, NEW, notes=tuple(notes), values=values)
    # What the file says nothing of becomes as in a new device: an export leaves out just that.
    whole: dict[str, Any] = {column: columns.get(column, default_of(Device, column)) for column in COLUMNS}
    values["columns"] = whole
    changes = [
        Change(column, shown(getattr(found, column)), shown(value))
        for column, value in whole.items()
        if getattr(found, column) != value
    ]
    for word, (column, _model) in LINKS.items():
        before = getattr(found, column).name if getattr(found, column) is not None else ""
        if before != links[word]:
            changes.append(Change(word, shown(before), shown(links[word])))
    standing = [of_jump(jump) for jump in found.jumps.all()]
    if standing != jumps:
        changes.append(Change("jumps", shown(list(map(_jump_text, standing))), shown(list(map(_jump_text, jumps)))))
    trusted = {(key.key_type, key.key_base64) for key in found.host_keys.all()}
    if any((key.key_type, key.key_base64) not in trusted for key in keys):
        notes.append("The file has host keys that are not trusted here.")
    return Planned(DEVICE, name, CHANGED if changes else SAME, tuple(changes), tuple(notes), "", values, found)


def _jump_text(jump: Mapping[str, Any]) -> str:
    return str(jump.get("device") or f"{jump['address']}:{jump['port']}")


def _columns(model: type[Model], entry: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Columns that an entry names, of the type that they have. TransferFault."""
    found: dict[str, Any] = {}
    for name in names:
        if name not in entry:
            continue
        column: Any = model._meta.get_field(name)
        value = entry[name]
        kind = column.get_internal_type()
        if value is None and not column.null:
            raise TransferFault(f"“{name}” has no value.")
        if name == "groups":
            value = _group_names(value)
        elif kind == "BooleanField" and not isinstance(value, bool):
            raise TransferFault(f"“{name}” has to be true or false.")
        elif kind.startswith("Positive") and value is not None and (isinstance(value, bool) or type(value) is not int):
            raise TransferFault(f"“{name}” has to be a number.")
        elif kind in ("CharField", "TextField"):
            value = text_of(entry, name, column.max_length or 10_000)
        found[name] = value
    return found


def _group_names(value: Any) -> list[str]:
    names = value if isinstance(value, list) else None
    if names is None or len(names) > MAX_GROUPS or not all(isinstance(name, str) for name in names):
        raise TransferFault(f"“groups” has to be a list of at most {MAX_GROUPS} names.")
    cleaned = list(dict.fromkeys(name.strip() for name in names))
    if any(not name or len(name) > 50 or "," in name or not name.isprintable() for name in cleaned):
        raise TransferFault("Names of groups have 1 to 50 characters, without commas.")
    return cleaned


def _jumps(
    entry: Mapping[str, Any], own: str, logins: Collection[str], devices: Collection[str]
) -> list[dict[str, Any]]:
    told = entry.get("jumps") or []
    if not isinstance(told, list) or len(told) > MOST_JUMPS or not all(isinstance(jump, dict) for jump in told):
        raise TransferFault(f"“jumps” has to be a list of at most {MOST_JUMPS} jump hosts.")
    found: list[dict[str, Any]] = []
    for jump in told:
        if via := text_of(jump, "device", 100):
            if via == own or via not in devices:
                raise TransferFault(f"The jump host “{via}” is no other device.")
            found.append({"device": via})
            continue
        login, port = text_of(jump, "login", 100), jump.get("port", 22)
        if type(port) is not int or not 0 < port < 65536:
            raise TransferFault("The port of a jump host is no port.")
        if login and login not in logins:
            raise TransferFault(f"There is no log-in “{login}”.")
        place: dict[str, Any] = {"address": _cleaned(clean_host, text_of(jump, "address")), "port": port}
        found.append({**place, "login": login} if login else place)
    return found


def _host_keys(entry: Mapping[str, Any]) -> list[PinnedKey]:
    told = entry.get("host_keys") or []
    if not isinstance(told, list) or len(told) > _MOST_KEYS or not all(isinstance(key, str) for key in told):
        raise TransferFault(f"“host_keys” has to be a list of at most {_MOST_KEYS} keys.")
    try:
        return [parse_host_key(key[:20_000]) for key in told]
    except HostKeyError as exc:
        raise TransferFault(f"A host key cannot be read: {exc}") from exc


def _clean_device(device: Device) -> None:
    """The checks of the form of devices. TransferFault."""
    device.address = _cleaned(clean_host, device.address)
    device.proxy_address = _cleaned(clean_host, device.proxy_address) if device.proxy_address else ""
    device.become_user = _cleaned(clean_user_to_become, device.become_user)
    if device.proxy_kind != Device.ProxyKind.NONE and not device.proxy_address:
        raise TransferFault("The proxy has no address.")
    for name in ("sweep_schedule", "statistics_schedule", "update_schedule"):
        setattr(device, name, _cleaned(clean_cron, getattr(device, name)))
    _check(device, exclude=("credential", "proxy_credential", "docker_credential", "tls"))


def _cleaned(clean: Any, text: str) -> str:
    try:
        return str(clean(text))
    except forms.ValidationError as exc:
        raise TransferFault(" ".join(exc.messages)) from exc


def _check(row: Model, *, exclude: Collection[str]) -> None:
    try:
        row.clean_fields(exclude=set(exclude))
    except ValidationError as exc:
        told = [f"{name}: {' '.join(messages)}" for name, messages in exc.message_dict.items()]
        raise TransferFault("; ".join(told)[:500]) from exc
