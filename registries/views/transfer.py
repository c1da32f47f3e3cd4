"""Pages of registries as a file."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods, require_safe

from registries.transfer import WHAT, apply, document, plan
from ssm.accounts.audit import record_audit
from ssm.lib.access import allowed
from ssm.lib.roles import Right, holds
from ssm.lib.transfer_pages import Pages, export, transfer


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(holds(Right.MANAGE_REGISTRIES))
def transfer_registries(request: HttpRequest) -> HttpResponse:
    """Export and import."""
    pages = Pages(
        what=WHAT,
        heading="Registries",
        list_url="registries:list",
        url="registries:transfer",
        export_url="registries:export",
        plan=plan,
        apply=lambda found, chosen, _trust: apply(found, chosen, request.user),
    )
    return transfer(request, pages)


@require_safe
@allowed(holds(Right.MANAGE_REGISTRIES))
def export_registries(request: HttpRequest) -> HttpResponse:
    """The file of all accounts, without secrets."""
    told = document(request.user)
    record_audit(request.user, "registry.export", f"{len(told['registries'])} accounts", request=request)
    return export(told, request.GET.get("format", ""))
