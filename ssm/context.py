"""What the frame of every page shows."""

import time
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from containers.counts import navigation_counts
from devices.models import Device
from ssm import __version__
from ssm.lib.access import subject_of
from ssm.lib.roles import Right, SomeUser, can, can_view
from ssm.lib.scopes import holds_on


def frame(request: HttpRequest) -> dict[str, Any]:
    """What the user may do (no query for a stranger's login page), where in the site this is, what needs somebody."""
    user: SomeUser = getattr(request, "user", AnonymousUser())
    known = user.is_authenticated
    subject = subject_of(request)
    # A device is acted on by acts on what is on it, which are asked for one by one.
    operated = None if isinstance(subject, Device) else subject
    match = request.resolver_match
    return {
        "may_view": known and can_view(user),
        "may_operate": known and holds_on(user, Right.OPERATE, operated),
        "may_administer": known and holds_on(user, Right.MANAGE_DEVICES, subject if operated is None else None),
        "may_manage_volumes": known and holds_on(user, Right.MANAGE_VOLUMES, operated),
        "may_manage_registries": known and can(user, Right.MANAGE_REGISTRIES),
        "standing": _standing(user) if known else "",
        "may_manage_users": known and can(user, Right.MANAGE_USERS),
        # Which entry of the side bar is this page's; no page has matched where there is none.
        "section": (match.namespace or match.url_name) if match else "",
        # Counted only by templates that show it: partials do not.
        "navigation": SimpleLazyObject(lambda: navigation_counts(user)) if known else None,
        "ssm_version": __version__,
        # Seconds since 1970: the page's socket asks for what came or went after it.
        "made_at": f"{time.time():.3f}",
    }


def _standing(user: SomeUser) -> str:
    """What the user is, in a word."""
    ranks = (("Administrator", Right.MANAGE_USERS), ("Operator", Right.OPERATE), ("Viewer", Right.SEE))
    return next((word for word, right in ranks if can(user, right)), "No role yet")
