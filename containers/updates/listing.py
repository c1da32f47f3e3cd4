"""The Updates page: its filters as the address holds them, and its groups (one for each image in use)."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Self

from django.core.paginator import Page, Paginator
from django.db.models import Count, F, Max, Q, Window
from django.db.models.functions import RowNumber
from django.http import HttpRequest, QueryDict

from containers.models import Container, UpdatePolicy, UpdateStatus
from containers.querysets import UpdateStatusQuerySet
from containers.rules.reasons import reason_choices
from devices.models import now
from registries.models import RepositoryKnowledge
from ssm.lib.roles import SomeUser
from ssm.lib.tables import Chip, Choice, chips, choice_of, text_of

GROUPS_ON_A_PAGE: Final = 30
# Of one image; the rest is a link away.
SHOWN_IN_GROUP: Final = 8
SHOWN_ALONE: Final = 200

KINDS: Final = (
    Choice("major", "Major"),
    Choice("minor", "Minor"),
    Choice("patch", "Patch"),
    Choice("revision", "Revision"),
    Choice("prerelease", "Prerelease"),
    Choice("unknown", "Other"),
    Choice("digest", "Rebuilt"),
)
STATES: Final = (
    Choice("all", "Any state"),
    Choice("snoozed", "Put off"),
    Choice("up_to_date", "Up to date"),
    Choice("unknown", "Unknown"),
    Choice("error", "Check failed"),
    Choice("not_watched", "Not watched"),
)
REASONS: Final = tuple(Choice(code, text.capitalize()) for code, text in reason_choices())
_NAME: Final = ("registry", "repository", "tag")


@dataclass(frozen=True, slots=True)
class UpdateFilter:
    """What the page shows; empty fields filter nothing, an empty ``state`` stands for what is offered now."""

    q: str
    kind: str
    state: str
    reason: str
    device: str
    project: str
    image: str

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        """From an address; unknown values are left out. No queries."""
        device = text_of(query, "device")
        try:
            device = str(uuid.UUID(device)) if device else ""
        except ValueError:
            device = ""
        return cls(
            q=text_of(query, "q"),
            kind=choice_of(query, "kind", (choice.value for choice in KINDS)),
            state=choice_of(query, "state", (choice.value for choice in STATES)),
            reason=choice_of(query, "reason", (choice.value for choice in REASONS)),
            device=device,
            project=text_of(query, "project"),
            image=text_of(query, "image"),
        )

    def select(self, statuses: UpdateStatusQuerySet, *, with_kind: bool = True) -> UpdateStatusQuerySet:
        """The answers that pass, of present containers."""
        moment = now()
        statuses = statuses.present()
        if self.state == "snoozed":
            statuses = statuses.filter(state="update_available", snoozed_until__gt=moment)
        elif self.state in ("up_to_date", "unknown", "error", "not_watched"):
            statuses = statuses.filter(state=self.state)
        elif not self.state and not self.reason and not self.image:
            statuses = statuses.offering(moment)
        if self.reason:
            statuses = statuses.filter(reason=self.reason)
        if with_kind and self.kind == "digest":
            statuses = statuses.filter(has_digest_update=True)
        elif with_kind and self.kind:
            statuses = statuses.filter(change=self.kind)
        if self.device:
            statuses = statuses.filter(container__device__pk=self.device)
        if self.project:
            statuses = statuses.filter(container__compose_project=self.project)
        if self.image:
            statuses = statuses.filter(**_image_columns(self.image))
        if self.q:
            found = Q(repository__icontains=self.q) | Q(registry__icontains=self.q) | Q(tag__icontains=self.q)
            found |= Q(container__name__icontains=self.q) | Q(container__display_name__icontains=self.q)
            found |= Q(container__device__name__icontains=self.q) | Q(offered_tag__icontains=self.q)
            statuses = statuses.filter(found)
        return statuses

    def chips(self, query: QueryDict, device_name: str) -> list[Chip]:
        """The active filters, each removable."""
        words = {choice.value: choice.text for choice in (*KINDS, *STATES, *REASONS)}
        active = [
            ("q", "Search", self.q),
            ("kind", "Kind", next((c.text for c in KINDS if c.value == self.kind), "")),
            ("state", "State", next((c.text for c in STATES if c.value == self.state), "")),
            ("reason", "Reason", words.get(self.reason, "") if self.reason else ""),
            ("device", "Device", device_name if self.device else ""),
            ("project", "Project", self.project),
            ("image", "Image", self.image),
        ]
        return chips(query, active)


def _image_columns(image: str) -> dict[str, str]:
    """``registry/repository:tag`` in its complete form; the tag may be left out."""
    name, tag = image, ""
    before, _colon, after = image.rpartition(":")
    if before and "/" not in after:
        name, tag = before, after
    registry, _slash, repository = name.partition("/")
    columns = {"registry": registry, "repository": repository}
    return columns | ({"tag": tag} if tag else {})


@dataclass(slots=True)
class Group:
    """An image with the containers that were created from it; counts are of those that pass the filters."""

    registry: str
    repository: str
    tag: str
    containers: int
    devices: int
    offering: int
    statuses: list[UpdateStatus] = field(default_factory=list)
    policies: list[UpdatePolicy] = field(default_factory=list)
    knowledge: RepositoryKnowledge | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it one group."""
        return self.registry, self.repository, self.tag

    @property
    def image(self) -> str:
        """Its complete reference, as the filter takes it."""
        name = f"{self.registry}/{self.repository}"
        return f"{name}:{self.tag}" if self.tag else name

    @property
    def first(self) -> UpdateStatus | None:
        """The answer that stands for the group: the gravest."""
        return self.statuses[0] if self.statuses else None

    @property
    def hidden(self) -> int:
        """How many containers are not shown."""
        return self.containers - len(self.statuses)


def groups_page(request: HttpRequest, selected: UpdateStatusQuerySet, chosen: UpdateFilter) -> Page[Group]:
    """One page of groups, the gravest first. A constant number of queries: six."""
    rows = (
        selected.order_by()
        .values(*_NAME)
        .annotate(
            containers=Count("pk"),
            devices=Count("container__device", distinct=True),
            offering=Count("pk", filter=Q(state="update_available")),
            gravest=Max("severity"),
            failed=Count("pk", filter=Q(state="error")),
        )
        .order_by("-gravest", "-offering", "-failed", *_NAME)
    )
    page: Page[Any] = Paginator(rows, GROUPS_ON_A_PAGE).get_page(request.GET.get("page"))
    groups = [
        Group(row["registry"], row["repository"], row["tag"], row["containers"], row["devices"], row["offering"])
        for row in page.object_list
    ]
    _fill(groups, selected, SHOWN_ALONE if chosen.image else SHOWN_IN_GROUP)
    page.object_list = groups
    return page


def _is_one_of(groups: Iterable[Group]) -> Q:
    condition = Q(pk__in=[])
    for group in groups:
        condition |= Q(registry=group.registry, repository=group.repository, tag=group.tag)
    return condition


def _fill(groups: list[Group], selected: UpdateStatusQuerySet, limit: int) -> None:
    """Give each group its first containers, what users decided about it, and what is known of its repository."""
    if not groups:
        return
    by_key = {group.key: group for group in groups}
    order = [F("severity").desc(), F("container__name").asc(), F("container__device__name").asc(), F("pk").asc()]
    statuses = (
        selected.filter(_is_one_of(groups))
        .annotate(place=Window(RowNumber(), partition_by=[F(name) for name in _NAME], order_by=order))
        .filter(place__lte=limit)
        .select_related("container__device")
        .defer("trace", "lookups", "container__inspect", "container__environment")
        .order_by("-severity", "container__name", "container__device__name", "pk")
    )
    for status in statuses:
        by_key[status.registry, status.repository, status.tag].statuses.append(status)
    policies = UpdatePolicy.objects.in_force(now()).filter(_is_one_of(groups), container=None)
    for policy in policies.order_by("created_at"):
        by_key[policy.registry, policy.repository, policy.tag].policies.append(policy)
    known = RepositoryKnowledge.objects.filter(
        host__in={group.registry for group in groups}, path__in={group.repository for group in groups}
    ).defer("tags", "tag_dates", "local_digests")
    by_name = {(row.host, row.path): row for row in known}
    for group in groups:
        group.knowledge = by_name.get((group.registry, group.repository))


def kind_counts(statuses: UpdateStatusQuerySet, chosen: UpdateFilter) -> dict[str, int]:
    """How many of the offers that pass the other filters are of each kind. One query."""
    columns = {choice.value: Count("pk", filter=Q(change=choice.value)) for choice in KINDS if choice.value != "digest"}
    columns["digest"] = Count("pk", filter=Q(has_digest_update=True))
    columns["all"] = Count("pk")
    counted: dict[str, int] = (
        chosen.select(statuses, with_kind=False).filter(state="update_available").aggregate(**columns)
    )
    return counted


def used_by(user: SomeUser, registry: str, repository: str) -> UpdateStatusQuerySet:
    """The answers of present containers that were created from a repository."""
    statuses = UpdateStatus.objects.visible_to(user).present().filter(registry=registry, repository=repository)
    return statuses.select_related("container__device").defer(
        "trace", "lookups", "container__inspect", "container__environment"
    )


def project_choices(user: SomeUser, limit: int) -> list[Choice]:
    """Compose projects of visible containers. One query."""
    names = (
        Container.objects.visible_to(user)
        .present()
        .exclude(compose_project="")
        .order_by("compose_project")
        .values_list("compose_project", flat=True)
        .distinct()[:limit]
    )
    return [Choice(name, name) for name in names]
