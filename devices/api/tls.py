"""TLS identities: how SSM proves itself to engines behind TLS. Certificates and keys go in and are never told again."""

import uuid
from datetime import datetime
from typing import Any, Final, Literal

from django.db.models import Q
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema, Status
from pydantic import ConfigDict, Field, SecretStr

from devices.forms.tls import SECRETS, TlsIdentityForm
from devices.models import TlsIdentity
from devices.services import note_configured
from ssm.accounts.audit import record_audit, snapshot
from ssm.lib.api.access import needs
from ssm.lib.api.errors import Conflict, answers
from ssm.lib.api.forms import Text, check, values_of
from ssm.lib.api.paging import Paging, page
from ssm.lib.roles import Right

router = Router(tags=["credentials"])
_SORTS: Final = {"name": ("name",), "changed": ("-updated_at", "name")}


class TlsFilter(Schema):
    """Which identities."""

    q: Text = Field("", description="Part of the name, subject or fingerprint.", max_length=200)
    sort: Literal["name", "-name", "changed", "-changed"] = "name"


class TlsEntry(Schema):
    """A TLS identity: whose certificates, and until when."""

    id: uuid.UUID
    name: str
    subject: str = Field(description="Of our certificate; empty without one.")
    fingerprint: str
    expires_at: datetime | None
    ca_subject: str = Field(description="Of the authority of the engines; empty: those that the machine trusts.")
    ca_fingerprint: str
    ca_expires_at: datetime | None
    updated_at: datetime

    @classmethod
    def of(cls, row: TlsIdentity) -> "TlsEntry":
        """From its row."""
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


class TlsPage(Schema):
    """Some identities, and where the next page begins."""

    items: list[TlsEntry]
    next: str


class TlsChange(Schema):
    """What to change; what is left out stays, and so does what is empty: `forget` removes it."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=100)
    ca_pem: SecretStr | None = Field(None, description="The authority of the engines (ca.pem).")
    certificate_pem: SecretStr | None = Field(None, description="Our certificate (cert.pem).")
    private_key: SecretStr | None = Field(None, description="Its key (key.pem), without a passphrase.")
    forget: list[Literal["ca", "certificate"]] = Field([], max_length=2)


class NewTls(TlsChange):
    """A TLS identity to store."""

    name: str = Field(max_length=100)


@router.get("", response=answers(TlsPage), operation_id="tls_identities_list")
@needs(Right.MANAGE_DEVICES)
def tls_identities_list(request: HttpRequest, filters: Query[TlsFilter], paging: Query[Paging]) -> Any:
    """The TLS identities that the caller may use."""
    rows = TlsIdentity.objects.visible_to(request.user).defer(*SECRETS)
    if q := filters.q:
        rows = rows.filter(Q(name__icontains=q) | Q(subject__icontains=q) | Q(fingerprint__icontains=q))
    return page(rows, _SORTS, filters.sort, paging).shown(TlsEntry.of)


@router.post("", response=answers(TlsEntry, 201), operation_id="tls_identities_create")
@needs(Right.MANAGE_DEVICES)
def tls_identities_create(request: HttpRequest, order: NewTls) -> Any:
    """Store a TLS identity."""
    return Status(201, _store(request, order, None))


@router.get("/{uuid:pk}", response=answers(TlsEntry), operation_id="tls_identities_get")
@needs(Right.MANAGE_DEVICES)
def tls_identities_get(request: HttpRequest, pk: uuid.UUID) -> Any:
    """One TLS identity."""
    return TlsEntry.of(_find(request, pk))


@router.patch("/{uuid:pk}", response=answers(TlsEntry), operation_id="tls_identities_change")
@needs(Right.MANAGE_DEVICES)
def tls_identities_change(request: HttpRequest, pk: uuid.UUID, order: TlsChange) -> Any:
    """Change what is named of an identity; its devices are connected to anew."""
    return _store(request, order, _find(request, pk))


@router.delete("/{uuid:pk}", response=answers(None, 204), operation_id="tls_identities_remove")
@needs(Right.MANAGE_DEVICES)
def tls_identities_remove(request: HttpRequest, pk: uuid.UUID) -> Any:
    """Delete an identity that no device uses."""
    row = _find(request, pk)
    if row.devices.exists():
        raise Conflict(f"{row.name} is in use.", fix="Give the devices that use it another identity first.")
    record_audit(request.user, "tls.remove", row, before=snapshot(row), request=request)
    row.delete()
    return Status(204, None)


def _find(request: HttpRequest, pk: uuid.UUID) -> TlsIdentity:
    return get_object_or_404(TlsIdentity.objects.visible_to(request.user), pk=pk)


def _store(request: HttpRequest, order: TlsChange, row: TlsIdentity | None) -> TlsEntry:
    options = {} if row is None else {"instance": row}
    before = None if row is None else snapshot(row)
    data = values_of(TlsIdentityForm(**options))
    if order.name is not None:
        data["name"] = order.name
    for name in SECRETS:
        secret: SecretStr | None = getattr(order, name)
        data[name] = "" if secret is None else secret.get_secret_value()
    data |= {f"forget_{name}": name in order.forget for name in ("ca", "certificate")}
    form = TlsIdentityForm(data, {}, **options)
    check(form)
    stored = form.save()
    note_configured(stored.devices.all())
    action = "tls.add" if row is None else "tls.change"
    record_audit(request.user, action, stored, before=before, after=snapshot(stored), request=request)
    return TlsEntry.of(stored)
