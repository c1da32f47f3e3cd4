"""The Django admin behind SSM's own door: its log-in, its rights, its audit.

Whatever is registered gets all three, so that none can forget.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme

from ssm.accounts.audit import record_audit, snapshot
from ssm.lib.roles import Right, can_everywhere

# What an app's tables take: to be looked at, to be changed. Tables of other apps are for superusers.
_RIGHTS: Final[Mapping[str, tuple[Right, Right]]] = {
    "containers": (Right.SEE, Right.MANAGE_DEVICES),
    "devices": (Right.SEE, Right.MANAGE_DEVICES),
    "registries": (Right.SEE, Right.MANAGE_REGISTRIES),
    "accounts": (Right.MANAGE_USERS, Right.MANAGE_USERS),
    "auth": (Right.MANAGE_USERS, Right.MANAGE_USERS),
    "admin": (Right.MANAGE_USERS, Right.MANAGE_USERS),
}


class Guarded(ModelAdmin[Any]):
    """What is mixed into every registered class.

    Tables know of no device groups, so a right counts here where it is unlimited; limited users have the pages.
    Django's permissions decide besides, as everywhere in the admin.
    """

    def _may(self, request: HttpRequest, *, changing: bool) -> bool:
        rights = _RIGHTS.get(self.opts.app_label)
        if rights is None:
            return bool(request.user.is_active and request.user.is_superuser)
        return can_everywhere(request.user, rights[changing])

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Django's answer, for who may see everything."""
        return super().has_view_permission(request, obj) and self._may(request, changing=False)

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        """Django's answer, for who may change everything."""
        return super().has_add_permission(request, *args) and self._may(request, changing=True)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Django's answer, for who may change everything."""
        return super().has_change_permission(request, obj) and self._may(request, changing=True)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Django's answer, for who may change everything."""
        return super().has_delete_permission(request, obj) and self._may(request, changing=True)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """For actions marked so: acts on hosts."""
        return can_everywhere(request.user, Right.OPERATE)

    def has_volumes_permission(self, request: HttpRequest) -> bool:
        """For actions marked so: acts on volumes and backups."""
        return can_everywhere(request.user, Right.MANAGE_VOLUMES)

    def has_devices_permission(self, request: HttpRequest) -> bool:
        """For actions marked so: what only managers of devices do."""
        return can_everywhere(request.user, Right.MANAGE_DEVICES)

    def has_registries_permission(self, request: HttpRequest) -> bool:
        """For actions marked so: what only managers of registries do."""
        return can_everywhere(request.user, Right.MANAGE_REGISTRIES)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The list under the name of its table."""
        title = str(self.opts.verbose_name_plural)
        title = title if title[:1].isupper() else title.capitalize()
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Through the door of the rows, where they have one."""
        rows = super().get_queryset(request)
        visible: Any = getattr(rows, "visible_to", None)
        return visible(request.user) if visible is not None else rows

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's signature
        """Save, and record what changed."""
        kept = type(obj)._base_manager.filter(pk=obj.pk).first() if change else None
        before = snapshot(kept) if kept is not None else None
        super().save_model(request, obj, form, change)
        fresh = type(obj)._base_manager.filter(pk=obj.pk).first()
        verb = "change" if change else "add"
        after = snapshot(fresh) if fresh is not None else None
        record_audit(request.user, f"{obj._meta.model_name}.{verb}", obj, before=before, after=after, request=request)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:  # noqa: FBT001 - Django's signature
        """Save rows of inlines, and record those that were removed."""
        super().save_formset(request, form, formset, change)
        for row in formset.deleted_objects:
            record_audit(request.user, f"{row._meta.model_name}.remove", row, before=snapshot(row), request=request)

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        """Record, and delete."""
        record_audit(request.user, f"{obj._meta.model_name}.remove", obj, before=snapshot(obj), request=request)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Record each, and delete."""
        for row in queryset:
            record_audit(request.user, f"{row._meta.model_name}.remove", row, before=snapshot(row), request=request)
        super().delete_queryset(request, queryset)


class SsmAdminSite(AdminSite):
    """Who is let in logged in on SSM's own page, with all that it asks for."""

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Register with rights and audit."""
        kind = admin_class or ModelAdmin
        # Its own methods (a save_model of its own) are called by the mixed-in ones.
        guarded = type(kind.__name__, (Guarded, kind), {"__module__": kind.__module__, "__doc__": kind.__doc__})
        super().register(model_or_iterable, guarded, **options)

    def extend(self, model: type[Model], *actions: Any) -> None:
        """Give a model's class further actions, of an app that its own must not know."""
        registered = self._registry[model]
        registered.actions = [*(registered.actions or ()), *actions]

    @method_decorator(login_not_required)
    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """To the one log-in there is, which knows of the second factor and of too many failures."""
        target = request.GET.get("next", "")
        if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
            target = reverse("admin:index")
        if not request.user.is_authenticated:
            return redirect_to_login(target)
        if not self.has_permission(request):
            raise PermissionDenied
        return redirect(target)

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """To the page of one's own account."""
        return redirect("account:password")


def ask_back(
    request: HttpRequest,
    model_admin: ModelAdmin[Any],
    *,
    title: str,
    rows: Sequence[tuple[str, str]],
    warning: str,
    seen: Sequence[str] = (),
) -> HttpResponse | None:
    """The page that asks back before an action; None once it was answered with yes.

    ``rows`` are names of what it is about, each with what becomes of it; ``seen`` comes back with the answer, for
    acts that hold only for what was shown.
    """
    if request.POST.get("confirmed"):
        return None
    context = {
        **model_admin.admin_site.each_context(request),
        "title": title,
        "opts": model_admin.opts,
        "rows": rows,
        "warning": warning,
        "seen": seen,
        "action": request.POST.get("action", ""),
        "chosen": request.POST.getlist(ACTION_CHECKBOX_NAME),
        "across": request.POST.get("select_across", "0"),
        "checkbox_name": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/confirm_action.html", context)


__all__ = ["Guarded", "SsmAdminSite", "ask_back"]
