"""Backups of volumes: listed, looked at, restored, downloaded, uploaded, kept, checked, deleted."""

import uuid
from datetime import datetime
from typing import Any, Literal

from django.db import transaction
from django.db.models import BigIntegerField, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils.datastructures import MultiValueDict
from ninja import File, Form, Query, Router, Schema, Status
from ninja.files import UploadedFile
from pydantic import ConfigDict, Field

from containers.api.asking import device_for
from containers.api.idempotency import idempotent
from containers.api.inventory import OnDevice
from containers.api.schemas import OperationEntry, Place
from containers.backup_plans import request_delete, request_verify
from containers.backups.serving import archive_of, manifest_of
from containers.backups.uploads import store_upload
from containers.errors import BackupUnusable
from containers.forms.volumes import RestoreForm, UploadForm
from containers.models import Backup, BackupPlan
from containers.volume_requests import request_restore
from ssm.accounts.audit import record_audit, snapshot
from ssm.lib.api.access import needs
from ssm.lib.api.errors import Conflict, FieldProblem, answers
from ssm.lib.api.forms import check
from ssm.lib.api.paging import Paging, page
from ssm.lib.roles import Right

router = Router(tags=["volumes"])

_SORTS = {
    "created": ("-created_at",),
    "volume": ("volume_name", "device_name", "-created_at"),
    "device": ("device_name", "volume_name", "-created_at"),
    "size": ("-size_order", "-created_at"),
}


class BackupFilter(OnDevice):
    """Which backups; all that are given must hold."""

    state: Literal["", "running", "good", "failed", "damaged", "deleting"] = ""
    origin: Literal["", "plan", "hand", "upload"] = ""
    sort: Literal["created", "-created", "volume", "-volume", "device", "-device", "size", "-size"] = Field(
        "created", description="created and size: the newest and largest first."
    )


class BackupEntry(Schema):
    """A backup of a volume; only one in the state `good` can be restored."""

    id: uuid.UUID
    device: Place
    volume: str = Field(examples=["data"])
    state: str = Field(description="running, good, failed, damaged or deleting.", examples=["good"])
    origin: str = Field(description="backup or upload.")
    plan: uuid.UUID | None
    consistency: str
    size_bytes: int | None = Field(description="Of the stored archive.")
    content_bytes: int | None
    sha256: str
    error: str
    is_kept: bool = Field(description="No plan deletes it.")
    note: str
    requested_by: str
    created_at: datetime
    finished_at: datetime | None
    verified_at: datetime | None
    operation: uuid.UUID | None

    @classmethod
    def of(cls, backup: Backup) -> "BackupEntry":
        """From its row."""
        given = {"device", "volume", "plan", "operation", "requested_by"}
        copied = {name: getattr(backup, name) for name in BackupEntry.model_fields if name not in given}
        return cls(
            device=Place(id=backup.device_id, name=backup.device_name),
            volume=backup.volume_name,
            plan=backup.plan_id,
            operation=backup.operation_id,
            requested_by=backup.requested_by_name,
            **copied,
        )


class BackupPage(Schema):
    """Some backups, the newest first, and where the next page begins."""

    items: list[BackupEntry]
    next: str


class RestoreOrder(Schema):
    """Where a backup goes."""

    model_config = ConfigDict(extra="forbid")

    device: uuid.UUID
    name: str = Field(max_length=255, description="Of the volume.", examples=["data-restored"])
    mode: Literal["new", "replace", "over"] = Field(
        "new", description="Into a new volume, in place of an existing one, or over what one holds."
    )
    confirmation: str = Field(
        "", max_length=255, description="replace and over: the volume's name again, as what it holds is overwritten."
    )
    safety: bool = Field(True, description="Back up first what is there.")
    during: BackupPlan.Consistency = Field(
        BackupPlan.Consistency.STOPPED, description="over: what its containers do meanwhile."
    )


class BackupChange(Schema):
    """What to change of a backup."""

    model_config = ConfigDict(extra="forbid")

    is_kept: bool | None = Field(None, description="No plan deletes it.")
    note: str | None = Field(None, max_length=200)


@router.get("", response=answers(BackupPage), operation_id="backups_list")
@needs(Right.SEE)
def backups_list(request: HttpRequest, filters: Query[BackupFilter], paging: Query[Paging]) -> Any:
    """Backups of volumes, the newest first."""
    rows = filters.of(Backup.objects.visible_to(request.user), "volume_name")
    rows = rows.annotate(size_order=Coalesce("size_bytes", Value(-1), output_field=BigIntegerField()))
    if filters.state:
        rows = rows.filter(state=filters.state)
    if filters.origin == "upload":
        rows = rows.filter(origin=Backup.Origin.UPLOAD)
    elif filters.origin:
        rows = rows.filter(origin=Backup.Origin.BACKUP, plan__isnull=filters.origin == "hand")
    return page(rows, _SORTS, filters.sort, paging).shown(BackupEntry.of)


@router.post("/upload", response=answers(BackupEntry, 201), operation_id="backups_upload")
@needs(Right.MANAGE_VOLUMES)
def backups_upload(
    request: HttpRequest,
    archive: File[UploadedFile],
    volume: Form[str],
    note: Form[str] = "",
) -> Any:
    """Take an archive from elsewhere (a tar, packed with zstd or gzip or not at all), to be restored like a backup."""
    form = UploadForm({"volume": volume, "note": note}, MultiValueDict({"archive": [archive]}))
    check(form)
    data = form.cleaned_data
    try:
        by = request.user.get_username()[:150]
        backup = store_upload(data["archive"], volume=data["volume"], note=data["note"], by=by)
    except BackupUnusable as exc:
        raise FieldProblem({"archive": str(exc)}) from exc
    record_audit(request.user, "backup.upload", backup, request=request)
    return Status(201, BackupEntry.of(backup))


@router.get("/{uuid:pk}", response=answers(BackupEntry), operation_id="backups_get")
@needs(Right.SEE)
def backups_get(request: HttpRequest, pk: uuid.UUID) -> Any:
    """One backup."""
    return BackupEntry.of(_find(request, pk, Right.SEE))


@router.patch("/{uuid:pk}", response=answers(BackupEntry), operation_id="backups_change")
@needs(Right.MANAGE_VOLUMES)
def backups_change(request: HttpRequest, pk: uuid.UUID, order: BackupChange) -> Any:
    """Keep it whatever its plan says, or no more; note what it is for."""
    backup = _find(request, pk)
    before, given = snapshot(backup), order.model_dump(exclude_none=True)
    for name, value in given.items():
        setattr(backup, name, value.replace("\x00", "") if isinstance(value, str) else value)
    with transaction.atomic():
        backup.save(update_fields=list(given))
        record_audit(request.user, "backup.change", backup, before=before, after=snapshot(backup), request=request)
    return BackupEntry.of(backup)


@router.delete("/{uuid:pk}", response=answers(BackupEntry, 202), operation_id="backups_delete")
@needs(Right.MANAGE_VOLUMES)
def backups_delete(request: HttpRequest, pk: uuid.UUID) -> Any:
    """Delete it: its files first, then it is listed no more."""
    backup = _find(request, pk)
    with transaction.atomic():
        marked = request_delete(backup)
        if marked:
            record_audit(request.user, "backup.remove", backup, before=snapshot(backup), request=request)
    if not marked:
        raise Conflict("It is being made or deleted now.")
    backup.refresh_from_db()
    return Status(202, BackupEntry.of(backup))


@router.post("/{uuid:pk}/verify", response=answers(BackupEntry, 202), operation_id="backups_verify")
@needs(Right.MANAGE_VOLUMES)
def backups_verify(request: HttpRequest, pk: uuid.UUID) -> Any:
    """Have the stored archive read and compared with its checksum; `verified_at` tells when that was done."""
    backup = _find(request, pk)
    _check_good(backup, also=Backup.State.DAMAGED)
    request_verify(backup)
    return Status(202, BackupEntry.of(backup))


@router.post("/{uuid:pk}/restore", response=answers(OperationEntry, 202), operation_id="backups_restore")
@needs(Right.MANAGE_VOLUMES)
@idempotent
def backups_restore(request: HttpRequest, pk: uuid.UUID, order: RestoreOrder) -> Any:
    """Restore it into a new volume, in place of one, or over what one holds."""
    backup = _find(request, pk)
    target = device_for(request, order.device, Right.MANAGE_VOLUMES)
    form = RestoreForm(order.model_dump() | {"device": str(target.pk)}, choices=[target], backup=backup)
    check(form)
    data = form.cleaned_data
    operation = request_restore(
        request.user,
        backup,
        target,
        data["name"],
        mode=data["mode"],
        safety=data["safety"],
        during=data["during"],
        wanted=form.new_volume if data["mode"] == "new" else None,
    )
    return Status(202, OperationEntry.of(operation))


@router.get("/{uuid:pk}/archive", response=answers(bytes), operation_id="backups_download")
@needs(Right.MANAGE_VOLUMES)
def backups_download(request: HttpRequest, pk: uuid.UUID) -> Any:
    """The archive as it is stored: a tar packed with zstd."""
    backup = _find(request, pk)
    _check_good(backup)
    answer = archive_of(backup)
    record_audit(request.user, "backup.download", backup, request=request)
    return answer


@router.get("/{uuid:pk}/manifest", response=answers(dict[str, Any]), operation_id="backups_manifest")
@needs(Right.MANAGE_VOLUMES)
def backups_manifest(request: HttpRequest, pk: uuid.UUID) -> Any:
    """How it was made, and what proves that the archive is whole."""
    backup = _find(request, pk)
    _check_good(backup)
    return manifest_of(backup)


def _check_good(backup: Backup, *, also: str = "") -> None:
    if not backup.is_good and backup.state != also:
        raise Conflict(f"This backup is {backup.get_state_display()}.", fix="Choose a good one.")


def _find(request: HttpRequest, pk: uuid.UUID, right: Right = Right.MANAGE_VOLUMES) -> Backup:
    backups = Backup.objects.permitted(request.user, right).select_related("device", "plan", "operation")
    return get_object_or_404(backups, pk=pk)
