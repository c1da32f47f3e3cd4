"""Doors to registry rows: who may see them, and what is due."""

from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.db.models import Count, Q

from ssm.lib.scopes import ScopedQuerySet

if TYPE_CHECKING:
    from registries.models import Origin, Registry, RepositoryKnowledge  # noqa: F401 - in the quoted bases below


class RegistryQuerySet(ScopedQuerySet["Registry"]):
    """Accounts."""

    # Accounts belong to no device: a limited role does not reach them.

    def enabled(self) -> Self:
        """Accounts that are used."""
        return self.filter(is_enabled=True)


class OriginQuerySet(ScopedQuerySet["Origin"]):
    """How registries stand to accounts."""

    # As accounts.

    def failing(self) -> Self:
        """Those in use that answer nothing. One that sleeps is no failure: it answers again by itself."""
        in_use = Q(account=None) | Q(account__is_enabled=True)
        return self.filter(in_use).exclude(last_error_code__in=["", "rate_limited"]).order_by("-failing_since", "pk")


class RepositoryQuerySet(ScopedQuerySet["RepositoryKnowledge"]):
    """What is known of repositories."""

    # As accounts: what is asked for tells what others run.

    def due(self, moment: datetime) -> Self:
        """To be looked up now: due, and not claimed by a run that still has time left."""
        return self.filter(due_at__lte=moment).filter(Q(claimed_until=None) | Q(claimed_until__lte=moment))

    def below(self, host: str, prefix: str, longer: tuple[str, ...] = ()) -> Self:
        """Of a host, those at or below a path prefix ("" for all), without those below the ``longer`` prefixes."""
        found = self.filter(host=host)
        if prefix:
            found = found.filter(Q(path=prefix) | Q(path__startswith=f"{prefix}/"))
        for other in longer:
            found = found.exclude(Q(path=other) | Q(path__startswith=f"{other}/"))
        return found

    def with_tag_counts(self) -> Self:
        """Adds ``looked_up_count``: tags whose digest is known."""
        return self.annotate(looked_up_count=Count("tag_rows", filter=~Q(tag_rows__digest="")))
