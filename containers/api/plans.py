"""Plans of backups: when a volume is backed up, and how long that is kept."""

import uuid
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema, Status
from pydantic import ConfigDict, Field

from containers.api.inventory import OnDevice
from containers.api.schemas import Place
from containers.backup_plans import remove_plan, store_plan
from containers.forms.volumes import PlanForm
from containers.models import BackupPlan, Volume
from ssm.lib.api.access import needs
from ssm.lib.api.errors import answers
from ssm.lib.api.forms import check, values_of
from ssm.lib.api.paging import Paging, page
from ssm.lib.roles import Right

router = Router(tags=["volumes"])
plan_router = Router(tags=["volumes"])


class PlanOrder(Schema):
    """When a volume is backed up, and how long that is kept."""

    model_config = ConfigDict(extra="forbid")

    schedule: str = Field(max_length=100, examples=["30 2 * * *"], description="Cron expression, UTC.")
    consistency: BackupPlan.Consistency = BackupPlan.Consistency.RUNNING
    keep_last: int = Field(7, ge=0, le=1000)
    keep_daily: int = Field(0, ge=0, le=1000)
    keep_weekly: int = Field(4, ge=0, le=1000)
    keep_monthly: int = Field(0, ge=0, le=1000)
    is_enabled: bool = True


class PlanEntry(PlanOrder):
    """A plan, and how it goes."""

    id: uuid.UUID
    device: Place
    volume: str
    next_at: datetime | None
    last_at: datetime | None
    last_error: str = Field(description="Why the last run gave no good backup; empty when it did.")

    @classmethod
    def of(cls, plan: BackupPlan) -> "PlanEntry":
        """From its row with the device."""
        copied = {name: getattr(plan, name) for name in (*PlanOrder.model_fields, "next_at", "last_at", "last_error")}
        place = Place(id=plan.device_id, name=plan.device.name)
        return cls(id=plan.pk, device=place, volume=plan.volume_name, **copied)


class PlanPage(Schema):
    """Some plans, and where the next page begins."""

    items: list[PlanEntry]
    next: str


@router.get("/{uuid:pk}/plan", response=answers(PlanEntry), operation_id="volumes_plan_get")
@needs(Right.SEE)
def volumes_plan_get(request: HttpRequest, pk: uuid.UUID) -> Any:
    """When it is backed up; 404 without a plan."""
    volume = get_object_or_404(Volume.objects.visible_to(request.user), pk=pk)
    plan = BackupPlan.objects.of(volume).select_related("device").first()
    if plan is None:
        raise Http404
    return PlanEntry.of(plan)


@router.put("/{uuid:pk}/plan", response=answers(PlanEntry), operation_id="volumes_plan_set")
@needs(Right.MANAGE_VOLUMES)
def volumes_plan_set(request: HttpRequest, pk: uuid.UUID, order: PlanOrder) -> Any:
    """Have it backed up by this plan, in place of any other."""
    volume = _volume(request, pk)
    found = BackupPlan.objects.of(volume).first()
    form = PlanForm(values_of(PlanForm(instance=found)) | order.model_dump(), instance=found)
    check(form)
    return PlanEntry.of(store_plan(request, volume, form.save(commit=False)))


@router.delete("/{uuid:pk}/plan", response=answers(None, 204), operation_id="volumes_plan_remove")
@needs(Right.MANAGE_VOLUMES)
def volumes_plan_remove(request: HttpRequest, pk: uuid.UUID) -> Any:
    """Make no more backups by a plan; those that it made stay."""
    plan = BackupPlan.objects.of(_volume(request, pk)).first()
    if plan is None:
        raise Http404
    remove_plan(request, plan)
    return Status(204, None)


@plan_router.get("", response=answers(PlanPage), operation_id="backup_plans_list")
@needs(Right.SEE)
def backup_plans_list(request: HttpRequest, filters: Query[OnDevice], paging: Query[Paging]) -> Any:
    """The plans of all volumes."""
    rows = filters.of(BackupPlan.objects.visible_to(request.user), "volume_name").select_related("device")
    sorts = {"volume": ("volume_name", "device__name")}
    return page(rows, sorts, "volume", paging).shown(PlanEntry.of)


def _volume(request: HttpRequest, pk: uuid.UUID) -> Volume:
    volumes = Volume.objects.permitted(request.user, Right.MANAGE_VOLUMES).select_related("device")
    return get_object_or_404(volumes, pk=pk)
