"""What the frame of every page shows."""

from typing import Any

from django.http import HttpRequest

from ssm import __version__
from ssm.lib.roles import can_administer, can_operate, can_view


def frame(request: HttpRequest) -> dict[str, Any]:
    """What the user may do (no query for a stranger's login page) and the version."""
    user = getattr(request, "user", None)
    known = user is not None and user.is_authenticated
    return {
        "may_view": known and can_view(user),
        "may_operate": known and can_operate(user),
        "may_administer": known and can_administer(user),
        "ssm_version": __version__,
    }
