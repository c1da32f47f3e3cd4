"""Schedules of registries, beside those of devices: whose repositories become due, and when."""

from datetime import UTC, datetime, timedelta

import pytest

from registries.models import Origin, Registry, RepositoryKnowledge, TagKnowledge
from registries.polling.schedules import make_scheduled_due
from registries.rules.schedules import ScheduleError, next_poll
from tests.factories import RegistryFactory, RepositoryFactory, TagFactory

pytestmark = pytest.mark.django_db
MOMENT = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)


@pytest.fixture
def account(db: None) -> Registry:
    """An account that wants its repositories asked for every hour, with one repository that was asked long ago."""
    made = RegistryFactory(host="docker.io", provider="hub", path_prefix="acme", poll_schedule="0 * * * *")
    for path in ("acme/web", "library/nginx"):
        long_ago = MOMENT - timedelta(hours=5)
        row = RepositoryFactory(path=path, tags_attempted_at=long_ago, attempted_at=long_ago)
        TagFactory(repository=row, attempted_at=long_ago)
    return made


def due() -> list[str]:
    return [row.path for row in RepositoryKnowledge.objects.filter(due_at__isnull=False).order_by("path")]


def test_schedule_of_an_account_makes_its_repositories_due_at_its_time_and_once(account: Registry) -> None:
    assert make_scheduled_due(MOMENT) == 0, "the first tick only notes when"
    origin = Origin.objects.get(account=account)
    assert origin.next_poll_at is not None
    assert MOMENT < origin.next_poll_at < MOMENT + timedelta(hours=1, minutes=1)
    assert make_scheduled_due(origin.next_poll_at - timedelta(seconds=1)) == 0

    assert make_scheduled_due(origin.next_poll_at) == 1
    assert make_scheduled_due(origin.next_poll_at) == 0

    assert due() == ["acme/web"]
    assert TagKnowledge.objects.get(repository__path="acme/web").due_at is not None


def test_schedule_asks_for_nothing_that_was_asked_a_moment_ago(account: Registry) -> None:
    make_scheduled_due(MOMENT)
    at = Origin.objects.get().next_poll_at
    assert at is not None
    recently = at - timedelta(minutes=2)
    RepositoryKnowledge.objects.update(tags_attempted_at=recently, attempted_at=recently)
    TagKnowledge.objects.update(attempted_at=recently)

    assert make_scheduled_due(at) == 0


def test_schedule_of_the_settings_counts_for_hosts_without_one_of_their_own(account: Registry, settings) -> None:
    settings.SSM_REGISTRY_SCHEDULE = "30 * * * *"
    Origin.objects.create(host="docker.io")
    make_scheduled_due(MOMENT)
    origin = Origin.objects.get(account=None)
    assert origin.next_poll_at is not None

    make_scheduled_due(origin.next_poll_at)

    assert due() == ["library/nginx"]


def test_schedule_of_an_account_that_is_off_or_without_one_asks_for_nothing(account: Registry) -> None:
    make_scheduled_due(MOMENT)
    Registry.objects.update(is_enabled=False)
    assert make_scheduled_due(MOMENT + timedelta(days=2)) == 0
    Registry.objects.update(is_enabled=True, poll_schedule="")
    assert make_scheduled_due(MOMENT + timedelta(days=2)) == 0

    assert due() == []
    assert Origin.objects.get().next_poll_at is None


def test_schedule_that_cannot_be_used_stops_no_other(account: Registry) -> None:
    RegistryFactory(host="broken.example.com", poll_schedule="whenever")
    make_scheduled_due(MOMENT)

    assert make_scheduled_due(MOMENT + timedelta(hours=2)) == 1


@pytest.mark.parametrize("expression", ["whenever", "0 0 30 2 *", "* " * 80, "\x00"])
def test_next_poll_of_a_wrong_expression_says_why(expression: str) -> None:
    with pytest.raises(ScheduleError, match="“"):
        next_poll(expression, MOMENT)
