"""Doors to inventory and activity rows: what a user may see, and the sets that pages and tasks ask for."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Self

from django.db.models import (
    BooleanField,
    Count,
    Exists,
    Func,
    IntegerField,
    JSONField,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    TextField,
    Value,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, Coalesce, Concat

from ssm.lib.roles import Limit
from ssm.lib.scopes import NO_ROWS, ScopedQuerySet, in_groups, labelled

if TYPE_CHECKING:
    from containers.models import (  # noqa: F401 - in the quoted bases below
        Backup,
        BackupPlan,
        Batch,
        Container,
        Event,
        Image,
        Network,
        Operation,
        Replacement,
        UpdateCheck,
        UpdatePolicy,
        UpdateStatus,
        Volume,
    )


# Ended badly. SIGINT and SIGTERM (130, 143) are what a program ends by that was asked to end.
FAILED = Q(state="exited") & ~Q(exit_code=None) & (~Q(exit_code__in=[0, 130, 143]) | Q(oom_killed=True))
# Ends again and again without anybody having asked for it: containers.rules.loops.
LOOPING = Q(looping_since__isnull=False)
# A container keeps its last health after its end, when it means nothing any more.
UNHEALTHY = Q(state="running", health="unhealthy")
_WITH_PROCESSES: Final = ("running", "paused", "restarting")
# What somebody should look at.
NEEDING_ACTION = UNHEALTHY | FAILED | LOOPING | Q(state__in=["restarting", "dead"])


class ContainerQuerySet(ScopedQuerySet["Container"]):
    """Containers."""

    def within(self, limit: Limit) -> Q:
        """On devices of the groups, with one of the labels."""
        return in_groups(limit) & labelled(limit)

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
            .defer("inspect", "environment", "search_text", "update__trace", "update__lookups", "update__good")
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
            "inspect", "environment", "search_text", "labels", "ports", "mounts", "networks"
        )

    def needing_action(self) -> Self:
        """Present containers that somebody should look at."""
        return self.present().filter(NEEDING_ACTION)


class OperationQuerySet(ScopedQuerySet["Operation"]):
    """Operations."""

    def within(self, limit: Limit) -> Q:
        """On devices of the groups; where labels limit, on a container that has one."""
        return in_groups(limit) & labelled(limit, "container__labels")

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


class BatchQuerySet(ScopedQuerySet["Batch"]):
    """Batches of operations."""

    def within(self, limit: Limit) -> Q:
        """With an operation within the limit."""
        operations = self.model._meta.get_field("operations").related_model._default_manager
        inside = in_groups(limit) & labelled(limit, "container__labels")
        return Q(Exists(operations.filter(inside, batch=OuterRef("pk"))))


class EventQuerySet(ScopedQuerySet["Event"]):
    """Events."""

    def within(self, limit: Limit) -> Q:
        """On devices of the groups; where labels limit, of a container that has one."""
        return in_groups(limit) & labelled(limit, "container__labels")


class ImageQuerySet(ScopedQuerySet["Image"]):
    """Images on hosts."""

    labels_only_show = True

    def within(self, limit: Limit) -> Q:
        """On devices of the groups; where labels limit, used by a container that has one."""
        if not limit.labels:
            return in_groups(limit)
        device: Any = self.model._meta.get_field("device").related_model
        containers: Any = device._meta.get_field("containers").related_model
        users = containers._default_manager.filter(
            labelled(limit), device=OuterRef("device"), image_id=OuterRef("engine_id"), removed_at=None
        )
        return in_groups(limit) & Q(Exists(users))

    def _users(self) -> Any:
        """Present containers that were created from the outer query's image."""
        # The class by way of the relation, as in ContainerQuerySet.for_page.
        devices: Any = self.model._meta.get_field("device").related_model
        containers: Any = devices._meta.get_field("containers").related_model
        return containers._default_manager.filter(
            device=OuterRef("device"), image_id=OuterRef("engine_id"), removed_at=None
        )

    def used(self) -> Self:
        """That a container was created from, running or not."""
        return self.filter(Exists(self._users()))

    def running(self) -> Self:
        """That the processes of at least one container run from."""
        return self.filter(Exists(self._users().filter(state__in=_WITH_PROCESSES)))

    def unused(self) -> Self:
        """That no container was created from."""
        return self.filter(~Exists(self._users()))

    def with_users(self) -> Self:
        """With ``container_count`` and ``running_count``: how many containers were created from it, how many run."""
        users = self._users()

        def counted(chosen: Any) -> Any:
            numbers = chosen.order_by().values("image_id").annotate(number=Count("pk")).values("number")
            return Coalesce(Subquery(numbers, output_field=IntegerField()), 0)

        running = users.filter(state__in=_WITH_PROCESSES)
        return self.annotate(container_count=counted(users), running_count=counted(running))

    def for_page(self) -> Self:
        """With all that rows show, in one query; what is large stays in the database."""
        return self.select_related("device").defer("history", "layers", "config", "labels").with_users()


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


class NetworkQuerySet(ScopedQuerySet["Network"]):
    """Networks on hosts."""

    def within(self, limit: Limit) -> Q:
        """On devices of the groups, with one of the labels."""
        return in_groups(limit) & labelled(limit)

    def for_page(self) -> Self:
        """With all that the partials show, in one query: the device, how many containers, the operation under way.

        ``container_count`` and ``running_count`` are of attached containers, ``active_kind`` the kind of the operation.
        """
        device: Any = self.model._meta.get_field("device").related_model
        containers: Any = device._meta.get_field("containers").related_model
        operations: Any = device._meta.get_field("operations").related_model
        attached = _attached(containers.objects.order_by())
        parts = (Value("network:"), Cast(OuterRef("device"), TextField()), Value(":"), OuterRef("engine_id"))
        lock = Concat(*parts, output_field=TextField())
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


class UpdateStatusQuerySet(ScopedQuerySet["UpdateStatus"]):
    """Answers about updates."""

    def within(self, limit: Limit) -> Q:
        """About containers within the limit."""
        return in_groups(limit, "container__device__") & labelled(limit, "container__labels")

    def present(self) -> Self:
        """Of containers that exist on their host."""
        return self.filter(container__removed_at=None)

    def offering(self, moment: datetime) -> Self:
        """Updates that somebody should look at: present, and not put off."""
        awake = Q(snoozed_until=None) | Q(snoozed_until__lte=moment)
        return self.present().filter(awake, state="update_available")


class UpdatePolicyQuerySet(ScopedQuerySet["UpdatePolicy"]):
    """What users decided about updates."""

    def within(self, limit: Limit) -> Q:
        """About containers within the limit; what is about an image counts everywhere, and is for nobody limited."""
        return in_groups(limit, "container__device__") & labelled(limit, "container__labels")

    def in_force(self, moment: datetime) -> Self:
        """Neither undone nor over."""
        return self.filter(Q(until=None) | Q(until__gt=moment), ended_at=None)


class ReplacementQuerySet(ScopedQuerySet["Replacement"]):
    """Containers that were replaced."""

    def within(self, limit: Limit) -> Q:
        """Of containers within the limit."""
        return in_groups(limit) & labelled(limit, "container__labels")

    def overdue(self, moment: datetime) -> Self:
        """Kept for as long as they were to be."""
        return self.filter(state="kept", keep_until__lte=moment)


class UpdateCheckQuerySet(QuerySet["UpdateCheck"]):
    """Checks that somebody asked for."""

    def under_way(self) -> Self:
        """Not finished."""
        return self.filter(finished_at=None)


# One pass over the mounts of all present containers, however many volumes there are: each of 5,000 volumes looking for
# its own containers would cost seconds.
_USED_VOLUMES: Final = """(containers_volume.device_id, containers_volume.name) IN (
    SELECT used.device_id, mount ->> 'source' FROM containers_container used
    CROSS JOIN LATERAL jsonb_array_elements(used.mounts) mount
    WHERE used.removed_at IS NULL AND mount ->> 'kind' = 'volume')"""


class VolumeQuerySet(ScopedQuerySet["Volume"]):
    """Volumes on hosts."""

    def within(self, limit: Limit) -> Q:
        """On devices of the groups, with one of the labels."""
        return in_groups(limit) & labelled(limit)

    def with_use(self) -> Self:
        """With ``is_used``: whether any container mounts it."""
        return self.annotate(is_used=RawSQL(_USED_VOLUMES, [], output_field=BooleanField()))  # noqa: S611 - a constant

    def with_safety(self) -> Self:
        """With ``backed_up_at`` (of the last good backup) and ``has_plan``."""
        device: Any = self.model._meta.get_field("device").related_model
        backups: Any = device._meta.get_field("backups").related_model
        plans: Any = device._meta.get_field("backup_plans").related_model
        same = {"device": OuterRef("device"), "volume_name": OuterRef("name")}
        good = backups.objects.filter(**same, state="good").order_by("-created_at").values("created_at")[:1]
        return self.annotate(
            backed_up_at=Subquery(good), has_plan=Exists(plans.objects.filter(**same, is_enabled=True))
        )

    def for_page(self) -> Self:
        """With all that the partials show, in one query: device, use, safety, ``active_kind`` of its operation."""
        device: Any = self.model._meta.get_field("device").related_model
        operations: Any = device._meta.get_field("operations").related_model
        parts = (Value("volume:"), Cast(OuterRef("device"), TextField()), Value(":"), OuterRef("name"))
        lock = Concat(*parts, output_field=TextField())
        active = operations.objects.active().filter(lock=lock).order_by().values("kind")[:1]
        return self.with_use().with_safety().select_related("device").annotate(active_kind=Subquery(active))


class BackupQuerySet(ScopedQuerySet["Backup"]):
    """Backups of volumes."""

    def within(self, limit: Limit) -> Q:
        """Of devices of the groups, of a volume with one of the labels."""
        return in_groups(limit) & labelled(limit)

    def good(self) -> Self:
        """Those that can be restored."""
        return self.filter(state="good")

    def of(self, volume: "Volume") -> Self:
        """Those of one volume, by its device and name."""
        return self.filter(device=volume.device_id, volume_name=volume.name)


class BackupPlanQuerySet(ScopedQuerySet["BackupPlan"]):
    """Plans of backups."""

    def within(self, limit: Limit) -> Q:
        """Of devices of the groups; labels are those of the volume, which need not exist: none then."""
        return NO_ROWS if limit.labels else in_groups(limit)

    def of(self, volume: "Volume") -> Self:
        """The plan of one volume, by its device and name."""
        return self.filter(device=volume.device_id, volume_name=volume.name)
