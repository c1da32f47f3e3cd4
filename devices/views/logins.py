"""Pages of stored log-ins."""

import uuid
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods
from django_htmx.http import HttpResponseClientRedirect

from devices.connections.keys import CertificateFacts, certificate_facts, private_key_facts
from devices.errors import DeviceError
from devices.forms.logins import CredentialForm, is_stored
from devices.models import Credential, Device
from devices.rules.key_lines import authorized_keys_line, install_command
from devices.services import devices_using, note_configured
from ssm.accounts.audit import record_audit, snapshot
from ssm.lib.access import allowed
from ssm.lib.errors import SsmError
from ssm.lib.htmx import is_partial, render_page
from ssm.lib.roles import can_administer
from ssm.lib.tables import chips, order_by, page_of, sort_of, text_of

_SORTS: Final[dict[str, tuple[str, ...]]] = {
    "name": ("name",),
    "user": ("username", "name"),
    "used": ("-use_count", "name"),
    "changed": ("-updated_at", "name"),
}
_SHOWN: Final = 100
AUDITED: Final = ("answers",)


@dataclass(frozen=True, slots=True)
class Entry:
    """A log-in and what it can prove itself with."""

    credential: Credential
    proofs: list[str]


def find_credential(request: HttpRequest, pk: uuid.UUID) -> Credential:
    """The log-in if it exists and the user may see it, else 404."""
    return get_object_or_404(Credential.objects.visible_to(request.user).prefetch_related("answers"), pk=pk)


def proofs_of(credential: Credential) -> list[str]:
    """What it holds, in words; nothing secret is shown."""
    key_type = credential.public_key.partition(" ")[0].removeprefix("ssh-").removeprefix("ecdsa-sha2-")
    found = [
        (is_stored(credential.private_key), f"key ({key_type})" if key_type else "key"),
        (bool(credential.certificate), "certificate"),
        (credential.use_agent, "SSH agent"),
        (is_stored(credential.password), "password"),
        (bool(credential.answers.all()), "answers"),
        (credential.passwordless, "nothing asked"),
        (credential.use_sudo, "sudo"),
    ]
    return [words for is_there, words in found if is_there]


@require_GET
@allowed(can_administer)
def login_list(request: HttpRequest) -> HttpResponse:
    """One page of the log-ins that pass the search."""
    query = request.GET
    q = text_of(query, "q")
    sort = sort_of(query, _SORTS, "name")
    rows = Credential.objects.visible_to(request.user).prefetch_related("answers")
    if q:
        rows = rows.filter(Q(name__icontains=q) | Q(username__icontains=q) | Q(key_fingerprint__icontains=q))
    rows = rows.annotate(
        device_count=Count("devices", distinct=True),
        use_count=Count("devices", distinct=True)
        + Count("device_groups", distinct=True)
        + Count("jumps", distinct=True)
        + Count("docker_devices", distinct=True)
        + Count("proxied_devices", distinct=True),
    )
    page = page_of(request, rows.order_by(*order_by(sort, _SORTS, {}), "pk"))
    context = {
        "page": page,
        "entries": [Entry(credential, proofs_of(credential)) for credential in page],
        "q": q,
        "sort": sort,
        "chips": chips(query, [("q", "Search", q)]),
    }
    return render_page(request, "devices/logins.html", "devices/partials/login_results.html", context)


@require_GET
@allowed(can_administer)
def login_detail(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """One log-in: what it holds, its public key to copy, and who uses it."""
    credential = find_credential(request, pk)
    public_key, key_error = _public_key(credential)
    context = {
        "credential": credential,
        "proofs": proofs_of(credential),
        "public_key": authorized_keys_line(public_key, credential.name) if public_key else "",
        "install_command": install_command(public_key, credential.name) if public_key else "",
        "key_error": key_error,
        "certificate": _facts(credential),
        **_uses(request, credential),
    }
    return render(request, "devices/login.html", context)


def _public_key(credential: Credential) -> tuple[str, str]:
    """The public half, and why there is none to show. Log-ins of older versions do not keep it beside the key."""
    if credential.public_key or not is_stored(credential.private_key):
        return credential.public_key, ""
    try:
        return private_key_facts(credential.private_key, credential.passphrase or None, credential.name).line, ""
    except SsmError as exc:
        return "", str(exc)


def _facts(credential: Credential) -> CertificateFacts | None:
    try:
        return certificate_facts(credential.certificate, credential.name) if credential.certificate else None
    except DeviceError:
        return None


def _uses(request: HttpRequest, credential: Credential) -> dict[str, Any]:
    visible = Device.objects.visible_to(request.user)
    using = visible.filter(pk__in=devices_using(credential).values("pk"))
    return {
        "devices": using.order_by("name")[:_SHOWN],
        "device_count": using.count(),
        "groups": credential.device_groups.order_by("name"),
    }


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_administer)
def login_add(request: HttpRequest) -> HttpResponse:
    """The form of a new log-in."""
    form = CredentialForm(*_typed(request))
    if request.method != "POST":
        form.initial["key_source"] = request.GET.get("key", "")[:20] or form.initial.get("key_source")
    return _edit(request, form, {}, None)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_administer)
def login_edit(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The form of an existing log-in; its devices are connected to anew when it is saved."""
    credential = find_credential(request, pk)
    before = snapshot(credential, *AUDITED)
    form = CredentialForm(*_typed(request), instance=credential)
    return _edit(request, form, {"credential": credential, "credential_name": credential.name}, before)


def _typed(request: HttpRequest) -> tuple[Any, Any]:
    return (request.POST, request.FILES) if request.method == "POST" else (None, None)


def _edit(
    request: HttpRequest, form: CredentialForm, context: dict[str, Any], before: dict[str, Any] | None
) -> HttpResponse:
    if request.method == "POST" and form.is_valid():
        credential = form.store()
        note_configured(devices_using(credential))
        after = snapshot(credential, *AUDITED)
        action = "credential.add" if before is None else "credential.change"
        record_audit(request.user, action, credential, before=before, after=after, request=request)
        messages.success(request, f"The log-in {credential.name} is saved.")
        url = credential.get_absolute_url()
        return HttpResponseClientRedirect(url) if is_partial(request) else redirect(url)
    context["form"] = form
    status = 422 if form.is_bound else 200
    return render_page(request, "devices/login_form.html", "devices/partials/login_form.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_administer)
def login_delete(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Ask, then delete a log-in that nothing uses."""
    credential = find_credential(request, pk)
    # Uses that this user may not see keep it all the same.
    is_used = devices_using(credential).exists() or credential.device_groups.exists()
    if request.method == "POST" and not is_used:
        before = snapshot(credential, *AUDITED)
        record_audit(request.user, "credential.remove", credential, before=before, request=request)
        credential.delete()
        messages.success(request, f"The log-in {credential.name} is deleted. Nothing was changed on any server.")
        return redirect("devices:logins")
    context = {"credential": credential, "is_used": is_used, **_uses(request, credential)}
    return render(request, "devices/login_delete.html", context, status=409 if request.method == "POST" else 200)
