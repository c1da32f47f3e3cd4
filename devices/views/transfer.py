"""Pages of devices as a file."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods, require_safe

from devices.transfer import WHAT, apply, document, plan
from ssm.accounts.audit import record_audit
from ssm.lib.access import allowed
from ssm.lib.roles import Right, can_administer, can_everywhere
from ssm.lib.transfer import Planned, TransferFault
from ssm.lib.transfer_pages import Pages, export, transfer


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_administer)
def transfer_devices(request: HttpRequest) -> HttpResponse:
    """Export and import; only who manages all devices may import, as names and log-ins are those of everybody."""
    user = request.user

    def planned(told: Mapping[str, Any]) -> list[Planned]:
        if not can_everywhere(user, Right.MANAGE_DEVICES):
            raise TransferFault("Your role is limited to some groups: use “Add many devices” instead.")
        return plan(told)

    pages = Pages(
        what=WHAT,
        heading="Devices",
        list_url="devices:list",
        url="devices:transfer",
        export_url="devices:export",
        plan=planned,
        apply=lambda found, chosen, trust: apply(found, chosen, user, trust_keys=trust),
        has_host_keys=True,
    )
    return transfer(request, pages)


@require_safe
@allowed(can_administer)
def export_devices(request: HttpRequest) -> HttpResponse:
    """The file of all devices that the user manages."""
    told = document(request.user)
    record_audit(request.user, "device.export", f"{len(told['devices'])} devices", request=request)
    return export(told, request.GET.get("format", ""))
