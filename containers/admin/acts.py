"""Actions of the admin: each asks for operations, as the pages do, and shows what becomes of them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from containers import backup_plans, batches
from containers.batches import MOST_ITEMS, Item
from containers.errors import OperationRefused
from containers.models import Backup, BackupPlan, Batch, Container, Operation, Volume
from containers.operations import request_cancel
from containers.volume_requests import backup_items
from devices.models import Device
from ssm.accounts.site import ask_back
from ssm.lib.roles import Right

_KIND = Operation.Kind


def _begin(request: HttpRequest, ask: Callable[[], Batch]) -> HttpResponse | None:
    """To the page with a result per item; a refusal is told on the list."""
    try:
        return redirect(ask())
    except OperationRefused as refused:
        messages.error(request, str(refused))
        return None


def _of_containers(request: HttpRequest, rows: QuerySet[Container], kind: str, verb: str) -> HttpResponse | None:
    chosen = list(rows.permitted(request.user, Right.OPERATE).present().select_related("device")[: MOST_ITEMS + 1])  # type: ignore[attr-defined]
    title = f"{verb} {len(chosen)} container{'' if len(chosen) == 1 else 's'}"
    return _begin(request, lambda: batches.request_batch(request.user, chosen, kind, title=title))


def _names(rows: QuerySet[Container]) -> Sequence[tuple[str, str]]:
    return [(row.title, row.device.name) for row in rows.select_related("device")[:MOST_ITEMS]]


@admin.action(description="Start", permissions=["operate"])
def start(_admin: Any, request: HttpRequest, rows: QuerySet[Container]) -> HttpResponse | None:
    """Start the chosen containers."""
    return _of_containers(request, rows, _KIND.START, "Start")


@admin.action(description="Stop", permissions=["operate"])
def stop(model_admin: Any, request: HttpRequest, rows: QuerySet[Container]) -> HttpResponse | None:
    """Ask back, then stop them."""
    warning = "What these containers do ends, until somebody starts them again."
    asked = ask_back(request, model_admin, title="Stop", rows=_names(rows), warning=warning)
    return asked or _of_containers(request, rows, _KIND.STOP, "Stop")


@admin.action(description="Restart", permissions=["operate"])
def restart(model_admin: Any, request: HttpRequest, rows: QuerySet[Container]) -> HttpResponse | None:
    """Ask back, then restart them."""
    warning = "What these containers do is interrupted while they restart."
    asked = ask_back(request, model_admin, title="Restart", rows=_names(rows), warning=warning)
    return asked or _of_containers(request, rows, _KIND.RESTART, "Restart")


@admin.action(description="Back up now", permissions=["volumes"])
def back_up(_admin: Any, request: HttpRequest, rows: QuerySet[Volume]) -> HttpResponse | None:
    """Back the chosen volumes up while their containers go on."""
    chosen = list(rows.select_related("device")[: MOST_ITEMS + 1])
    title = f"Back up {len(chosen)} volume{'' if len(chosen) == 1 else 's'}"

    def ask() -> Batch:
        with transaction.atomic():
            items = backup_items(request.user, chosen, BackupPlan.Consistency.RUNNING)
            return batches.request_items(request.user, items, title=title, one_per_device=True)

    return _begin(request, ask)


@admin.action(description="Run these plans now", permissions=["volumes"])
def run_plans(_admin: Any, request: HttpRequest, rows: QuerySet[BackupPlan]) -> None:
    """Make the chosen plans due: the next tick asks for their backups."""
    due = rows.filter(is_enabled=True).update(next_at=datetime.now(UTC))
    messages.success(request, f"{due} plan{'' if due == 1 else 's'} will run within 15 seconds.")


@admin.action(description="Compare with checksum", permissions=["volumes"])
def verify_backups(_admin: Any, request: HttpRequest, rows: QuerySet[Backup]) -> None:
    """Have the stored archives read to their end; the state tells what came of it."""
    chosen = list(rows.filter(state__in=[Backup.State.GOOD, Backup.State.DAMAGED])[:MOST_ITEMS])
    for backup in chosen:
        backup_plans.request_verify(backup)
    messages.success(request, f"{len(chosen)} archives are compared with their checksums: the state tells the result.")


@admin.action(description="Call off", permissions=["operate"])
def call_off(_admin: Any, request: HttpRequest, rows: QuerySet[Operation]) -> None:
    """Call off what has not begun, and what can be ended on its way."""
    chosen = list(rows.active()[:MOST_ITEMS])  # type: ignore[attr-defined]
    ended = sum(request_cancel(request.user, operation) for operation in chosen)
    messages.success(request, f"{ended} of {len(chosen)} operations under way are called off.")


# ---- devices, whose own admin knows nothing of operations


def _of_devices(request: HttpRequest, rows: QuerySet[Device], kind: str, title: str) -> HttpResponse | None:
    items = [
        Item(
            device=device,
            kind=kind,
            object_kind=Operation.ObjectKind.DEVICE,
            target_name=device.name,
            lock=f"{kind}:{device.pk}",
        )
        for device in rows[: MOST_ITEMS + 1]
    ]
    title = f"{title} {len(items)} device{'' if len(items) == 1 else 's'}"
    return _begin(request, lambda: batches.request_items(request.user, items, title=title))


@admin.action(description="Test connection", permissions=["devices"])
def test_connection(_admin: Any, request: HttpRequest, rows: QuerySet[Device]) -> HttpResponse | None:
    """Try the way to each of them."""
    return _of_devices(request, rows, _KIND.DEVICE_TEST, "Test the connection to")


@admin.action(description="Sweep now", permissions=["operate"])
def sweep(_admin: Any, request: HttpRequest, rows: QuerySet[Device]) -> HttpResponse | None:
    """Read each of them anew."""
    return _of_devices(request, rows, _KIND.DEVICE_SWEEP, "Read")


@admin.action(description="Check updates", permissions=["operate"])
def check_updates(_admin: Any, request: HttpRequest, rows: QuerySet[Device]) -> HttpResponse | None:
    """Decide about updates of each one's containers."""
    return _of_devices(request, rows, _KIND.DEVICE_CHECK, "Check updates of")
