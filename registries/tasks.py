"""Celery's entries of registries."""

from celery import shared_task

from registries import polling
from registries.services import testing


@shared_task(name="registries.poll_due")
def poll_due() -> None:
    """Look up the repositories that are due."""
    polling.poll_due()


@shared_task(name="registries.expire_knowledge")
def expire_knowledge() -> None:
    """Forget repositories and tags that nobody wanted for long."""
    polling.expire()


@shared_task(name=testing.TEST_TASK)
def test_account(registry_id: str) -> None:
    """Test an account as it is stored."""
    testing.test_stored(registry_id)
