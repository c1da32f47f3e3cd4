"""The log-in that devices of a group use when they have none of their own."""

from django.db import transaction
from django.http import Http404, HttpRequest

from devices.models import Credential, Device, DeviceGroup
from devices.services import note_configured
from ssm.accounts.audit import record_audit, snapshot
from ssm.lib.roles import Right


def choose_default(request: HttpRequest, name: str, credential: Credential | None) -> None:
    """Choose it for the group of that name (None: no default any more), and record it.

    Http404 for whoever may manage only some groups, and not this one.
    """
    with transaction.atomic():
        group, _created = DeviceGroup.objects.select_for_update().get_or_create(name=name)
        if not DeviceGroup.objects.permitted(request.user, Right.MANAGE_DEVICES).filter(pk=group.pk).exists():
            transaction.set_rollback(True)
            raise Http404
        before = snapshot(group)
        group.credential = credential
        group.save()
        record_audit(request.user, "devicegroup.change", group, before=before, after=snapshot(group), request=request)
    note_configured(Device.objects.filter(credential=None, groups__contains=[name]))
