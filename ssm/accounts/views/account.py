"""One's own account: what one may do, sessions, password, second factor, tokens."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from ssm.accounts import second_factor as factors
from ssm.accounts.audit import record_audit
from ssm.accounts.forms import CodeForm, OwnPasswordForm, TokenForm
from ssm.accounts.models import ApiToken, AuditEntry, OpenSession
from ssm.accounts.people import set_own_password
from ssm.accounts.rules.rights import RIGHTS, reach
from ssm.accounts.sessions import DEMANDED, MUST_CHANGE_PASSWORD, SECOND_FACTOR, begin, end_sessions
from ssm.accounts.tokens import make_token, revoke
from ssm.lib.access import UserRequest
from ssm.lib.roles import EVERYTHING, Right, Scope, grants_of

_LATEST = 10


def held_rights(user: Any) -> list[dict[str, str]]:
    """The rights a user holds, in words, and where."""
    grants = grants_of(user)
    return [
        {"title": text.title, "where": "; ".join(sorted(_where(scope) for scope in grants.of(Right(name))))}
        for name, text in RIGHTS.items()
        if grants.of(Right(name))
    ]


def _where(scope: Scope) -> str:
    if scope == EVERYTHING:
        return "everywhere"
    return ", and of those ".join(reach(list(limit.device_groups), list(limit.labels)) for limit in scope)


@require_GET
def home(request: UserRequest) -> HttpResponse:
    """What one may do, where one is logged in, what one did last."""
    context = {
        "tab": "home",
        "roles": [group.name for group in request.user.groups.order_by("name")],
        "rights": held_rights(request.user),
        "sessions": request.user.open_sessions.all(),
        "session_key": request.session.session_key,
        "entries": AuditEntry.objects.by(request.user)[:_LATEST],
    }
    return render(request, "account/home.html", context)


@require_POST
def end_session(request: UserRequest, pk: uuid.UUID) -> HttpResponse:
    """Log out somewhere else."""
    found = get_object_or_404(OpenSession.objects.select_related("session"), id=pk, user=request.user)
    is_here = found.session_id == request.session.session_key
    found.session.delete()
    record_audit(request.user, "session.end", request.user, before={"address": found.address}, request=request)
    messages.success(request, "That session has ended.")
    return redirect("login" if is_here else "account:home")


@require_POST
def end_other_sessions(request: UserRequest) -> HttpResponse:
    """Log out everywhere else."""
    count = end_sessions(request.user, but=request.session.session_key)
    record_audit(request.user, "session.end", request.user, before={"sessions": count}, request=request)
    messages.success(request, f"{count} other session{'s have' if count != 1 else ' has'} ended.")
    return redirect("account:home")


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def password(request: UserRequest) -> HttpResponse:
    """Change the password; all other sessions end with the old one."""
    form = OwnPasswordForm(request.POST or None, request=request)
    if request.method == "POST" and form.is_valid():
        set_own_password(request.user, form.cleaned_data["new_password"])
        update_session_auth_hash(request, request.user)
        end_sessions(request.user, but=request.session.session_key)
        request.session.pop(MUST_CHANGE_PASSWORD, None)
        begin(request, request.user)
        messages.success(request, "The password is changed. You are logged out everywhere else.")
        return redirect("account:home")
    context = {"tab": "password", "form": form, "is_demanded": MUST_CHANGE_PASSWORD in request.session}
    return render(request, "account/password.html", context, status=422 if form.is_bound else 200)


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def second_factor(request: UserRequest) -> HttpResponse:
    """Set up an app, replace it, get new recovery codes, or remove it. POST with ``act``."""
    user = request.user
    has_one = factors.has_second_factor(user)
    if has_one and getattr(request, "held_back", "") == "second-factor":
        return redirect("login-code")
    acts = {"begin": _begin, "confirm": _confirm, "codes": _codes, "remove": _remove}
    if request.method == "POST":
        act = acts.get(request.POST.get("act", ""))
        if act is None:
            return HttpResponse("Unknown act.\n", status=400, content_type="text/plain")
        return act(request)
    return _factor_page(request, {})


def _factor_page(request: UserRequest, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    context |= {
        "tab": "second-factor",
        "has_one": factors.has_second_factor(request.user),
        "left": factors.recovery_codes_left(request.user),
        "total": factors.RECOVERY_CODES,
        "is_demanded": getattr(request, "held_back", "") == "second-factor",
    }
    return render(request, "account/second_factor.html", context, status=status)


def _begin(request: UserRequest) -> HttpResponse:
    """Who replaces an app shows a code of the old one first: a page left open is not enough."""
    if factors.has_second_factor(request.user) and not _shows_code(request):
        return _factor_page(request, {"wrong": "begin"}, status=422)
    return _setup_page(request)


def _setup_page(request: UserRequest, *, is_wrong: bool = False) -> HttpResponse:
    app = factors.begin_setup(request.user)
    context = {
        "picture": factors.setup_picture(app, f"SSM {request.get_host()}"),
        "secret": factors.setup_secret(app),
        "is_wrong": is_wrong,
    }
    return _factor_page(request, context, status=422 if is_wrong else 200)


def _confirm(request: UserRequest) -> HttpResponse:
    form = CodeForm(request.POST)
    codes = factors.confirm_setup(request.user, form.cleaned_data["code"].strip()) if form.is_valid() else None
    if codes is None:
        return _setup_page(request, is_wrong=True)
    record_audit(request.user, "user.second-factor", request.user, request=request)
    # From now on: sessions that were opened with the password alone end.
    end_sessions(request.user, but=request.session.session_key)
    request.session[SECOND_FACTOR] = 0
    request.session.pop(DEMANDED, None)
    return _factor_page(request, {"codes": codes, "is_new": True})


def _codes(request: UserRequest) -> HttpResponse:
    if not _shows_code(request):
        return _factor_page(request, {"wrong": "codes"}, status=422)
    record_audit(request.user, "user.recovery-codes", request.user, request=request)
    return _factor_page(request, {"codes": factors.new_recovery_codes(request.user)})


def _remove(request: UserRequest) -> HttpResponse:
    if not _shows_code(request):
        return _factor_page(request, {"wrong": "remove"}, status=422)
    factors.remove(request.user)
    request.session.pop(SECOND_FACTOR, None)
    begin(request, request.user)
    record_audit(request.user, "user.second-factor-remove", request.user, request=request)
    messages.success(request, "The second factor is removed: the password alone opens your account.")
    return redirect("account:second-factor")


def _shows_code(request: UserRequest) -> bool:
    form = CodeForm(request.POST)
    return form.is_valid() and bool(factors.check_code(request.user, form.cleaned_data["code"]))


@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: UserRequest) -> HttpResponse:
    """One's tokens; POST makes one, whose text is shown in the answer and never again."""
    form = TokenForm(request.POST or None, user=request.user)
    made, text = None, ""
    if request.method == "POST" and form.is_valid():
        rights = [Right(name) for name in form.cleaned_data["rights"]]
        made, text = make_token(request.user, form.cleaned_data["name"], rights, form.limit, form.expires_at)
        after = {
            "name": made.name,
            "rights": made.rights,
            "expires_at": made.expires_at,
            "where": reach(made.device_groups, made.labels),
        }
        record_audit(request.user, "token.add", made, after=after, request=request)
        form = TokenForm(user=request.user)
    context = {
        "tab": "tokens",
        "form": form,
        "made": made,
        "text": text,
        "tokens": [
            {
                "token": token,
                "rights": [RIGHTS[name].title for name in token.rights if name in RIGHTS],
                "where": reach(token.device_groups, token.labels),
            }
            for token in request.user.api_tokens.filter(revoked_at=None)
        ],
    }
    return render(request, "account/tokens.html", context, status=422 if form.is_bound else 200)


@require_POST
def revoke_token(request: UserRequest, pk: uuid.UUID) -> HttpResponse:
    """End a token: one's own, or anybody's for those who manage users."""
    token = ApiToken.objects.visible_to(request.user).select_related("user").filter(pk=pk).first()
    if token is None:
        raise Http404
    revoke(token)
    record_audit(request.user, "token.revoke", token, request=request)
    messages.success(request, f"The token {token.name} is revoked.")
    return redirect("account:tokens") if token.user_id == request.user.pk else redirect("users:edit", token.user_id)
