"""Doors to inventory and activity rows: what a user may see, and the sets that pages and tasks ask for."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from django.db.models import Count, Exists, Func, JSONField, OuterRef, Prefetch, Q, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Cast, Coalesce, Concat

from ssm.lib.roles import SomeUser, can_view

if TYPE_CHECKING:
    from containers.models import (  # noqa: F401 - in the quoted bases below
        Batch,
        Container,
        Event,
        Image,
        Network,
        Operation,
        UpdateCheck,
        UpdatePolicy,
        UpdateStatus,
    )


# Ended badly. SIGINT and SIGTERM (130, 143) are what a program ends by that was asked to end.
FAILED = Q(state="exited") & ~Q(exit_code=None) & (~Q(exit_code__in=[0, 130, 143]) | Q(oom_killed=True))
# Ends again and again without anybody having asked for it: containers.rules.loops.
LOOPING = Q(looping_since__isnull=False)
# A container keeps its last health after its end, when it means nothing any more.
UNHEALTHY = Q(state="running", health="unhealthy")
# What somebody should look at.
NEEDING_ACTION = UNHEALTHY | FAILED | LOOPING | Q(state__in=["restarting", "dead"])


class ContainerQuerySet(QuerySet["Container"]):
    """Containers."""

    def visible_to(self, user: SomeUser) -> Self:
        """The containers that the user may see, those that are gone from their host included."""
        return self.all() if can_view(user) else self.none()

    def present(self) -> Self:
        """Containers that exist on their host, as far as we know."""
        return self.filter(removed_at=None)

    def for_page(self) -> Self:
        """With all that the partials show, in two queries: the device, what it uses, and the operation under way.

        The inspect answer, which may be large, stays in the database.
        """
        # The class by way of the relation: querysets name no model, which keeps imports one-way.
        related: Any = self.model._meta.get_field("operations").related_model
        operations: OperationQuerySet = related.objects.all()
        return (
            self.select_related("device", "update", "usage")
            .defer("inspect", "environment", "update__trace", "update__lookups", "update__good")
            .prefetch_related(
                Prefetch(
                    "operations",
                    queryset=operations.active().select_related("requested_by"),
                    to_attr="active_operations",
                )
            )
        )

    def with_usage(self) -> Self:
        """With what they use now and their device, and without what is large."""
        return self.select_related("device", "usage").defer(
            "inspect", "environment", "labels", "ports", "mounts", "networks"
        )

    def needing_action(self) -> Self:
        """Present containers that somebody should look at."""
        return self.present().filter(NEEDING_ACTION)


class OperationQuerySet(QuerySet["Operation"]):
    """Operations."""

    def visible_to(self, user: SomeUser) -> Self:
        """The operations that the user may see."""
        return self.all() if can_view(user) else self.none()

    def active(self) -> Self:
        """Queued or running."""
        return self.filter(state__in=["queued", "running"])

    def due(self) -> Self:
        """Not waiting for a lower wave of their batch and lane."""
        lower: OperationQuerySet = self.model._default_manager.filter(
            batch=OuterRef("batch"), lane=OuterRef("lane"), wave__lt=OuterRef("wave")
        )
        return self.filter(Q(batch=None) | Q(wave=0) | ~Exists(lower.active()))

    def orphaned(self, before: datetime) -> Self:
        """Running, but their worker has not been heard of since ``before``."""
        return self.filter(state="running", heartbeat_at__lt=before)


class BatchQuerySet(QuerySet["Batch"]):
    """Batches of operations."""

    def visible_to(self, user: SomeUser) -> Self:
        """The batches that the user may see."""
        return self.all() if can_view(user) else self.none()


class EventQuerySet(QuerySet["Event"]):
    """Events."""

    def visible_to(self, user: SomeUser) -> Self:
        """The events that the user may see."""
        return self.all() if can_view(user) else self.none()


class ImageQuerySet(QuerySet["Image"]):
    """Images on hosts."""

    def visible_to(self, user: SomeUser) -> Self:
        """The images that the user may see."""
        return self.all() if can_view(user) else self.none()


def _json_list(**members: Any) -> Func:
    """A JSON list of one object with these texts."""
    pairs = [Cast(part, TextField()) for name, value in members.items() for part in (Value(name), value)]
    entry = Func(*pairs, function="jsonb_build_object", output_field=JSONField())
    return Func(entry, function="jsonb_build_array", output_field=JSONField())


def _attached(containers: Any) -> Any:
    """Of these containers those that are attached to the outer query's network: by its id, else by its name.

    Podman and containers that were never started tell a name alone.
    """
    by_id = _json_list(network_id=OuterRef("engine_id"))
    by_name = _json_list(name=OuterRef("name"), network_id=Value(""))
    return containers.filter(
        Q(networks__contains=by_id) | Q(networks__contains=by_name), device=OuterRef("device"), removed_at=None
    )


class NetworkQuerySet(QuerySet["Network"]):
    """Networks on hosts."""

    def visible_to(self, user: SomeUser) -> Self:
        """The networks that the user may see."""
        return self.all() if can_view(user) else self.none()

    def for_page(self) -> Self:
        """With all that the partials show, in one query: the device, how many containers, the operation under way.

        ``container_count`` and ``running_count`` are of attached containers, ``active_kind`` the kind of the operation.
        """
        device: Any = self.model._meta.get_field("device").related_model
        containers: Any = device._meta.get_field("containers").related_model
        operations: Any = device._meta.get_field("operations").related_model
        attached = _attached(containers.objects.order_by())
        lock = Concat(Value("network:"), Cast(OuterRef("device"), TextField()), Value(":"), OuterRef("engine_id"))
        active = operations.objects.active().filter(lock=lock).order_by().values("kind")[:1]
        return self.select_related("device").annotate(
            container_count=_count(attached),
            running_count=_count(attached.filter(state__in=["running", "paused", "restarting"])),
            active_kind=Subquery(active),
        )

    def used(self, *, by_any: bool) -> Self:
        """Those that some container is attached to, or no container at all."""
        device: Any = self.model._meta.get_field("device").related_model
        containers: Any = device._meta.get_field("containers").related_model
        attached = Exists(_attached(containers.objects.order_by()))
        return self.filter(attached if by_any else ~attached)


def _count(rows: Any) -> Any:
    """How many rows, as a part of another query."""
    counted = rows.annotate(one=Value(1)).values("one").annotate(count=Count("pk")).values("count")
    return Coalesce(Subquery(counted), Value(0))


class UpdateStatusQuerySet(QuerySet["UpdateStatus"]):
    """Answers about updates."""

    def visible_to(self, user: SomeUser) -> Self:
        """The answers that the user may see."""
        return self.all() if can_view(user) else self.none()

    def present(self) -> Self:
        """Of containers that exist on their host."""
        return self.filter(container__removed_at=None)

    def offering(self, moment: datetime) -> Self:
        """Updates that somebody should look at: present, and not put off."""
        awake = Q(snoozed_until=None) | Q(snoozed_until__lte=moment)
        return self.present().filter(awake, state="update_available")


class UpdatePolicyQuerySet(QuerySet["UpdatePolicy"]):
    """What users decided about updates."""

    def visible_to(self, user: SomeUser) -> Self:
        """The decisions that the user may see."""
        return self.all() if can_view(user) else self.none()

    def in_force(self, moment: datetime) -> Self:
        """Neither undone nor over."""
        return self.filter(Q(until=None) | Q(until__gt=moment), ended_at=None)


class UpdateCheckQuerySet(QuerySet["UpdateCheck"]):
    """Checks that somebody asked for."""

    def under_way(self) -> Self:
        """Not finished."""
        return self.filter(finished_at=None)
