"""The way in: name and password, then the second factor where there is one."""

import time
from typing import Any, Final

from django.contrib.auth import BACKEND_SESSION_KEY, login
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from ssm.accounts.audit import record_audit
from ssm.accounts.forms import CodeForm
from ssm.accounts.models import AuthenticatorApp
from ssm.accounts.second_factor import check_code, has_second_factor, recovery_codes_left, wait_s
from ssm.accounts.sessions import SECOND_FACTOR, begin

# Between password and code the session knows whose turn it is; it is nobody's yet.
PENDING: Final = "pending_log_in"
PENDING_S: Final = 300


@method_decorator(login_not_required, name="dispatch")
class LogInView(LoginView):
    """Name and password. Django's own view, with the second step, the rest after failures, and the audit."""

    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Log in, or go on to the second step."""
        user = form.get_user()
        if not has_second_factor(user):
            login(self.request, user)
            begin(self.request, user)
            return HttpResponseRedirect(self.get_success_url())
        self.request.session.cycle_key()
        self.request.session[PENDING] = {
            "user": user.pk,
            "backend": user.backend,
            "password": user.get_session_auth_hash(),
            "since": time.time(),
            "next": self.get_success_url(),
        }
        return redirect("login-code")

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """Say so; with 429 where somebody has to wait first."""
        response = super().form_invalid(form)
        if self._is_locked:
            response.status_code = 429
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Whether to wait."""
        return super().get_context_data(**kwargs, is_locked=self._is_locked)

    @property
    def _is_locked(self) -> bool:
        return bool(getattr(self.request, "axes_locked_out", False))


@login_not_required
@sensitive_post_parameters()
@csrf_protect
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def code(request: HttpRequest) -> HttpResponse:
    """The second step: a code of the app, or a recovery code. Also for who is logged in and has to show one now."""
    user = _whose_turn(request)
    if user is None:
        request.session.pop(PENDING, None)
        return redirect("login")
    form = CodeForm(request.POST or None)
    wait = wait_s(user)
    if request.method == "POST" and form.is_valid() and not wait:
        kind = check_code(user, form.cleaned_data["code"])
        if kind:
            return _enter(request, user, kind)
        record_audit(None, "user.log-in", user.get_username(), request=request, outcome="refused: wrong code")
        wait = wait_s(user)
    is_wrong = request.method == "POST"
    context = {"is_wrong": is_wrong, "wait": wait if wait > 1 else 0, "is_inside": request.user.is_authenticated}
    return render(request, "registration/code.html", context, status=422 if is_wrong else 200)


def _whose_turn(request: HttpRequest) -> User | None:
    """Who has to show a code; None where nobody has."""
    if request.user.is_authenticated:
        known = SECOND_FACTOR in request.session or not has_second_factor(request.user)
        return None if known else request.user
    pending = request.session.get(PENDING)
    if not isinstance(pending, dict) or time.time() - float(pending["since"]) > PENDING_S:
        return None
    user = User.objects.filter(pk=pending["user"], is_active=True).first()
    # Another password meanwhile: the step before counts no more.
    if user is None or user.get_session_auth_hash() != pending["password"]:
        return None
    return user


def _enter(request: HttpRequest, user: User, kind: str) -> HttpResponse:
    pending = request.session.pop(PENDING, None) or {}
    backend = pending.get("backend") or request.session.get(BACKEND_SESSION_KEY)
    if not request.user.is_authenticated:
        login(request, user, backend=backend)
    app = AuthenticatorApp.objects.get(user=user, confirmed=True)
    begin(request, user, app_id=app.pk)
    if kind == "recovery":
        left = recovery_codes_left(user)
        record_audit(user, "user.recovery-code", user, request=request, after={"left": left})
        return redirect("account:second-factor")
    target = pending.get("next", "")
    if url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        return HttpResponseRedirect(target)
    return redirect("home")
