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
OF_ONE_ADDRESS = 260


@dataclass(frozen=True, slots=True)
class Front:
    """Where it listens, and the cookies of two people."""

    port: int
    pid: int
    operator: str
    viewer: str


@pytest.fixture(scope="session")
def front_process(django_db_setup: None) -> Iterator[tuple[int, int]]:
    """Port and process id of a web process on the test's database."""
    with web_process(
        database_url(),
        SSM_WEB_HEAD_SECONDS=str(HEAD_S),
        SSM_WEB_STALL_SECONDS=str(STALL_S),
        SSM_WEB_CONNECTIONS_PER_ADDRESS=str(OF_ONE_ADDRESS),
        SSM_WEB_STOP_SECONDS="1",
        SSM_LOG_LEVEL="ERROR",
    ) as port_and_pid:
        yield port_and_pid


@pytest.fixture(scope="module")
def front(front_process: tuple[int, int], django_db_blocker: pytest.FixtureRequest) -> Iterator[Front]:
    """The process, and people whom it knows."""
    with django_db_blocker.unblock():
        people = [add_user("front-operator", roles.OPERATOR), add_user("front-viewer", roles.VIEWER)]
        operator, viewer = map(session_cookie, people)
    yield Front(*front_process, operator, viewer)
    with django_db_blocker.unblock():
        Session.objects.all().delete()
        User.objects.filter(pk__in=[person.pk for person in people]).delete()
