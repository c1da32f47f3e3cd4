"""The one door to rows: querysets that know which of their rows a user holds a right on."""

from functools import reduce
from operator import and_, or_
from typing import Any, Self, TypeVar

from django.db.models import Model, Q, QuerySet

from ssm.lib.roles import Limit, Right, SomeUser, can, can_everywhere, grants_of

Row = TypeVar("Row", bound=Model)


class ScopedQuerySet(QuerySet[Row]):
    """Rows that belong to part of the fleet. Each kind says by ``within`` what a limit leaves of it."""

    # The right that lets rows be seen; what only administrators may see has another.
    seen_by: Right = Right.SEE
    # Rows that a limit by labels lets be seen, as something labelled is on them, and never be acted on.
    labels_only_show: bool = False

    def permitted(self, user: SomeUser, right: Right) -> Self:
        """The rows on which the user holds the right; none for somebody without it."""
        right = self.seen_by if right is Right.SEE else right
        grants = grants_of(user)
        if grants.is_unlimited(right):
            return self.all()
        scopes = list(grants.of(right))
        if self.labels_only_show and right is not self.seen_by:
            scopes = [scope for scope in scopes if not any(limit.labels for limit in scope)]
        if not scopes:
            return self.none()
        return self.filter(reduce(or_, (reduce(and_, map(self.within, scope)) for scope in scopes)))

    def visible_to(self, user: SomeUser) -> Self:
        """The rows that the user may see; none for somebody without a role."""
        return self.permitted(user, Right.SEE)

    def within(self, _limit: Limit) -> Q:
        """The rows that a limit leaves. Without an answer of the kind's own: none."""
        return NO_ROWS


NO_ROWS = Q(pk__in=())


def holds_on(user: SomeUser, right: Right, row: Model | None) -> bool:
    """Whether the user holds the right on this row; on any row where there is none, or its kind knows no door.

    One query where the right is limited, else none.
    """
    if row is None or not can(user, right) or can_everywhere(user, right):
        return can(user, right)
    rows = type(row)._default_manager.all()
    return rows.permitted(user, right).filter(pk=row.pk).exists() if isinstance(rows, ScopedQuerySet) else True


def in_groups(limit: Limit, device: str = "device__") -> Q:
    """Rows of devices in one of the limit's groups; ``device`` is the way to the device's columns."""
    return Q(**{f"{device}groups__overlap": list(limit.device_groups)}) if limit.device_groups else Q()


def labelled(limit: Limit, column: str = "labels") -> Q:
    """Rows of which a JSON column of labels has one of the limit's: "name=value", or "name" with any value."""
    found = Q()
    for label in limit.labels:
        name, has_value, value = label.partition("=")
        condition: dict[str, Any] = (
            {f"{column}__contains": {name: value}} if has_value else {f"{column}__has_key": name}
        )
        found |= Q(**condition)
    return found
