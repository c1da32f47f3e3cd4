"""Accounts at registries in the Django admin, with the same checks and write-only secrets as the pages."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from registries.forms import RegistryForm, provider_or_none
from registries.models import Origin, Registry, RepositoryKnowledge, TagKnowledge
from registries.providers import Provider


def _form_of(provider: Provider) -> type[RegistryForm]:
    class ProviderForm(RegistryForm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, provider=provider, **kwargs)

    return ProviderForm


@admin.register(Registry)
class RegistryAdmin(admin.ModelAdmin[Registry]):
    """Accounts. What an account consists of depends on its provider, so a new one begins with the choice of it."""

    list_display = ("name", "provider", "covers", "kind", "is_enabled", "tested_at", "test_passed")
    list_filter = ("provider", "is_enabled")
    search_fields = ("name", "host", "path_prefix")
    readonly_fields = ("provider", "host", "tested_at", "test_passed", "test_message", "created_at", "updated_at")

    def get_form(self, request: HttpRequest, obj: Registry | None = None, change: bool = False, **_kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        """The form of the account's provider: the one of the pages, secrets and checks included."""
        provider = provider_or_none(obj.provider if obj else request.GET.get("provider", ""))
        if provider is None:
            return forms.modelform_factory(Registry, fields=())

        return _form_of(provider)

    def get_fieldsets(self, request: HttpRequest, obj: Registry | None = None) -> Any:
        """What the provider's form consists of, in its order; then what is only shown."""
        made = self.get_form(request, obj)
        fields = list(made(instance=obj).fields) if issubclass(made, RegistryForm) else []
        shown = self.readonly_fields if obj else ()
        return [(None, {"fields": fields}), *([("How it stands", {"fields": shown})] if shown else [])]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """With ``?provider=`` its form; without, the page where providers are chosen."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if provider_or_none(request.GET.get("provider", "")) is None:
            return HttpResponseRedirect(reverse("registries:add"))
        return super().add_view(request, form_url, extra_context)

    def save_model(self, _request: HttpRequest, _obj: Registry, form: Any, _change: bool) -> None:  # noqa: FBT001 - Django's signature
        """Write it as the pages do."""
        form.store()


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    """Rows that polls write: to be looked up and deleted, not to be written by hand."""

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Rows come from polls."""
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Rows come from polls."""
        return False


@admin.register(Origin)
class OriginAdmin(ReadOnlyAdmin):
    """How registries stand to accounts."""

    list_display = ("host", "account", "quota_remaining", "quota_limit", "sleeping_until", "last_poll_at")
    list_select_related = ("account",)
    search_fields = ("host",)


@admin.register(RepositoryKnowledge)
class RepositoryAdmin(ReadOnlyAdmin):
    """What registries told of repositories."""

    list_display = ("path", "host", "tag_count", "looked_up_at", "last_error_code", "due_at")
    list_filter = ("host", "last_error_code")
    search_fields = ("path", "host")


@admin.register(TagKnowledge)
class TagAdmin(ReadOnlyAdmin):
    """What registries told of tags."""

    list_display = ("tag", "repository", "digest", "checked_at", "error_code")
    list_select_related = ("repository",)
    search_fields = ("tag", "repository__path")
