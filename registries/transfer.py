"""Accounts at registries as a document without their secrets, and from one."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from registries.models import Registry, now
from registries.providers import PROVIDERS, Provider, provider_of
from registries.rules.addresses import AddressError, check_prefix, parse_registry_address, parse_trusted_host
from registries.rules.certificates import CertificateError, check_certificates
from registries.rules.schedules import ScheduleError, next_poll
from registries.services import account_changed
from ssm.accounts.audit import record_audit, snapshot
from ssm.lib.roles import SomeUser
from ssm.lib.transfer import (
    ADDED,
    CHANGED,
    FAILED,
    NEW,
    SAME,
    UPDATED,
    VERSION,
    Change,
    Planned,
    Result,
    TransferFault,
    apply_each,
    entries,
    guarded,
    shown,
    text_of,
    twice,
    unknown_keys,
)

WHAT: Final = "registries"
REGISTRY: Final = "registry"
MOST_PEM: Final = 64 * 1024
_TEXTS: Final = ("provider", "host", "path_prefix", "base_url", "kind", "auth_host", "poll_schedule")
_BOOLEANS: Final = ("is_enabled", "allow_http", "insecure_tls")
_PEM: Final = ("ca_pem", "client_certificate")
_COLUMNS: Final = (*_TEXTS, *_BOOLEANS, *_PEM, "public_values")
_ALWAYS: Final = frozenset({"provider", "host", "is_enabled"})
# Whatever decides where secrets go, and who could read them on the way.
_PLACE: Final = ("provider", "host", "base_url", "auth_host", "allow_http", "insecure_tls", "ca_pem", "kind")


def document(user: SomeUser) -> dict[str, Any]:
    """All accounts that the user may see, without secrets. One query."""
    rows = Registry.objects.visible_to(user).defer("secrets", "client_key").order_by("name")
    return {
        "ssm": WHAT,
        "version": VERSION,
        "exported_at": datetime.now(UTC).replace(microsecond=0).isoformat(),
        "registries": [{"name": row.name, **_written(row)} for row in rows],
    }


def _written(row: Registry) -> dict[str, Any]:
    fresh = Registry()
    return {
        name: value for name in _COLUMNS if (value := getattr(row, name)) != getattr(fresh, name) or name in _ALWAYS
    }


# ---- what would become of it


def plan(told: Mapping[str, Any]) -> list[Planned]:
    """What would become of each entry. One query. TransferFault. Accounts are found again by their names."""
    listed = entries(told, "registries")
    known = {row.name: row for row in Registry.objects.all()}

    def one(entry: Mapping[str, Any]) -> Planned:
        return guarded(REGISTRY, entry, lambda: _plan_one(entry, known.get(entry["name"].strip())))

    return twice(map(one, listed))


def _plan_one(entry: Mapping[str, Any], found: Registry | None) -> Planned:
    name = text_of(entry, "name", 100)
    values = _values(entry)
    notes = unknown_keys(entry, ("name", *_COLUMNS))
    if found is None:
        if _needs_secrets(values):
            values["is_enabled"] = False
            notes = ("It comes switched off: its secrets are not in the file. Give them on its page.", *notes)
        return Planned(REGISTRY, name, NEW, notes=notes, values=values)
    if found.provider != values["provider"]:
        raise TransferFault("An account of this name is at another provider.")
    changes = [
        Change(column, shown(getattr(found, column)), shown(value))
        for column, value in values.items()
        if getattr(found, column) != value
    ]
    moves = [change.name for change in changes if change.name in _PLACE]
    if moves and (found.secrets or found.client_key):
        raise TransferFault(
            f"It would send the stored secrets another way ({', '.join(moves)}): change that on the account's page."
        )
    return Planned(REGISTRY, name, CHANGED if changes else SAME, tuple(changes), notes, "", values, found)


def _values(entry: Mapping[str, Any]) -> dict[str, Any]:
    """All columns of an entry; what it says nothing of has the value that new accounts have. TransferFault."""
    fresh = Registry()
    found: dict[str, Any] = {name: text_of(entry, name, 300) for name in _TEXTS}
    for name in _BOOLEANS:
        found[name] = entry.get(name, getattr(fresh, name))
        if not isinstance(found[name], bool):
            raise TransferFault(f"“{name}” has to be true or false.")
    for name in _PEM:
        found[name] = _pem(entry.get(name) or "", name)
    provider = PROVIDERS.get(found["provider"])
    if provider is None:
        raise TransferFault(f"There is no provider “{found['provider'][:40]}”.")
    _check_place(found, provider)
    if found["kind"] not in {"", *(_kind_of(provider, each) for each in provider.combinations)}:
        raise TransferFault(f"“{found['kind'][:80]}” is no way to log in at {provider.label}.")
    if not found["kind"] and not provider.allows_anonymous:
        raise TransferFault(f"{provider.label} lets nobody in without logging in.")
    found["public_values"] = _public(entry.get("public_values") or {}, provider)
    return found


def _kind_of(provider: Provider, combination: Collection[str]) -> str:
    return "+".join(field.name for field in provider.fields if field.name in combination)


def _check_place(found: dict[str, Any], provider: Provider) -> None:
    try:
        found["path_prefix"] = check_prefix(found["path_prefix"])
        found["auth_host"] = parse_trusted_host(found["auth_host"]) if found["auth_host"] else ""
        address = parse_registry_address(found["base_url"] or found["host"])
    except AddressError as exc:
        raise TransferFault(str(exc)) from exc
    if not found["host"] or address.host != found["host"]:
        raise TransferFault("“host” and “base_url” have to name the same registry.")
    if provider_of(address.host).id not in ("custom", provider.id):
        raise TransferFault(f"{address.host} belongs to another provider.")
    if not provider.takes_url and address.host != provider.default_host:
        raise TransferFault(f"{provider.label} is at {provider.default_host}.")
    if address.scheme == "http" and not found["allow_http"]:
        raise TransferFault("Its address is plain HTTP, which “allow_http” does not allow.")
    if found["poll_schedule"]:
        try:
            next_poll(found["poll_schedule"], now())
        except ScheduleError as exc:
            raise TransferFault(str(exc)) from exc


def _pem(text: object, name: str) -> str:
    if not isinstance(text, str) or len(text) > MOST_PEM:
        raise TransferFault(f"“{name}” has to be the text of certificates.")
    if not text.strip():
        return ""
    if "PRIVATE KEY" in text:
        raise TransferFault(f"“{name}” holds a private key: keys do not belong in a file like this.")
    try:
        return check_certificates(text)
    except CertificateError as exc:
        raise TransferFault(str(exc)) from exc


def _public(told: object, provider: Provider) -> dict[str, str]:
    """What of the credentials is no secret; a secret's name is refused, so that none comes in the clear."""
    if not isinstance(told, dict):
        raise TransferFault("“public_values” has to be names with texts.")
    open_names = {field.name for field in provider.fields if not field.is_secret}
    found = {}
    for name in told:
        if name not in open_names:
            raise TransferFault(f"“{str(name)[:40]}” does not belong to the public values of {provider.label}.")
        found[name] = text_of(told, name)
    return found


def _needs_secrets(values: Mapping[str, Any]) -> bool:
    provider = PROVIDERS[values["provider"]]
    secret = {field.name for field in provider.fields if field.is_secret}
    return bool(secret & set(values["kind"].split("+"))) or bool(values["client_certificate"])


# ---- doing it


def apply(planned: Sequence[Planned], chosen: Collection[str], user: SomeUser) -> list[Result]:
    """Do what was planned for the chosen entries (their keys), each by itself, and record it; a result for each."""
    return [result for _one, result in apply_each(planned, chosen, lambda one: _store(one, user))]


def _store(one: Planned, user: SomeUser) -> Result:
    try:
        with transaction.atomic():
            row = Registry.objects.select_for_update().filter(name=one.name).first()
            if (row is None) != (one.state == NEW):
                raise TransferFault("It was added, renamed or removed meanwhile: read the file again.")
            before = snapshot(row) if row is not None else None
            row = row or Registry(name=one.name)
            for name, value in one.values.items():
                setattr(row, name, value)
            row.tested_at = row.test_passed = None
            row.test_message = row.test_fix = ""
            row.full_clean(validate_constraints=False)
            row.save()
            account_changed(row)
            after = {"imported": True, **snapshot(row)}
            record_audit(user, f"registry.{'change' if before else 'add'}", row, before=before, after=after)
    except TransferFault as exc:
        return Result(REGISTRY, one.name, FAILED, str(exc))
    except ValidationError as exc:
        return Result(REGISTRY, one.name, FAILED, " ".join(exc.messages)[:500])
    except IntegrityError:
        return Result(REGISTRY, one.name, FAILED, "Another account counts for the same images already.")
    return Result(REGISTRY, one.name, UPDATED if before else ADDED, " ".join(one.notes), row.get_absolute_url())
