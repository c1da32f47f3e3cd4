"""Pages of registries: how each stands, an account, its form, its removal."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from registries.forms import RegistryForm, provider_or_none
from registries.models import Registry, RepositoryKnowledge
from registries.providers import PROVIDERS
from registries.services import Accounts, account_changed, check_now, entries, known_repository
from registries.services.testing import untried_steps
from ssm.accounts.audit import record_audit, snapshot
from ssm.lib.access import allowed
from ssm.lib.htmx import is_partial, render_page
from ssm.lib.roles import Right, can_operate, can_view, holds

_REPOSITORIES_SHOWN = 20


def find_registry(request: HttpRequest, pk: uuid.UUID) -> Registry:
    """The account if it exists and the user may see it, else 404."""
    return get_object_or_404(Registry.objects.visible_to(request.user), pk=pk)


@require_GET
@allowed(can_view)
def registry_list(request: HttpRequest) -> HttpResponse:
    """Accounts, and the hosts that are asked without one. The number of queries does not depend on the rows."""
    found = entries(list(Registry.objects.visible_to(request.user)))
    context = {
        "accounts": [entry for entry in found if entry.account],
        "anonymous_used": [entry for entry in found if not entry.account and entry.repositories],
        "anonymous_idle": [entry for entry in found if not entry.account and not entry.repositories],
        "repository_count": RepositoryKnowledge.objects.visible_to(request.user).count(),
    }
    return render(request, "registries/list.html", context)


@require_GET
@allowed(can_view)
def detail(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """One account: how it stands, what is asked with it, and its test."""
    registry = find_registry(request, pk)
    [entry] = entries([registry], with_defaults=False)
    accounts = Accounts(Registry.objects.enabled().filter(host=registry.host).defer("secrets", "client_key"))
    longer = accounts.longer_prefixes(registry.host, registry.path_prefix)
    repositories = RepositoryKnowledge.objects.visible_to(request.user).below(
        registry.host, registry.path_prefix, longer
    )
    context = {
        "registry": registry,
        "entry": entry,
        "provider": PROVIDERS.get(registry.provider),
        "login": login_facts(registry),
        "repositories": repositories.defer("tags", "tag_dates").order_by("path")[:_REPOSITORIES_SHOWN],
        "repository_count": repositories.count(),
        "steps": untried_steps(),
    }
    return render(request, "registries/detail.html", context)


def login_facts(registry: Registry) -> list[tuple[str, str]]:
    """What an account logs in with, for people: public values as they are, secrets only by name."""
    provider = PROVIDERS.get(registry.provider)
    if provider is None or registry.is_anonymous:
        return []
    used = {*registry.kind.split("+"), *registry.public_values}
    return [
        (field.label, "stored" if field.is_secret else registry.public_values.get(field.name, ""))
        for field in provider.fields
        if field.name in used
    ]


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(holds(Right.MANAGE_REGISTRIES))
def add(request: HttpRequest) -> HttpResponse:
    """Choose a provider (first step), then fill in its fields (``?provider=``)."""
    chosen = request.GET.get("provider", "")
    provider = provider_or_none(chosen)
    if provider is None:
        if request.method == "POST" or chosen:
            raise Http404
        return render(request, "registries/choose.html", {"providers": PROVIDERS.values()})
    form = RegistryForm(request.POST or None, provider=provider, initial=_prefilled(request, provider.id))
    return _edit(request, form, {"provider": provider, "steps": untried_steps()})


def _prefilled(request: HttpRequest, provider: str) -> dict[str, str]:
    """From the link of a host that is asked anonymously."""
    host = request.GET.get("host", "")[:255]
    return {"address": host, "name": host} if host and provider == "custom" else {}


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(holds(Right.MANAGE_REGISTRIES))
def edit(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The form of an existing account; stored secrets stay where nothing is typed."""
    registry = find_registry(request, pk)
    provider = provider_or_none(registry.provider)
    if provider is None:
        raise Http404
    name = registry.name
    form = RegistryForm(request.POST or None, instance=registry, provider=provider)
    return _edit(
        request,
        form,
        {
            "provider": provider,
            "registry": registry,
            "registry_name": name,
            "known_repository": known_repository(registry),
            "steps": untried_steps(),
        },
    )


def _edit(request: HttpRequest, form: RegistryForm, context: dict[str, Any]) -> HttpResponse:
    if request.method == "POST" and form.is_valid():
        is_new = form.instance._state.adding
        # Read anew: the form has written into the row that it was made of.
        before = None if is_new else snapshot(Registry.objects.get(pk=form.instance.pk))
        registry = form.store()
        action = "registry.add" if is_new else "registry.change"
        record_audit(request.user, action, registry, before=before, after=snapshot(registry), request=request)
        messages.success(request, f"{registry.name} is saved.")
        url = registry.get_absolute_url()
        return HttpResponseClientRedirect(url) if is_partial(request) else redirect(url)
    status = 422 if form.is_bound else 200
    context["form"] = form
    return render_page(request, "registries/form.html", "registries/partials/form.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(holds(Right.MANAGE_REGISTRIES))
def delete(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Ask back, then remove the account: its images are asked for anonymously from then on."""
    registry = find_registry(request, pk)
    [entry] = entries([registry], with_defaults=False)
    if request.method == "POST":
        record_audit(request.user, "registry.remove", registry, before=snapshot(registry), request=request)
        registry.delete()
        account_changed(registry)
        messages.success(request, f"{registry.name} is removed, with its stored secrets.")
        return redirect("registries:list")
    return render(request, "registries/confirm_delete.html", {"registry": registry, "entry": entry})


@require_POST
@allowed(can_operate)
def poll(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Have all repositories of an account looked up now."""
    registry = find_registry(request, pk)
    accounts = Accounts(Registry.objects.enabled().filter(host=registry.host).defer("secrets", "client_key"))
    longer = accounts.longer_prefixes(registry.host, registry.path_prefix)
    count = check_now(RepositoryKnowledge.objects.below(registry.host, registry.path_prefix, longer))
    plural = "repository is" if count == 1 else "repositories are"
    messages.success(request, f"{count} {plural} being looked up.")
    return redirect(registry)
