"""Who may open a page: a mark above each view, so that none forgets."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from ssm.lib.roles import SomeUser

Arguments = ParamSpec("Arguments")
View = Callable[Concatenate[HttpRequest, Arguments], HttpResponse]


def allowed(test: Callable[[SomeUser], bool]) -> Callable[[View[Arguments]], View[Arguments]]:
    """Let only users pass for whom ``test`` (of ssm.lib.roles) holds; 403 for all others."""

    def mark(view: View[Arguments]) -> View[Arguments]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Arguments.args, **kwargs: Arguments.kwargs) -> HttpResponse:
            if not test(request.user):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return guarded

    return mark
