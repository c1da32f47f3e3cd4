"""Roles, for those who manage users."""

from typing import Any

from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from ssm.accounts.errors import Refused
from ssm.accounts.forms import RoleForm
from ssm.accounts.models import Role
from ssm.accounts.people import delete_role, roles, save_role
from ssm.accounts.rules.rights import RIGHTS, reach
from ssm.lib.access import allowed, signed_in
from ssm.lib.roles import Right, holds


@require_GET
@allowed(holds(Right.MANAGE_USERS))
def role_list(request: HttpRequest) -> HttpResponse:
    """All roles: what they allow, where, and how many users hold them."""
    found = roles().annotate(user_count=Count("group__user")).order_by("group__name")
    rows = [
        {
            "role": role,
            "where": reach(role.device_groups, role.labels),
            "rights": [text.title for name, text in RIGHTS.items() if Right(name) in role.rights],
        }
        for role in found
    ]
    return render(request, "roles/list.html", {"section": "users", "tab": "roles", "rows": rows})


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(holds(Right.MANAGE_USERS))
def add(request: HttpRequest) -> HttpResponse:
    """A new role; with ``?from=`` one that begins as a copy."""
    source = request.GET.get("from", "")
    pattern = roles().filter(pk=int(source)).first() if source.isascii() and source.isdigit() else None
    return _edit(request, None, RoleForm(request.POST or None, pattern=pattern), {"pattern": pattern})


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(holds(Right.MANAGE_USERS))
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """A role; of those that come with SSM only whether a second factor is demanded."""
    role = get_object_or_404(roles(), pk=pk)
    people = role.group.user_set.order_by("username")
    context = {"role": role, "role_name": role.name, "people": people}
    return _edit(request, role, RoleForm(request.POST or None, role=role), context)


def _edit(request: HttpRequest, role: Role | None, form: RoleForm, context: dict[str, Any]) -> HttpResponse:
    if request.method == "POST" and form.is_valid():
        try:
            saved = save_role(signed_in(request), role, form.change)
        except Refused as refused:
            form.add_error(None, f"{refused.message} {refused.fix}")
        else:
            messages.success(request, f"The role {saved.name} is saved.")
            return redirect("roles:list")
    context |= {"section": "users", "form": form}
    return render(request, "roles/form.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(holds(Right.MANAGE_USERS))
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask back, then remove a role."""
    role = get_object_or_404(roles(), pk=pk)
    name = role.name
    if request.method == "POST":
        try:
            delete_role(signed_in(request), role)
        except Refused as refused:
            messages.error(request, f"{refused.message} {refused.fix}")
            return redirect("roles:edit", pk)
        messages.success(request, f"The role {name} is removed.")
        return redirect("roles:list")
    context = {"section": "users", "role": role, "people": role.group.user_set.order_by("username")}
    return render(request, "roles/confirm_delete.html", context)
