"""One real web process with short patience, and somebody who may upload."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session

from ssm.lib import roles
from tests.containers.logstage import add_user, database_url, session_cookie, web_process

HEAD_S = 2
STALL_S = 2
OF_ONE_ADDRESS = 60


@dataclass(frozen=True, slots=True)
class Front:
    """Where it listens, and the cookies of two people."""

    port: int
    pid: int
    operator: str
    viewer: str


@pytest.fixture(scope="module")
def front(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[Front]:
    """The web process, on the test's database."""
    with django_db_blocker.unblock():
        people = [add_user("front-operator", roles.OPERATOR), add_user("front-viewer", roles.VIEWER)]
        operator, viewer = map(session_cookie, people)
        try:
            with web_process(
                database_url(),
                SSM_WEB_HEAD_SECONDS=str(HEAD_S),
                SSM_WEB_STALL_SECONDS=str(STALL_S),
                SSM_WEB_CONNECTIONS_PER_ADDRESS=str(OF_ONE_ADDRESS),
                SSM_WEB_STOP_SECONDS="3",
                SSM_LOG_LEVEL="WARNING",
            ) as (port, pid):
                yield Front(port, pid, operator, viewer)
        finally:
            Session.objects.all().delete()
            User.objects.filter(pk__in=[person.pk for person in people]).delete()
