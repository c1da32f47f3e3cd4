"""Users, for those who manage them."""

from typing import Any

from axes.utils import reset as lift_rest
from django.contrib import messages
from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from ssm.accounts.audit import record_audit
from ssm.accounts.errors import Refused
from ssm.accounts.forms import UserForm
from ssm.accounts.models import AuditEntry, AuthenticatorApp
from ssm.accounts.people import delete_user, holds_all, may_change, reset_second_factor, roles, save_user
from ssm.accounts.rules.rights import reach
from ssm.accounts.sessions import end_sessions
from ssm.lib.access import allowed, signed_in
from ssm.lib.htmx import render_page
from ssm.lib.roles import Right, holds
from ssm.lib.tables import Choice, chips, choice_of, order_by, page_of, sort_of, text_of

_COLUMNS = {
    "name": ("username",),
    "seen": ("last_login", "username"),
    "since": ("date_joined", "username"),
}
_STATES = [Choice("active", "May log in"), Choice("inactive", "May not log in")]
_LATEST = 15


@require_GET
@allowed(holds(Right.MANAGE_USERS))
def user_list(request: HttpRequest) -> HttpResponse:
    """All users with their roles. The number of queries does not depend on the rows."""
    q, sort = text_of(request.GET, "q"), sort_of(request.GET, _COLUMNS, "name")
    state = choice_of(request.GET, "state", ("active", "inactive"))
    every_role = list(roles())
    role = choice_of(request.GET, "role", [str(role.pk) for role in every_role])
    apps = AuthenticatorApp.objects.filter(user=OuterRef("pk"), confirmed=True)
    found = User.objects.annotate(has_second_factor=Exists(apps)).prefetch_related("groups", "open_sessions")
    if q:
        found = found.filter(
            Q(username__icontains=q) | Q(first_name__icontains=q) | Q(last_name__icontains=q) | Q(email__icontains=q)
        )
    if state:
        found = found.filter(is_active=state == "active")
    if role:
        found = found.filter(groups=int(role))
    names = {str(role.pk): role.name for role in every_role}
    words = {choice.value: choice.text for choice in _STATES}
    active = (("q", "Name", q), ("state", "State", words.get(state, "")), ("role", "Role", names.get(role, "")))
    context = {
        "section": "users",
        "tab": "users",
        "page": page_of(request, found.order_by(*order_by(sort, _COLUMNS))),
        "q": q,
        "state": state,
        "role": role,
        "sort": sort,
        "states": _STATES,
        "roles": [Choice(pk, name) for pk, name in names.items()],
        "chips": chips(request.GET, active),
    }
    return render_page(request, "users/list.html", "users/partials/results.html", context)


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(holds(Right.MANAGE_USERS))
def add(request: HttpRequest) -> HttpResponse:
    """A new user, with a password to be handed over."""
    return _edit(request, User(), {})


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(holds(Right.MANAGE_USERS))
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """A user: what they may, how they come in, where they are, what they did."""
    user = get_object_or_404(User, pk=pk)
    context = {
        "person": user,
        "person_name": user.get_username(),
        "may_change": may_change(signed_in(request), user),
        "app": AuthenticatorApp.objects.filter(user=user, confirmed=True).first(),
        "sessions": user.open_sessions.all(),
        "tokens": user.api_tokens.filter(revoked_at=None),
        "entries": AuditEntry.objects.visible_to(request.user).by(user)[:_LATEST],
    }
    return _edit(request, user, context)


def _edit(request: HttpRequest, user: User, context: dict[str, Any]) -> HttpResponse:
    every_role = roles().order_by("group__name")
    form = UserForm(request.POST or None, instance=user, roles=every_role)
    if request.method == "POST" and form.is_valid():
        try:
            save_user(signed_in(request), user, form.change)
        except Refused as refused:
            form.add_error(None, f"{refused.message} {refused.fix}")
        else:
            messages.success(request, f"{user.get_username()} is saved.")
            return redirect("users:list")
    chosen = {str(value) for value in form["roles"].value() or ()}
    context |= {
        "section": "users",
        "form": form,
        "role_rows": [
            {
                "role": role,
                "where": reach(role.device_groups, role.labels),
                "is_chosen": str(role.pk) in chosen,
                "may_give": holds_all(signed_in(request), role.rights) or str(role.pk) in chosen,
            }
            for role in every_role
        ],
    }
    return render(request, "users/form.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(holds(Right.MANAGE_USERS))
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask back, then remove a user."""
    user = get_object_or_404(User, pk=pk)
    name = user.get_username()
    if request.method == "POST":
        try:
            delete_user(signed_in(request), user)
        except Refused as refused:
            messages.error(request, f"{refused.message} {refused.fix}")
            return redirect("users:edit", pk)
        messages.success(request, f"{name} is removed.")
        return redirect("users:list")
    return render(request, "users/confirm_delete.html", {"section": "users", "person": user})


@require_POST
@allowed(holds(Right.MANAGE_USERS))
def act(request: HttpRequest, pk: int) -> HttpResponse:
    """POST with ``act``: end-sessions, reset-second-factor, or unlock (after too many failed log-ins)."""
    user = get_object_or_404(User, pk=pk)
    name = request.POST.get("act", "")
    try:
        if name == "end-sessions":
            if not may_change(signed_in(request), user):
                raise Refused(f"{user.get_username()} holds rights that you do not hold.")
            count = end_sessions(user)
            record_audit(request.user, "session.end", user, before={"sessions": count}, request=request)
            text = f"{count} session{'' if count == 1 else 's'} of {user.get_username()} ended."
        elif name == "reset-second-factor":
            reset_second_factor(signed_in(request), user)
            text = f"The second factor of {user.get_username()} is removed; they are logged out."
        elif name == "unlock":
            lift_rest(username=user.get_username())
            record_audit(request.user, "user.unlock", user, request=request)
            text = f"{user.get_username()} may try to log in again."
        else:
            return HttpResponse("Unknown act.\n", status=400, content_type="text/plain")
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, text)
    return redirect("users:edit", pk)
