"""Pages of backups: all of them, one with its manifest, restore, download, upload, delete; and plans of volumes."""

import shutil
import uuid
from typing import Final

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.db.models import Count, Q, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from containers.backup_plans import remove_plan, request_delete, request_verify, store_plan
from containers.backups.serving import archive_of, manifest_of
from containers.backups.uploads import store_upload
from containers.errors import BackupUnusable, OperationRefused, StoreFailed
from containers.forms.volumes import PlanForm, RestoreForm, UploadForm
from containers.models import Backup, BackupPlan, Operation, Volume
from containers.rules.manifests import CONSISTENCIES
from containers.views.asking import ask_back, refuse
from containers.views.volume_acts import MANAGE, device_choices, go_to
from containers.views.volume_filters import BACKUP_ORIGINS, BACKUP_STATES, BackupFilter, volume_lists
from containers.views.volumes import find_volume
from containers.volume_requests import request_restore
from devices.models import now
from ssm.accounts.audit import record_audit, snapshot
from ssm.lib.access import allowed
from ssm.lib.htmx import render_page
from ssm.lib.roles import Right, can_view
from ssm.lib.tables import page_of

_SUGGESTED: Final = 500


@require_GET
@allowed(can_view)
def backup_list(request: HttpRequest) -> HttpResponse:
    """One page of the backups that pass the filters."""
    chosen = BackupFilter.read(request.GET)
    visible = Backup.objects.visible_to(request.user)
    selected = chosen.select(visible)
    lists = volume_lists(request)
    context = {
        "page": page_of(request, chosen.order(selected.select_related("device", "plan", "operation"))),
        "chosen": chosen,
        "sort": chosen.sort,
        "chips": chosen.chips(request.GET, lists["device_names"].get(chosen.device, "one device")),
        "states": BACKUP_STATES,
        "origins": BACKUP_ORIGINS,
        "devices": lists["devices"],
        "sums": visible.aggregate(
            good=Count("pk", filter=Q(state="good")),
            failed=Count("pk", filter=Q(state__in=["failed", "damaged"])),
            stored=Sum("size_bytes", filter=Q(state="good")),
        ),
        "plans": BackupPlan.objects.visible_to(request.user).filter(is_enabled=True).count(),
        "free_bytes": _free_bytes(),
    }
    return render_page(request, "backups/list.html", "backups/partials/results.html", context)


def _free_bytes() -> int | None:
    """Room left for backups in a folder; None for other stores, and where it cannot be told."""
    if settings.SSM_BACKUP_S3_BUCKET:
        return None
    folder = settings.SSM_BACKUP_DIR
    try:
        return shutil.disk_usage(folder if folder.exists() else folder.parent).free
    except OSError:
        return None


def find_backup(request: HttpRequest, pk: uuid.UUID, right: Right = Right.SEE) -> Backup:
    """The backup, if the user holds the right on it; else 404."""
    backups = Backup.objects.permitted(request.user, right).select_related("device", "plan", "operation")
    return get_object_or_404(backups, pk=pk)


@require_GET
@allowed(can_view)
def detail(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """One backup: what it is of, how it was made, what proves it, what is in it."""
    backup = find_backup(request, pk)
    volume = Volume.objects.visible_to(request.user).filter(device=backup.device, name=backup.volume_name).first()
    restores = Operation.objects.visible_to(request.user).filter(
        kind=Operation.Kind.VOLUME_RESTORE, parameters__backup=str(backup.pk)
    )
    context = {
        "backup": backup,
        "volume": volume,
        "contents": backup.contents,
        "consistency": CONSISTENCIES.get(backup.consistency, ""),
        "labels": sorted(backup.labels.items()),
        "options": sorted(backup.options.items()),
        "restores": restores.select_related("device", "container")[:10],
    }
    return render_page(request, "backups/detail.html", "backups/detail.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(MANAGE)
def restore(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Where the backup shall go; the name typed where something is overwritten."""
    backup = find_backup(request, pk, Right.MANAGE_VOLUMES)
    choices = device_choices(request)
    known = {str(device.pk) for device in choices}
    own = str(backup.device_id) if str(backup.device_id) in known else ""
    is_there = Volume.objects.filter(device=backup.device, name=backup.volume_name).exists()
    name = f"{backup.volume_name[:230]}-{now():%Y%m%d}" if is_there else backup.volume_name
    form = RestoreForm(
        request.POST or None,
        choices=choices,
        backup=backup,
        initial={"device": own, "name": name, "mode": "new", "safety": True, "during": "stopped"},
    )
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            operation = request_restore(
                request.user,
                backup,
                form.target,
                data["name"],
                mode=data["mode"],
                safety=data["safety"],
                during=data["during"],
                wanted=form.new_volume if data["mode"] == "new" else None,
            )
        except OperationRefused as refused:
            return refuse(request, refused, back=backup.get_absolute_url())
        return go_to(request, operation.get_absolute_url())
    names = Volume.objects.permitted(request.user, Right.MANAGE_VOLUMES).order_by("name").values_list("name", flat=True)
    context = {"backup": backup, "form": form, "is_there": is_there, "names": names.distinct()[:_SUGGESTED]}
    return render(request, "backups/restore.html", context, status=422 if form.errors else 200)


@require_GET
@allowed(MANAGE)
def download(request: HttpRequest, pk: uuid.UUID) -> HttpResponseBase:
    """The archive as it is stored; ``?manifest=1`` its manifest."""
    backup = find_backup(request, pk, Right.MANAGE_VOLUMES)
    if not backup.is_good:
        refused = OperationRefused(f"This backup is {backup.get_state_display()}: there is nothing to download.")
        return refuse(request, refused, back=backup.get_absolute_url())
    try:
        if request.GET.get("manifest"):
            return manifest_of(backup)
        answer = archive_of(backup)
    except StoreFailed as exc:
        return HttpResponse(f"{exc}\n", status=exc.status, content_type="text/plain; charset=utf-8")
    record_audit(request.user, "backup.download", backup, request=request)
    return answer


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(MANAGE)
def upload(request: HttpRequest) -> HttpResponse:
    """Take an archive from elsewhere into the store."""
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            backup = store_upload(
                data["archive"], volume=data["volume"], note=data["note"], by=request.user.get_username()[:150]
            )
        except (BackupUnusable, StoreFailed) as exc:
            form.add_error("archive", str(exc))
        else:
            record_audit(request.user, "backup.upload", backup, request=request)
            messages.success(request, "The archive is whole and stored: it can be restored now.")
            return redirect(backup)
    context = {"form": form, "most_mib": settings.SSM_BACKUP_UPLOAD_MIB}
    return render(request, "backups/upload.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(MANAGE)
def delete(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Delete the backup once that was confirmed; the last good one of its volume by its name."""
    backup = find_backup(request, pk, Right.MANAGE_VOLUMES)
    others = Backup.objects.good().filter(device=backup.device_id, volume_name=backup.volume_name).exclude(pk=backup.pk)
    phrase = "yes" if others.exists() or not backup.is_good else backup.volume_name
    is_asked = request.method == "POST" and "confirmation" in request.POST
    is_wrong = is_asked and request.POST["confirmation"].strip() != phrase
    back = reverse("backups:list")
    if is_asked and not is_wrong:
        with transaction.atomic():
            marked = request_delete(backup)
            if marked:
                record_audit(request.user, "backup.remove", backup, before=snapshot(backup), request=request)
        if not marked:
            return refuse(request, OperationRefused("It is being made or deleted now."), back=backup.get_absolute_url())
        messages.success(request, f"The backup of {backup.volume_name} is being deleted.")
        return go_to(request, back)
    context = {"backup": backup, "phrase": "" if phrase == "yes" else phrase, "is_wrong": is_wrong}
    title = "Delete a backup"
    return ask_back(request, "backups/partials/delete.html", context, title=title, is_wrong=is_wrong)


@require_POST
@allowed(MANAGE)
def change(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Keep it for ever or no more (``act`` keep, unkeep), or compare it with its checksum now (verify)."""
    backup = find_backup(request, pk, Right.MANAGE_VOLUMES)
    act = request.POST.get("act", "")
    if act == "verify":
        request_verify(backup)
        messages.success(request, "The stored archive is being read and compared with its checksum.")
    elif act in ("keep", "unkeep"):
        before = snapshot(backup)
        backup.is_kept = act == "keep"
        with transaction.atomic():
            backup.save(update_fields=["is_kept"])
            record_audit(request.user, "backup.change", backup, before=before, after=snapshot(backup), request=request)
        messages.success(request, "No plan deletes it." if backup.is_kept else "Its plan may delete it again.")
    return redirect(backup)


# ---- plans


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(MANAGE)
def plan(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """When a volume is backed up and how long that is kept; with ``act=remove`` no more, and its backups stay."""
    volume = find_volume(request, pk, Right.MANAGE_VOLUMES)
    found = BackupPlan.objects.of(volume).first()
    if request.method == "POST" and request.POST.get("act") == "remove":
        return _remove_plan(request, volume, found)
    form = PlanForm(request.POST or None, instance=found, initial=None if found else {"schedule": "30 2 * * *"})
    if request.method == "POST" and form.is_valid():
        store_plan(request, volume, form.save(commit=False))
        messages.success(request, "The plan is saved.")
        return redirect(volume)
    context = {"volume": volume, "plan": found, "form": form}
    return render(request, "volumes/plan.html", context, status=422 if form.errors else 200)


def _remove_plan(request: HttpRequest, volume: Volume, found: BackupPlan | None) -> HttpResponse:
    if found is not None:
        remove_plan(request, found)
        messages.success(request, "The plan is removed; the backups that it made stay.")
    return redirect(volume)
