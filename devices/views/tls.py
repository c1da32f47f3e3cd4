"""Pages of TLS identities."""

import uuid
from datetime import timedelta
from typing import Any, Final

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from devices.forms.tls import TlsIdentityForm
from devices.models import TlsIdentity, now
from devices.services import note_configured
from ssm.accounts.audit import record_audit, snapshot
from ssm.lib.access import allowed
from ssm.lib.htmx import render_page
from ssm.lib.roles import can_administer
from ssm.lib.tables import chips, order_by, page_of, sort_of, text_of

_SORTS: Final[dict[str, tuple[str, ...]]] = {
    "name": ("name",),
    "expires": ("expires_at", "name"),
    "used": ("-device_count", "name"),
}
# A certificate that ends within this is pointed out.
SOON: Final = timedelta(days=30)


def find_identity(request: HttpRequest, pk: uuid.UUID) -> TlsIdentity:
    """The identity if it exists and the user may see it, else 404."""
    return get_object_or_404(TlsIdentity.objects.visible_to(request.user), pk=pk)


@require_GET
@allowed(can_administer)
def identity_list(request: HttpRequest) -> HttpResponse:
    """One page of the identities that pass the search."""
    q = text_of(request.GET, "q")
    sort = sort_of(request.GET, _SORTS, "name")
    rows = TlsIdentity.objects.visible_to(request.user).defer("ca_pem", "certificate_pem", "private_key")
    if q:
        rows = rows.filter(Q(name__icontains=q) | Q(subject__icontains=q) | Q(fingerprint__icontains=q))
    rows = rows.annotate(device_count=Count("devices")).order_by(*order_by(sort, _SORTS, {}), "pk")
    context = {
        "page": page_of(request, rows),
        "q": q,
        "sort": sort,
        "soon": now() + SOON,
        "now": now(),
        "chips": chips(request.GET, [("q", "Search", q)]),
    }
    return render_page(request, "devices/tls_list.html", "devices/partials/tls_results.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_administer)
def identity_add(request: HttpRequest) -> HttpResponse:
    """The form of a new identity."""
    form = TlsIdentityForm(request.POST or None, request.FILES or None)
    return _edit(request, form, None, {})


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_administer)
def identity_edit(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The form of an existing identity; its devices are connected to anew when it is saved."""
    identity = find_identity(request, pk)
    before = snapshot(identity)
    posted = request.method == "POST"
    form = TlsIdentityForm(request.POST if posted else None, request.FILES if posted else None, instance=identity)
    return _edit(request, form, before, {"identity": identity, "identity_name": identity.name})


def _edit(
    request: HttpRequest, form: TlsIdentityForm, before: dict[str, Any] | None, context: dict[str, Any]
) -> HttpResponse:
    if request.method == "POST" and form.is_valid():
        identity = form.save()
        note_configured(identity.devices.all())
        action = "tls.add" if before is None else "tls.change"
        record_audit(request.user, action, identity, before=before, after=snapshot(identity), request=request)
        messages.success(request, f"The TLS identity {identity.name} is saved.")
        return redirect("devices:tls")
    context["form"] = form
    return render(request, "devices/tls_form.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_administer)
def identity_delete(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Ask, then delete an identity that nothing uses."""
    identity = find_identity(request, pk)
    devices = list(identity.devices.visible_to(request.user).order_by("name")[:100])
    is_used = identity.devices.exists()
    if request.method == "POST" and not is_used:
        record_audit(request.user, "tls.remove", identity, before=snapshot(identity), request=request)
        identity.delete()
        messages.success(request, f"The TLS identity {identity.name} is deleted. Nothing was changed on any server.")
        return redirect("devices:tls")
    context = {"identity": identity, "devices": devices, "is_used": is_used}
    return render(request, "devices/tls_delete.html", context, status=409 if request.method == "POST" else 200)
