"""Pages of what registries told: repositories, and the tags of one."""

import uuid
from typing import Final

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_GET, require_POST

from registries.listing import select_repositories, tag_lines
from registries.models import Registry, RepositoryKnowledge
from registries.services import Accounts, check_now
from ssm.lib.access import allowed
from ssm.lib.htmx import render_page
from ssm.lib.roles import can_operate, can_view
from ssm.lib.tables import PAGE_SIZE, Choice, chips, choice_of, order_by, page_of, sort_of, text_of

_SORTS: Final[dict[str, tuple[str, ...]]] = {
    "name": ("host", "path"),
    "tags": ("-tag_count", "host", "path"),
    "checked": ("-looked_up_at", "host", "path"),
    "state": ("-last_error_code", "host", "path"),
}
_STATES: Final = (
    Choice("good", "Answered"),
    Choice("failing", "Failing"),
    Choice("waiting", "Being looked up"),
    Choice("new", "Not asked yet"),
)
_TAG_SORTS: Final = ("name", "pushed")
_AGES: Final = (
    Choice("7", "Pushed in the last 7 days"),
    Choice("30", "Pushed in the last 30 days"),
    Choice("365", "Pushed in the last year"),
)


@require_GET
@allowed(can_view)
def repository_list(request: HttpRequest) -> HttpResponse:
    """One page of the repositories that pass the filters."""
    query = request.GET
    q, host = text_of(query, "q"), text_of(query, "host")
    state = choice_of(query, "state", [choice.value for choice in _STATES])
    sort = sort_of(query, _SORTS, "name")
    visible = RepositoryKnowledge.objects.visible_to(request.user)
    selected = select_repositories(visible, q, host, state).with_tag_counts().defer("tags", "tag_dates")
    hosts = visible.order_by("host").values_list("host", flat=True).distinct()
    words = {choice.value: choice.text for choice in _STATES}
    context = {
        "page": page_of(request, selected.order_by(*order_by(sort, _SORTS), "pk")),
        "q": q,
        "host": host,
        "state": state,
        "sort": sort,
        "states": _STATES,
        "hosts": [Choice(name, name) for name in hosts],
        "chips": chips(
            query, [("q", "Search", q), ("host", "Registry", host), ("state", "State", words.get(state, ""))]
        ),
    }
    return render_page(request, "registries/repositories.html", "registries/partials/repository_results.html", context)


def find_repository(request: HttpRequest, pk: uuid.UUID) -> RepositoryKnowledge:
    """The repository if it is known and the user may see it, else 404."""
    return get_object_or_404(RepositoryKnowledge.objects.visible_to(request.user), pk=pk)


@require_GET
@allowed(can_view)
def repository(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """One repository with its tags: searched, by age where the registry tells it. ``?part=head`` for its head alone."""
    found = find_repository(request, pk)
    account = Accounts(Registry.objects.enabled().filter(host=found.host).defer("secrets", "client_key")).of(
        found.host, found.path
    )
    q = text_of(request.GET, "q")
    age = choice_of(request.GET, "age", [choice.value for choice in _AGES])
    sort = sort_of(request.GET, _TAG_SORTS, "-name")
    lines = tag_lines(found, q=q, age_days=int(age) if age else 0, sort=sort)
    context = {
        "repository": found,
        "account": account,
        "page": Paginator(lines, PAGE_SIZE).get_page(request.GET.get("page")),
        "q": q,
        "age": age,
        "sort": sort,
        "ages": _AGES if found.tag_dates else (),
        "used_by_url": _used_by_url(found),
        "chips": chips(
            request.GET,
            [("q", "Tag", q), ("age", "Age", next((choice.text for choice in _AGES if choice.value == age), ""))],
        ),
    }
    if request.GET.get("part") != "head":
        return render_page(request, "registries/repository.html", "registries/partials/tag_results.html", context)
    response = render_page(request, "registries/repository.html", "registries/partials/head.html", context)
    if not found.is_being_looked_up:
        # The head asks until the look-up is done; then the tags are news too.
        response.headers["HX-Trigger"] = "repository-settled"
    return response


def _used_by_url(found: RepositoryKnowledge) -> str:
    """Where the containers that use it are listed, by the app that knows containers; empty when it does not."""
    try:
        return reverse("updates:used_by", query={"registry": found.host, "repository": found.path})
    except NoReverseMatch:
        return ""


@require_POST
@allowed(can_operate)
def check(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Have a repository looked up now, with its list of tags; ``tag`` adds one tag that was not looked up before."""
    found = find_repository(request, pk)
    tag = text_of(request.POST, "tag")
    if tag and tag not in found.tags:
        return HttpResponse("This repository has no such tag.\n", status=400, content_type="text/plain")
    check_now(RepositoryKnowledge.objects.filter(pk=found.pk), tag=tag)
    messages.success(request, f"{found.name} is being looked up.")
    return redirect(found)
