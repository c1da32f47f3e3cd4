"""Who may open a page: a mark above each view, so that none forgets."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from ssm.lib.roles import SomeUser

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer", bound=HttpResponseBase)
Row = TypeVar("Row", bound=Model)
View = Callable[Concatenate[HttpRequest, Arguments], Answer]


class UserRequest(HttpRequest):
    """A request of somebody who is logged in, which the middleware sees to."""

    user: User


def is_about(request: HttpRequest, row: Row) -> Row:
    """Note that the request's page is about this row alone, so that its frame offers what may be done with it."""
    request.__dict__["subject"] = row
    return row


def subject_of(request: HttpRequest) -> Model | None:
    """What the page is about; None for one about many things, or about none."""
    return request.__dict__.get("subject")


def signed_in(request: HttpRequest) -> User:
    """Who asks. Raises PermissionDenied where nobody is logged in."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def allowed(test: Callable[[SomeUser], bool]) -> Callable[[View[Arguments, Answer]], View[Arguments, Answer]]:
    """Let only users pass for whom ``test`` (of ssm.lib.roles) holds; 403 for all others."""

    def mark(view: View[Arguments, Answer]) -> View[Arguments, Answer]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
            if not test(request.user):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return guarded

    return mark
