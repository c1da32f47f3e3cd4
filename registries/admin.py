"""Accounts at registries in the Django admin, with the same checks and write-only secrets as the pages."""

from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from registries.forms import RegistryForm, provider_or_none
from registries.models import Origin, Registry, RepositoryKnowledge, TagKnowledge
from registries.providers import Provider
from registries.services import Accounts, account_changed, check_now
from registries.services.testing import request_test
from ssm.accounts.audit import record_audit, snapshot

_MOST_TESTED: Final = 100


def _form_of(provider: Provider) -> type[RegistryForm]:
    class ProviderForm(RegistryForm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, provider=provider, **kwargs)

    return ProviderForm


@admin.register(Registry)
class RegistryAdmin(admin.ModelAdmin[Registry]):
    """Accounts. What an account consists of depends on its provider, so a new one begins with the choice of it."""

    list_display = ("name", "provider", "covers", "kind", "is_enabled", "tested_at", "test_passed")
    list_filter = ("provider", "is_enabled", "test_passed")
    search_fields = ("name", "host", "path_prefix")
    actions = ("test", "look_up", "switch_on", "switch_off")
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

    @admin.action(description="Test", permissions=["registries"])
    def test(self, request: HttpRequest, queryset: QuerySet[Registry]) -> None:
        """Have workers test the accounts: what comes of it is in the list."""
        chosen = list(queryset.values_list("pk", flat=True)[:_MOST_TESTED])
        for pk in chosen:
            request_test(str(pk))
        told = f"{_accounts(len(chosen))} being tested: “test passed” and the account's page tell what comes of it."
        self.message_user(request, told, messages.SUCCESS)

    @admin.action(description="Look up their repositories now", permissions=["registries"])
    def look_up(self, request: HttpRequest, queryset: QuerySet[Registry]) -> None:
        """Make all repositories due that the accounts count for."""
        count = 0
        for registry in queryset.defer("secrets", "client_key"):
            accounts = Accounts(Registry.objects.enabled().filter(host=registry.host).defer("secrets", "client_key"))
            longer = accounts.longer_prefixes(registry.host, registry.path_prefix)
            count += check_now(RepositoryKnowledge.objects.below(registry.host, registry.path_prefix, longer))
        self.message_user(request, f"{_repositories(count)} being looked up.", messages.SUCCESS)

    @admin.action(description="Use", permissions=["registries"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[Registry]) -> None:
        """Have the accounts count for their images again."""
        self._switch(request, queryset, on=True)

    @admin.action(description="Do not use", permissions=["registries"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[Registry]) -> None:
        """Keep the accounts, and ask without them."""
        self._switch(request, queryset, on=False)

    def _switch(self, request: HttpRequest, queryset: QuerySet[Registry], *, on: bool) -> None:
        done = 0
        for registry in queryset.exclude(is_enabled=on):
            before = snapshot(registry)
            registry.is_enabled = on
            try:
                with transaction.atomic():
                    registry.save(update_fields=["is_enabled", "updated_at"])
                    record_audit(
                        request.user,
                        "registry.change",
                        registry,
                        before=before,
                        after=snapshot(registry),
                        request=request,
                    )
            except IntegrityError:
                told = f"{registry.name}: another account counts for {registry.covers} already."
                self.message_user(request, told, messages.ERROR)
                continue
            account_changed(registry)
            done += 1
        self.message_user(request, f"{_accounts(done)} {'used again' if on else 'switched off'}.", messages.SUCCESS)


def _accounts(count: int) -> str:
    return f"{count} account is" if count == 1 else f"{count} accounts are"


def _repositories(count: int) -> str:
    return f"{count} repository is" if count == 1 else f"{count} repositories are"


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
    list_filter = ("last_error_code",)
    list_select_related = ("account",)
    search_fields = ("host", "account__name")


@admin.register(RepositoryKnowledge)
class RepositoryAdmin(ReadOnlyAdmin):
    """What registries told of repositories."""

    list_display = ("path", "host", "tag_count", "looked_up_at", "last_error_code", "due_at")
    list_filter = ("host", "last_error_code")
    search_fields = ("path", "host")
    actions = ("look_up",)
    show_full_result_count = False

    @admin.action(description="Look up now", permissions=["registries"])
    def look_up(self, request: HttpRequest, queryset: QuerySet[RepositoryKnowledge]) -> None:
        """Make them due at once."""
        count = check_now(RepositoryKnowledge.objects.filter(pk__in=queryset.values("pk")))
        self.message_user(request, f"{_repositories(count)} being looked up.", messages.SUCCESS)


@admin.register(TagKnowledge)
class TagAdmin(ReadOnlyAdmin):
    """What registries told of tags."""

    list_display = ("tag", "repository", "digest", "checked_at", "error_code")
    list_select_related = ("repository",)
    list_filter = ("error_code",)
    search_fields = ("tag", "repository__path")
    show_full_result_count = False
